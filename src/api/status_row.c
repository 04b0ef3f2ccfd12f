/*-------------------------------------------------------------------------
 *
 * status_row.c
 *		The status of an instance that has ended, without SQL.
 *
 * A session that waits for a workflow gets the workflow's row of durable.instances as the
 * result.  Executing the view takes as long as the rest of the wait, because the view has
 * the calls for which an instance waits, its due time, and its parent.  An ended instance
 * without a parent has none of these, so this file makes its row from one read of the
 * table.  All other rows are read from the view.  Both must have the same result, which a
 * test verifies (client_status).
 *
 * Called by: wait_api.c
 * Locks:	none that is kept
 * Memory:	the row in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client.h"
#include "instance_table.h"
#include "table_scan.h"

/* Columns of durable.instance_status. */
enum
{
	ROW_ID, ROW_NAME, ROW_STATUS, ROW_WAITING_ON, ROW_CREATED, ROW_UPDATED, ROW_COMPLETED,
	ROW_DURATION, ROW_COMPUTE_TIME, ROW_TURNS, ROW_EXECUTION, ROW_PARENT, ROW_VERSION, ROW_OWNER,
	ROW_CUSTOM_STATUS, ROW_INPUT, ROW_OUTPUT, ROW_FAILURE, ROW_TAGS, ROW_SUSPEND_REASON, ROW_DROPPED_EVENTS, ROW_COLUMNS
};

typedef struct StatusRow
{
	Datum		values[ROW_COLUMNS];
	bool		nulls[ROW_COLUMNS];
}			StatusRow;

static bool is_simple(DurableScan *scan);
static void fill(StatusRow *row, DurableScan *scan);
static void copy(StatusRow *row, int column, DurableScan *scan, int from);
static void set(StatusRow *row, int column, Datum value);

bool
durable_status_look_up(ClientInstance *instance, TupleDesc desc, Datum *result)
{
	DurableScan scan;
	bool		found;

	if (desc->natts != ROW_COLUMNS)
		elog(ERROR, "durable.instance_status has %d columns, expected %d", desc->natts, (int) ROW_COLUMNS);

	durable_scan_open_latest(&scan, &durable_instance_table, INSTANCE_BY_ID);
	durable_scan_key(&scan, INSTANCE_ID, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(instance->instance_id));
	durable_scan_key(&scan, INSTANCE_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(instance->owner));
	durable_scan_begin(&scan);
	found = durable_scan_next(&scan);
	if (found)
		durable_client_take(&scan, instance);
	*result = (Datum) 0;
	if (found && is_simple(&scan))
	{
		StatusRow	row;

		memset(row.nulls, true, sizeof(row.nulls));
		fill(&row, &scan);

		/* The row is made here, while TOASTed values can be fetched. */
		*result = HeapTupleGetDatum(heap_form_tuple(desc, row.values, row.nulls));
	}
	durable_scan_close_latest(&scan);
	return found;
}

static bool
is_simple(DurableScan *scan)
{
	return STATUS_IS_FINISHED(durable_scan_char(scan, INSTANCE_STATUS)) &&
		durable_scan_timestamptz(scan, INSTANCE_COMPLETED_AT) != 0 &&
		durable_scan_int8(scan, INSTANCE_PARENT_KEY) == 0 &&
		durable_client_may_see(durable_scan_oid(scan, INSTANCE_OWNER));
}

static void
fill(StatusRow *row, DurableScan *scan)
{
	Interval	microsecond = {.time = 1};
	float8		compute_us = durable_scan_int8(scan, INSTANCE_COMPUTE_US);

	copy(row, ROW_ID, scan, INSTANCE_ID);
	copy(row, ROW_NAME, scan, INSTANCE_NAME);
	set(row, ROW_STATUS, CStringGetTextDatum(durable_client_status_word(durable_scan_char(scan, INSTANCE_STATUS))));
	copy(row, ROW_CREATED, scan, INSTANCE_CREATED_AT);
	copy(row, ROW_UPDATED, scan, INSTANCE_UPDATED_AT);
	if (row->nulls[ROW_UPDATED])	/* no unit of work after the first */
		copy(row, ROW_UPDATED, scan, INSTANCE_STARTED_AT);
	if (row->nulls[ROW_UPDATED])
		copy(row, ROW_UPDATED, scan, INSTANCE_CREATED_AT);
	copy(row, ROW_COMPLETED, scan, INSTANCE_COMPLETED_AT);
	set(row, ROW_DURATION,
		DirectFunctionCall2(timestamp_mi,
							TimestampTzGetDatum(durable_scan_timestamptz(scan, INSTANCE_COMPLETED_AT)),
							TimestampTzGetDatum(durable_scan_timestamptz(scan, INSTANCE_CREATED_AT))));
	set(row, ROW_COMPUTE_TIME,
		DirectFunctionCall2(interval_mul, IntervalPGetDatum(&microsecond), Float8GetDatum(compute_us)));
	set(row, ROW_TURNS, Int32GetDatum(durable_scan_int4(scan, INSTANCE_TURNS)));
	copy(row, ROW_EXECUTION, scan, INSTANCE_EXECUTION);
	copy(row, ROW_VERSION, scan, INSTANCE_VERSION);
	copy(row, ROW_OWNER, scan, INSTANCE_OWNER);
	set(row, ROW_DROPPED_EVENTS, Int32GetDatum(durable_scan_int4(scan, INSTANCE_DROPPED_EVENTS)));
	if (!durable_client_may_act_for(durable_scan_oid(scan, INSTANCE_OWNER)))
		return;
	copy(row, ROW_CUSTOM_STATUS, scan, INSTANCE_CUSTOM_STATUS);
	copy(row, ROW_INPUT, scan, INSTANCE_INPUT);
	copy(row, ROW_OUTPUT, scan, INSTANCE_OUTPUT);
	copy(row, ROW_FAILURE, scan, INSTANCE_FAILURE);
	copy(row, ROW_TAGS, scan, INSTANCE_TAGS);
}

static void
copy(StatusRow *row, int column, DurableScan *scan, int from)
{
	row->values[column] = durable_scan_datum(scan, from, &row->nulls[column]);
}

static void
set(StatusRow *row, int column, Datum value)
{
	row->values[column] = value;
	row->nulls[column] = false;
}
