/*-------------------------------------------------------------------------
 *
 * batch_store.c
 *		Writes what a unit of work has done, one table after the other.
 *
 * What every unit writes is written directly (table_write.c), the rest with one
 * statement for each table.
 *
 * Owns:	writes to durable.history, inbox, timer, task_queue, instance
 * Called by: unit.c, task_unit.c
 * Locks:	of the rows it writes; the caller has locked the instances
 * Memory:	batch->context
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
#include "execution.h"
#include "failpoint.h"
#include "json.h"
#include "sql.h"
#include "table_write.h"
#include "wakeup.h"

/* A history row is cut at about this size. */
#define HISTORY_ROW_BYTES	(1024 * 1024)

static void store_history(Batch * batch);
static void discard_histories(Batch * batch);
static void insert_history(DurableWriter *writer, Instance *instance);
static void store_instances(Batch * batch);
static void delete_consumed(Batch * batch);
static void delete_rows(DurableWritable *table, Datum *tids, int n);
static void store_gone_timers(Batch * batch);
static void store_new_timers(Batch * batch);
static void store_tasks(Batch * batch);
static void store_messages(Batch * batch);
static void store_children(Batch * batch);
static void report_conflicts(Batch * batch);
static void store_sends(Batch * batch);
static void terminate(Batch * batch);

/* What is written without statements: an enum for each table, and its columns in the same order. */
enum
{
	HISTORY_KEY, HISTORY_EXECUTION, HISTORY_SEQ, HISTORY_AT, HISTORY_EVENTS, HISTORY_FORMAT_OF_EVENTS,
	HISTORY_COLUMNS
};
static DurableWritable history = {
	.table = {
		.name = "history",
		.ncolumns = HISTORY_COLUMNS,
		.columns = {"key", "execution", "seq", "at", "events", "format"}
	}
};

enum
{
	INSTANCE_STATUS, INSTANCE_EXECUTION, INSTANCE_EVENTS, INSTANCE_TURNS, INSTANCE_COMPUTE_US,
	INSTANCE_STARTED_AT, INSTANCE_UPDATED_AT, INSTANCE_COMPLETED_AT, INSTANCE_INPUT,
	INSTANCE_OUTPUT, INSTANCE_FAILURE, INSTANCE_CUSTOM_STATUS, INSTANCE_WAITING,
	INSTANCE_SUSPEND_REASON, INSTANCE_CODE_HASH, INSTANCE_CRASHES, INSTANCE_COLUMNS
};
static DurableWritable instances = {
	.table = {
		.name = "instance",
		.ncolumns = INSTANCE_COLUMNS,
		.columns = {"status", "execution", "events", "turns", "compute_us",
			"started_at", "updated_at", "completed_at", "input",
			"output", "failure", "custom_status", "waiting",
		"suspend_reason", "code_hash", "crashes"}
	}
};

enum
{
	INBOX_ID, INBOX_OWNER, INBOX_KEY, INBOX_KIND, INBOX_EXECUTION, INBOX_TASK, INBOX_NAME,
	INBOX_PAYLOAD, INBOX_SENT_AT, INBOX_COLUMNS
};
static DurableWritable inbox = {
	.table = {
		.name = "inbox",
		.ncolumns = INBOX_COLUMNS,
		.columns = {"id", "owner", "key", "kind", "execution", "task", "name", "payload", "sent_at"}
	},
	.sequence = "inbox_id_seq"
};

enum
{
	TIMER_OWNER, TIMER_DUE_AT, TIMER_KEY, TIMER_EXECUTION, TIMER_TASK, TIMER_COLUMNS
};
static DurableWritable timers = {
	.table = {
		.name = "timer",
		.ncolumns = TIMER_COLUMNS,
		.columns = {"owner", "due_at", "key", "execution", "task"}
	}
};

/* What is written with statements: it is rarer, or needs to know what is there. */
static DurableSql delete_timers = {
	"DELETE FROM durable.timer t USING "
	"unnest($2::timestamptz[], $3::int8[], $4::int4[], $5::int4[]) "
	"AS u (due_at, key, execution, task) "
	"WHERE t.owner = $1 AND t.due_at = u.due_at AND t.key = u.key "
	"AND t.execution = u.execution AND t.task = u.task",
	5, {REGROLEOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID}
};

static DurableSql discard_history = {
	"DELETE FROM durable.history WHERE key = ANY ($1)",
	1, {INT8ARRAYOID}
};

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

