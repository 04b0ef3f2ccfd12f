/*-------------------------------------------------------------------------
 *
 * finished.c
 *		The list of instances that have ended, and their deletion.
 *
 * All functions here use an index of durable.finished or the keys of instances, so
 * instances that are kept cost no time: retention looks at the oldest entry of each
 * owner and name.
 *
 * An instance is kept for the retention of its registration, else for
 * durable.retention, else forever.  The registration is one of the instance's owner,
 * else one that applies to all roles.  A registration of another role does not count,
 * because a role must not be able to delete the instances of another one.
 *
 * Locks are asked for with SKIP LOCKED wherever the caller must not wait.  Only the
 * row of the instance needs a lock: a transaction that changes its history or deletes
 * its messages has locked that row before.  A task that is running has its own row
 * locked, for hours perhaps, and is left to the worker that runs it.
 *
 * Owns:	durable.finished
 * Called by: batch_store.c, batch_children.c (inserting), retention.c, client.c,
 *			purge_api.c (deleting)
 * Locks:	FOR UPDATE on rows of finished instances, with SKIP LOCKED for retention; FOR UPDATE
 *			SKIP LOCKED on rows of their tasks and of durable.finished
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "finished.h"
#include "sql.h"
#include "table_write.h"
#include "tally.h"

enum
{
	FINISHED_OWNER, FINISHED_NAME, FINISHED_STATUS, FINISHED_COMPLETED_AT, FINISHED_KEY, FINISHED_OTHERS, FINISHED_COLUMNS
};
static DurableTable finished_table = {
	.name = "finished",
	.ncolumns = FINISHED_COLUMNS,
	.columns = {
		[FINISHED_OWNER] = "owner",
		[FINISHED_NAME] = "name",
		[FINISHED_STATUS] = "status",
		[FINISHED_COMPLETED_AT] = "completed_at",
		[FINISHED_KEY] = "key",
		[FINISHED_OTHERS] = "others"
	}
};
static DurableWritable finished = {
	.table = &finished_table
};

/*
 * Timers need no deletion here: they have no index by key, and the end of an instance
 * deletes its timers.  A rewind that the parent has sent stays: the unit that finds it without
 * its instance answers the parent (batch_claim.c).  asked: it is in $1, and not only a child of one in $1.  The result
 * has the owners, names and times of those that were deleted, of which other statements
 * find the entries in durable.finished.
 */
#define DELETE_INSTANCES(lock) \
	"WITH RECURSIVE family (key, asked) AS (" \
	"  SELECT k, true FROM pg_catalog.unnest($1) k" \
	"  UNION" \
	"  SELECT c.key, false FROM family f JOIN durable.instance c ON c.parent_key = f.key" \
	"  WHERE c.status IN ('C', 'F', 'T'))," \
	" victim AS (SELECT i.key, i.owner, i.name, i.completed_at, f.asked" \
	"  FROM (SELECT key, pg_catalog.bool_or(asked) AS asked FROM family GROUP BY key) f JOIN durable.instance i ON i.key = f.key" \
	"  WHERE i.status IN ('C', 'F', 'T') FOR UPDATE OF i" lock ")," \
	" events AS (DELETE FROM durable.history h USING victim v WHERE h.key = v.key)," \
	" messages AS (DELETE FROM durable.inbox m USING victim v WHERE m.owner = v.owner AND m.key = v.key" \
	"  AND NOT (m.kind = 'w' AND m.sender IS NOT NULL))," \
	" idle AS (SELECT t.owner, t.run_at, t.id FROM victim v JOIN durable.task_queue t ON t.key = v.key" \
	"  FOR UPDATE OF t SKIP LOCKED)," \
	" tasks AS (DELETE FROM durable.task_queue t USING idle d" \
	"  WHERE t.owner = d.owner AND t.run_at = d.run_at AND t.id = d.id)," \
	" waiting AS (SELECT q.key, q.id FROM victim v JOIN durable.queued_task q ON q.key = v.key" \
	"  FOR UPDATE OF q SKIP LOCKED)," \
	" queued AS (DELETE FROM durable.queued_task q USING waiting w WHERE q.key = w.key AND q.id = w.id)," \
	" gone AS (DELETE FROM durable.instance i USING victim v WHERE i.key = v.key" \
	"  RETURNING i.key, i.owner, i.name, i.handler, i.status, v.asked)," \
	" counted AS (INSERT INTO durable.tally (owner, name, handler, status, range, n)" \
	"  SELECT owner, name, handler, status, key >> " CppAsString2(TALLY_RANGE_BITS) ", - pg_catalog.count(*)" \
	"  FROM gone GROUP BY 1, 2, 3, 4, 5)" \
	" SELECT (SELECT pg_catalog.count(*) FROM gone), (SELECT pg_catalog.count(*) FROM gone WHERE asked)," \
	"  pg_catalog.array_agg(k.owner), pg_catalog.array_agg(k.name), pg_catalog.array_agg(k.completed_at)" \
	" FROM (SELECT DISTINCT owner::oid, name, completed_at FROM victim) k"

