/*-------------------------------------------------------------------------
 *
 * tally.c
 *		Counts instances by owner, name, handler and status.
 *
 * The counted columns have no index, and counting a million instances takes a third of
 * a second.  So each transaction that creates, changes or deletes instances adds rows
 * with the differences to durable.tally: the sum of n is the number of instances, for
 * every snapshot, after every crash.  Rows are only inserted, so no transaction waits.
 * The coordinator replaces them by their sums from time to time.  There are three
 * kinds of rows:
 *
 *	owner, name, handler, range set		a difference, as a transaction has added it
 *	owner, name, handler set			a sum: of that name and handler of that owner
 *	range set							a sum: of the instances with keys of that range
 *
 * Each difference counts for both kinds of sums.  The sums for ranges tell which
 * ranges contain the few instances with a rare status, and durable.name_range, to
 * which the coordinator adds the ranges of differences, tells which contain
 * instances of a name (tally_ranges.c).  So durable.instance has no index on the name,
 * to which each start would add an entry.
 *
 * Differences of one transaction are added up in this process and written when it
 * commits, so a statement that starts 1,000,000 instances adds a row for each range
 * and no more.  Differences of a savepoint that is rolled back are discarded.
 *
 * Owns:	durable.tally, durable.name_range
 * Called by: instance_table.c, instance_insert.c, code_table.c, code_api.c, batch_store.c
 *			(differences); fold.c (sums); tally_ranges.c (reading).  The statement that deletes
 *			instances writes its differences itself
 * Locks:	none on existing rows, except that the coordinator alone deletes rows that it replaces
 * Memory:	the differences in an array that is kept; their names in TopTransactionContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "sql.h"
#include "table_write.h"
#include "tally.h"

enum
{
	TALLY_OWNER, TALLY_NAME, TALLY_HANDLER, TALLY_STATUS, TALLY_RANGE, TALLY_N, TALLY_COLUMNS
};
static DurableTable tally_table = {
	.name = "tally",
	.ncolumns = TALLY_COLUMNS,
	.columns = {
		[TALLY_OWNER] = "owner",
		[TALLY_NAME] = "name",
		[TALLY_HANDLER] = "handler",
		[TALLY_STATUS] = "status",
		[TALLY_RANGE] = "range",
		[TALLY_N] = "n"
	}
};
static DurableWritable tally = {
	.table = &tally_table
};

/* The number of differences at which those of the current (sub)transaction are written. */
#define ENOUGH_PENDING	256

/* The number of recent differences that are searched for one with the same key as a new one. */
#define LOOK_BACK		8

typedef struct Difference
{
	int			nest_level;		/* of the (sub)transaction that made it */
	TallyDifference content;	/* strings in TopTransactionContext */
}			Difference;

static Difference *pending = NULL;
static int	npending = 0;
static int	allocated = 0;

/*
 * Rows that are replaced: all differences, and the sums that they belong to.  Small
 * numbers of differences are left for the next time.  There may be many sums and many
 * differences, so a range is found in a sorted array, by width_bucket; whether a subquery is
 * hashed depends on statistics.
 */
#define FOLD_FROM		64

static DurableSql fold = {
	.text = "WITH added AS MATERIALIZED ("
	"  SELECT owner, name, handler, range FROM durable.tally WHERE name IS NOT NULL AND range IS NOT NULL),"
	" kinds AS MATERIALIZED (SELECT DISTINCT owner, name, handler FROM added),"
	" ranges AS MATERIALIZED (SELECT pg_catalog.array_agg(DISTINCT range ORDER BY range) AS list FROM added),"
	" gone AS (DELETE FROM durable.tally t"
	"  WHERE (SELECT pg_catalog.count(*) FROM added) >= $1 AND ("
	"   (t.name IS NOT NULL AND t.range IS NOT NULL)"
	"   OR (t.range IS NULL AND (t.owner, t.name, t.handler) IN (SELECT k.owner, k.name, k.handler FROM kinds k))"
	"   OR (t.name IS NULL AND t.range ="
	"    (SELECT r.list FROM ranges r)[pg_catalog.width_bucket(t.range, (SELECT r.list FROM ranges r))]))"
	"  RETURNING t.*),"
	" sums AS (INSERT INTO durable.tally (owner, name, handler, status, range, n)"
	"  SELECT owner, name, handler, status, NULL, pg_catalog.sum(n) FROM gone WHERE name IS NOT NULL"
	"  GROUP BY owner, name, handler, status HAVING pg_catalog.sum(n) <> 0"
	"  UNION ALL"
	"  SELECT NULL, NULL, NULL, status, range, pg_catalog.sum(n) FROM gone WHERE range IS NOT NULL"
	"  GROUP BY range, status HAVING pg_catalog.sum(n) <> 0),"
	" places AS (SELECT name, range, pg_catalog.sum(pg_catalog.sum(n)) OVER (PARTITION BY range) > 0 AS is_used"
	"  FROM gone WHERE range IS NOT NULL GROUP BY name, range),"
	" names AS (INSERT INTO durable.name_range (name, range)"
	"  SELECT name, range FROM places WHERE name IS NOT NULL AND is_used ON CONFLICT DO NOTHING),"
	" emptied AS (DELETE FROM durable.name_range r USING (SELECT DISTINCT range FROM places WHERE NOT is_used) p WHERE r.range = p.range)"
	" SELECT pg_catalog.count(*) FROM gone",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static void count(Oid owner, const char *name, const char *handler, int64 key, char status, int n);
static void make_room(int nest_level);
static void write_from(int first);
static bool is_there(void);
static void register_callbacks(void);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
								  SubTransactionId parent, void *arg);

