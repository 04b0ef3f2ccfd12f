/*-------------------------------------------------------------------------
 *
 * instance_table.c
 *		The table durable.instance: one row for each run of an orchestration.
 *
 * Clients and units insert rows (instance_insert.c); the unit that has a row locked
 * updates it.  Columns
 * without a value yet are NULL, since millions of instances may be waiting.  The
 * column handler leaves out the function's name if the column name contains it: it
 * then begins with "(".
 *
 * Owns:	durable.instance; client.c, status_row.c, http_instance.c, wait_api.c and history_api.c read
 *			single rows of it, and finished.c deletes them
 * Called by: batch_claim.c, task_unit.c, batch_store.c, instance_insert.c, entity_lock.c, lease.c,
 *			start_api.c, turn_api.c, code_api.c, code_table.c, blame.c, client.c, status_row.c, http_instance.c
 * Locks:	FOR NO KEY UPDATE SKIP LOCKED on rows, FOR SHARE SKIP LOCKED to keep a status;
 *			only durable_instance_wait_for waits for a lock
 * Memory:	a context for each Instance; other results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "instance_insert.h"
#include "instance_table.h"
#include "sql.h"
#include "table_scan.h"
#include "table_write.h"
#include "tally.h"
#include "tally_ranges.h"

DurableTable durable_instance_table = {
	.name = "instance",
	.indexes = {[INSTANCE_BY_KEY] = "instance_pkey", [INSTANCE_BY_ID] = "instance_id_key"},
	.ncolumns = INSTANCE_COLUMNS,
	.columns = {
		[INSTANCE_KEY] = "key",
		[INSTANCE_CREATED_AT] = "created_at",
		[INSTANCE_OWNER] = "owner",
		[INSTANCE_EXECUTION] = "execution",
		[INSTANCE_UPDATED_AT] = "updated_at",
		[INSTANCE_COMPUTE_US] = "compute_us",
		[INSTANCE_EVENTS] = "events",
		[INSTANCE_TURNS] = "turns",
		[INSTANCE_STARTED_AT] = "started_at",
		[INSTANCE_COMPLETED_AT] = "completed_at",
		[INSTANCE_CODE_HASH] = "code_hash",
		[INSTANCE_PARENT_KEY] = "parent_key",
		[INSTANCE_PARENT_EXECUTION] = "parent_execution",
		[INSTANCE_PARENT_TASK] = "parent_task",
		[INSTANCE_PARENT_ATTEMPT] = "parent_attempt",
		[INSTANCE_PARENT_CALL] = "parent_call",
		[INSTANCE_NEXT_ACTIVITY] = "next_activity",
		[INSTANCE_RUNS_AT] = "runs_at",
		[INSTANCE_DROPPED_EVENTS] = "dropped_events",
		[INSTANCE_CRASHES] = "crashes",
		[INSTANCE_STATUS] = "status",
		[INSTANCE_CLOSE_POLICY] = "close_policy",
		[INSTANCE_ID] = "instance_id",
		[INSTANCE_NAME] = "name",
		[INSTANCE_HANDLER] = "handler",
		[INSTANCE_VERSION] = "version",
		[INSTANCE_INPUT] = "input",
		[INSTANCE_OUTPUT] = "output",
		[INSTANCE_FAILURE] = "failure",
		[INSTANCE_CUSTOM_STATUS] = "custom_status",
		[INSTANCE_TAGS] = "tags",
		[INSTANCE_WAITING] = "waiting",
		[INSTANCE_SUSPEND_REASON] = "suspend_reason",
		[INSTANCE_TRACE] = "trace"
	}
};

#define BIT(column)	DURABLE_COLUMN_BIT(INSTANCE_##column)

/* The columns that a unit sets; the others keep their values. */
static DurableWritable updated = {
	.table = &durable_instance_table,
	.columns = BIT(STATUS) | BIT(EXECUTION) | BIT(EVENTS) | BIT(TURNS) | BIT(COMPUTE_US) |
	BIT(STARTED_AT) | BIT(UPDATED_AT) | BIT(COMPLETED_AT) | BIT(VERSION) | BIT(INPUT) | BIT(OUTPUT) | BIT(FAILURE) |
	BIT(CUSTOM_STATUS) | BIT(WAITING) | BIT(SUSPEND_REASON) | BIT(CODE_HASH) | BIT(CRASHES) |
	BIT(NEXT_ACTIVITY) | BIT(RUNS_AT) | BIT(DROPPED_EVENTS)
};

