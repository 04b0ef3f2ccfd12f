/*-------------------------------------------------------------------------
 *
 * crashes.c
 *		The column crashes of the tables task_queue, instance and entity.
 *
 * The column counts how often code of the row was running when its process ended.  It is
 * read by units together with the other columns (task_table.c, instance_table.c,
 * entity_table.c), which also set it to 0 again.
 *
 * Owns:	the increment of the column
 * Called by: blame.c
 * Locks:	FOR UPDATE or FOR NO KEY UPDATE SKIP LOCKED on one row
 * Memory:	the names in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "clock.h"
#include "crashes.h"
#include "entity_table.h"
#include "sql.h"

/* $1 key, $2 id of the task; the columns are those of BlamedRow, without key. */
static DurableSql lock_row[] = {
	[CRASHES_OF_TASK] = {
		"SELECT t.ctid, t.owner, i.instance_id, t.name, t.crashes, t.run_at "
		"FROM durable.task_queue t JOIN durable.instance i USING (key) "
		"WHERE t.key = $1 AND t.id = $2 FOR UPDATE OF t SKIP LOCKED",
		2, {INT8OID, INT8OID}
	},
	[CRASHES_OF_INSTANCE] = {
		"SELECT ctid, owner, instance_id, name, crashes, NULL::pg_catalog.timestamptz FROM durable.instance "
		"WHERE key = $1 AND status IN ('P', 'R', 'S') FOR NO KEY UPDATE SKIP LOCKED",
		2, {INT8OID, INT8OID}
	},
	[CRASHES_OF_ENTITY] = {
		"SELECT ctid, owner, entity_id, NULL::pg_catalog.text, crashes, NULL::pg_catalog.timestamptz "
		"FROM durable.entity WHERE key = $1 FOR NO KEY UPDATE SKIP LOCKED",
		2, {INT8OID, INT8OID}
	}
};

static DurableSql row_exists[] = {
	[CRASHES_OF_TASK] = {
		"SELECT FROM durable.task_queue WHERE key = $1 AND id = $2", 2, {INT8OID, INT8OID}
	},
	[CRASHES_OF_INSTANCE] = {
		"SELECT FROM durable.instance WHERE key = $1 AND status IN ('P', 'R', 'S')", 2, {INT8OID, INT8OID}
	},
	[CRASHES_OF_ENTITY] = {
		"SELECT FROM durable.entity WHERE key = $1", 2, {INT8OID, INT8OID}
	}
};

/*
 * $1 ctid, $2 crashes, $3 run_at, $4 key.  Two entities with the same key are rare, so
 * both of them become suspects.
 */
static DurableSql store[] = {
	[CRASHES_OF_TASK] = {
		"UPDATE durable.task_queue SET crashes = $2, run_at = $3 WHERE ctid = $1",
		4, {TIDOID, INT2OID, TIMESTAMPTZOID, INT8OID}
	},
	[CRASHES_OF_INSTANCE] = {
		"UPDATE durable.instance SET crashes = $2 WHERE ctid = $1",
		4, {TIDOID, INT2OID, TIMESTAMPTZOID, INT8OID}
	},
	[CRASHES_OF_ENTITY] = {
		"UPDATE durable.entity e SET crashes = $2 "
		"FROM (SELECT ctid FROM durable.entity WHERE key = $4 FOR NO KEY UPDATE SKIP LOCKED) l WHERE e.ctid = l.ctid",
		4, {TIDOID, INT2OID, TIMESTAMPTZOID, INT8OID}
	}
};

/* An entity has no row before its first operation is complete.  The id is that in the message. */
static DurableSql find_new_entity = {
	"SELECT m.owner, pg_catalog.regexp_replace(m.name, '\\n[^\\n]*$', '') "
	"FROM (SELECT i.owner, i.name, i.kind FROM durable.inbox i WHERE i.key = $1 "
	"UNION ALL SELECT o.owner, o.name, o.kind FROM durable.entity_operation o WHERE o.key = $1) m "
	"WHERE m.kind IN ('o', 'q') LIMIT 1",
	1, {INT8OID}
};

static bool insert_entity(int64 key, bool *undecided);

bool
durable_crashes_lock(CrashesOf of, int64 key, int64 task_id, BlamedRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[2] = {Int64GetDatum(key), Int64GetDatum(task_id)};
	bool		undecided = false;
	bool		isnull;
	bool		locked;

	memset(row, 0, sizeof(*row));
	row->of = of;
	row->key = key;
	durable_sql_connect();
	locked = durable_sql_run(&lock_row[of], values, NULL, false, 0) > 0;
	if (!locked)
		row->exists = durable_sql_run(&row_exists[of], values, NULL, false, 0) > 0;
	if (!locked && !row->exists && of == CRASHES_OF_ENTITY && insert_entity(key, &undecided))
		locked = durable_sql_run(&lock_row[of], values, NULL, false, 0) > 0;
	row->exists |= locked || undecided;
	if (locked)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		row->tid = *(ItemPointer) DatumGetPointer(durable_sql_datum(0, 1, &isnull));
		row->owner = durable_sql_oid(0, 2);
		row->id = durable_sql_text(0, 3);
		row->name = durable_sql_text(0, 4);
		row->crashes = DatumGetInt16(durable_sql_datum(0, 5, &isnull));
		if (isnull)
			row->crashes = 0;
		row->run_at = durable_sql_timestamptz(0, 6, &isnull);
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	return locked;
}

/* False: no message is for that entity, or another transaction is just inserting its row. */
static bool
insert_entity(int64 key, bool *undecided)
{
	Datum		values[1] = {Int64GetDatum(key)};
	EntityRow	entity;
	bool		is_new;
	bool		locked;

	if (durable_sql_run(&find_new_entity, values, NULL, false, 0) == 0)
		return false;
	locked = durable_entity_lock(durable_sql_oid(0, 1), durable_sql_text(0, 2), durable_clock_now(),
								 &entity, &is_new);
	*undecided = !locked;
	return locked;
}

void
durable_crashes_store(const BlamedRow *row)
{
	Datum		values[4] = {PointerGetDatum(&row->tid), Int16GetDatum(row->crashes),
	TimestampTzGetDatum(row->run_at), Int64GetDatum(row->key)};

	durable_sql_connect();
	if (durable_sql_run(&store[row->of], values, NULL, false, 0) == 0)
		elog(ERROR, "row of \"%s\" does not exist", row->id);
	durable_sql_finish();
}