static DurableSql terminate_children = {
	"INSERT INTO durable.inbox (id, owner, key, kind, payload, sent_at) "
	"SELECT pg_catalog.nextval('durable.inbox_id_seq'), owner, key, 't', "
	"'{\"reason\": \"parent was terminated\"}'::jsonb, $2 "
	"FROM durable.instance WHERE parent_key = ANY ($1) AND status IN ('P', 'R', 'S') "
	"RETURNING key",
	2, {INT8ARRAYOID, TIMESTAMPTZOID}
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

/* Instances that the sender may see and that have not ended; others get nothing. */
static DurableSql send_events = {
	"INSERT INTO durable.inbox (id, owner, key, kind, name, payload, sent_at) "
	"SELECT pg_catalog.nextval('durable.inbox_id_seq'), i.owner, i.key, 'e', u.name, u.payload, $2 "
	"FROM unnest($3::text[], $4::text[], $5::jsonb[]) WITH ORDINALITY "
	"AS u (instance_id, name, payload, n) "
	"JOIN durable.instance i ON i.instance_id = u.instance_id "
	"WHERE i.status IN ('P', 'R', 'S') AND pg_catalog.pg_has_role($1, i.owner, 'USAGE') "
	"ORDER BY u.n RETURNING owner, key",
	5, {OIDOID, TIMESTAMPTZOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID}
};

void
durable_batch_store(Batch * batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	durable_sql_connect();
	if (batch->children != NIL)
		store_children(batch);
	if (batch->gone_tasks != NIL)
		terminate(batch);		/* after the children: it may be that of a retry */
	if (batch->sends != NIL)
		store_sends(batch);
	if (batch->changed != NIL)
	{
		store_history(batch);
		durable_failpoint_pass(FAILPOINT_HISTORY_WRITTEN);
		store_instances(batch);
	}
	if (batch->consumed != NIL)
		delete_consumed(batch);
	if (batch->gone_timers != NIL)
		store_gone_timers(batch);
	if (batch->new_timers != NIL)
		store_new_timers(batch);
	if (batch->new_tasks != NIL)
		store_tasks(batch);
	if (batch->outbox != NIL)
		store_messages(batch);
	durable_sql_finish();
	durable_failpoint_pass(FAILPOINT_BATCH_WRITTEN);

	MemoryContextSwitchTo(old);
}

/* New events, one row for each instance, or several when they are large. */
static void
store_history(Batch * batch)
{
	DurableWriter *writer;
	ListCell   *cell;

	discard_histories(batch);
	writer = durable_writer_open(&history);
	foreach(cell, batch->changed)
		insert_history(writer, lfirst(cell));
	durable_writer_close(writer);
}

static void
discard_histories(Batch * batch)
{
	List	   *discarded = NIL;
	ListCell   *cell;
	Datum		values[1];

	foreach(cell, batch->changed)
		if (((Instance *) lfirst(cell))->discard_history)
			discarded = lappend(discarded, lfirst(cell));
	if (discarded == NIL)
		return;
	values[0] = durable_batch_keys(discarded);
	durable_sql_run(&discard_history, values, NULL, false, 0);
}

static void
insert_history(DurableWriter *writer, Instance *instance)
{
	Replay	   *replay = &instance->replay;
	int			first = instance->stored_events;

	while (first < replay->nevents)
	{
		int			last = first;
		Size		size = 0;

		while (last < replay->nevents && size < HISTORY_ROW_BYTES)
			size += durable_history_event_size(replay->events[last++]);

		durable_writer_set(writer, HISTORY_KEY, Int64GetDatum(instance->key));
		durable_writer_set(writer, HISTORY_EXECUTION, Int32GetDatum(instance->execution));
		durable_writer_set(writer, HISTORY_SEQ, Int32GetDatum(first + 1));
		durable_writer_set(writer, HISTORY_AT, TimestampTzGetDatum(replay->events[first]->time));
		durable_writer_set_jsonb(writer, HISTORY_EVENTS,
								 durable_history_encode(&replay->events[first], last - first,
														replay->events[first]->time));
		durable_writer_set(writer, HISTORY_FORMAT_OF_EVENTS, CharGetDatum(HISTORY_FORMAT));
		durable_writer_insert(writer);
		first = last;
	}
}

static void
store_instances(Batch * batch)
{
	DurableWriter *writer = durable_writer_open(&instances);
	ListCell   *cell;

	foreach(cell, batch->changed)
	{
		Instance   *instance = lfirst(cell);

		durable_writer_set(writer, INSTANCE_STATUS, CharGetDatum(instance->status));
		durable_writer_set(writer, INSTANCE_EXECUTION, Int32GetDatum(instance->execution));
		durable_writer_set(writer, INSTANCE_EVENTS, Int32GetDatum(instance->replay.nevents));
		durable_writer_set(writer, INSTANCE_TURNS, Int32GetDatum(instance->turns));
		durable_writer_set(writer, INSTANCE_COMPUTE_US, Int64GetDatum(instance->compute_us));
		if (instance->started_at != 0)
			durable_writer_set(writer, INSTANCE_STARTED_AT, TimestampTzGetDatum(instance->started_at));
		if (instance->started_at != batch->clock)	/* else that says it */
			durable_writer_set(writer, INSTANCE_UPDATED_AT, TimestampTzGetDatum(batch->clock));
		if (instance->completed_at != 0)
			durable_writer_set(writer, INSTANCE_COMPLETED_AT, TimestampTzGetDatum(instance->completed_at));
		if (instance->input_changed)
			durable_writer_set_jsonb(writer, INSTANCE_INPUT, instance->input);
		else
			durable_writer_keep(writer, INSTANCE_INPUT);
		durable_writer_set_jsonb(writer, INSTANCE_OUTPUT, instance->output);
		durable_writer_set_jsonb(writer, INSTANCE_FAILURE, instance->failure);
		durable_writer_set_jsonb(writer, INSTANCE_CUSTOM_STATUS, instance->custom_status);
		durable_writer_set_text(writer, INSTANCE_WAITING, instance->waiting);
		durable_writer_set_text(writer, INSTANCE_SUSPEND_REASON, instance->suspend_reason);
		if (instance->code_hash != 0)
			durable_writer_set(writer, INSTANCE_CODE_HASH, Int64GetDatum(instance->code_hash));
		durable_writer_set(writer, INSTANCE_CRASHES, Int16GetDatum(0));
		durable_writer_update(writer, &instance->ctid);
	}
	durable_writer_close(writer);
}

static void
delete_consumed(Batch * batch)
{
	Datum	   *tids[2];
	int			ntids[2];

	durable_batch_tids(batch->consumed, tids, ntids);
	delete_rows(&inbox, tids[0], ntids[0]);
	delete_rows(&timers, tids[1], ntids[1]);
}

static void
delete_rows(DurableWritable *table, Datum *tids, int n)
{
	DurableWriter *writer;

	if (n == 0)
		return;
	writer = durable_writer_open(table);
	for (int i = 0; i < n; i++)
		durable_writer_delete(writer, (ItemPointer) DatumGetPointer(tids[i]));
	durable_writer_close(writer);
}

static void
store_gone_timers(Batch * batch)
{
	static const Oid types[] = {TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(batch->gone_timers), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[5];

	foreach(cell, batch->gone_timers)
	{
		TimerRow   *timer = lfirst(cell);

		durable_columns_set(columns, row, 0, TimestampTzGetDatum(timer->due));
		durable_columns_set(columns, row, 1, Int64GetDatum(timer->key));
		durable_columns_set(columns, row, 2, Int32GetDatum(timer->execution));
		durable_columns_set(columns, row, 3, Int32GetDatum(timer->task));
		row++;
	}
	values[0] = ObjectIdGetDatum(batch->owner);
	durable_columns_arrays(columns, values + 1);
	durable_sql_run(&delete_timers, values, NULL, false, 0);
}

static void
store_new_timers(Batch * batch)
{
	DurableWriter *writer = durable_writer_open(&timers);
	ListCell   *cell;

	foreach(cell, batch->new_timers)
	{
		TimerRow   *timer = lfirst(cell);

		durable_writer_set(writer, TIMER_OWNER, ObjectIdGetDatum(batch->owner));
		durable_writer_set(writer, TIMER_DUE_AT, TimestampTzGetDatum(timer->due));
		durable_writer_set(writer, TIMER_KEY, Int64GetDatum(timer->key));
		durable_writer_set(writer, TIMER_EXECUTION, Int32GetDatum(timer->execution));
		durable_writer_set(writer, TIMER_TASK, Int32GetDatum(timer->task));
		durable_writer_insert(writer);
		durable_wakeup_timer(batch->owner, timer->due);
	}
	durable_writer_close(writer);
}

static void
store_tasks(Batch * batch)
{
	static const Oid types[] = {TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID, TEXTOID,
	TEXTOID, JSONBOID, JSONBOID, INT8OID, JSONBOID, INT4OID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(batch->new_tasks), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[14];

	foreach(cell, batch->new_tasks)
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

static void
store_messages(Batch * batch)
{
	DurableWriter *writer = durable_writer_open(&inbox);
	ListCell   *cell;

	foreach(cell, batch->outbox)
	{
		Message    *message = lfirst(cell);

		durable_writer_set(writer, INBOX_ID, Int64GetDatum(durable_writer_next(writer)));
		durable_writer_set(writer, INBOX_OWNER, ObjectIdGetDatum(batch->owner));
		durable_writer_set(writer, INBOX_KEY, Int64GetDatum(message->key));
		durable_writer_set(writer, INBOX_KIND, CharGetDatum(message->kind));
		durable_writer_set(writer, INBOX_EXECUTION, Int32GetDatum(message->execution));
		durable_writer_set(writer, INBOX_TASK, Int32GetDatum(message->task));
		durable_writer_set_text(writer, INBOX_NAME, message->name);
		durable_writer_set_jsonb(writer, INBOX_PAYLOAD, message->payload);
		durable_writer_set(writer, INBOX_SENT_AT, TimestampTzGetDatum(batch->clock));
		durable_writer_insert(writer);
		durable_wakeup_inbox(batch->owner, message->key);
	}
	durable_writer_close(writer);
}

/*
 * Sub-orchestrations and detached ones.  An id that is taken is a failure of the
 * sub-orchestration; a detached one is dropped, there is nobody to tell.
 */
static void
store_children(Batch * batch)
{
	static const Oid types[] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT8OID,
	INT4OID, INT4OID, INT4OID, TEXTOID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(batch->children), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[13];
	uint64		rows;

	values[0] = Int32GetDatum(list_length(batch->children));
	durable_sql_run(&allocate_keys, values, NULL, false, 0);
	foreach(cell, batch->children)
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
	rows = durable_sql_run(&insert_children, values, NULL, false, 0);

	/* Keys come back in the order in which they went in, without those that conflict. */
	cell = list_head(batch->children);
	for (uint64 i = 0; i < rows; i++)
	{
		int64		key = durable_sql_int8(i, 1);

		while (((ChildRow *) lfirst(cell))->key != key)
			cell = lnext(batch->children, cell);
		((ChildRow *) lfirst(cell))->created = true;
	}

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
			durable_batch_send(batch, child->key, MESSAGE_START, 1, 0, NULL, NULL);
	}
	report_conflicts(batch);
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
							   psprintf("%d", child->parent_attempt),
							   durable_json_make_failure(ERRCODE_DURABLE_INSTANCE_EXISTS, message));
		else
			ereport(LOG,
					(errmsg("orchestration \"%s\" was not started: %s", child->name, message)));
	}
}

static void
store_sends(Batch * batch)
{
	static const Oid types[] = {TEXTOID, TEXTOID, JSONBOID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(batch->sends), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[5];
	uint64		rows;

	foreach(cell, batch->sends)
	{
		SendRow    *send = lfirst(cell);

		durable_columns_set_text(columns, row, 0, send->instance_id);
		durable_columns_set_text(columns, row, 1, send->name);
		durable_columns_set_jsonb(columns, row, 2, send->payload);
		row++;
	}
	values[0] = ObjectIdGetDatum(batch->owner);
	values[1] = TimestampTzGetDatum(batch->clock);
	durable_columns_arrays(columns, values + 2);
	rows = durable_sql_run(&send_events, values, NULL, false, 0);
	for (uint64 i = 0; i < rows; i++)
		durable_wakeup_inbox(durable_sql_oid(i, 1), durable_sql_int8(i, 2));
}

/* Terminated instances: their tasks go, running ones are stopped, children follow. */
static void
terminate(Batch * batch)
{
	Datum		values[2] = {durable_batch_keys(batch->gone_tasks), TimestampTzGetDatum(batch->clock)};
	ListCell   *cell;
	uint64		rows;

	durable_sql_run(&delete_tasks, values, NULL, false, 0);
	rows = durable_sql_run(&terminate_children, values, NULL, false, 0);
	for (uint64 i = 0; i < rows; i++)
		durable_wakeup_inbox(batch->owner, durable_sql_int8(i, 1));
	foreach(cell, batch->gone_tasks)
		durable_wakeup_cancel(((Instance *) lfirst(cell))->key);
}