void
durable_tally_move(Oid owner, const char *name, const char *handler, int64 key, char before, char after)
{
	if (before == after)
		return;
	if (before != '\0')
		count(owner, name, handler, key, before, -1);
	count(owner, name, handler, key, after, 1);
}

void
durable_tally_move_handler(Oid owner, const char *name, int64 key, char status, const char *before, const char *after)
{
	count(owner, name, before, key, status, -1);
	count(owner, name, after, key, status, 1);
}

static void
count(Oid owner, const char *name, const char *handler, int64 key, char status, int n)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	int64		range = key >> TALLY_RANGE_BITS;
	Difference *difference;

	for (int i = npending - 1; i >= Max(npending - LOOK_BACK, 0); i--)
	{
		TallyDifference *content = &pending[i].content;

		if (pending[i].nest_level == nest_level && content->range == range &&
			content->status == status && content->owner == owner &&
			strcmp(content->name, name) == 0 && strcmp(content->handler, handler) == 0)
		{
			content->n += n;
			return;
		}
	}

	make_room(nest_level);
	difference = &pending[npending];
	difference->nest_level = nest_level;
	difference->content.owner = owner;
	difference->content.status = status;
	difference->content.range = range;
	difference->content.n = n;
	difference->content.name = MemoryContextStrdup(TopTransactionContext, name);
	difference->content.handler = MemoryContextStrdup(TopTransactionContext, handler);
	npending++;
}

const TallyDifference *
durable_tally_pending(int place)
{
	return place < npending ? &pending[place].content : NULL;
}

/* A rollback of this level removes the rows written in it, so those of outer levels are not written here. */
static void
make_room(int nest_level)
{
	int			first = npending;

	register_callbacks();
	if (npending < allocated)
		return;
	while (first > 0 && pending[first - 1].nest_level == nest_level)
		first--;
	if (npending >= ENOUGH_PENDING)
		write_from(first);
	if (npending < allocated)
		return;
	if (allocated == 0)
		pending = MemoryContextAlloc(TopMemoryContext, ENOUGH_PENDING * sizeof(Difference));
	else
		pending = repalloc(pending, 2 * allocated * sizeof(Difference));
	allocated = Max(ENOUGH_PENDING, 2 * allocated);
}

/* Writes the differences from that index on as rows of the current (sub)transaction. */
static void
write_from(int first)
{
	DurableWriter *writer;

	if (first == npending)
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	writer = durable_writer_open(&tally);
	for (int i = first; i < npending; i++)
	{
		const TallyDifference *difference = &pending[i].content;

		if (difference->n == 0)
			continue;
		durable_writer_set(writer, TALLY_OWNER, ObjectIdGetDatum(difference->owner));
		durable_writer_set_text(writer, TALLY_NAME, difference->name);
		durable_writer_set_text(writer, TALLY_HANDLER, difference->handler);
		durable_writer_set(writer, TALLY_STATUS, CharGetDatum(difference->status));
		durable_writer_set(writer, TALLY_RANGE, Int64GetDatum(difference->range));
		durable_writer_set(writer, TALLY_N, Int64GetDatum(difference->n));
		durable_writer_insert(writer);
	}
	durable_writer_close(writer);
	PopActiveSnapshot();
	npending = first;
}

void
durable_tally_check_table(void)
{
	durable_writer_check(&tally, true);
}

bool
durable_tally_fold(void)
{
	Datum		values[1] = {Int64GetDatum(FOLD_FROM)};

	durable_sql_run(&fold, values, NULL, false, 0);
	return durable_sql_int8(0, 1) > 0;
}

/* --- ends of transactions -------------------------------------------------------------- */

static void
register_callbacks(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
	}
	registered = true;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if ((event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE) && npending > 0 && is_there())
		write_from(0);
	npending = 0;
}

/* The transaction may have dropped the extension since. */
static bool
is_there(void)
{
	Oid			namespace;

	if (tally_table.known)
		return true;
	namespace = get_namespace_oid("durable", true);
	return OidIsValid(namespace) && OidIsValid(get_relname_relid("tally", namespace));
}

/* Levels grow from the beginning of the array to its end. */
static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	int			nest_level = GetCurrentTransactionNestLevel();

	for (int i = npending - 1; i >= 0 && pending[i].nest_level >= nest_level; i--)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB)
			npending = i;
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			pending[i].nest_level = nest_level - 1;
	}
}
