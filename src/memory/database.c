/*
 * database.c
 *		Entries of databases in shared memory, and the place of each one's coordinator.
 *
 * Owns: databases[] in shared memory.
 * Called by: launcher, coordinators and workers, through shared.h; owners.c, ddl.c; slot.c
 *			and other files of this folder.
 * Locks: the LWLock guards the assignment of entries to databases, an entry's spinlock
 * the other fields; see shared.h.
 * Memory: a fixed part of shared memory.
 *
 * The contents may be lost: after a crash restart the launcher looks at every database
 * again.
 *
 *		UNUSED --launcher saw the database--> UNKNOWN --coordinator looked--> ABSENT or ACTIVE
 *		ACTIVE --coordinator looked again--> ABSENT
 *		ABSENT --CREATE EXTENSION committed, see "examine"--> UNKNOWN
 *		any --database is gone--> UNUSED
 *
 * An entry of an ABSENT database may be given to another one when there is no free entry;
 * the launcher has a list of its own of these databases.
 */
#include "durable.h"
#include "shared.h"

#include <signal.h>

#include "clock.h"
#include "utils/timestamp.h"

/* A coordinator that has run for so long, in ms, ends a series of failures. */
#define LASTED_MS	(5 * 60 * 1000)

/* The place where durable_my_database found its entry last time; the entry is checked at each use. */
static DurableDatabase *my_database = NULL;

static void take_entry(DurableDatabase *db, Oid database);
static void wake(DurableDatabase *db, bool look, bool admit);

void
durable_database_init(void)
{
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];

		SpinLockInit(&db->mutex);
		pg_atomic_init_u64(&db->slots, 0);
		pg_atomic_init_u64(&db->generation, 1);
		pg_atomic_init_u64(&db->clock_offset, 0);
		pg_atomic_init_u64(&db->newest_key, 0);
		pg_atomic_init_u32(&db->flags, 0);
		pg_atomic_init_u32(&db->watch_changed, 0);
		pg_atomic_init_u32(&db->watch_all, 0);
	}
}

/*
 * The lock is not needed: an Oid is read atomically, and a process that looks for its
 * own database finds the entry or will look again.
 */
DurableDatabase *
durable_database_find(Oid database)
{
	if (durable_shared == NULL || !OidIsValid(database))
		return NULL;
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];

		if (*(volatile Oid *) &db->database == database)
			return db;
	}
	return NULL;
}

DurableDatabase *
durable_my_database(void)
{
	if (my_database && *(volatile Oid *) &my_database->database == MyDatabaseId)
		return my_database;
	my_database = durable_database_find(MyDatabaseId);
	return my_database;
}

DurableDatabase *
durable_database_add(Oid database)
{
	DurableDatabase *db;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	db = durable_database_find(database);
	if (db == NULL)
	{
		DurableDatabase *free_entry = NULL;
		DurableDatabase *absent_entry = NULL;

		for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
		{
			DurableDatabase *entry = &durable_shared->databases[i];

			if (entry->state == DATABASE_UNUSED && free_entry == NULL)
				free_entry = entry;
			if (entry->state == DATABASE_ABSENT && entry->coordinator == COORDINATOR_NONE &&
				pg_atomic_read_u64(&entry->slots) == 0 && entry->stop_until == 0)
				absent_entry = entry;
		}
		db = free_entry ? free_entry : absent_entry;
		if (db)
			take_entry(db, database);
	}
	LWLockRelease(durable_shared->lock);
	return db;
}

