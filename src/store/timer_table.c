/*-------------------------------------------------------------------------
 *
 * timer_table.c
 *		The table durable.timer: timers that have not fired.
 *
 * A unit inserts timers, and so does durable.start() with start_at.  batch_claim.c finds due
 * timers, and execution.c turns them into events.  The unit that holds the row lock of the
 * instance deletes them when they fire or are canceled.  A finished instance has none.
 *
 * Owns:	durable.timer
 * Called by: batch_claim.c, batch_store.c, start_api.c, entity_api.c
 * Locks:	none on rows that it reads; row locks on those that it deletes
 * Memory:	rows in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "inbox_table.h"
#include "sql.h"
#include "message_rows.h"
#include "table_scan.h"
#include "table_write.h"
#include "timer_table.h"
#include "wakeup.h"

DurableTable durable_timer_table = {
	.name = "timer",
	.indexes = {[TIMER_BY_DUE_AT] = "timer_due"},
	.ncolumns = TIMER_COLUMNS,
	.columns = {
		[TIMER_OWNER] = "owner",
		[TIMER_DUE_AT] = "due_at",
		[TIMER_KEY] = "key",
		[TIMER_EXECUTION] = "execution",
		[TIMER_TASK] = "task"
	}
};

static DurableWritable writable = {
	.table = &durable_timer_table,
	.deletes = true
};

static DurableSql delete_orphans = {
	"DELETE FROM durable.timer t WHERE ctid = ANY ($1) AND NOT EXISTS "
	"(SELECT FROM durable.instance i WHERE i.key = t.key)",
	1, {TIDARRAYOID}
};

static DurableSql delete_timers = {
	"DELETE FROM durable.timer t USING "
	"unnest($2::timestamptz[], $3::int8[], $4::int4[], $5::int4[]) "
	"AS u (due_at, key, execution, task) "
	"WHERE t.owner = $1 AND t.due_at = u.due_at AND t.key = u.key "
	"AND t.execution = u.execution AND t.task = u.task",
	5, {REGROLEOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID}
};

static List *read_timers(DurableScan *scan, Oid owner, List *messages, int limit);

/* --- reading ------------------------------------------------------------------------------ */

List *
durable_timer_read(Oid owner, TimestampTz from, int64 from_key, TimestampTz now, int limit)
{
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &durable_timer_table, TIMER_BY_DUE_AT, AccessShareLock);
	durable_scan_key(&scan, TIMER_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_key(&scan, TIMER_DUE_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
					 TimestampTzGetDatum(now));
	if (from_key == PG_INT64_MIN)
		durable_scan_key(&scan, TIMER_DUE_AT, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
						 TimestampTzGetDatum(from));
	else
	{
		durable_scan_key(&scan, TIMER_DUE_AT, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ,
						 TimestampTzGetDatum(from));
		durable_scan_key(&scan, TIMER_KEY, BTGreaterEqualStrategyNumber, F_INT8GE,
						 Int64GetDatum(from_key));
		messages = read_timers(&scan, owner, messages, limit);
		durable_scan_forget_keys(&scan);
		durable_scan_key(&scan, TIMER_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
		durable_scan_key(&scan, TIMER_DUE_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
						 TimestampTzGetDatum(now));
		durable_scan_key(&scan, TIMER_DUE_AT, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
						 TimestampTzGetDatum(from));
	}
	messages = read_timers(&scan, owner, messages, limit);
	durable_scan_close(&scan);
	return messages;
}

static List *
read_timers(DurableScan *scan, Oid owner, List *messages, int limit)
{
	durable_scan_begin(scan);
	while (list_length(messages) < limit && durable_scan_next(scan))
	{
		Message    *message = palloc0(sizeof(Message));

		message->kind = MESSAGE_TIMER;
		message->tid = durable_scan_tid(scan);
		message->owner = owner;
		message->key = durable_scan_int8(scan, TIMER_KEY);
		message->execution = durable_scan_int4(scan, TIMER_EXECUTION);
		message->task = durable_scan_int4(scan, TIMER_TASK);
		message->at = durable_scan_timestamptz(scan, TIMER_DUE_AT);
		messages = lappend(messages, message);
	}
	return messages;
}

TimestampTz
durable_timer_next(Oid owner, TimestampTz after)
{
	TimestampTz result = DT_NOEND;
	DurableScan scan;

	durable_scan_open(&scan, &durable_timer_table, TIMER_BY_DUE_AT, AccessShareLock);
	durable_scan_key(&scan, TIMER_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_key(&scan, TIMER_DUE_AT, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(after));
	durable_scan_begin(&scan);
	if (durable_scan_next(&scan))
		result = durable_scan_timestamptz(&scan, TIMER_DUE_AT);
	durable_scan_close(&scan);
	return result;
}

/* Another row may have been stored at the same place since. */
void
durable_timer_check_live(List *messages)
{
	bool		opened = false;
	DurableScan scan;
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		if (message->kind != MESSAGE_TIMER)
			continue;
		if (!opened)
			durable_scan_open(&scan, &durable_timer_table, TIMER_BY_DUE_AT, AccessShareLock);
		opened = true;
		message->live = durable_scan_fetch(&scan, &message->tid) &&
			message->key == durable_scan_int8(&scan, TIMER_KEY) &&
			message->execution == durable_scan_int4(&scan, TIMER_EXECUTION) &&
			message->task == durable_scan_int4(&scan, TIMER_TASK);
	}
	if (opened)
		durable_scan_close(&scan);
}

/* --- writing ------------------------------------------------------------------------------ */

void
durable_timer_insert(Oid owner, List *timers)
{
	DurableWriter *writer = durable_writer_open(&writable);
	ListCell   *cell;

	foreach(cell, timers)
	{
		TimerRow   *timer = lfirst(cell);

		durable_writer_set(writer, TIMER_OWNER, ObjectIdGetDatum(owner));
		durable_writer_set(writer, TIMER_DUE_AT, TimestampTzGetDatum(timer->due));
		durable_writer_set(writer, TIMER_KEY, Int64GetDatum(timer->key));
		durable_writer_set(writer, TIMER_EXECUTION, Int32GetDatum(timer->execution));
		durable_writer_set(writer, TIMER_TASK, Int32GetDatum(timer->task));
		durable_writer_insert(writer);
		durable_wakeup_timer(owner, timer->due);
	}
	durable_writer_close(writer);
}

void
durable_timer_delete(List *messages)
{
	durable_message_delete(&writable, messages, true);
}

void
durable_timer_delete_orphans(List *messages)
{
	durable_message_delete_orphans(&delete_orphans, messages, true);
}

void
durable_timer_cancel(Oid owner, List *timers)
{
	static const Oid types[] = {TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(timers), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[5];

	foreach(cell, timers)
	{
		TimerRow   *timer = lfirst(cell);

		durable_columns_set(columns, row, 0, TimestampTzGetDatum(timer->due));
		durable_columns_set(columns, row, 1, Int64GetDatum(timer->key));
		durable_columns_set(columns, row, 2, Int32GetDatum(timer->execution));
		durable_columns_set(columns, row, 3, Int32GetDatum(timer->task));
		row++;
	}
	values[0] = ObjectIdGetDatum(owner);
	durable_columns_arrays(columns, values + 1);
	durable_sql_run(&delete_timers, values, NULL, false, 0);
}

void
durable_timer_check_table(void)
{
	durable_writer_check(&writable, true);
}
