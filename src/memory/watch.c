/*
 * watch.c
 *		Finds out which watched tables a transaction has changed, when it commits.
 *
 * Owns: watched[] in shared memory, and the watches of the current transaction.
 * Called by: wait_until.c (arms a table), task_unit.c; coordinator.c and watching.c (take
 * the changes); ddl.c (dropped and altered tables).
 * Locks: none; the fields are atomics.
 * Memory: an array in TopMemoryContext that is kept, so that the callback neither
 * allocates nor fails.
 *
 * PostgreSQL counts for its statistics which tables a transaction has inserted, updated,
 * deleted and truncated.  It does so for every kind of statement: COPY, the apply worker
 * of logical replication, foreign key actions and changes of a single partition.  Changes
 * of a savepoint that was rolled back do not count.  So the commit callback reads these
 * counts, and no trigger has to be added to the tables.  A hook reports tables that are
 * dropped or altered.  The changes of a session with track_counts = off are not counted
 * (durable.doctor() reports the setting); they are found at the recheck interval of the
 * wait.
 *
 * An entry is armed by the process that is about to run the query of a wait.  The first
 * commit that changes the table disarms the entry, counts the change and wakes the
 * coordinator, which has the queries of the table run again.  Further commits until then
 * cost only a look at the entry.
 *
 * No change is lost.  The process that runs the query takes the entry's counter, arms it
 * and takes its snapshot, in this order, and compares the counter when its transaction has
 * committed.  A change that the snapshot does not see becomes visible after the entry
 * was armed.  Its callback runs later still, and finds the entry armed, or disarmed by
 * another change.  If it counts before the comparison, or has disarmed the entry, the
 * comparison finds it.  Otherwise the wait is in the table by then, unlocked, and the
 * coordinator finds it there.  After a crash of the server the coordinator has all
 * queries run.
 *
 * Entries are found by open addressing in a few places and have no lock.  An entry that
 * is not armed may be given to another table.  A process that still uses it for the former
 * table reports a change that has not happened, which costs a query.
 */
#include "durable.h"
#include "watch.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "compat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shared.h"
#include "utils/memutils.h"
#include "utils/pgstat_internal.h"

/* The number of places in which an entry may be. */
#define PLACES	8

/* A transaction that drops or alters more tables than this counts as one that has changed all tables. */
#define MAX_ALTERED	64

#define KEY(database, relation)		(((uint64) (database) << 32) | (relation))
#define KEY_DATABASE(key)			((Oid) ((key) >> 32))
#define KEY_RELATION(key)			((Oid) (key))

typedef struct Armed
{
	Oid			relation;
	uint64		changes;		/* before it was armed */
}			Armed;

static Armed *armed = NULL;
static int	narmed = 0;
static int	armed_size = 0;

/* The tables that the running transaction has changed; NULL: it has written nothing. */
static PgStat_SubXactStatus *changes = NULL;

/* The tables that it has dropped or altered, which the statistics do not show. */
static Oid	altered[MAX_ALTERED];
static int	naltered = 0;

/* The process has taken changes, and has to have their queries run. */
static bool taken = false;

static object_access_hook_type next_object_access = NULL;

static WatchEntry *find(Oid relation, bool add);
static void end_of_transaction(XactEvent event, void *arg);
static void report_changes(void);
static void report_change(Oid relation);
static void compare_armed(void);
static void report(WatchEntry *entry);
static void report_all(DurableDatabase *db);
static void note_alteration(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg);

void
durable_watch_install(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	next_object_access = object_access_hook;
	object_access_hook = note_alteration;
}

static void
note_alteration(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (classId == RelationRelationId && subId == 0 && (access == OAT_DROP || access == OAT_POST_ALTER) &&
		durable_shared != NULL)
	{
		if (naltered < MAX_ALTERED)
			altered[naltered] = objectId;
		naltered++;
	}
	if (next_object_access)
		next_object_access(access, classId, objectId, subId, arg);
}

/* NULL: there is none, or no room for it. */
static WatchEntry *
find(Oid relation, bool add)
{
	uint64		key = KEY(MyDatabaseId, relation);
	uint32		home = murmurhash32(relation ^ murmurhash32(MyDatabaseId));

	for (int i = 0; i < PLACES; i++)
	{
		WatchEntry *entry = &durable_shared->watched[(home + i) % DURABLE_MAX_WATCHED];
		uint64		found = pg_atomic_read_u64(&entry->key);

		if (found == key)
			return entry;
		if (found == 0 && !add)
			return NULL;
	}
	for (int i = 0; add && i < PLACES; i++)
	{
		WatchEntry *entry = &durable_shared->watched[(home + i) % DURABLE_MAX_WATCHED];
		uint64		found = pg_atomic_read_u64(&entry->key);

		if (found == key)
			return entry;
		if (pg_atomic_read_u32(&entry->armed) != 0 || pg_atomic_read_u32(&entry->changed) != 0 ||
			!pg_atomic_compare_exchange_u64(&entry->key, &found, key))
			continue;
		/* The entry was armed for its former table meanwhile. */
		if (found != 0 && pg_atomic_read_u32(&entry->armed) != 0)
			report_all(durable_database_find(KEY_DATABASE(found)));
		return entry;
	}
	return NULL;
}

