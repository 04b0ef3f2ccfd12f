/*-------------------------------------------------------------------------
 *
 * entity_table.c
 *		The tables durable.entity and durable.entity_operation.
 *
 * A unit that runs operations of an entity holds the lock of the entity's row, as it does
 * for an instance.  The row of an entity that does not exist yet is inserted first, so that
 * there is a row to lock.  The row is deleted when the entity has no state, is not locked by
 * an instance, and no operation waits for it.
 *
 * Owns:	durable.entity, durable.entity_operation
 * Called by: entity_batch.c, entity_external.c, batch_store.c, entity_api.c, registration_api.c,
 *			crashes.c
 * Locks:	FOR NO KEY UPDATE SKIP LOCKED on rows of durable.entity
 * Memory:	results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "entity_id.h"
#include "entity_table.h"
#include "sql.h"
#include "table_scan.h"
#include "table_write.h"
#include "verbatim.h"
#include "wakeup.h"

DurableTable durable_entity_table = {
	.name = "entity",
	.indexes = {[ENTITY_BY_ID] = "entity_pkey", [ENTITY_BY_KEY] = "entity_key"},
	.ncolumns = ENTITY_COLUMNS,
	.columns = {
		[ENTITY_KEY] = "key",
		[ENTITY_CREATED_AT] = "created_at",
		[ENTITY_UPDATED_AT] = "updated_at",
		[ENTITY_LOCKED_BY] = "locked_by",
		[ENTITY_HELD_UNTIL] = "held_until",
		[ENTITY_PROBLEM_AT] = "problem_at",
		[ENTITY_OWNER] = "owner",
		[ENTITY_LOCKED_EXECUTION] = "locked_execution",
		[ENTITY_LOCKED_TASK] = "locked_task",
		[ENTITY_PARKED] = "parked",
		[ENTITY_CRASHES] = "crashes",
		[ENTITY_IS_OUT] = "is_out",
		[ENTITY_IS_TEXT] = "is_text",
		[ENTITY_ID] = "entity_id",
		[ENTITY_QUEUE] = "queue",
		[ENTITY_STATE] = "state",
		[ENTITY_FAILURE] = "failure",
		[ENTITY_PROBLEM] = "problem"
	}
};

#define BIT(column)	DURABLE_COLUMN_BIT(ENTITY_##column)

static DurableWritable inserted = {
	.table = &durable_entity_table,
	.columns = BIT(KEY) | BIT(CREATED_AT) | BIT(UPDATED_AT) | BIT(OWNER) | BIT(ID)
};

/* The columns that a unit sets; the others keep their values.  None of these is in an index. */
static DurableWritable updated = {
	.table = &durable_entity_table,
	.columns = BIT(UPDATED_AT) | BIT(LOCKED_BY) | BIT(HELD_UNTIL) | BIT(PROBLEM_AT) | BIT(LOCKED_EXECUTION) |
	BIT(LOCKED_TASK) | BIT(PARKED) | BIT(CRASHES) | BIT(IS_OUT) | BIT(IS_TEXT) | BIT(QUEUE) | BIT(STATE) |
	BIT(FAILURE) | BIT(PROBLEM),
	.deletes = true
};

enum
{
	OPERATION_ID, OPERATION_OWNER, OPERATION_KEY, OPERATION_DUE_AT, OPERATION_SENT_AT, OPERATION_SENDER,
	OPERATION_EXECUTION, OPERATION_TASK, OPERATION_ATTEMPT, OPERATION_KIND, OPERATION_IS_TEXT, OPERATION_NAME,
	OPERATION_PAYLOAD, OPERATION_COLUMNS
};

enum
{
	OPERATION_BY_KEY			/* owner, key, due_at, id */
};

static DurableTable operation_table = {
	.name = "entity_operation",
	.indexes = {[OPERATION_BY_KEY] = "entity_operation_pkey"},
	.ncolumns = OPERATION_COLUMNS,
	.columns = {
		[OPERATION_ID] = "id",
		[OPERATION_OWNER] = "owner",
		[OPERATION_KEY] = "key",
		[OPERATION_DUE_AT] = "due_at",
		[OPERATION_SENT_AT] = "sent_at",
		[OPERATION_SENDER] = "sender",
		[OPERATION_EXECUTION] = "execution",
		[OPERATION_TASK] = "task",
		[OPERATION_ATTEMPT] = "attempt",
		[OPERATION_KIND] = "kind",
		[OPERATION_IS_TEXT] = "is_text",
		[OPERATION_NAME] = "name",
		[OPERATION_PAYLOAD] = "payload"
	}
};

