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
#include "utils/memutils.h"

#include "batch.h"
#include "columns.h"
#include "recall.h"
#include "sql.h"
#include "table_scan.h"

/* The tables as they are read here: an enum for each, and its columns in the same order. */
enum
{
	INBOX_ID, INBOX_OWNER, INBOX_KEY, INBOX_KIND, INBOX_EXECUTION, INBOX_TASK, INBOX_NAME,
	INBOX_PAYLOAD, INBOX_SENT_AT, INBOX_COLUMNS
};
static DurableTable inbox = {
	"inbox", "inbox_pkey", INBOX_COLUMNS,
	{"id", "owner", "key", "kind", "execution", "task", "name", "payload", "sent_at"}
};

enum
{
	TIMER_OWNER, TIMER_DUE_AT, TIMER_KEY, TIMER_EXECUTION, TIMER_TASK, TIMER_COLUMNS
};
static DurableTable timer = {
	"timer", "timer_due", TIMER_COLUMNS,
	{"owner", "due_at", "key", "execution", "task"}
};

enum
{
	INSTANCE_KEY, INSTANCE_OWNER, INSTANCE_ID, INSTANCE_STATUS, INSTANCE_NAME, INSTANCE_HANDLER,
	INSTANCE_VERSION, INSTANCE_CODE_HASH, INSTANCE_EXECUTION, INSTANCE_EVENTS, INSTANCE_TURNS,
	INSTANCE_COMPUTE_US, INSTANCE_CREATED_AT, INSTANCE_STARTED_AT, INSTANCE_PARENT_KEY,
	INSTANCE_PARENT_EXECUTION, INSTANCE_PARENT_TASK, INSTANCE_PARENT_ATTEMPT, INSTANCE_INPUT,
	INSTANCE_CUSTOM_STATUS, INSTANCE_WAITING, INSTANCE_SUSPEND_REASON, INSTANCE_CRASHES,
	INSTANCE_COLUMNS
};
static DurableTable instance_table = {
	"instance", "instance_pkey", INSTANCE_COLUMNS,
	{"key", "owner", "instance_id", "status", "name", "handler", "version", "code_hash",
		"execution", "events", "turns", "compute_us", "created_at", "started_at",
		"parent_key", "parent_execution", "parent_task", "parent_attempt", "input",
	"custom_status", "waiting", "suspend_reason", "crashes"}
};

enum
{
	HISTORY_KEY, HISTORY_EXECUTION, HISTORY_AT, HISTORY_FORM, HISTORY_EVENTS, HISTORY_COLUMNS
};
static DurableTable history = {
	"history", "history_pkey", HISTORY_COLUMNS,
	{"key", "execution", "at", "format", "events"}
};

static Message *read_message(DurableScan *scan);
static List *read_timers(DurableScan *scan, List *messages, int limit);
static bool find_instance(DurableScan *scan, int64 key);
static Instance *read_instance(Batch * batch, DurableScan *scan);
static char *parent_id(DurableScan *scan, Instance *instance);
static void load_history_of(DurableScan *scan, Instance *instance);

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

List *
durable_batch_read_inbox(Batch * batch, int64 *from, int part, int nparts, int limit,
						 int64 remains_us)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &inbox, AccessShareLock);
	durable_scan_key(&scan, INBOX_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(batch->owner));
	durable_scan_key(&scan, INBOX_KEY, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(*from));
	if (remains_us > 0)
		durable_scan_limit(&scan, INBOX_KEY, *from, remains_us);
	durable_scan_begin(&scan);
	while (list_length(messages) < limit && durable_scan_next(&scan))
		if (nparts <= 1 || durable_scan_int8(&scan, INBOX_KEY) % nparts == part)
			messages = lappend(messages, read_message(&scan));
	*from = list_length(messages) < limit ? scan.stopped_at : ((Message *) llast(messages))->key;
	durable_scan_close(&scan);
	MemoryContextSwitchTo(old);
	return messages;
}

List *
durable_batch_read_keys(Batch * batch, const int64 *keys, int nkeys, int limit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &inbox, AccessShareLock);
	for (int i = 0; i < nkeys && list_length(messages) < limit; i++)
	{
		durable_scan_forget_keys(&scan);
		durable_scan_key(&scan, INBOX_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(batch->owner));
		durable_scan_key(&scan, INBOX_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(keys[i]));
		durable_scan_begin(&scan);
		while (list_length(messages) < limit && durable_scan_next(&scan))
			messages = lappend(messages, read_message(&scan));
	}
	durable_scan_close(&scan);
	MemoryContextSwitchTo(old);
	return messages;
}

