/*-------------------------------------------------------------------------
 *
 * history_table.c
 *		The table durable.history: the events of each instance.
 *
 * A row holds the events that one unit appended to one execution of an instance; it
 * is several rows when they are large.  Rows are never updated.  value/history.c owns
 * the encoding of the events in a row.
 *
 * Owns:	durable.history; history_api.c reads it with a statement, and finished.c
 *			deletes its rows together with their instances
 * Called by: batch_read.c, batch_store.c, turn_api.c, code_api.c
 * Locks:	none; the caller holds the instance's row lock
 * Memory:	events in instance->context; rows in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "history.h"
#include "history_table.h"
#include "sql.h"
#include "table_write.h"

/* A row is cut at about this size. */
#define HISTORY_ROW_BYTES	(1024 * 1024)

DurableTable durable_history_table = {
	.name = "history",
	.indexes = {[HISTORY_BY_KEY] = "history_pkey"},
	.ncolumns = HISTORY_COLUMNS,
	.columns = {
		[HISTORY_KEY] = "key",
		[HISTORY_EXECUTION] = "execution",
		[HISTORY_SEQ] = "seq",
		[HISTORY_AT] = "at",
		[HISTORY_EVENTS] = "events",
		[HISTORY_FORM] = "format"
	}
};

static DurableWritable writable = {.table = &durable_history_table};

static DurableSql discard = {
	"DELETE FROM durable.history WHERE key = ANY ($1)",
	1, {INT8ARRAYOID}
};

static void insert_row(DurableWriter *writer, const Instance *instance, int32 seq, HistoryEvent **events, int nevents);
static void insert_events(DurableWriter *writer, const Instance *instance);
static int	fill_row(const Replay *replay, int first);

/* --- reading ------------------------------------------------------------------------------ */

void
durable_history_open(DurableScan *scan)
{
	durable_scan_open(scan, &durable_history_table, HISTORY_BY_KEY, AccessShareLock);
}

void
durable_history_load(DurableScan *scan, Instance *instance)
{
	MemoryContext old;

	/* The scan outlives the instance. */
	durable_scan_forget_keys(scan);
	durable_scan_key(scan, HISTORY_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(instance->key));
	durable_scan_key(scan, HISTORY_EXECUTION, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(instance->execution));
	durable_scan_key(scan, HISTORY_SEQ, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(instance->replay.nevents));
	/* Events that came after the end have higher numbers. */
	durable_scan_key(scan, HISTORY_SEQ, BTLessEqualStrategyNumber, F_INT4LE, Int32GetDatum(instance->stored_events));
	durable_scan_begin(scan);
	old = MemoryContextSwitchTo(instance->context);
	while (durable_scan_next(scan))
	{
		HistoryEvent **events = NULL;
		int			nevents = 0;
		int			allocated = 0;

		durable_history_decode(durable_scan_jsonb(scan, HISTORY_EVENTS), durable_scan_char(scan, HISTORY_FORM),
							   durable_scan_timestamptz(scan, HISTORY_AT), &events, &nevents, &allocated);
		for (int i = 0; i < nevents; i++)
			durable_replay_add(&instance->replay, events[i]);
	}
	MemoryContextSwitchTo(old);

	if (instance->replay.nevents != instance->stored_events)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("history of instance \"%s\" has %d events, but %d were expected",
						instance->instance_id, instance->replay.nevents, instance->stored_events)));
}

void
durable_history_close(DurableScan *scan)
{
	durable_scan_close(scan);
}

/* --- writing ------------------------------------------------------------------------------ */

void
durable_history_insert(List *instances)
{
	DurableWriter *writer = durable_writer_open(&writable);
	ListCell   *cell;

	foreach(cell, instances)
		insert_events(writer, lfirst(cell));
	durable_writer_close(writer);
}

static void
insert_events(DurableWriter *writer, const Instance *instance)
{
	const Replay *replay = &instance->replay;
	int			first = instance->stored_events;

	while (first < replay->nevents)
	{
		int			last = fill_row(replay, first);

		insert_row(writer, instance, first + 1, &replay->events[first], last - first);
		first = last;
	}
}

void
durable_history_insert_dropped(List *instances)
{
	DurableWriter *writer = durable_writer_open(&writable);
	ListCell   *cell;

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);
		int32		seq = Max(instance->stored_events, instance->replay.nevents) + instance->dropped_events + 2;
		ListCell   *inner;

		foreach(inner, instance->dropped)
		{
			HistoryEvent *event = lfirst(inner);

			insert_row(writer, instance, seq++, &event, 1);
		}
	}
	durable_writer_close(writer);
}

static void
insert_row(DurableWriter *writer, const Instance *instance, int32 seq, HistoryEvent **events, int nevents)
{
	TimestampTz at = events[0]->time;

	durable_writer_set(writer, HISTORY_KEY, Int64GetDatum(instance->key));
	durable_writer_set(writer, HISTORY_EXECUTION, Int32GetDatum(instance->execution));
	durable_writer_set(writer, HISTORY_SEQ, Int32GetDatum(seq));
	durable_writer_set(writer, HISTORY_AT, TimestampTzGetDatum(at));
	durable_writer_set_jsonb(writer, HISTORY_EVENTS, durable_history_encode(events, nevents, at));
	durable_writer_set(writer, HISTORY_FORM, CharGetDatum(HISTORY_FORMAT));
	durable_writer_insert(writer);
}

/*
 * The event after the last one that shares a row with the first.  A large event has a
 * row of its own: two of them might be more than jsonb holds.
 */
static int
fill_row(const Replay *replay, int first)
{
	int			last = first;
	Size		size = 0;

	do
		size += durable_history_event_size(replay->events[last++]);
	while (last < replay->nevents &&
		   size + durable_history_event_size(replay->events[last]) <= HISTORY_ROW_BYTES);
	return last;
}

void
durable_history_discard(Datum keys)
{
	Datum		values[1] = {keys};

	durable_sql_run(&discard, values, NULL, false, 0);
}

void
durable_history_check_table(void)
{
	durable_writer_check(&writable, true);
}