/*
 * Deletes the entries whose last instances have just been deleted.  It is a statement of
 * its own, so that it does not see these instances: to look them up in a list would take
 * a time that grows with the square of their number.  (Two transactions that delete the
 * last ones at the same time leave the entry, because neither sees the deletions of the
 * other.  delete_gone_entries finds it.)
 */
static DurableSql delete_empty_entries = {
	.text = "WITH emptied AS (SELECT d.place"
	"  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3)) k (owner, name, completed_at),"
	"  LATERAL (SELECT e.ctid AS place FROM durable.finished e"
	"   WHERE e.owner = k.owner AND e.name = k.name COLLATE \"C\" AND e.completed_at = k.completed_at"
	"   AND NOT EXISTS (SELECT FROM pg_catalog.unnest(e.key || e.others) k JOIN durable.instance i ON i.key = k)"
	"   FOR UPDATE SKIP LOCKED) d)"
	" DELETE FROM durable.finished e USING emptied d WHERE e.ctid = d.place",
	.nargs = 3,
	.argtypes = {OIDARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID}
};

static DurableSql delete_entry = {
	.text = "DELETE FROM durable.finished WHERE owner = $1 AND name = $2 AND completed_at = $3 AND key = $4",
	.nargs = 4,
	.argtypes = {OIDOID, TEXTOID, TIMESTAMPTZOID, INT8OID}
};

static DurableSql delete_or_skip = {
	.text = DELETE_INSTANCES(" SKIP LOCKED"),
	.nargs = 1,
	.argtypes = {INT8ARRAYOID}
};

static DurableSql delete_or_wait = {
	.text = DELETE_INSTANCES(""),
	.nargs = 1,
	.argtypes = {INT8ARRAYOID}
};

/*
 * The oldest entry of each owner and name, and its retention, which is that of the newest
 * version that has one.  The limits keep times in range for every value of a registration.
 */
static DurableSql oldest_entries = {
	.text = "WITH RECURSIVE kind (owner, name, oldest) AS ("
	" (SELECT owner, name, completed_at FROM durable.finished ORDER BY owner, name, completed_at LIMIT 1)"
	" UNION ALL"
	" SELECT n.* FROM kind k, LATERAL (SELECT f.owner, f.name, f.completed_at FROM durable.finished f"
	"  WHERE (f.owner, f.name) > (k.owner, k.name) ORDER BY f.owner, f.name, f.completed_at LIMIT 1) n)"
	" SELECT k.owner, k.name, k.oldest < $1 - r.bounded, $1 - r.bounded, k.oldest + r.bounded"
	" FROM kind k, LATERAL (SELECT coalesce((SELECT r.retention FROM durable.orchestration r"
	"   WHERE r.name = k.name AND r.retention IS NOT NULL AND (r.owner = k.owner"
	"    OR EXISTS (SELECT 1 FROM pg_catalog.pg_authid a WHERE a.oid = r.owner AND a.rolsuper)"
	"    OR EXISTS (SELECT 1 FROM pg_catalog.pg_extension e"
	"     WHERE e.extname = 'durable' AND e.extowner = r.owner))"
	"   ORDER BY (r.owner = k.owner) DESC, r.registered_at DESC LIMIT 1), $2) AS retention OFFSET 0) x,"
	" LATERAL (SELECT greatest('0', least('1000 years', x.retention)) AS bounded) r"
	" WHERE x.retention IS NOT NULL",
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, INTERVALOID}
};

