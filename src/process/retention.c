/*
 * retention.c
 *		Deletes finished instances that are old enough; a part of the coordinator.
 *
 * Owns: how far the walk has come, in the coordinator's memory.
 * Called by: coordinator.c.
 * Locks: rows of finished instances, for one short transaction.
 * Memory: the caller's.
 *
 * There is no index on the time of completion: it would cost every workflow
 * something, for a job that has time.  Instead the coordinator walks through the
 * instances in the order of their keys, a piece at a time, each piece in a
 * transaction of its own.  Keys are given in the order of creation, so the walk
 * ends where instances are too young to be old enough.  After each piece and
 * each walk it rests for long enough that all this is a small part of a core.
 *
 * An instance is kept for as long as its registration says, else for
 * durable.retention, else for ever.  That is a registration of the instance's owner,
 * else one that counts for everybody; not one of another role, which must not be able
 * to have somebody else's instances deleted.
 */
#include "durable.h"
#include "process.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "engine.h"
#include "guc.h"
#include "portability/instr_time.h"
#include "sql.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Instances that one step looks at, and deletes at most. */
#define STEP_INSTANCES		500

/*
 * The walk rests for so many times what a step took: longer when it found
 * nothing to delete than when it has to keep up with what workers finish.
 */
#define REST_AFTER_LOOKING	50
#define REST_AFTER_DELETING	1

/* Milliseconds between two walks. */
#define SHORTEST_REST		500
#define LONGEST_REST		60000

/* Where the current walk is; 0 is before the first instance. */
static int64 position = 0;

static long step(uint64 *deleted);
static bool shortest_retention(Datum *shortest);

/* Months and days as they come: an instance is too old when completed_at + retention is past. */
static DurableSql read_shortest = {
	.text = "SELECT least(min(retention), $1) FROM durable.orchestration",
	.nargs = 1,
	.argtypes = {INTERVALOID},
};

#define EXPIRED \
	"completed_at < $2 - coalesce((" \
	"SELECT r.retention FROM durable.orchestration r WHERE r.name = i.name" \
	" AND r.retention IS NOT NULL AND (r.owner = i.owner" \
	"  OR EXISTS (SELECT 1 FROM pg_catalog.pg_authid a WHERE a.oid = r.owner AND a.rolsuper)" \
	"  OR EXISTS (SELECT 1 FROM pg_catalog.pg_extension e WHERE e.extname = 'durable' AND e.extowner = r.owner))" \
	" ORDER BY (r.owner = i.owner) DESC LIMIT 1), $3)"

static DurableSql look_ahead = {
	.text = "SELECT count(*), count(*) FILTER (WHERE status IN ('C', 'F', 'T')),"
	" coalesce(bool_or(created_at > $2 - $3), false), max(key)"
	" FROM (SELECT key, created_at, status FROM durable.instance"
	"  WHERE key > $1 ORDER BY key LIMIT $4) i",
	.nargs = 4,
	.argtypes = {INT8OID, TIMESTAMPTZOID, INTERVALOID, INT8OID},
};

static DurableSql delete_expired = {
	.text = "WITH victim AS (SELECT key, owner FROM durable.instance i"
	"  WHERE key > $1 AND key <= $4 AND status IN ('C', 'F', 'T') AND " EXPIRED
	"  FOR UPDATE SKIP LOCKED),"
	" events AS (DELETE FROM durable.history h USING victim v WHERE h.key = v.key),"
	" messages AS (DELETE FROM durable.inbox m USING victim v WHERE m.owner = v.owner AND m.key = v.key),"
	" tasks AS (DELETE FROM durable.task_queue t USING victim v WHERE t.key = v.key)"
	" DELETE FROM durable.instance i USING victim v WHERE i.key = v.key",
	.nargs = 4,
	.argtypes = {INT8OID, TIMESTAMPTZOID, INTERVALOID, INT8OID},
};

long
durable_retention_step(void)
{
	MemoryContext context = CurrentMemoryContext;
	instr_time	begin;
	instr_time	took;
	long		rest = 0;
	uint64		deleted = 0;

	INSTR_TIME_SET_CURRENT(begin);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (durable_engine_lock())
	{
		durable_sql_connect();
		rest = step(&deleted);
		durable_sql_finish();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begin);

	return Min(Max(rest, (long) (INSTR_TIME_GET_MILLISEC(took) *
								 (deleted > 0 ? REST_AFTER_DELETING : REST_AFTER_LOOKING))),
			   LONGEST_REST);
}

/* Milliseconds to rest at least. */
static long
step(uint64 *deleted)
{
	Datum		shortest;
	Datum		values[4];
	char		nulls[5] = "    ";
	int64		looked_at;
	int64		finished;
	bool		last;
	bool		isnull;

	if (!shortest_retention(&shortest))
		return LONGEST_REST;

	values[0] = Int64GetDatum(position);
	values[1] = TimestampTzGetDatum(durable_clock_now());
	values[2] = shortest;
	values[3] = Int64GetDatum(STEP_INSTANCES);
	durable_sql_run(&look_ahead, values, NULL, false, 0);
	looked_at = durable_sql_int8(0, 1);
	finished = durable_sql_int8(0, 2);
	last = looked_at < STEP_INSTANCES || DatumGetBool(durable_sql_datum(0, 3, &isnull));
	values[3] = durable_sql_datum(0, 4, &isnull);	/* by value */

	if (finished > 0)
	{
		if (durable_retention_set)
			values[2] = IntervalPGetDatum(&durable_retention_interval);
		else
			nulls[2] = 'n';
		*deleted = durable_sql_run(&delete_expired, values, nulls, false, 0);
	}
	if (looked_at > 0)
		position = DatumGetInt64(values[3]);

	if (!last)
		return 0;
	position = 0;
	return SHORTEST_REST;
}

/* False when everything is kept for ever. */
static bool
shortest_retention(Datum *shortest)
{
	Datum		values[1] = {IntervalPGetDatum(&durable_retention_interval)};
	bool		isnull;

	durable_sql_run(&read_shortest, values, durable_retention_set ? NULL : "n", false, 0);
	*shortest = durable_sql_datum(0, 1, &isnull);
	return !isnull;
}