/* Under the LWLock. */
static void
take_entry(DurableDatabase *db, Oid database)
{
	pg_atomic_write_u32(&db->watch_all, 1);
	pg_atomic_write_u32(&db->watch_changed, 1);
	SpinLockAcquire(&db->mutex);
	db->database = database;
	db->state = DATABASE_UNKNOWN;
	db->coordinator = COORDINATOR_NONE;
	db->coordinator_pid = 0;
	db->coordinator_latch = NULL;
	db->coordinator_started = 0;
	db->coordinator_failures = 0;
	db->coordinator_sleeps_until = DT_NOEND;
	db->coordinator_left = false;
	db->coordinator_asked = false;
	db->coordinator_quiet_since = 0;
	db->coordinator_awaited_since = 0;
	db->look = false;
	db->admit = false;
	db->examine = false;
	db->nwanted = 0;
	db->nexits = 0;
	db->stop_until = 0;
	db->short_since = 0;
	db->problem_owner = InvalidOid;
	db->looked_at = 0;
	pg_atomic_write_u32(&db->flags, 0);
	pg_atomic_write_u64(&db->clock_offset, 0);
	pg_atomic_fetch_add_u64(&db->generation, 1);
	SpinLockRelease(&db->mutex);
}

void
durable_database_set_state(DurableDatabase *db, DatabaseState state)
{
	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	if (db->state != DATABASE_UNUSED)
	{
		SpinLockAcquire(&db->mutex);
		db->state = state;
		if (state == DATABASE_ABSENT)
			pg_atomic_write_u64(&db->clock_offset, 0);
		SpinLockRelease(&db->mutex);
	}
	LWLockRelease(durable_shared->lock);
}

/* The database has been dropped; its entry is freed when its processes have ended. */
void
durable_database_forget(DurableDatabase *db, Oid database)
{
	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	if (db->database == database && db->coordinator == COORDINATOR_NONE &&
		pg_atomic_read_u64(&db->slots) == 0)
	{
		SpinLockAcquire(&db->mutex);
		db->state = DATABASE_UNUSED;
		db->database = InvalidOid;
		db->short_since = 0;
		SpinLockRelease(&db->mutex);
	}
	LWLockRelease(durable_shared->lock);
}

void
durable_database_stop(DurableDatabase *db, TimestampTz until)
{
	SpinLockAcquire(&db->mutex);
	db->stop_until = until;
	SpinLockRelease(&db->mutex);
}

bool
durable_database_stopping(DurableDatabase *db)
{
	TimestampTz until;

	SpinLockAcquire(&db->mutex);
	until = db->stop_until;
	SpinLockRelease(&db->mutex);
	return until != 0 && GetCurrentTimestamp() < until;
}

/* Requests a worker for an owner that has work and no free worker.  Callable after commit. */
void
durable_database_want(DurableDatabase *db, Oid owner)
{
	int			i;
	bool		known;

	/* A paused coordinator cannot start workers, and looks at the tables when it is resumed. */
	if ((pg_atomic_read_u32(&db->flags) & DATABASE_PAUSED) != 0)
		return;

	SpinLockAcquire(&db->mutex);
	for (i = 0; i < db->nwanted; i++)
		if (db->wanted[i] == owner)
			break;
	known = i < db->nwanted;
	if (!known)
	{
		if (i < DURABLE_MAX_WANTED)
			db->wanted[db->nwanted++] = owner;
		else
			db->look = true;	/* the coordinator finds the owner in the tables */
	}
	SpinLockRelease(&db->mutex);

	/* The first process that requested this has woken the coordinator, which takes all requests before it sleeps. */
	if (!known)
		durable_coordinator_wake(db, false);
}

/* The extension was created or dropped.  Callable after commit. */
void
durable_database_examine(DurableDatabase *db)
{
	SpinLockAcquire(&db->mutex);
	db->examine = true;
	db->look = true;
	SpinLockRelease(&db->mutex);
	durable_coordinator_wake(db, true);
	durable_launcher_wake();
}

/* Callable after commit.  If there is no coordinator, the launcher is woken. */
void
durable_coordinator_wake(DurableDatabase *db, bool look)
{
	wake(db, look, false);
}

/* The same, for work that waits in queues. */
void
durable_coordinator_wake_to_admit(DurableDatabase *db)
{
	wake(db, false, true);
}

static void
wake(DurableDatabase *db, bool look, bool admit)
{
	Latch	   *latch;

	SpinLockAcquire(&db->mutex);
	latch = db->coordinator_latch;
	if (admit)
		db->admit = true;
	if (look || latch == NULL)
		db->look = true;
	SpinLockRelease(&db->mutex);
	if (latch)
		SetLatch(latch);
	else
		durable_launcher_wake();
}

