/*-------------------------------------------------------------------------
 *
 * batch_read.c
 *		Reads what a unit of work needs.
 *
 * In this order: messages, without a lock; then the row locks of their
 * instances, skipping what others hold; then, under a snapshot taken after the
 * locks, which of the messages are still there.  Another worker may have taken
 * them in between, but then it has committed, and from the lock on nobody else
 * can.
 *
 * Called by: unit.c
 * Locks:	FOR NO KEY UPDATE SKIP LOCKED on rows of durable.instance
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
#include "sql.h"

static int compare_int64(const void *a, const void *b);

static DurableSql read_inbox = {
	"SELECT ctid, id, key, kind, execution, task, name, payload, sent_at "
	"FROM durable.inbox WHERE owner = $1 AND key >= $2 ORDER BY key, id LIMIT $3",
	3, {REGROLEOID, INT8OID, INT8OID}
};

static DurableSql read_inbox_part = {
	"SELECT ctid, id, key, kind, execution, task, name, payload, sent_at "
	"FROM durable.inbox WHERE owner = $1 AND key >= $2 AND key % $4 = $5 "
	"ORDER BY key, id LIMIT $3",
	5, {REGROLEOID, INT8OID, INT8OID, INT8OID, INT8OID}
};

static DurableSql read_timers = {
	"SELECT ctid, key, execution, task, due_at FROM durable.timer "
	"WHERE owner = $1 AND (due_at, key) >= ($2, $3) AND due_at <= $4 "
	"ORDER BY due_at, key LIMIT $5",
	5, {REGROLEOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID}
};

static DurableSql next_timer = {
	"SELECT due_at FROM durable.timer WHERE owner = $1 AND due_at > $2 "
	"ORDER BY due_at LIMIT 1",
	2, {REGROLEOID, TIMESTAMPTZOID}
};

static DurableSql lock_instances = {
	"SELECT ctid, key, instance_id, status, name, handler, version, code_hash, "
	"execution, events, turns, compute_us, created_at, started_at, parent_key, "
	"parent_execution, parent_task, parent_attempt, input, custom_status, "
	"waiting, suspend_reason, CASE WHEN parent_key IS NOT NULL THEN "
	"(SELECT p.instance_id FROM durable.instance p WHERE p.key = i.parent_key) END, crashes "
	"FROM durable.instance i WHERE key = ANY ($1) AND owner = $2 "
	"FOR NO KEY UPDATE SKIP LOCKED",
	2, {INT8ARRAYOID, REGROLEOID}
};

static DurableSql live_messages = {
	"SELECT id FROM durable.inbox WHERE ctid = ANY ($1)",
	1, {TIDARRAYOID}
};

static DurableSql live_timers = {
	"SELECT ctid, key, execution, task FROM durable.timer WHERE ctid = ANY ($1)",
	1, {TIDARRAYOID}
};

/*
 * A message that is visible was committed together with its instance, or after it:
 * where there is no instance, it was purged.
 */
static DurableSql delete_orphan_messages = {
	"DELETE FROM durable.inbox m WHERE ctid = ANY ($1) AND NOT EXISTS "
	"(SELECT FROM durable.instance i WHERE i.key = m.key)",
	1, {TIDARRAYOID}
};

static DurableSql delete_orphan_timers = {
	"DELETE FROM durable.timer t WHERE ctid = ANY ($1) AND NOT EXISTS "
	"(SELECT FROM durable.instance i WHERE i.key = t.key)",
	1, {TIDARRAYOID}
};

static DurableSql load_history = {
	"SELECT key, execution, events FROM durable.history WHERE key = ANY ($1) "
	"ORDER BY key, execution, seq",
	1, {INT8ARRAYOID}
};

List *
durable_batch_read_inbox(Batch * batch, int64 from, int part, int nparts, int limit)
{
	Datum		values[5] = {ObjectIdGetDatum(batch->owner), Int64GetDatum(from),
	Int64GetDatum(limit), Int64GetDatum(nparts), Int64GetDatum(part)};
	List	   *messages = NIL;
	uint64		rows;

	durable_sql_connect();
	rows = durable_sql_run(nparts > 1 ? &read_inbox_part : &read_inbox, values, NULL, false, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		MemoryContext old = MemoryContextSwitchTo(batch->context);
		Message    *message = palloc0(sizeof(Message));
		bool		isnull;
		Datum		number;

		message->tid = *(ItemPointer) DatumGetPointer(durable_sql_datum(row, 1, &isnull));
		message->id = durable_sql_int8(row, 2);
		message->key = durable_sql_int8(row, 3);
		message->kind = durable_sql_char(row, 4);
		number = durable_sql_datum(row, 5, &isnull);
		message->execution = isnull ? 0 : DatumGetInt32(number);
		number = durable_sql_datum(row, 6, &isnull);
		message->task = isnull ? 0 : DatumGetInt32(number);
		message->name = durable_sql_text(row, 7);
		message->payload = durable_sql_jsonb(row, 8);
		message->at = durable_sql_timestamptz(row, 9, &isnull);
		messages = lappend(messages, message);
		MemoryContextSwitchTo(old);
	}
	durable_sql_finish();
	return messages;
}

