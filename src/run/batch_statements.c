/*-------------------------------------------------------------------------
 *
 * batch_statements.c
 *		Writes with statements what few units write, or what depends on what is there.
 *
 * Children, events for others, tasks, and what a termination takes along: one statement for all rows, with an array for each
 * column.  An array cannot be larger than 1 GB, and a unit's payloads together can:
 * then there are several statements.
 *
 * Owns:	writes of units to durable.task_queue
 * Called by: batch_store.c
 * Locks:	of the rows it writes
 * Memory:	batch->context; arrays in a context for each statement
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "batch.h"
#include "columns.h"
#include "json.h"
#include "sql.h"
#include "waiting.h"
#include "wakeup.h"

/* A statement gets no more rows once their payloads take so many bytes. */
#define STATEMENT_BYTES	(64 * 1024 * 1024)

static void in_pieces(Batch * batch, List *rows, Size (*size) (const void *row),
					  void (*store) (Batch * batch, List *rows));
static Size size_of(const Jsonb *value);
static Size size_of_task(const void *row);
static Size size_of_child(const void *row);
static Size size_of_send(const void *row);
static void insert_task_rows(Batch * batch, List *rows);
static void insert_child_rows(Batch * batch, List *rows);
static void start_children(Batch * batch);
static void report_conflicts(Batch * batch);
static void insert_events(Batch * batch, List *rows);

static DurableSql insert_tasks = {
	"INSERT INTO durable.task_queue (id, owner, scheduled_at, run_at, key, execution, task, attempt, "
	"name, handler, input, retry, timeout, last_failure, crashes) "
	"SELECT pg_catalog.nextval('durable.task_queue_id_seq'), $1, $2, u.run_at, u.key, u.execution, "
	"u.task, u.attempt, u.name, u.handler, u.input, u.retry, "
	"u.timeout_us * '1 microsecond'::interval, u.failure, u.crashes "
	"FROM unnest($3::timestamptz[], $4::int8[], $5::int4[], $6::int4[], $7::int4[], "
	"$8::text[], $9::text[], $10::jsonb[], $11::jsonb[], $12::int8[], $13::jsonb[], $14::int4[]) "
	"AS u (run_at, key, execution, task, attempt, name, handler, input, retry, timeout_us, failure, "
	"crashes)",
	14, {REGROLEOID, TIMESTAMPTZOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID,
		INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID,
	INT8ARRAYOID, JSONBARRAYOID, INT4ARRAYOID}
};

/* Rows that are being run are locked: their worker sees that the instance has ended. */
static DurableSql delete_tasks = {
	"DELETE FROM durable.task_queue t USING (SELECT owner, run_at, id FROM durable.task_queue "
	"WHERE key = ANY ($1) FOR UPDATE SKIP LOCKED) d "
	"WHERE t.owner = d.owner AND t.run_at = d.run_at AND t.id = d.id",
	1, {INT8ARRAYOID}
};

static DurableSql allocate_keys = {
	"SELECT pg_catalog.nextval('durable.instance_key_seq') "
	"FROM pg_catalog.generate_series(1, $1)",
	1, {INT4OID}
};

static DurableSql insert_children = {
	"INSERT INTO durable.instance (key, instance_id, owner, name, handler, version, input, "
	"created_at, parent_key, parent_execution, parent_task, parent_attempt, waiting) "
	"SELECT u.key, u.instance_id, $1, u.name, u.handler, u.version, u.input, $2, "
	"u.parent_key, u.parent_execution, u.parent_task, u.parent_attempt, u.waiting "
	"FROM unnest($3::int8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], "
	"$9::int8[], $10::int4[], $11::int4[], $12::int4[], $13::text[]) "
	"AS u (key, instance_id, name, handler, version, input, parent_key, parent_execution, "
	"parent_task, parent_attempt, waiting) "
	"ON CONFLICT (instance_id) DO NOTHING RETURNING key",
	13, {REGROLEOID, TIMESTAMPTZOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, JSONBARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID,
	TEXTARRAYOID}
};