static DurableWritable operations = {
	.table = &operation_table,
	.sequence = "inbox_id_seq",
	.deletes = true
};

static DurableSql take = {
	"WITH gone AS (DELETE FROM durable.entity_operation WHERE owner = $1 AND key = $2 AND due_at = '-infinity' "
	"AND id = ANY ($3) RETURNING id, kind, sender, execution, task, name) "
	"SELECT id, kind, coalesce(sender, 0), coalesce(execution, 0), coalesce(task, 0), name FROM gone ORDER BY id",
	3, {REGROLEOID, INT8OID, INT8ARRAYOID}
};

static DurableSql waits = {
	"SELECT FROM durable.entity_operation WHERE owner = $1 AND key = $2 AND due_at = '-infinity' AND kind = 'q' "
	"AND sender = $3 AND execution = $4 LIMIT 1",
	4, {REGROLEOID, INT8OID, INT8OID, INT4OID}
};

static DurableSql recheck = {
	"INSERT INTO durable.inbox (id, owner, key, kind, name, sent_at) "
	"SELECT pg_catalog.nextval('durable.inbox_id_seq'), owner, key, 'k', entity_id || E'\n', $2 FROM durable.entity "
	"WHERE entity_id >= '@' || $1 || '@' AND entity_id < '@' || $1 || 'A' AND is_out RETURNING owner, key",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static bool find(DurableScan *scan, Oid owner, const char *id);
static void read_entity(DurableScan *scan, EntityRow *row);
static bool make(Oid owner, const char *id, TimestampTz now, EntityRow *row);

/* --- entities ----------------------------------------------------------------------------- */

bool
durable_entity_lock(Oid owner, const char *id, TimestampTz now, EntityRow *row, bool *is_new)
{
	DurableScan scan;
	bool		found;
	bool		locked = false;

	memset(row, 0, sizeof(EntityRow));
	row->owner = owner;
	row->entity_id = pstrdup(id);
	*is_new = false;

	durable_scan_open(&scan, &durable_entity_table, ENTITY_BY_ID, RowShareLock);
	found = find(&scan, owner, id);
	if (found && durable_scan_lock(&scan))
	{
		read_entity(&scan, row);
		locked = true;
	}
	else if (!found)
		locked = *is_new = make(owner, id, now, row);
	/* The scan has the snapshot that the insertion needs. */
	durable_scan_close(&scan);
	return locked;
}

static bool
find(DurableScan *scan, Oid owner, const char *id)
{
	durable_scan_key(scan, ENTITY_ID, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(id));
	durable_scan_key(scan, ENTITY_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_begin(scan);
	return durable_scan_next(scan);
}

static void
read_entity(DurableScan *scan, EntityRow *row)
{
	row->tid = durable_scan_tid(scan);
	row->key = durable_scan_int8(scan, ENTITY_KEY);
	row->created_at = durable_scan_timestamptz(scan, ENTITY_CREATED_AT);
	row->updated_at = durable_scan_timestamptz(scan, ENTITY_UPDATED_AT);
	row->locked_by = durable_scan_int8(scan, ENTITY_LOCKED_BY);
	row->locked_execution = durable_scan_int4(scan, ENTITY_LOCKED_EXECUTION);
	row->locked_task = durable_scan_int4(scan, ENTITY_LOCKED_TASK);
	row->parked = durable_scan_int4(scan, ENTITY_PARKED);
	row->held_until = durable_scan_timestamptz(scan, ENTITY_HELD_UNTIL);
	row->problem_at = durable_scan_timestamptz(scan, ENTITY_PROBLEM_AT);
	row->crashes = durable_scan_int2(scan, ENTITY_CRASHES);
	row->is_out = durable_scan_bool(scan, ENTITY_IS_OUT);
	row->is_text = durable_scan_bool(scan, ENTITY_IS_TEXT);
	row->queue = durable_scan_text(scan, ENTITY_QUEUE);
	row->state = durable_scan_jsonb(scan, ENTITY_STATE);
	row->failure = durable_scan_jsonb(scan, ENTITY_FAILURE);
	row->problem = durable_scan_text(scan, ENTITY_PROBLEM);
}

static bool
make(Oid owner, const char *id, TimestampTz now, EntityRow *row)
{
	DurableWriter *writer = durable_writer_open(&inserted);
	KeyOutcome	outcome;

	row->key = durable_entity_key(id);
	row->created_at = row->updated_at = now;
	durable_writer_set(writer, ENTITY_KEY, Int64GetDatum(row->key));
	durable_writer_set(writer, ENTITY_CREATED_AT, TimestampTzGetDatum(now));
	durable_writer_set(writer, ENTITY_UPDATED_AT, TimestampTzGetDatum(now));
	durable_writer_set(writer, ENTITY_OWNER, ObjectIdGetDatum(owner));
	durable_writer_set_text(writer, ENTITY_ID, id);
	outcome = durable_writer_insert_unless_taken(writer, ENTITY_BY_ID);
	if (outcome == KEY_INSERTED)
		row->tid = durable_writer_inserted_tid(writer);
	durable_writer_close(writer);
	return outcome == KEY_INSERTED;
}

void
durable_entity_update(List *rows)
{
	DurableWriter *writer = durable_writer_open(&updated);
	ListCell   *cell;

	foreach(cell, rows)
	{
		EntityRow  *row = lfirst(cell);

		durable_writer_set(writer, ENTITY_UPDATED_AT, TimestampTzGetDatum(row->updated_at));
		if (row->locked_by != 0)
		{
			durable_writer_set(writer, ENTITY_LOCKED_BY, Int64GetDatum(row->locked_by));
			durable_writer_set(writer, ENTITY_LOCKED_EXECUTION, Int32GetDatum(row->locked_execution));
			durable_writer_set(writer, ENTITY_LOCKED_TASK, Int32GetDatum(row->locked_task));
		}
		if (row->held_until != 0)
			durable_writer_set(writer, ENTITY_HELD_UNTIL, TimestampTzGetDatum(row->held_until));
		if (row->problem_at != 0)
			durable_writer_set(writer, ENTITY_PROBLEM_AT, TimestampTzGetDatum(row->problem_at));
		if (row->parked != 0)
			durable_writer_set(writer, ENTITY_PARKED, Int32GetDatum(row->parked));
		if (row->crashes != 0)
			durable_writer_set(writer, ENTITY_CRASHES, Int16GetDatum(row->crashes));
		if (row->is_out)
			durable_writer_set(writer, ENTITY_IS_OUT, BoolGetDatum(true));
		if (row->is_text)
			durable_writer_set(writer, ENTITY_IS_TEXT, BoolGetDatum(true));
		durable_writer_set_text(writer, ENTITY_QUEUE, row->queue);
		durable_writer_set_jsonb(writer, ENTITY_STATE, row->state);
		durable_writer_set_jsonb(writer, ENTITY_FAILURE, row->failure);
		durable_writer_set_text(writer, ENTITY_PROBLEM, row->problem);
		durable_writer_update(writer, &row->tid);
	}
	durable_writer_close(writer);
}

void
durable_entity_delete(List *rows)
{
	DurableWriter *writer = durable_writer_open(&updated);
	ListCell   *cell;

	foreach(cell, rows)
		durable_writer_delete(writer, &((EntityRow *) lfirst(cell))->tid);
	durable_writer_close(writer);
}

bool
durable_entity_state_of(Oid owner, const char *id, Jsonb **state)
{
	DurableScan scan;
	bool		found;

	durable_scan_open_latest(&scan, &durable_entity_table, ENTITY_BY_ID);
	found = find(&scan, owner, id);
	*state = found ? durable_scan_jsonb(&scan, ENTITY_STATE) : NULL;
	if (*state != NULL)
		*state = durable_verbatim_convert(*state, durable_scan_bool(&scan, ENTITY_IS_TEXT), false);
	durable_scan_close_latest(&scan);
	return *state != NULL;
}

/* --- operations that wait ----------------------------------------------------------------- */

List *
durable_operation_read(Oid owner, int64 key, TimestampTz now, int limit)
{
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &operation_table, OPERATION_BY_KEY, AccessShareLock);
	durable_scan_key(&scan, OPERATION_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_key(&scan, OPERATION_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key));
	durable_scan_key(&scan, OPERATION_DUE_AT, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(now));
	durable_scan_begin(&scan);
	while (list_length(messages) < limit && durable_scan_next(&scan))
	{
		Message    *message = palloc0(sizeof(Message));

		message->tid = durable_scan_tid(&scan);
		message->id = durable_scan_int8(&scan, OPERATION_ID);
		message->owner = owner;
		message->key = key;
		message->kind = durable_scan_char(&scan, OPERATION_KIND);
		message->sender = durable_scan_int8(&scan, OPERATION_SENDER);
		message->execution = durable_scan_int4(&scan, OPERATION_EXECUTION);
		message->task = durable_scan_int4(&scan, OPERATION_TASK);
		message->attempt = durable_scan_int4(&scan, OPERATION_ATTEMPT);
		message->is_text = durable_scan_bool(&scan, OPERATION_IS_TEXT);
		message->name = durable_scan_text(&scan, OPERATION_NAME);
		message->payload = durable_scan_jsonb(&scan, OPERATION_PAYLOAD);
		message->at = durable_scan_timestamptz(&scan, OPERATION_SENT_AT);
		message->due = durable_scan_timestamptz(&scan, OPERATION_DUE_AT);
		messages = lappend(messages, message);
	}
	durable_scan_close(&scan);
	return messages;
}

void
durable_operation_insert(List *messages)
{
	DurableWriter *writer = durable_writer_open(&operations);
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		if (message->id == 0)
			message->id = durable_writer_next(writer);
		durable_writer_set(writer, OPERATION_ID, Int64GetDatum(message->id));
		durable_writer_set(writer, OPERATION_OWNER, ObjectIdGetDatum(message->owner));
		durable_writer_set(writer, OPERATION_KEY, Int64GetDatum(message->key));
		durable_writer_set(writer, OPERATION_DUE_AT, TimestampTzGetDatum(message->due));
		durable_writer_set(writer, OPERATION_SENT_AT, TimestampTzGetDatum(message->at));
		if (message->sender != 0)
		{
			durable_writer_set(writer, OPERATION_SENDER, Int64GetDatum(message->sender));
			durable_writer_set(writer, OPERATION_EXECUTION, Int32GetDatum(message->execution));
			durable_writer_set(writer, OPERATION_TASK, Int32GetDatum(message->task));
		}
		if (message->attempt != 0)
			durable_writer_set(writer, OPERATION_ATTEMPT, Int32GetDatum(message->attempt));
		durable_writer_set(writer, OPERATION_KIND, CharGetDatum(message->kind));
		if (message->is_text)
			durable_writer_set(writer, OPERATION_IS_TEXT, BoolGetDatum(true));
		durable_writer_set_text(writer, OPERATION_NAME, message->name);
		durable_writer_set_jsonb(writer, OPERATION_PAYLOAD, message->payload);
		durable_writer_insert(writer);
	}
	durable_writer_close(writer);
}

