/*-------------------------------------------------------------------------
 *
 * instance_insert.c
 *		New rows of durable.instance: the starts of orchestrations.
 *
 * Clients insert one row at a time with SQL, if the id may be taken; batches insert the
 * sub-orchestrations of their instances with the writer, without waiting for a transaction.
 *
 * Owns:	the columns that a start sets
 * Called by: start_api.c, batch_children.c; instance_table.c (check)
 * Locks:	none; only durable_instance_insert_unless_taken waits for a transaction that
 *			inserts or deletes the same id
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "instance_insert.h"
#include "sql.h"
#include "table_write.h"
#include "tally.h"

#define BIT(column)	DURABLE_COLUMN_BIT(INSTANCE_##column)

/* The columns that a start sets; the others get their defaults. */
static DurableWritable inserted = {
	.table = &durable_instance_table,
	.columns = BIT(KEY) | BIT(CREATED_AT) | BIT(OWNER) | BIT(ID) | BIT(NAME) | BIT(HANDLER) |
	BIT(VERSION) | BIT(INPUT) | BIT(TAGS) | BIT(WAITING) | BIT(PARENT_KEY) | BIT(PARENT_EXECUTION) |
	BIT(PARENT_TASK) | BIT(PARENT_ATTEMPT) | BIT(PARENT_CALL) | BIT(CLOSE_POLICY) | BIT(TRACE),
	.sequence = "instance_key_seq",
	.holds = true
};

static DurableSql insert_unless_taken = {
	"INSERT INTO durable.instance "
	"(key, instance_id, owner, name, handler, version, created_at, input, tags, waiting, trace) "
	"VALUES (nextval('durable.instance_key_seq'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
	"ON CONFLICT (instance_id, owner) DO NOTHING RETURNING key",
	10, {TEXTOID, REGROLEOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, JSONBOID, JSONBOID, TEXTOID, TEXTOID}
};

static void count_new(const NewInstance *row);
static void set_new(DurableWriter *writer, NewInstance *row);

void
durable_instance_insert(NewInstance *row)
{
	DurableWriter *writer = durable_writer_open(&inserted);

	set_new(writer, row);
	durable_writer_insert(writer);
	durable_writer_close(writer);
	row->created = true;
	count_new(row);
}

static void
count_new(const NewInstance *row)
{
	durable_tally_move(row->owner, row->name, durable_instance_shorten(row->handler, row->name),
					   row->key, '\0', STATUS_PENDING);
}

static void
set_new(DurableWriter *writer, NewInstance *row)
{
	row->key = durable_writer_next(writer);
	durable_writer_set(writer, INSTANCE_KEY, Int64GetDatum(row->key));
	durable_writer_set_text(writer, INSTANCE_ID, row->instance_id);
	durable_writer_set(writer, INSTANCE_OWNER, ObjectIdGetDatum(row->owner));
	durable_writer_set_text(writer, INSTANCE_NAME, row->name);
	durable_writer_set_text(writer, INSTANCE_HANDLER, durable_instance_shorten(row->handler, row->name));
	durable_writer_set_text(writer, INSTANCE_VERSION, row->version);
	durable_writer_set(writer, INSTANCE_CREATED_AT, TimestampTzGetDatum(row->created_at));
	durable_writer_set_jsonb(writer, INSTANCE_INPUT, row->input);
	durable_writer_set_jsonb(writer, INSTANCE_TAGS, row->tags);
	durable_writer_set_text(writer, INSTANCE_WAITING, row->waiting);
	durable_writer_set_text(writer, INSTANCE_TRACE, row->trace);
	if (row->parent_key != 0)
	{
		durable_writer_set(writer, INSTANCE_PARENT_KEY, Int64GetDatum(row->parent_key));
		durable_writer_set(writer, INSTANCE_PARENT_EXECUTION, Int32GetDatum(row->parent_execution));
		durable_writer_set(writer, INSTANCE_PARENT_TASK, Int32GetDatum(row->parent_task));
		durable_writer_set(writer, INSTANCE_PARENT_ATTEMPT, Int32GetDatum(row->parent_attempt));
		if (row->parent_call != row->parent_task)
			durable_writer_set(writer, INSTANCE_PARENT_CALL, Int32GetDatum(row->parent_call));
		if (row->close_policy != '\0')
			durable_writer_set(writer, INSTANCE_CLOSE_POLICY, CharGetDatum(row->close_policy));
	}
}

void
durable_instance_insert_unless_taken(NewInstance *row)
{
	Datum		values[10] = {
		CStringGetTextDatum(row->instance_id),
		ObjectIdGetDatum(row->owner),
		CStringGetTextDatum(row->name),
		CStringGetTextDatum(durable_instance_shorten(row->handler, row->name)),
		row->version ? CStringGetTextDatum(row->version) : (Datum) 0,
		TimestampTzGetDatum(row->created_at),
		JsonbPGetDatum(row->input),
		JsonbPGetDatum(row->tags),
		row->waiting ? CStringGetTextDatum(row->waiting) : (Datum) 0,
		row->trace ? CStringGetTextDatum(row->trace) : (Datum) 0
	};
	char		nulls[11] = "          ";

	nulls[4] = row->version ? ' ' : 'n';
	nulls[6] = row->input ? ' ' : 'n';
	nulls[7] = row->tags ? ' ' : 'n';
	nulls[8] = row->waiting ? ' ' : 'n';
	nulls[9] = row->trace ? ' ' : 'n';
	row->created = durable_sql_run(&insert_unless_taken, values, nulls, false, 0) > 0;
	if (!row->created)
		return;
	row->key = durable_sql_int8(0, 1);
	count_new(row);
}

void
durable_instance_insert_children(List *rows)
{
	DurableWriter *writer = durable_writer_open(&inserted);
	ListCell   *cell;

	foreach(cell, rows)
	{
		NewInstance *row = lfirst(cell);
		KeyOutcome	outcome;

		CHECK_FOR_INTERRUPTS();
		set_new(writer, row);
		outcome = durable_writer_insert_unless_taken(writer, INSTANCE_BY_ID);
		row->created = outcome == KEY_INSERTED;
		row->undecided = outcome == KEY_UNDECIDED;
		if (row->created)
			count_new(row);
	}
	durable_writer_close(writer);
}

void
durable_instance_insert_check(void)
{
	durable_writer_check(&inserted, true);
}