void
durable_batch_store_tasks(Batch * batch)
{
	in_pieces(batch, batch->new_tasks, size_of_task, insert_task_rows);
}

static Size
size_of_task(const void *row)
{
	const TaskRow *task = row;

	return size_of(task->input) + size_of(task->retry) + size_of(task->last_failure);
}

static void
insert_task_rows(Batch * batch, List *rows)
{
	static const Oid types[] = {TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID, TEXTOID,
	TEXTOID, JSONBOID, JSONBOID, INT8OID, JSONBOID, INT4OID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(rows), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[14];

	foreach(cell, rows)
	{
		TaskRow    *task = lfirst(cell);

		durable_columns_set(columns, row, 0, TimestampTzGetDatum(task->run_at));
		durable_columns_set(columns, row, 1, Int64GetDatum(task->key));
		durable_columns_set(columns, row, 2, Int32GetDatum(task->execution));
		durable_columns_set(columns, row, 3, Int32GetDatum(task->task));
		durable_columns_set(columns, row, 4, Int32GetDatum(task->attempt));
		durable_columns_set_text(columns, row, 5, task->name);
		durable_columns_set_text(columns, row, 6, task->handler);
		durable_columns_set_jsonb(columns, row, 7, task->input);
		durable_columns_set_jsonb(columns, row, 8, task->retry);
		if (task->timeout_us > 0)
			durable_columns_set(columns, row, 9, Int64GetDatum(task->timeout_us));
		durable_columns_set_jsonb(columns, row, 10, task->last_failure);
		durable_columns_set(columns, row, 11, Int32GetDatum(batch->cautious ? TASK_CAUTIOUS : 0));
		row++;
		durable_wakeup_task(batch->owner, task->run_at);
	}
	values[0] = ObjectIdGetDatum(batch->owner);
	values[1] = TimestampTzGetDatum(batch->clock);
	durable_columns_arrays(columns, values + 2);
	durable_sql_run(&insert_tasks, values, NULL, false, 0);
}

/*
 * Sub-orchestrations and detached ones.  An id that is taken is a failure of the
 * sub-orchestration; a detached one is dropped, there is nobody to tell.
 */
void
durable_batch_store_children(Batch * batch)
{
	in_pieces(batch, batch->children, size_of_child, insert_child_rows);
	start_children(batch);
	report_conflicts(batch);
}

static Size
size_of_child(const void *row)
{
	return size_of(((const ChildRow *) row)->input);
}

static void
insert_child_rows(Batch * batch, List *rows)
{
	static const Oid types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT8OID,
	INT4OID, INT4OID, INT4OID, TEXTOID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(rows), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[13];
	uint64		ncreated;

	values[0] = Int32GetDatum(list_length(rows));
	durable_sql_run(&allocate_keys, values, NULL, false, 0);
	foreach(cell, rows)
	{
		ChildRow   *child = lfirst(cell);

		child->key = durable_sql_int8(row, 1);
		durable_columns_set(columns, row, 0, Int64GetDatum(child->key));
		durable_columns_set_text(columns, row, 1, child->instance_id);
		durable_columns_set_text(columns, row, 2, child->name);
		durable_columns_set_text(columns, row, 3, durable_handler_shorten(child->handler, child->name));
		durable_columns_set_text(columns, row, 4, child->version);
		durable_columns_set_jsonb(columns, row, 5, child->input);
		if (child->parent_key != 0)
		{
			durable_columns_set(columns, row, 6, Int64GetDatum(child->parent_key));
			durable_columns_set(columns, row, 7, Int32GetDatum(child->parent_execution));
			durable_columns_set(columns, row, 8, Int32GetDatum(child->parent_task));
			durable_columns_set(columns, row, 9, Int32GetDatum(child->parent_attempt));
		}
		if (child->start_at > batch->clock)
			durable_columns_set_text(columns, row, 10,
									 durable_waiting_for_start(batch->clock, child->start_at));
		row++;
	}
	values[0] = ObjectIdGetDatum(batch->owner);
	values[1] = TimestampTzGetDatum(batch->clock);
	durable_columns_arrays(columns, values + 2);
	ncreated = durable_sql_run(&insert_children, values, NULL, false, 0);

	/* Keys come back in the order in which they went in, without those that conflict. */
	cell = list_head(rows);
	for (uint64 i = 0; i < ncreated; i++)
	{
		int64		key = durable_sql_int8(i, 1);

		while (((ChildRow *) lfirst(cell))->key != key)
			cell = lnext(rows, cell);
		((ChildRow *) lfirst(cell))->created = true;
	}
}

static void
start_children(Batch * batch)
{
	ListCell   *cell;

	foreach(cell, batch->children)
	{
		ChildRow   *child = lfirst(cell);

		if (!child->created)
			continue;
		if (child->start_at > batch->clock)
		{
			TimerRow   *timer = palloc0(sizeof(TimerRow));

			timer->key = child->key;
			timer->execution = 1;
			timer->due = child->start_at;
			batch->new_timers = lappend(batch->new_timers, timer);
		}
		else
			durable_batch_send(batch, child->key, MESSAGE_START, 1, 0, 0, NULL, NULL);
	}
}

static void
report_conflicts(Batch * batch)
{
	ListCell   *cell;

	foreach(cell, batch->children)
	{
		ChildRow   *child = lfirst(cell);
		char	   *message;

		if (child->created)
			continue;
		message = psprintf("instance \"%s\" already exists", child->instance_id);
		if (child->parent_key != 0)
			durable_batch_send(batch, child->parent_key, MESSAGE_FAILED,
							   child->parent_execution, child->parent_task,
							   child->parent_attempt, NULL,
							   durable_json_make_failure(ERRCODE_DURABLE_INSTANCE_EXISTS, message));
		else
			ereport(LOG,
					(errmsg("orchestration \"%s\" was not started: %s", child->name, message)));
	}
}

void
durable_batch_store_sends(Batch * batch)
{
	in_pieces(batch, batch->sends, size_of_send, insert_events);
}

static Size
size_of_send(const void *row)
{
	return size_of(((const SendRow *) row)->payload);
}

static void
insert_events(Batch * batch, List *rows)
{
	static const Oid types[] = {TEXTOID, TEXTOID, JSONBOID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(rows), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[3];

	foreach(cell, rows)
	{
		SendRow    *send = lfirst(cell);

		durable_columns_set_text(columns, row, 0, send->instance_id);
		durable_columns_set_text(columns, row, 1, send->name);
		durable_columns_set_jsonb(columns, row, 2, send->payload);
		row++;
	}
	durable_columns_arrays(columns, values);
	durable_inbox_send_events(batch->owner, values[0], values[1], values[2], batch->clock);
}

/* Terminated instances: their tasks go, running ones are stopped, children follow. */
void
durable_batch_terminate(Batch * batch)
{
	Datum		values[1] = {durable_batch_keys(batch->gone_tasks)};
	ListCell   *cell;

	durable_sql_run(&delete_tasks, values, NULL, false, 0);
	durable_inbox_terminate_children(batch->owner, values[0], batch->clock);
	foreach(cell, batch->gone_tasks)
		durable_wakeup_cancel(((Instance *) lfirst(cell))->key);
}

/* Stores the rows with as many statements as their size asks for. */
static void
in_pieces(Batch * batch, List *rows, Size (*size) (const void *row),
		  void (*store) (Batch * batch, List *rows))
{
	MemoryContext context = AllocSetContextCreate(batch->context, "durable statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			next = 0;

	while (next < list_length(rows))
	{
		List	   *piece = NIL;
		Size		bytes = 0;

		while (next < list_length(rows) && bytes < STATEMENT_BYTES)
		{
			bytes += size(list_nth(rows, next));
			piece = lappend(piece, list_nth(rows, next++));
		}
		store(batch, piece);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static Size
size_of(const Jsonb *value)
{
	return value ? VARSIZE(value) : 0;
}
