/*-------------------------------------------------------------------------
 *
 * batch_store.c
 *		Writes what a unit of work has done, one table after the other.
 *
 * What every unit writes is written here, directly (table_write.c); the rest with
 * statements, by batch_statements.c.
 *
 * Owns:	writes of units to durable.history, inbox, timer, instance
 * Called by: unit.c, task_unit.c
 * Locks:	of the rows it writes; the caller has locked the instances
 * Memory:	batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "batch.h"
#include "failpoint.h"
#include "finished.h"
#include "sql.h"
#include "table_write.h"

/* A history row is cut at about this size. */
#define HISTORY_ROW_BYTES	(1024 * 1024)

static void store_history(Batch * batch);
static void discard_histories(Batch * batch);
static void insert_history(DurableWriter *writer, Instance *instance);
static void store_instances(Batch * batch);
static void store_finished(Batch * batch);

/* What is written without statements: an enum for each table, and its columns in the same order. */
enum
{
	HISTORY_KEY, HISTORY_EXECUTION, HISTORY_SEQ, HISTORY_AT, HISTORY_EVENTS, HISTORY_FORMAT_OF_EVENTS,
	HISTORY_COLUMNS
};
static DurableTable history_table = {
	.name = "history",
	.ncolumns = HISTORY_COLUMNS,
	.columns = {"key", "execution", "seq", "at", "events", "format"}
};
static DurableWritable history = {.table = &history_table};

enum
{
	INSTANCE_STATUS, INSTANCE_EXECUTION, INSTANCE_EVENTS, INSTANCE_TURNS, INSTANCE_COMPUTE_US,
	INSTANCE_STARTED_AT, INSTANCE_UPDATED_AT, INSTANCE_COMPLETED_AT, INSTANCE_INPUT,
	INSTANCE_OUTPUT, INSTANCE_FAILURE, INSTANCE_CUSTOM_STATUS, INSTANCE_WAITING,
	INSTANCE_SUSPEND_REASON, INSTANCE_CODE_HASH, INSTANCE_CRASHES, INSTANCE_NEXT_ACTIVITY,
	INSTANCE_RUNS_AT, INSTANCE_COLUMNS
};
static DurableTable instance_table = {
	.name = "instance",
	.ncolumns = INSTANCE_COLUMNS,
	.columns = {"status", "execution", "events", "turns", "compute_us",
		"started_at", "updated_at", "completed_at", "input",
		"output", "failure", "custom_status", "waiting",
	"suspend_reason", "code_hash", "crashes", "next_activity", "runs_at"}
};
static DurableWritable instances = {.table = &instance_table};

static DurableSql discard_history = {
	"DELETE FROM durable.history WHERE key = ANY ($1)",
	1, {INT8ARRAYOID}
};

void
durable_batch_store(Batch * batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	durable_sql_connect();
	if (batch->children != NIL)
		durable_batch_store_children(batch);
	if (batch->gone_tasks != NIL)
		durable_batch_terminate(batch);	/* after the children: it may be that of a retry */
	if (batch->sends != NIL)
		durable_batch_store_sends(batch);
	if (batch->changed != NIL)
	{
		store_history(batch);
		durable_failpoint_pass(FAILPOINT_HISTORY_WRITTEN);
		store_instances(batch);
		store_finished(batch);
	}
	durable_inbox_delete(batch->consumed);
	durable_timer_delete(batch->consumed);
	if (batch->gone_timers != NIL)
		durable_timer_cancel(batch->owner, batch->gone_timers);
	if (batch->new_timers != NIL)
		durable_timer_insert(batch->owner, batch->new_timers);
	if (batch->new_tasks != NIL)
		durable_batch_store_tasks(batch);
	if (batch->outbox != NIL)
		durable_inbox_insert(batch->outbox);
	durable_sql_finish();
	durable_failpoint_pass(FAILPOINT_BATCH_WRITTEN);

	MemoryContextSwitchTo(old);
}

void
durable_batch_check_tables(void)
{
	durable_writer_check(&instances, false);
	durable_writer_check(&history, true);
	durable_inbox_check_table();
	durable_timer_check_table();
	durable_finished_check_table();
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

		/* A large event has a row of its own: both together might be more than jsonb holds. */
		do
			size += durable_history_event_size(replay->events[last++]);
		while (last < replay->nevents &&
			   size + durable_history_event_size(replay->events[last]) <= HISTORY_ROW_BYTES);

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
		if (!STATUS_IS_FINISHED(instance->status))
		{
			if (instance->dispatched >= 0 && instance->dispatched < instance->replay.ncalls)
				durable_writer_set(writer, INSTANCE_NEXT_ACTIVITY, Int32GetDatum(instance->dispatched + 1));
			if (instance->runs_at > instance->replay.nevents + 1)
				durable_writer_set(writer, INSTANCE_RUNS_AT, Int32GetDatum(instance->runs_at));
		}
		durable_writer_update(writer, &instance->ctid);
	}
	durable_writer_close(writer);
}

/* Those that have ended in this unit: one that had ended before is not run, and so not changed. */
static void
store_finished(Batch * batch)
{
	FinishedRow *rows = palloc(list_length(batch->changed) * sizeof(FinishedRow));
	int			nrows = 0;
	ListCell   *cell;

	foreach(cell, batch->changed)
	{
		Instance   *instance = lfirst(cell);

		if (STATUS_IS_FINISHED(instance->status))
			rows[nrows++] = (FinishedRow) {
				.owner = batch->owner,
				.name = instance->name,
				.status = instance->status,
				.completed_at = instance->completed_at,
				.key = instance->key
			};
	}
	if (nrows > 0)
		durable_finished_insert(rows, nrows);
}