static Message *
read_message(DurableScan *scan)
{
	Message    *message = palloc0(sizeof(Message));

	message->tid = durable_scan_tid(scan);
	message->id = durable_scan_int8(scan, INBOX_ID);
	message->key = durable_scan_int8(scan, INBOX_KEY);
	message->kind = durable_scan_char(scan, INBOX_KIND);
	message->execution = durable_scan_int4(scan, INBOX_EXECUTION);
	message->task = durable_scan_int4(scan, INBOX_TASK);
	message->name = durable_scan_text(scan, INBOX_NAME);
	message->payload = durable_scan_jsonb(scan, INBOX_PAYLOAD);
	message->at = durable_scan_timestamptz(scan, INBOX_SENT_AT);
	return message;
}

/* First what is due at that very time, from the given key on, then what is due after it. */
List *
durable_batch_read_timers(Batch * batch, TimestampTz from, int64 from_key, int limit)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &timer, AccessShareLock);
	durable_scan_key(&scan, TIMER_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(batch->owner));
	durable_scan_key(&scan, TIMER_DUE_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
					 TimestampTzGetDatum(batch->clock));
	if (from_key == PG_INT64_MIN)
		durable_scan_key(&scan, TIMER_DUE_AT, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
						 TimestampTzGetDatum(from));
	else
	{
		durable_scan_key(&scan, TIMER_DUE_AT, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ,
						 TimestampTzGetDatum(from));
		durable_scan_key(&scan, TIMER_KEY, BTGreaterEqualStrategyNumber, F_INT8GE,
						 Int64GetDatum(from_key));
		messages = read_timers(&scan, messages, limit);
		durable_scan_forget_keys(&scan);
		durable_scan_key(&scan, TIMER_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(batch->owner));
		durable_scan_key(&scan, TIMER_DUE_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
						 TimestampTzGetDatum(batch->clock));
		durable_scan_key(&scan, TIMER_DUE_AT, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT,
						 TimestampTzGetDatum(from));
	}
	messages = read_timers(&scan, messages, limit);
	durable_scan_close(&scan);
	MemoryContextSwitchTo(old);
	return messages;
}

static List *
read_timers(DurableScan *scan, List *messages, int limit)
{
	durable_scan_begin(scan);
	while (list_length(messages) < limit && durable_scan_next(scan))
	{
		Message    *message = palloc0(sizeof(Message));

		message->kind = MESSAGE_TIMER;
		message->tid = durable_scan_tid(scan);
		message->key = durable_scan_int8(scan, TIMER_KEY);
		message->execution = durable_scan_int4(scan, TIMER_EXECUTION);
		message->task = durable_scan_int4(scan, TIMER_TASK);
		message->at = durable_scan_timestamptz(scan, TIMER_DUE_AT);
		messages = lappend(messages, message);
	}
	return messages;
}

TimestampTz
durable_batch_next_timer(Batch * batch, TimestampTz after)
{
	TimestampTz result = DT_NOEND;
	DurableScan scan;

	durable_scan_open(&scan, &timer, AccessShareLock);
	durable_scan_key(&scan, TIMER_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(batch->owner));
	durable_scan_key(&scan, TIMER_DUE_AT, BTGreaterStrategyNumber, F_TIMESTAMPTZ_GT, TimestampTzGetDatum(after));
	durable_scan_begin(&scan);
	if (durable_scan_next(&scan))
		result = durable_scan_timestamptz(&scan, TIMER_DUE_AT);
	durable_scan_close(&scan);
	return result;
}

/* Instances that could be locked; others are being run, or are gone. */
List *
durable_batch_lock_instances(Batch * batch, int64 *keys, int nkeys)
{
	List	   *instances = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &instance_table, RowShareLock);
	for (int i = 0; i < nkeys; i++)
	{
		Instance   *instance;
		MemoryContext old;

		/* Its newest version may be another one than was found; key and owner never change. */
		if (!find_instance(&scan, keys[i]) ||
			durable_scan_oid(&scan, INSTANCE_OWNER) != batch->owner ||
			!durable_scan_lock(&scan))
			continue;
		instance = read_instance(batch, &scan);
		if (instance->parent_key != 0)
			instance->parent_instance_id = parent_id(&scan, instance);
		old = MemoryContextSwitchTo(batch->context);
		instances = lappend(instances, instance);
		MemoryContextSwitchTo(old);
	}
	durable_scan_close(&scan);
	return instances;
}

static bool
find_instance(DurableScan *scan, int64 key)
{
	durable_scan_forget_keys(scan);
	durable_scan_key(scan, INSTANCE_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key));
	durable_scan_begin(scan);
	return durable_scan_next(scan);
}