static DurableSql status_of = {
	"SELECT status FROM durable.instance WHERE key = $1",
	1, {INT8OID}
};

static DurableSql is_in = {
	"SELECT FROM durable.instance WHERE key = $1 AND execution = $2 AND status IN ('P', 'R', 'S')",
	2, {INT8OID, INT4OID}
};

static DurableSql lock_status = {
	"SELECT status FROM durable.instance WHERE key = $1 FOR SHARE SKIP LOCKED",
	1, {INT8OID}
};

static DurableSql count_live = {
	"SELECT count(*) FROM durable.instance WHERE owner = $1 AND status IN ('P', 'R', 'S')",
	1, {OIDOID}
};

static DurableSql wait_for_row = {
	"SELECT FROM durable.instance WHERE key = $1 FOR NO KEY UPDATE",
	1, {INT8OID}
};

static DurableSql find_unfinished = {
	"SELECT key FROM durable.instance WHERE name = $2 AND owner = $1 AND key >= $3 AND key <= $6"
	" AND status IN ('P', 'R', 'S') AND (events > 0 OR $5) AND handler NOT LIKE '-%' ORDER BY key LIMIT $4",
	6, {REGROLEOID, TEXTOID, INT8OID, INT4OID, BOOLOID, INT8OID}
};

static DurableSql count_dropped = {
	"UPDATE durable.instance SET dropped_events = $2 WHERE key = $1",
	2, {INT8OID, INT4OID}
};

static bool find(DurableScan *scan, int64 key);
static Instance *read_instance(DurableScan *scan, Oid owner, MemoryContext parent);
static char *parent_id(DurableScan *scan, const Instance *instance);
static char read_status(DurableSql *sql, int64 key);
static void set_changes(DurableWriter *writer, const Instance *instance, TimestampTz now);

/* --- reading ------------------------------------------------------------------------------ */

List *
durable_instance_lock(Oid owner, const int64 *keys, int nkeys, MemoryContext parent)
{
	List	   *instances = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &durable_instance_table, INSTANCE_BY_KEY, RowShareLock);
	for (int i = 0; i < nkeys; i++)
	{
		Instance   *instance;

		/* The newest version of the row may differ from the one found; key and owner never change. */
		if (!find(&scan, keys[i]) ||
			durable_scan_oid(&scan, INSTANCE_OWNER) != owner ||
			!durable_scan_lock(&scan))
			continue;
		instance = read_instance(&scan, owner, parent);
		if (instance->parent_key != 0)
			instance->parent_instance_id = parent_id(&scan, instance);
		instances = lappend(instances, instance);
	}
	durable_scan_close(&scan);
	return instances;
}

Instance *
durable_instance_read(DurableScan *scan, Oid owner, int64 key, MemoryContext parent)
{
	Instance   *instance;
	MemoryContext old;
	bool		isnull;

	if (!find(scan, key) || durable_scan_oid(scan, INSTANCE_OWNER) != owner)
		return NULL;
	instance = read_instance(scan, owner, parent);
	old = MemoryContextSwitchTo(instance->context);
	instance->tags = durable_scan_jsonb(scan, INSTANCE_TAGS);
	instance->trace = durable_scan_text(scan, INSTANCE_TRACE);
	instance->parent_call = DatumGetInt32(durable_scan_datum(scan, INSTANCE_PARENT_CALL, &isnull));
	if (isnull)
		instance->parent_call = instance->parent_task;
	instance->output = durable_scan_jsonb(scan, INSTANCE_OUTPUT);
	instance->failure = durable_scan_jsonb(scan, INSTANCE_FAILURE);
	instance->completed_at = durable_scan_timestamptz(scan, INSTANCE_COMPLETED_AT);
	MemoryContextSwitchTo(old);
	return instance;
}

Instance *
durable_instance_wait_for(Oid owner, int64 key, MemoryContext parent)
{
	Datum		values[1] = {Int64GetDatum(key)};
	List	   *locked;

	durable_sql_connect();
	(void) durable_sql_run(&wait_for_row, values, NULL, false, 0);
	durable_sql_finish();
	locked = durable_instance_lock(owner, &key, 1, parent);
	return locked != NIL ? linitial(locked) : NULL;
}