static DurableSql shortest_retention = {
	.text = "SELECT $1 + greatest('0', least('1000 years', pg_catalog.min(retention), $2))"
	" FROM durable.orchestration HAVING least(pg_catalog.min(retention), $2) IS NOT NULL",
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, INTERVALOID}
};

static DurableSql expired = {
	.text = "SELECT k, f.completed_at FROM (SELECT key, others, completed_at FROM durable.finished"
	"  WHERE owner = $1 AND name = $2 AND completed_at > $3 AND completed_at < $4"
	"  ORDER BY completed_at LIMIT $5) f, pg_catalog.unnest(f.key || f.others) k LIMIT $5",
	.nargs = 5,
	.argtypes = {REGROLEOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}
};

/* Deletes entries that "expired" has found up to that time; their instances have been deleted before. */
static DurableSql delete_gone_entries = {
	.text = "WITH gone AS (SELECT e.ctid AS place FROM durable.finished e"
	"  WHERE e.owner = $1 AND e.name = $2 AND e.completed_at <= $3"
	"  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(e.key || e.others) k JOIN durable.instance i ON i.key = k)"
	"  FOR UPDATE OF e SKIP LOCKED)"
	" DELETE FROM durable.finished e USING gone g WHERE e.ctid = g.place",
	.nargs = 3,
	.argtypes = {REGROLEOID, TEXTOID, TIMESTAMPTZOID}
};

/* Instances of one owner and name with entries that are older than the retention. */
typedef struct ExpiredKind
{
	Oid			owner;
	char	   *name;
	TimestampTz before;
}			ExpiredKind;

static List *find_expired_kinds(Datum *values, const char *nulls, TimestampTz *next);
static int64 expire_kind(const ExpiredKind * kind, int limit);
static void insert_entry(DurableWriter *writer, const FinishedRow * rows, int nrows, int first, bool *taken);

/* --- inserting ------------------------------------------------------------------------ */

void
durable_finished_insert(const FinishedRow * rows, int nrows)
{
	DurableWriter *writer = durable_writer_open(&finished);
	bool	   *taken = palloc0(nrows * sizeof(bool));

	for (int i = 0; i < nrows; i++)
		if (!taken[i])
			insert_entry(writer, rows, nrows, i, taken);
	durable_writer_close(writer);
	pfree(taken);
}

/* Adds the instance to the others of the same entry; only completed instances share an entry. */
static void
insert_entry(DurableWriter *writer, const FinishedRow * rows, int nrows, int first, bool *taken)
{
	const FinishedRow *row = &rows[first];
	Datum	   *others = palloc(nrows * sizeof(Datum));
	int			nothers = 0;

	for (int i = first + 1; i < nrows && row->status == STATUS_COMPLETED; i++)
		if (!taken[i] && rows[i].status == row->status && rows[i].owner == row->owner &&
			rows[i].completed_at == row->completed_at && strcmp(rows[i].name, row->name) == 0)
		{
			others[nothers++] = Int64GetDatum(rows[i].key);
			taken[i] = true;
		}
	durable_writer_set(writer, FINISHED_OWNER, ObjectIdGetDatum(row->owner));
	durable_writer_set_text(writer, FINISHED_NAME, row->name);
	durable_writer_set(writer, FINISHED_STATUS, CharGetDatum(row->status));
	durable_writer_set(writer, FINISHED_COMPLETED_AT, TimestampTzGetDatum(row->completed_at));
	durable_writer_set(writer, FINISHED_KEY, Int64GetDatum(row->key));
	if (nothers > 0)
		durable_writer_set(writer, FINISHED_OTHERS, durable_columns_array(others, NULL, nothers, INT8OID));
	durable_writer_insert(writer);
	pfree(others);
}

void
durable_finished_check_table(void)
{
	durable_writer_check(&finished, true);
}

/* --- deleting ------------------------------------------------------------------------- */

void
durable_finished_forget(const FinishedRow * row)
{
	Datum		values[4] = {
		ObjectIdGetDatum(row->owner), CStringGetTextDatum(row->name),
		TimestampTzGetDatum(row->completed_at), Int64GetDatum(row->key)
	};

	durable_sql_run(&delete_entry, values, NULL, false, 0);
}

