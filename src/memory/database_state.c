/*
 * database_state.c
 *		The state of this process's database, for the layers above.
 *
 * Owns: the flags of an entry: whether the engine is paused or held.
 * Called by: client API, doctor.c, engine.c, registry.c, coordinator.c.
 * Locks: the LWLock and the entry's spinlock, to read; the flags are atomic.
 * Memory: none.
 */
#include "durable.h"
#include "shared.h"


bool
durable_database_info(DurableDatabaseInfo *info)
{
	DurableDatabase *db;

	durable_shmem_require();
	memset(info, 0, sizeof(*info));
	info->workers_total = durable_slots_used();
	SpinLockAcquire(&durable_shared->launcher_mutex);
	info->launcher_pid = durable_shared->launcher_pid;
	SpinLockRelease(&durable_shared->launcher_mutex);

	LWLockAcquire(durable_shared->lock, LW_SHARED);
	info->refused_at = durable_shared->refused_at;
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		info->databases += durable_shared->databases[i].state == DATABASE_ACTIVE;
		info->coordinators += durable_shared->databases[i].coordinator != COORDINATOR_NONE;
	}
	LWLockRelease(durable_shared->lock);
	info->coordinator_limit = durable_coordinator_limit();

	db = durable_my_database();
	if (db == NULL)
		return false;

	SpinLockAcquire(&db->mutex);
	info->state = db->state;
	info->coordinator_pid = db->coordinator_pid;
	info->short_since = db->short_since;
	info->coordinator_left = db->coordinator_left && db->coordinator == COORDINATOR_NONE;
	info->coordinator_back_at = db->coordinator_sleeps_until;
	info->coordinator_awaited_since = db->coordinator_awaited_since;
	info->problem_owner = db->problem_owner;
	info->looked_at = db->looked_at;
	SpinLockRelease(&db->mutex);

	info->stopping = durable_database_stopping(db);
	info->paused = (pg_atomic_read_u32(&db->flags) & DATABASE_PAUSED) != 0;
	info->held = (HeldReason) (pg_atomic_read_u32(&db->flags) & 0xff);
	info->workers = __builtin_popcountll(pg_atomic_read_u64(&db->slots));
	return true;
}

bool
durable_database_paused(void)
{
	DurableDatabase *db = durable_my_database();

	return db != NULL && (pg_atomic_read_u32(&db->flags) & DATABASE_STATE) != 0;
}

void
durable_database_set_paused(bool paused)
{
	DurableDatabase *db = durable_my_database();
	uint32		flags;
	uint32		changed;

	if (db == NULL)
		return;
	flags = pg_atomic_read_u32(&db->flags);
	do
	{
		changed = (flags & ~DATABASE_PAUSED) | (paused ? DATABASE_PAUSED : 0);
		changed += DATABASE_STATE + 1;
	} while (!pg_atomic_compare_exchange_u32(&db->flags, &flags, changed));
}

uint32
durable_database_flags(void)
{
	DurableDatabase *db = durable_my_database();

	return db ? pg_atomic_read_u32(&db->flags) : 0;
}

void
durable_database_set_flags(uint32 flags, bool paused, uint32 held)
{
	DurableDatabase *db = durable_my_database();

	if (db)
		(void) pg_atomic_compare_exchange_u32(&db->flags, &flags,
											  (flags & ~DATABASE_STATE) | held | (paused ? DATABASE_PAUSED : 0));
}

void
durable_database_look(void)
{
	DurableDatabase *db = durable_my_database();

	if (db && db->state == DATABASE_ACTIVE)
		durable_coordinator_wake(db, true);
}

/* The generation is never 0, so that 0 can stand for an empty cache. */
uint64
durable_database_generation(void)
{
	DurableDatabase *db = durable_my_database();

	return db ? pg_atomic_read_u64(&db->generation) : 1;
}