List *
durable_instance_find_unfinished(Oid owner, const char *name, bool begun, int64 after, int limit)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[6] = {ObjectIdGetDatum(owner), CStringGetTextDatum(name), 0, 0, BoolGetDatum(!begun), 0};
	List	   *result = NIL;
	TallyRanges ranges;

	durable_sql_connect();
	MemoryContextSwitchTo(caller);
	durable_tally_find_ranges(&ranges, name, durable_tally_unfinished(), after + 1, PG_INT64_MAX, false);
	for (int i = ranges.n - 1; i >= 0 && list_length(result) < limit; i--)
	{
		int64		first = ranges.numbers[i] << TALLY_RANGE_BITS;
		uint64		nrows;

		CHECK_FOR_INTERRUPTS();
		values[2] = Int64GetDatum(Max(first, after + 1));
		values[3] = Int32GetDatum(limit - list_length(result));
		values[5] = Int64GetDatum(first + TALLY_RANGE_SIZE - 1);
		nrows = durable_sql_run(&find_unfinished, values, NULL, false, 0);
		for (uint64 row = 0; row < nrows; row++)
		{
			int64	   *key = palloc(sizeof(int64));

			*key = durable_sql_int8(row, 1);
			result = lappend(result, key);
		}
	}
	durable_sql_finish();
	return result;
}

static bool
find(DurableScan *scan, int64 key)
{
	durable_scan_forget_keys(scan);
	durable_scan_key(scan, INSTANCE_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key));
	durable_scan_begin(scan);
	return durable_scan_next(scan);
}

static Instance *
read_instance(DurableScan *scan, Oid owner, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "durable instance", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Instance   *instance = palloc0(sizeof(Instance));

	instance->context = context;
	instance->owner = owner;
	instance->ctid = durable_scan_tid(scan);
	instance->key = durable_scan_int8(scan, INSTANCE_KEY);
	instance->instance_id = durable_scan_text(scan, INSTANCE_ID);
	instance->status = durable_scan_char(scan, INSTANCE_STATUS);
	instance->name = durable_scan_text(scan, INSTANCE_NAME);
	instance->handler_signature = durable_instance_lengthen(durable_scan_text(scan, INSTANCE_HANDLER), instance->name);
	instance->version = durable_scan_text(scan, INSTANCE_VERSION);
	instance->code_hash = durable_scan_int8(scan, INSTANCE_CODE_HASH);
	instance->execution = durable_scan_int4(scan, INSTANCE_EXECUTION);
	instance->stored_events = instance->applied = durable_scan_int4(scan, INSTANCE_EVENTS);
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
	instance->had_custom_status = instance->custom_status != NULL;
	if (instance->status == STATUS_FAILED)	/* it may still get messages: see rewind.c */
	{
		instance->failure = durable_scan_jsonb(scan, INSTANCE_FAILURE);
		instance->completed_at = durable_scan_timestamptz(scan, INSTANCE_COMPLETED_AT);
		instance->was_failed = true;
	}
	instance->waiting = durable_scan_text(scan, INSTANCE_WAITING);
	instance->suspend_reason = durable_scan_text(scan, INSTANCE_SUSPEND_REASON);
	instance->crashes = durable_scan_int2(scan, INSTANCE_CRASHES);
	instance->dispatched = durable_scan_int4(scan, INSTANCE_NEXT_ACTIVITY) - 1;
	instance->runs_at = durable_scan_int4(scan, INSTANCE_RUNS_AT);
	instance->stored_status = instance->status;
	instance->dropped_events = durable_scan_int4(scan, INSTANCE_DROPPED_EVENTS);
	instance->replay.started = instance->started_at;
	MemoryContextSwitchTo(old);
	return instance;
}

/* NULL: the parent was purged. */
static char *
parent_id(DurableScan *scan, const Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	char	   *result = NULL;

	if (find(scan, instance->parent_key))
		result = durable_scan_text(scan, INSTANCE_ID);
	MemoryContextSwitchTo(old);
	return result;
}

char
durable_instance_status(int64 key)
{
	return read_status(&status_of, key);
}

bool
durable_instance_is_in(int64 key, int32 execution)
{
	Datum		values[2] = {Int64GetDatum(key), Int32GetDatum(execution)};
	bool		result;

	durable_sql_connect();
	result = durable_sql_run(&is_in, values, NULL, false, 0) > 0;
	durable_sql_finish();
	return result;
}

char
durable_instance_lock_status(int64 key)
{
	return read_status(&lock_status, key);
}