void
durable_operation_delete(List *messages)
{
	DurableWriter *writer = durable_writer_open(&operations);
	ListCell   *cell;

	foreach(cell, messages)
		durable_writer_delete(writer, &((Message *) lfirst(cell))->tid);
	durable_writer_close(writer);
}

List *
durable_operation_take(Oid owner, int64 key, Datum ids)
{
	Datum		values[3] = {ObjectIdGetDatum(owner), Int64GetDatum(key), ids};
	MemoryContext caller = CurrentMemoryContext;
	List	   *messages = NIL;
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(&take, values, NULL, false, 0);
	MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < nrows; i++)
	{
		Message    *message = palloc0(sizeof(Message));

		message->id = durable_sql_int8(i, 1);
		message->owner = owner;
		message->key = key;
		message->kind = durable_sql_char(i, 2);
		message->sender = durable_sql_int8(i, 3);
		message->execution = durable_sql_int4(i, 4);
		message->task = durable_sql_int4(i, 5);
		message->name = durable_sql_text(i, 6);
		messages = lappend(messages, message);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(caller);
	return messages;
}

bool
durable_operation_waits(Oid owner, int64 key, int64 sender, int32 execution)
{
	Datum		values[4] = {ObjectIdGetDatum(owner), Int64GetDatum(key), Int64GetDatum(sender), Int32GetDatum(execution)};
	bool		found;

	durable_sql_connect();
	found = durable_sql_run(&waits, values, NULL, false, 1) > 0;
	durable_sql_finish();
	return found;
}

void
durable_entity_recheck(const char *name, TimestampTz now)
{
	Datum		values[2] = {CStringGetTextDatum(name), TimestampTzGetDatum(now)};
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(&recheck, values, NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
		durable_wakeup_inbox(durable_sql_oid(i, 1), durable_sql_int8(i, 2));
	durable_sql_finish();
}

void
durable_entity_check_tables(void)
{
	durable_writer_check(&inserted, true);
	durable_writer_check(&updated, false);
	durable_writer_check(&operations, true);
}
