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
	INSTANCE_KEY, INSTANCE_OWNER, INSTANCE_ID, INSTANCE_STATUS, INSTANCE_NAME, INSTANCE_HANDLER,
	INSTANCE_VERSION, INSTANCE_CODE_HASH, INSTANCE_EXECUTION, INSTANCE_EVENTS, INSTANCE_TURNS,
	INSTANCE_COMPUTE_US, INSTANCE_CREATED_AT, INSTANCE_STARTED_AT, INSTANCE_PARENT_KEY,
	INSTANCE_PARENT_EXECUTION, INSTANCE_PARENT_TASK, INSTANCE_PARENT_ATTEMPT, INSTANCE_INPUT,
	INSTANCE_CUSTOM_STATUS, INSTANCE_WAITING, INSTANCE_SUSPEND_REASON, INSTANCE_CRASHES,
	INSTANCE_NEXT_ACTIVITY, INSTANCE_RUNS_AT,
	INSTANCE_COLUMNS
};
static DurableTable instance_table = {
	"instance", {"instance_pkey"}, INSTANCE_COLUMNS,
	{"key", "owner", "instance_id", "status", "name", "handler", "version", "code_hash",
		"execution", "events", "turns", "compute_us", "created_at", "started_at",
		"parent_key", "parent_execution", "parent_task", "parent_attempt", "input",
	"custom_status", "waiting", "suspend_reason", "crashes", "next_activity", "runs_at"}
};

enum
{
	HISTORY_KEY, HISTORY_EXECUTION, HISTORY_SEQ, HISTORY_AT, HISTORY_FORM, HISTORY_EVENTS, HISTORY_COLUMNS
};
static DurableTable history = {
	"history", {"history_pkey"}, HISTORY_COLUMNS,
	{"key", "execution", "seq", "at", "format", "events"}
};

static bool find_instance(DurableScan *scan, int64 key);
static Instance *read_instance(Batch * batch, DurableScan *scan);
static char *parent_id(DurableScan *scan, Instance *instance);
static void load_history_of(DurableScan *scan, Instance *instance);

/* Instances that could be locked; others are being run, or are gone. */
List *
durable_batch_lock_instances(Batch * batch, int64 *keys, int nkeys)
{
	List	   *instances = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &instance_table, 0, RowShareLock);
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
	instance->dispatched = durable_scan_int4(scan, INSTANCE_NEXT_ACTIVITY) - 1;
	instance->runs_at = durable_scan_int4(scan, INSTANCE_RUNS_AT);
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

void
durable_batch_load_history(Batch * batch, List *instances)
{
	bool		opened = false;
	DurableScan scan;
	ListCell   *cell;

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);

		durable_recall_history(instance);
		if (instance->replay.nevents == instance->stored_events)
			continue;
		if (!opened)
			durable_scan_open(&scan, &history, 0, AccessShareLock);
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

/* Of its present execution, in order, behind those that are known already. */
static void
load_history_of(DurableScan *scan, Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);

	durable_scan_forget_keys(scan);
	durable_scan_key(scan, HISTORY_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(instance->key));
	durable_scan_key(scan, HISTORY_EXECUTION, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(instance->execution));
	durable_scan_key(scan, HISTORY_SEQ, BTGreaterStrategyNumber, F_INT4GT, Int32GetDatum(instance->replay.nevents));
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