static Instance *
read_instance(Batch * batch, DurableScan *scan)
{
	MemoryContext context = AllocSetContextCreate(batch->context, "durable instance",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Instance   *instance = palloc0(sizeof(Instance));

	instance->context = context;
	instance->owner = batch->owner;
	instance->ctid = durable_scan_tid(scan);
	instance->key = durable_scan_int8(scan, INSTANCE_KEY);
	instance->instance_id = durable_scan_text(scan, INSTANCE_ID);
	instance->status = durable_scan_char(scan, INSTANCE_STATUS);
	instance->name = durable_scan_text(scan, INSTANCE_NAME);
	instance->handler_signature = durable_handler_lengthen(durable_scan_text(scan, INSTANCE_HANDLER),
														   instance->name);
	instance->version = durable_scan_text(scan, INSTANCE_VERSION);
	instance->code_hash = durable_scan_int8(scan, INSTANCE_CODE_HASH);
	instance->execution = durable_scan_int4(scan, INSTANCE_EXECUTION);
	instance->stored_events = durable_scan_int4(scan, INSTANCE_EVENTS);
	instance->turns = durable_scan_int4(scan, INSTANCE_TURNS);
	instance->compute_us = durable_scan_int8(scan, INSTANCE_COMPUTE_US);
	instance->created_at = durable_scan_timestamptz(scan, INSTANCE_CREATED_AT);
	instance->started_at = durable_scan_timestamptz(scan, INSTANCE_STARTED_AT);
	instance->parent_key = durable_scan_int8(scan, INSTANCE_PARENT_KEY);
	instance->parent_execution = durable_scan_int4(scan, INSTANCE_PARENT_EXECUTION);
	instance->parent_task = durable_scan_int4(scan, INSTANCE_PARENT_TASK);
	instance->parent_attempt = durable_scan_int4(scan, INSTANCE_PARENT_ATTEMPT);
	instance->input = durable_scan_jsonb(scan, INSTANCE_INPUT);
	instance->custom_status = durable_scan_jsonb(scan, INSTANCE_CUSTOM_STATUS);
	instance->waiting = durable_scan_text(scan, INSTANCE_WAITING);
	instance->suspend_reason = durable_scan_text(scan, INSTANCE_SUSPEND_REASON);
	instance->crashes = durable_scan_int2(scan, INSTANCE_CRASHES);
	instance->replay.started = instance->started_at;
	MemoryContextSwitchTo(old);
	return instance;
}

/* NULL: the parent was purged. */
static char *
parent_id(DurableScan *scan, Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	char	   *result = NULL;

	if (find_instance(scan, instance->parent_key))
		result = durable_scan_text(scan, INSTANCE_ID);
	MemoryContextSwitchTo(old);
	return result;
}

/* Marks the messages that nobody has taken since they were read. */
void
durable_batch_check_live(Batch * batch, List *messages)
{
	bool		opened[2] = {false, false};
	DurableScan scans[2];
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);
		int			timers = message->kind == MESSAGE_TIMER;
		DurableScan *scan = &scans[timers];

		if (!opened[timers])
			durable_scan_open(scan, timers ? &timer : &inbox, AccessShareLock);
		opened[timers] = true;

		/* Another row may be at its place by now. */
		if (!durable_scan_fetch(scan, &message->tid))
			message->live = false;
		else if (timers)
			message->live = message->key == durable_scan_int8(scan, TIMER_KEY) &&
				message->execution == durable_scan_int4(scan, TIMER_EXECUTION) &&
				message->task == durable_scan_int4(scan, TIMER_TASK);
		else
			message->live = message->key == durable_scan_int8(scan, INBOX_KEY) &&
				message->id == durable_scan_int8(scan, INBOX_ID);
	}
	for (int timers = 0; timers <= 1; timers++)
		if (opened[timers])
			durable_scan_close(&scans[timers]);
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
	bool		opened = false;
	DurableScan scan;
	ListCell   *cell;

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);

		if (instance->stored_events == 0 || durable_recall_history(instance))
			continue;
		if (!opened)
			durable_scan_open(&scan, &history, AccessShareLock);
		opened = true;
		load_history_of(&scan, instance);
		if (instance->replay.nevents != instance->stored_events)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("history of instance \"%s\" has %d events, %d were expected",
							instance->instance_id, instance->replay.nevents,
							instance->stored_events)));
	}
	if (opened)
		durable_scan_close(&scan);
}

/* Of its present execution, in order. */
static void
load_history_of(DurableScan *scan, Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);

	durable_scan_forget_keys(scan);
	durable_scan_key(scan, HISTORY_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(instance->key));
	durable_scan_key(scan, HISTORY_EXECUTION, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(instance->execution));
	durable_scan_begin(scan);
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
}