List *
durable_batch_read_timers(Batch * batch, TimestampTz from, int64 from_key, int limit)
{
	Datum		values[5] = {ObjectIdGetDatum(batch->owner), TimestampTzGetDatum(from),
	Int64GetDatum(from_key), TimestampTzGetDatum(batch->clock), Int64GetDatum(limit)};
	List	   *messages = NIL;
	uint64		rows;

	durable_sql_connect();
	rows = durable_sql_run(&read_timers, values, NULL, false, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		MemoryContext old = MemoryContextSwitchTo(batch->context);
		Message    *message = palloc0(sizeof(Message));
		bool		isnull;

		message->kind = MESSAGE_TIMER;
		message->tid = *(ItemPointer) DatumGetPointer(durable_sql_datum(row, 1, &isnull));
		message->key = durable_sql_int8(row, 2);
		message->execution = durable_sql_int4(row, 3);
		message->task = durable_sql_int4(row, 4);
		message->at = durable_sql_timestamptz(row, 5, &isnull);
		messages = lappend(messages, message);
		MemoryContextSwitchTo(old);
	}
	durable_sql_finish();
	return messages;
}

TimestampTz
durable_batch_next_timer(Batch * batch, TimestampTz after)
{
	Datum		values[2] = {ObjectIdGetDatum(batch->owner), TimestampTzGetDatum(after)};
	TimestampTz result = DT_NOEND;
	bool		isnull;

	durable_sql_connect();
	if (durable_sql_run(&next_timer, values, NULL, false, 0) > 0)
		result = durable_sql_timestamptz(0, 1, &isnull);
	durable_sql_finish();
	return result;
}

/* Instances that could be locked; others are being run, or are gone. */
List *
durable_batch_lock_instances(Batch * batch, int64 *keys, int nkeys)
{
	Datum	   *datums = palloc(nkeys * sizeof(Datum));
	Datum		values[2];
	List	   *instances = NIL;
	uint64		rows;

	for (int i = 0; i < nkeys; i++)
		datums[i] = Int64GetDatum(keys[i]);
	values[0] = durable_columns_array(datums, NULL, nkeys, INT8OID);
	values[1] = ObjectIdGetDatum(batch->owner);

	durable_sql_connect();
	rows = durable_sql_run(&lock_instances, values, NULL, false, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		MemoryContext context = AllocSetContextCreate(batch->context, "durable instance",
													  ALLOCSET_SMALL_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);
		Instance   *instance = palloc0(sizeof(Instance));
		bool		isnull;
		Datum		number;

		instance->context = context;
		instance->owner = batch->owner;
		instance->ctid = *(ItemPointer) DatumGetPointer(durable_sql_datum(row, 1, &isnull));
		instance->key = durable_sql_int8(row, 2);
		instance->instance_id = durable_sql_text(row, 3);
		instance->status = durable_sql_char(row, 4);
		instance->name = durable_sql_text(row, 5);
		instance->handler_signature = durable_sql_text(row, 6);
		instance->version = durable_sql_text(row, 7);
		instance->code_hash = durable_sql_text(row, 8);
		instance->execution = durable_sql_int4(row, 9);
		instance->stored_events = durable_sql_int4(row, 10);
		instance->turns = durable_sql_int4(row, 11);
		instance->compute_us = durable_sql_int8(row, 12);
		instance->created_at = durable_sql_timestamptz(row, 13, &isnull);
		instance->started_at = durable_sql_timestamptz(row, 14, &isnull);
		number = durable_sql_datum(row, 15, &isnull);
		instance->parent_key = isnull ? 0 : DatumGetInt64(number);
		number = durable_sql_datum(row, 16, &isnull);
		instance->parent_execution = isnull ? 0 : DatumGetInt32(number);
		number = durable_sql_datum(row, 17, &isnull);
		instance->parent_task = isnull ? 0 : DatumGetInt32(number);
		number = durable_sql_datum(row, 18, &isnull);
		instance->parent_attempt = isnull ? 0 : DatumGetInt32(number);
		instance->input = durable_sql_jsonb(row, 19);
		instance->custom_status = durable_sql_jsonb(row, 20);
		instance->waiting = durable_sql_jsonb(row, 21);
		instance->suspend_reason = durable_sql_text(row, 22);
		instance->parent_instance_id = durable_sql_text(row, 23);
		instance->crashes = DatumGetInt16(durable_sql_datum(row, 24, &isnull));
		instance->replay.started = instance->started_at;

		MemoryContextSwitchTo(batch->context);
		instances = lappend(instances, instance);
		MemoryContextSwitchTo(old);
	}
	durable_sql_finish();
	return instances;
}