int64
durable_finished_delete(const int64 *keys, int nkeys, bool waits, int64 *asked_for)
{
	Datum	   *datums = palloc(nkeys * sizeof(Datum));
	Datum		values[3];
	SPITupleTable *result;
	int64		deleted;

	for (int i = 0; i < nkeys; i++)
		datums[i] = Int64GetDatum(keys[i]);
	values[0] = durable_columns_array(datums, NULL, nkeys, INT8OID);
	pfree(datums);
	durable_sql_run(waits ? &delete_or_wait : &delete_or_skip, values, NULL, false, 0);
	result = SPI_tuptable;
	deleted = durable_sql_int8(0, 1);
	if (asked_for != NULL)
		*asked_for = durable_sql_int8(0, 2);
	if (deleted > 0)
	{
		bool		isnull;

		for (int i = 0; i < lengthof(values); i++)
			values[i] = durable_sql_datum(0, 3 + i, &isnull);
		durable_sql_run(&delete_empty_entries, values, NULL, false, 0);
	}
	SPI_freetuptable(result);
	return deleted;
}

int64
durable_finished_expire(TimestampTz now, const Interval *general, int limit, TimestampTz *next)
{
	Datum		values[2] = {TimestampTzGetDatum(now), IntervalPGetDatum(general)};
	const char *nulls = general != NULL ? NULL : " n";
	int64		deleted = 0;
	ListCell   *cell;
	List	   *kinds;
	bool		isnull;

	*next = DT_NOEND;
	if (durable_sql_run(&shortest_retention, values, nulls, false, 0) == 0)
		return 0;				/* all instances are kept forever */
	*next = durable_sql_timestamptz(0, 1, &isnull); /* when an instance that ends now may expire */

	kinds = find_expired_kinds(values, nulls, next);
	foreach(cell, kinds)
	{
		deleted += expire_kind(lfirst(cell), limit);
		if (deleted >= limit)
		{
			*next = now;
			break;
		}
	}
	return deleted;
}

/* Lists the names with instances to delete; for the others, finds the time of the next deletion. */
static List *
find_expired_kinds(Datum *values, const char *nulls, TimestampTz *next)
{
	uint64		rows = durable_sql_run(&oldest_entries, values, nulls, false, 0);
	List	   *kinds = NIL;

	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;
		ExpiredKind *kind;

		if (!DatumGetBool(durable_sql_datum(i, 3, &isnull)))
		{
			*next = Min(*next, durable_sql_timestamptz(i, 5, &isnull));
			continue;
		}
		kind = palloc(sizeof(ExpiredKind));
		kind->owner = durable_sql_oid(i, 1);
		kind->name = durable_sql_text(i, 2);
		kind->before = durable_sql_timestamptz(i, 4, &isnull);
		kinds = lappend(kinds, kind);
	}
	return kinds;
}

/*
 * Deletes in the order of time.  The function passes over a limited number of locked
 * instances, and leaves the rest for the next call.
 */
static int64
expire_kind(const ExpiredKind * kind, int limit)
{
	Datum		values[5] = {ObjectIdGetDatum(kind->owner), CStringGetTextDatum(kind->name),
		TimestampTzGetDatum(DT_NOBEGIN), TimestampTzGetDatum(kind->before), Int64GetDatum(limit)};
	int64	   *keys = palloc(limit * sizeof(int64));
	int64		deleted = 0;
	int64		asked_for;
	uint64		found;

	for (int tries = 0; tries < 2; tries++)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		found = durable_sql_run(&expired, values, NULL, false, 0);
		if (found == 0)
			break;
		for (uint64 i = 0; i < found; i++)
			keys[i] = durable_sql_int8(i, 1);
		values[2] = TimestampTzGetDatum(durable_sql_timestamptz(found - 1, 2, &isnull));
		deleted += durable_finished_delete(keys, found, false, &asked_for);
		if (asked_for < found)
			durable_sql_run(&delete_gone_entries, values, NULL, false, 0);
		if (found < limit || deleted >= limit)
			break;
	}
	return deleted;
}
