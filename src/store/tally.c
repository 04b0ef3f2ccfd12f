/*-------------------------------------------------------------------------
 *
 * tally.c
 *		Numbers of instances, by owner, name and status.
 *
 * The counted columns have no index, and counting a million instances takes a third of
 * a second.  So each transaction that creates, changes or deletes instances adds rows
 * with the differences to durable.tally: the sum of n is the number of instances, for
 * every snapshot, after every crash.  Rows are only inserted, so no transaction waits.
 * The coordinator replaces them by their sums from time to time.  There are three
 * kinds of rows:
 *
 *	owner, name, range set		a difference, as a transaction has added it
 *	owner, name set				a sum: of that name of that owner
 *	range set					a sum: of the instances with keys of that range
 *
 * Each difference counts for both kinds of sums.  The sums for ranges tell which
 * ranges contain the few instances with a rare status (query_ranges.c).
 *
 * Differences of one transaction are added up in this process and written when it
 * commits, so a statement that starts 1,000,000 instances adds a row for each range
 * and no more.  Those of a savepoint that is rolled back are forgotten.
 *
 * Owns:	durable.tally
 * Called by: instance_table.c, batch_store.c (differences), fold.c (sums); finished.c
 *			writes the differences of deletions in its own statement
 * Locks:	none; rows that are replaced are deleted by the coordinator only
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
	TALLY_OWNER, TALLY_NAME, TALLY_STATUS, TALLY_RANGE, TALLY_N, TALLY_COLUMNS
};
static DurableTable tally_table = {
	.name = "tally",
	.ncolumns = TALLY_COLUMNS,
	.columns = {
		[TALLY_OWNER] = "owner",
		[TALLY_NAME] = "name",
		[TALLY_STATUS] = "status",
		[TALLY_RANGE] = "range",
		[TALLY_N] = "n"
	}
};
static DurableWritable tally = {
	.table = &tally_table
};

/* When there are so many, those of the current (sub)transaction are written. */
#define ENOUGH_PENDING	256

/* One of the last so many may be for the same as the next one. */
#define LOOK_BACK		8

typedef struct Difference
{
	int			nest_level;		/* of the (sub)transaction that made it */
	Oid			owner;
	char		status;
	int64		range;
	int64		n;
	char	   *name;
}			Difference;

static Difference *pending = NULL;
static int	npending = 0;
static int	allocated = 0;

/*
 * Rows that are replaced: all differences, and the sums that they belong to.  Small
 * numbers of differences are left for the next time.
 */
#define FOLD_FROM		64

static DurableSql fold = {
	.text = "WITH added AS MATERIALIZED ("
	"  SELECT owner, name, range FROM durable.tally WHERE name IS NOT NULL AND range IS NOT NULL),"
	" gone AS (DELETE FROM durable.tally t"
	"  WHERE (SELECT pg_catalog.count(*) FROM added) >= $1 AND ("
	"   (t.name IS NOT NULL AND t.range IS NOT NULL)"
	"   OR (t.range IS NULL AND (t.owner, t.name) IN (SELECT a.owner, a.name FROM added a))"
	"   OR (t.name IS NULL AND t.range IN (SELECT a.range FROM added a)))"
	"  RETURNING t.*),"
	" sums AS (INSERT INTO durable.tally (owner, name, status, range, n)"
	"  SELECT owner, name, status, NULL, pg_catalog.sum(n) FROM gone WHERE name IS NOT NULL"
	"  GROUP BY owner, name, status HAVING pg_catalog.sum(n) <> 0"
	"  UNION ALL"
	"  SELECT NULL, NULL, status, range, pg_catalog.sum(n) FROM gone WHERE range IS NOT NULL"
	"  GROUP BY range, status HAVING pg_catalog.sum(n) <> 0)"
	" SELECT pg_catalog.count(*) FROM gone",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static void count(Oid owner, const char *name, int64 key, char status, int n);
static void make_room(int nest_level);
static void write_from(int first);
static bool is_there(void);
static void register_callbacks(void);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
								  SubTransactionId parent, void *arg);

void
durable_tally_move(Oid owner, const char *name, int64 key, char before, char after)
{
	if (before == after)
		return;
	if (before != '\0')
		count(owner, name, key, before, -1);
	count(owner, name, key, after, 1);
}

static void
count(Oid owner, const char *name, int64 key, char status, int n)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	int64		range = key >> TALLY_RANGE_BITS;
	Difference *difference;

	for (int i = npending - 1; i >= Max(npending - LOOK_BACK, 0); i--)
	{
		difference = &pending[i];
		if (difference->nest_level == nest_level && difference->range == range &&
			difference->status == status && difference->owner == owner &&
			strcmp(difference->name, name) == 0)
		{
			difference->n += n;
			return;
		}
	}

	make_room(nest_level);
	difference = &pending[npending];
	difference->nest_level = nest_level;
	difference->owner = owner;
	difference->status = status;
	difference->range = range;
	difference->n = n;
	difference->name = MemoryContextStrdup(TopTransactionContext, name);
	npending++;
}

/* Rows of this level go when it is rolled back; those of outer levels must not. */
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

/* Those from that place on become rows of the current (sub)transaction. */
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
		const Difference *difference = &pending[i];

		if (difference->n == 0)
			continue;
		durable_writer_set(writer, TALLY_OWNER, ObjectIdGetDatum(difference->owner));
		durable_writer_set_text(writer, TALLY_NAME, difference->name);
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
	Oid			namespace = get_namespace_oid("durable", true);

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