static char
read_status(DurableSql *sql, int64 key)
{
	Datum		values[1] = {Int64GetDatum(key)};
	char		status = '\0';

	durable_sql_connect();
	if (durable_sql_run(sql, values, NULL, false, 0) > 0)
		status = durable_sql_char(0, 1);
	durable_sql_finish();
	return status;
}

/* --- updates by a unit -------------------------------------------------------------------- */

void
durable_instance_update(List *instances, TimestampTz now)
{
	DurableWriter *writer = durable_writer_open(&updated);
	ListCell   *cell;

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);

		set_changes(writer, instance, now);
		durable_writer_update(writer, &instance->ctid);
		durable_tally_move(instance->owner, instance->name,
						   durable_instance_shorten(instance->handler_signature, instance->name),
						   instance->key, instance->stored_status, instance->status);
	}
	durable_writer_close(writer);
}

static void
set_changes(DurableWriter *writer, const Instance *instance, TimestampTz now)
{
	durable_writer_set(writer, INSTANCE_STATUS, CharGetDatum(instance->status));
	durable_writer_set(writer, INSTANCE_EXECUTION, Int32GetDatum(instance->execution));
	durable_writer_set(writer, INSTANCE_EVENTS, Int32GetDatum(instance->replay.nevents));
	durable_writer_set(writer, INSTANCE_TURNS, Int32GetDatum(instance->turns));
	durable_writer_set(writer, INSTANCE_COMPUTE_US, Int64GetDatum(instance->compute_us));
	if (instance->started_at != 0)
		durable_writer_set(writer, INSTANCE_STARTED_AT, TimestampTzGetDatum(instance->started_at));
	if (instance->started_at != now)	/* otherwise started_at has this time */
		durable_writer_set(writer, INSTANCE_UPDATED_AT, TimestampTzGetDatum(now));
	if (instance->completed_at != 0)
		durable_writer_set(writer, INSTANCE_COMPLETED_AT, TimestampTzGetDatum(instance->completed_at));
	if (instance->version_changed)
		durable_writer_set_text(writer, INSTANCE_VERSION, instance->version);
	else
		durable_writer_keep(writer, INSTANCE_VERSION);
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
	durable_writer_set(writer, INSTANCE_CRASHES, Int16GetDatum(instance->crashes));
	if (instance->dropped_events + list_length(instance->dropped) > 0)
		durable_writer_set(writer, INSTANCE_DROPPED_EVENTS,
						   Int32GetDatum(instance->dropped_events + list_length(instance->dropped)));
	if (STATUS_IS_FINISHED(instance->status))
		return;
	if (instance->dispatched >= 0 && instance->dispatched < instance->replay.ncalls)
		durable_writer_set(writer, INSTANCE_NEXT_ACTIVITY, Int32GetDatum(instance->dispatched + 1));
	if (instance->runs_at > instance->replay.nevents + 1)
		durable_writer_set(writer, INSTANCE_RUNS_AT, Int32GetDatum(instance->runs_at));
}

int64
durable_instance_count_live(Oid owner)
{
	Datum		values[1] = {ObjectIdGetDatum(owner)};
	int64		result;

	durable_sql_connect();
	durable_sql_run(&count_live, values, NULL, false, 0);
	result = durable_sql_int8(0, 1);
	durable_sql_finish();
	return result;
}

void
durable_instance_count_dropped(List *instances)
{
	ListCell   *cell;

	durable_sql_connect();
	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);
		Datum		values[2] = {
			Int64GetDatum(instance->key),
			Int32GetDatum(instance->dropped_events + list_length(instance->dropped))
		};

		durable_sql_run(&count_dropped, values, NULL, false, 0);
	}
	durable_sql_finish();
}

void
durable_instance_check_table(void)
{
	durable_instance_insert_check();
	durable_writer_check(&updated, false);
}

/* --- the column handler ------------------------------------------------------------------- */

/* A signature is never shorter than "()", and a name that begins with a parenthesis is quoted in it. */
const char *
durable_instance_shorten(const char *signature, const char *name)
{
	size_t		length = strlen(name);

	return strncmp(signature, name, length) == 0 && signature[length] == '(' ?
		signature + length : signature;
}

char *
durable_instance_lengthen(const char *stored, const char *name)
{
	return stored[0] == '(' ? psprintf("%s%s", name, stored) : pstrdup(stored);
}