void
durable_launcher_wake(void)
{
	Latch	   *latch;

	SpinLockAcquire(&durable_shared->launcher_mutex);
	latch = durable_shared->launcher_latch;
	SpinLockRelease(&durable_shared->launcher_mutex);

	/* The launcher must not wake itself: it would never sleep then. */
	if (latch && latch != MyLatch)
		SetLatch(latch);
}

void
durable_launcher_rescan(void)
{
	SpinLockAcquire(&durable_shared->launcher_mutex);
	durable_shared->rescan = true;
	SpinLockRelease(&durable_shared->launcher_mutex);
	durable_launcher_wake();
}

bool
durable_coordinator_reserve(DurableDatabase *db, TimestampTz *started)
{
	bool		ours;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	ours = db->coordinator == COORDINATOR_NONE && db->state != DATABASE_UNUSED;
	if (ours)
	{
		*started = GetCurrentTimestamp();
		SpinLockAcquire(&db->mutex);
		db->coordinator = COORDINATOR_STARTING;
		db->coordinator_asked = false;
		db->coordinator_awaited_since = 0;
		db->coordinator_started = *started;
		SpinLockRelease(&db->mutex);
	}
	LWLockRelease(durable_shared->lock);
	return ours;
}

void
durable_coordinator_release(DurableDatabase *db, TimestampTz started, bool failed)
{
	bool		lasted = durable_clock_passed(started, GetCurrentTimestamp(), LASTED_MS);

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	if (db->coordinator != COORDINATOR_NONE && db->coordinator_started == started)
	{
		SpinLockAcquire(&db->mutex);
		db->coordinator = COORDINATOR_NONE;
		db->coordinator_pid = 0;
		db->coordinator_latch = NULL;
		db->coordinator_failures = !failed ? 0 : lasted ? 1 : db->coordinator_failures + 1;
		db->short_since = 0;
		SpinLockRelease(&db->mutex);
	}
	LWLockRelease(durable_shared->lock);
	durable_launcher_wake();
}

/* Called before the coordinator connects, like durable_slot_attach. */
bool
durable_coordinator_attach(DurableDatabase *db, Oid database, TimestampTz started)
{
	bool		ours;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	ours = db->database == database && db->coordinator == COORDINATOR_STARTING &&
		db->coordinator_started == started;
	if (ours)
	{
		SpinLockAcquire(&db->mutex);
		db->coordinator = COORDINATOR_RUNNING;
		db->coordinator_pid = MyProcPid;
		db->coordinator_latch = MyLatch;
		db->coordinator_sleeps_until = DT_NOEND;
		db->coordinator_left = false;
		db->coordinator_asked = false;
		db->coordinator_quiet_since = 0;
		db->look = true;
		SpinLockRelease(&db->mutex);
	}
	LWLockRelease(durable_shared->lock);
	return ours;
}

/*
 * A process that is reserved but has not attached yet does not count: it will see
 * that the database is stopping when it attaches.
 */
int
durable_database_terminate(DurableDatabase *db, int *pids)
{
	uint64		slots = pg_atomic_read_u64(&db->slots);
	int			n = 0;
	int			pid;

	SpinLockAcquire(&db->mutex);
	pid = db->coordinator_pid;
	SpinLockRelease(&db->mutex);
	if (pid != 0)
		(void) kill(pid, SIGTERM);
	if (pid != 0 && pids)
		pids[n] = pid;
	n += pid != 0;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if ((slots & SLOT_BIT(i)) == 0)
			continue;
		SpinLockAcquire(&slot->mutex);
		pid = slot->database == db->database ? slot->pid : 0;
		SpinLockRelease(&slot->mutex);
		if (pid != 0)
			(void) kill(pid, SIGTERM);
		if (pid != 0 && pids)
			pids[n] = pid;
		n += pid != 0;
	}
	return n;
}