/* Marks the messages that nobody has taken since they were read. */
void
durable_batch_check_live(Batch * batch, List *messages)
{
	int			n = list_length(messages);
	Datum	   *tids[2];
	int			ntids[2];
	ListCell   *cell;

	if (n == 0)
		return;
	durable_batch_tids(messages, tids, ntids);

	durable_sql_connect();
	if (ntids[0] > 0)
	{
		Datum		values[1] = {durable_columns_array(tids[0], NULL, ntids[0], TIDOID)};
		uint64		rows = durable_sql_run(&live_messages, values, NULL, false, 0);
		int64	   *ids = palloc((rows + 1) * sizeof(int64));

		for (uint64 row = 0; row < rows; row++)
			ids[row] = durable_sql_int8(row, 1);
		qsort(ids, rows, sizeof(int64), compare_int64);
		foreach(cell, messages)
		{
			Message    *message = lfirst(cell);

			if (message->kind != MESSAGE_TIMER)
				message->live = bsearch(&message->id, ids, rows, sizeof(int64),
										compare_int64) != NULL;
		}
	}
	if (ntids[1] > 0)
	{
		Datum		values[1] = {durable_columns_array(tids[1], NULL, ntids[1], TIDOID)};
		uint64		rows = durable_sql_run(&live_timers, values, NULL, false, 0);

		for (uint64 row = 0; row < rows; row++)
		{
			bool		isnull;
			ItemPointer tid = (ItemPointer) DatumGetPointer(durable_sql_datum(row, 1, &isnull));

			foreach(cell, messages)
			{
				Message    *message = lfirst(cell);

				if (message->kind == MESSAGE_TIMER && ItemPointerEquals(&message->tid, tid))
					message->live = message->key == durable_sql_int8(row, 2) &&
						message->execution == durable_sql_int4(row, 3) &&
						message->task == durable_sql_int4(row, 4);
			}
		}
	}
	durable_sql_finish();
}

/* Deletes those whose instance is gone. */
void
durable_batch_discard_orphans(Batch * batch, List *messages)
{
	Datum	   *tids[2];
	int			ntids[2];

	durable_batch_tids(messages, tids, ntids);
	durable_sql_connect();
	for (int timers = 0; timers <= 1; timers++)
	{
		Datum		values[1];

		if (ntids[timers] == 0)
			continue;
		values[0] = durable_columns_array(tids[timers], NULL, ntids[timers], TIDOID);
		durable_sql_run(timers ? &delete_orphan_timers : &delete_orphan_messages,
						values, NULL, false, 0);
	}
	durable_sql_finish();
}

void
durable_batch_load_history(Batch * batch, List *instances)
{
	List	   *wanted = NIL;
	ListCell   *cell;
	Datum		values[1];
	uint64		rows;

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);

		if (instance->stored_events > 0)
			wanted = lappend(wanted, instance);
	}
	if (wanted == NIL)
		return;

	values[0] = durable_batch_keys(wanted);
	durable_sql_connect();
	rows = durable_sql_run(&load_history, values, NULL, false, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		int64		key = durable_sql_int8(row, 1);

		foreach(cell, wanted)
		{
			Instance   *instance = lfirst(cell);

			if (instance->key == key && instance->execution == durable_sql_int4(row, 2))
			{
				MemoryContext old = MemoryContextSwitchTo(instance->context);
				HistoryEvent **events = NULL;
				int			nevents = 0;
				int			allocated = 0;

				durable_history_decode(durable_sql_jsonb(row, 3), &events, &nevents, &allocated);
				for (int i = 0; i < nevents; i++)
					durable_replay_add(&instance->replay, events[i]);
				MemoryContextSwitchTo(old);
				break;
			}
		}
	}
	durable_sql_finish();

	foreach(cell, wanted)
	{
		Instance   *instance = lfirst(cell);

		if (instance->replay.nevents != instance->stored_events)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("history of instance \"%s\" has %d events, %d were expected",
							instance->instance_id, instance->replay.nevents,
							instance->stored_events)));
	}
}

static int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}