bool
durable_watch_arm(Oid relation)
{
	WatchEntry *entry = find(relation, true);

	if (entry == NULL)
		return false;
	if (narmed == armed_size)
	{
		int			size = armed_size ? armed_size * 2 : 16;

		armed = armed ? repalloc(armed, size * sizeof(Armed)) :
			MemoryContextAlloc(TopMemoryContext, size * sizeof(Armed));
		armed_size = size;
	}
	armed[narmed++] = (Armed) {relation, pg_atomic_read_u64(&entry->changes)};
	if (pg_atomic_exchange_u32(&entry->armed, 1) == 0)
		pg_atomic_fetch_add_u32(&durable_shared->nwatched, 1);

	/* Another process has taken the entry for its table meanwhile. */
	if (pg_atomic_read_u64(&entry->key) != KEY(MyDatabaseId, relation))
	{
		report(entry);
		return false;
	}
	return true;
}

void
durable_watch_forget(void)
{
	narmed = 0;
}

/* --- at the end of a transaction ---------------------------------------------------------- */

static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			/* This exists if changes were counted; otherwise it is created here, because the commit cannot do that. */
			changes = durable_shared != NULL && TransactionIdIsValid(GetTopTransactionIdIfAny()) ?
				pgstat_get_xact_stack_level(1) : NULL;
			return;
		case XACT_EVENT_COMMIT:
			if ((changes != NULL || naltered > 0) && pg_atomic_read_u32(&durable_shared->nwatched) > 0)
				report_changes();
			if (narmed > 0)
				compare_armed();
			break;
		case XACT_EVENT_ABORT:
			if (taken)
				durable_watch_changed_all();
			break;
		default:
			break;
	}
	changes = NULL;
	narmed = naltered = 0;
	taken = false;
}

static void
report_changes(void)
{
	for (PgStat_TableXactStatus *table = changes ? changes->first : NULL; table != NULL; table = table->next)
		report_change(DURABLE_STAT_RELATION(table->parent));
	for (int i = 0; i < Min(naltered, MAX_ALTERED); i++)
		report_change(altered[i]);
	if (naltered > MAX_ALTERED)
		durable_watch_changed_all();
}

static void
report_change(Oid relation)
{
	WatchEntry *entry = find(relation, false);

	if (entry != NULL && pg_atomic_exchange_u32(&entry->armed, 0) != 0)
	{
		pg_atomic_fetch_sub_u32(&durable_shared->nwatched, 1);
		report(entry);
	}
}

/* Has one of the tables changed since this process took its snapshot? */
static void
compare_armed(void)
{
	for (int i = 0; i < narmed; i++)
	{
		WatchEntry *entry = find(armed[i].relation, false);

		if (entry == NULL)
			durable_watch_changed_all();
		else if (pg_atomic_read_u32(&entry->armed) == 0 ||
				 pg_atomic_read_u64(&entry->changes) != armed[i].changes)
			report(entry);
	}
}

static void
report(WatchEntry *entry)
{
	DurableDatabase *db = durable_my_database();

	pg_atomic_fetch_add_u64(&entry->changes, 1);
	pg_atomic_exchange_u32(&entry->changed, 1);
	if (db != NULL)
	{
		pg_atomic_exchange_u32(&db->watch_changed, 1);
		durable_coordinator_wake(db, false);
	}
}

void
durable_watch_changed_all(void)
{
	report_all(durable_shared ? durable_my_database() : NULL);
}

static void
report_all(DurableDatabase *db)
{
	if (db == NULL)
		return;
	pg_atomic_exchange_u32(&db->watch_all, 1);
	pg_atomic_exchange_u32(&db->watch_changed, 1);
	durable_coordinator_wake(db, false);
}

/* --- in the coordinator ------------------------------------------------------------------- */

bool
durable_watch_has_changes(void)
{
	DurableDatabase *db = durable_my_database();

	return db != NULL && pg_atomic_read_u32(&db->watch_changed) != 0;
}

int
durable_watch_take(Oid *relations, int max, bool *all)
{
	DurableDatabase *db = durable_my_database();
	int			n = 0;

	*all = false;
	if (db == NULL || pg_atomic_exchange_u32(&db->watch_changed, 0) == 0)
		return 0;
	taken = true;
	*all = pg_atomic_exchange_u32(&db->watch_all, 0) != 0;
	for (int i = 0; i < DURABLE_MAX_WATCHED; i++)
	{
		WatchEntry *entry = &durable_shared->watched[i];
		uint64		key = pg_atomic_read_u64(&entry->key);

		if (KEY_DATABASE(key) != MyDatabaseId || pg_atomic_read_u32(&entry->changed) == 0)
			continue;
		if (n == max)
		{
			pg_atomic_exchange_u32(&db->watch_changed, 1);
			break;
		}
		relations[n++] = KEY_RELATION(key);
		pg_atomic_exchange_u32(&entry->changed, 0);
	}
	return n;
}

void
durable_watch_put_back(const Oid *relations, int n, bool all)
{
	DurableDatabase *db = durable_my_database();

	if (all)
		report_all(db);
	for (int i = 0; i < n; i++)
	{
		WatchEntry *entry = find(relations[i], false);

		if (entry == NULL)
			report_all(db);
		else
			pg_atomic_exchange_u32(&entry->changed, 1);
	}
	if (db != NULL)
		pg_atomic_exchange_u32(&db->watch_changed, 1);
}
