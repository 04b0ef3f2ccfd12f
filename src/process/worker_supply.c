/*
 * worker_supply.c
 *		Starts workers for the owners that need them; a part of the coordinator.
 *
 * Owns: reserving slots; the handles of the processes it has registered.
 * Called by: coordinator.c only.
 * Locks: the LWLock of shared memory inside the functions of slot.c, spinlocks.
 * Memory: handles in TopMemoryContext until the process has attached.
 *
 * owners.c decides which owners need a worker.  When all workers that
 * durable.max_workers allows are taken, an idle worker of another owner is asked to
 * exit, or a busy one of an owner that has several, or one that has used its time
 * slice.  For a further worker of an owner that has one already, only a worker that has
 * been idle for a while is asked.  Workers ask no other process and hold no resources,
 * so they exit within a batch, unless they are in a long activity.
 */
#include "durable.h"
#include "worker_supply.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "clock.h"
#include "guc.h"
#include "postmaster/bgworker.h"
#include "shared.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "process.h"

/* Microseconds. */
#define ROLE_RETRY			(5 * USECS_PER_SEC)

/* Milliseconds. */
#define TIME_SLICE			200		/* time slice of a worker of a busy owner when others wait */
#define SPARE_AFTER			1000	/* a worker idle for this time exits for another owner's second */
#define SHORTAGE_POLL		50
#define NO_PROCESS_DELAY	2000
#define LEAVES_WITHIN		1000	/* a worker that was asked to exit does so, unless its batch is stuck */

/* Workers that were registered and have not attached yet. */
typedef struct Start
{
	BackgroundWorkerHandle *handle;
	uint32		generation;
}			Start;

static Start starts[DURABLE_MAX_SLOTS];

static void reap(void);
static void dismiss(bool all);
static int	by_need(const void *a, const void *b);
static bool role_can_work(Owner *owner);
static bool start_worker(Owner *owner, Need need, long *ms);
static bool make_do(Owner *owner, Need need, long *ms);
static void make_room(Oid owner, Need need, int nwaiting);
static int	count_all_workers(Oid database, Oid owner);

/*
 * Does one round.  running is false when the engine is paused, held or switched off.
 */
long
durable_supply_workers(bool running)
{
	long		next = durable_recheck_interval;
	int			n = 0;
	int			nwaiting = 0;
	bool		shortage = false;
	Owner	  **needing;
	Owner	   *owner;
	HASH_SEQ_STATUS scan;

	reap();
	durable_slot_release_lost(durable_my_database());
	durable_owners_take_requests();
	if (durable_slot_press_cancels(durable_my_database()))
		next = Min(next, 1000);
	if (!running || durable_max_workers == 0)
	{
		dismiss(true);
		durable_owners_scan(&scan);
		while ((owner = hash_seq_search(&scan)) != NULL)
			owner->wanted = false;
		return next;
	}
	dismiss(false);

	/* The owner that has waited longest comes first. */
	needing = palloc(durable_owners_count() * sizeof(Owner *) + 1);
	durable_owners_scan(&scan);
	while ((owner = hash_seq_search(&scan)) != NULL)
	{
		long		ms = next;

		owner->need = durable_owner_need(owner, &ms);
		if (owner->need != NEEDS_NOTHING)
			needing[n++] = owner;
		if (owner->need != NEEDS_WORKER)
			owner->waits_since = 0;
		next = Min(next, ms);
	}
	qsort(needing, n, sizeof(Owner *), by_need);
	for (int i = 0; i < n; i++)
	{
		long		ms = next;

		owner = needing[i];
		shortage |= owner->need == NEEDS_WORKER;

		/*
		 * A slot that becomes free during this round belongs to the first owner
		 * that found none: the next round serves that one first.
		 */
		if (nwaiting == 0)
		{
			if (!start_worker(owner, owner->need, &ms))
				make_room(owner->owner, owner->need, ++nwaiting);
		}
		else if (owner->need == NEEDS_WORKER && role_can_work(owner))
		{
			if (owner->waits_since == 0)
				owner->waits_since = GetCurrentTimestamp();
			make_room(owner->owner, owner->need, ++nwaiting);
		}
		next = Min(next, ms);
	}
	if (!shortage)
		durable_slot_no_shortage();
	return next;
}

static int
by_need(const void *a, const void *b)
{
	const Owner *owner_a = *(Owner *const *) a;
	const Owner *owner_b = *(Owner *const *) b;

	/* 0 has not waited yet */
	TimestampTz since_a = owner_a->waits_since ? owner_a->waits_since : DT_NOEND;
	TimestampTz since_b = owner_b->waits_since ? owner_b->waits_since : DT_NOEND;

	if (owner_a->need != owner_b->need)
		return owner_a->need > owner_b->need ? -1 : 1;
	return since_a < since_b ? -1 : since_a > since_b;
}

/* --- coming and going ------------------------------------------------------------------- */

/* A process that never attached cannot release its slot. */
static void
reap(void)
{
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		pid_t		pid;

		if (starts[i].handle == NULL)
			continue;
		switch (GetBackgroundWorkerPid(starts[i].handle, &pid))
		{
			case BGWH_NOT_YET_STARTED:
				break;
			case BGWH_STARTED:
				/* The process either attaches or ends. */
				if (durable_shared->slots[i].generation == starts[i].generation &&
					durable_shared->slots[i].state == SLOT_STARTING)
					break;
				pfree(starts[i].handle);
				starts[i].handle = NULL;
				break;
			case BGWH_STOPPED:
			case BGWH_POSTMASTER_DIED:
				durable_slot_release(i, starts[i].generation, EXIT_NOT_STARTED);
				pfree(starts[i].handle);
				starts[i].handle = NULL;
				break;
		}
	}
}

/* Asks workers to exit: all of ours, or the number that exceeds the limit. */
static void
dismiss(bool all)
{
	DurableDatabase *db = durable_my_database();
	uint64		slots = pg_atomic_read_u64(&db->slots);
	int			excess = durable_slots_used() - durable_max_workers;

	for (int i = 0; i < DURABLE_MAX_SLOTS && (all || excess > 0); i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if ((slots & SLOT_BIT(i)) == 0)
			continue;
		if (!slot->leave)
			durable_slot_ask_to_leave(i, slot->generation);
		excess--;
	}
}

/*
 * The role was dropped, or a worker cannot connect as it.  Then no further worker is
 * started for it again and again, and the instances stay as they are.
 */
static bool
role_can_work(Owner *owner)
{
	DurableDatabase *db = durable_my_database();
	MemoryContext context = CurrentMemoryContext;
	HeapTuple	tuple;
	bool		exists;
	bool		can_login = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner->owner));
	exists = HeapTupleIsValid(tuple);
	if (exists)
	{
		can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
		owner->name = ((Form_pg_authid) GETSTRUCT(tuple))->rolname;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	SpinLockAcquire(&db->mutex);
	if (exists && can_login)
	{
		if (db->problem_owner == owner->owner)
			db->problem_owner = InvalidOid;
	}
	else
		db->problem_owner = owner->owner;
	SpinLockRelease(&db->mutex);

	if (exists && can_login)
	{
		owner->problem_logged = false;
		return true;
	}
	if (!owner->problem_logged)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 exists ? errmsg("workflows of role \"%s\" cannot run because the role is not permitted to log in",
								 NameStr(owner->name))
				 : errmsg("workflows of role %u cannot run because the role does not exist", owner->owner),
				 errhint("Use durable.doctor() to see the affected instances.")));
	owner->problem_logged = true;
	owner->not_before = GetCurrentTimestamp() + ROLE_RETRY;
	owner->failures = Max(owner->failures, 1);	/* and no commit changes that */
	return false;
}

/* --- starting ----------------------------------------------------------------------------- */

/* Returns false when there is no slot. */
static bool
start_worker(Owner *owner, Need need, long *ms)
{
	DurableDatabase *db = durable_my_database();
	WorkerStart start;
	BackgroundWorker worker;
	MemoryContext old;
	bool		registered;
	TimestampTz now = GetCurrentTimestamp();

	if (!role_can_work(owner))
		return true;

	memset(&start, 0, sizeof(start));
	start.database = MyDatabaseId;
	start.owner = owner->owner;
	start.slot = durable_slot_reserve(db, owner->owner, owner->solo, need == NEEDS_WORKER,
									  &start.generation);
	if (start.slot < 0)
	{
		if (need == NEEDS_WORKER)
		{
			if (owner->waits_since == 0)
				owner->waits_since = now;
			*ms = Min(*ms, SHORTAGE_POLL);
		}
		return false;
	}

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "durable");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "durable_worker_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "durable worker of %s", NameStr(owner->name));
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "durable worker");
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "WorkerStart is too large");
	memcpy(worker.bgw_extra, &start, sizeof(start));

	if (starts[start.slot].handle)
		pfree(starts[start.slot].handle);	/* of a process that has exited long ago */
	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &starts[start.slot].handle);
	MemoryContextSwitchTo(old);
	starts[start.slot].generation = start.generation;

	if (!registered)
	{
		starts[start.slot].handle = NULL;
		durable_slot_withdraw(start.slot, start.generation);
		return make_do(owner, need, ms);
	}
	elog(DEBUG1, "starting a worker of role %u in slot %d", owner->owner, start.slot);
	owner->wanted = false;
	owner->solo = false;
	owner->waits_since = 0;
	owner->started_at = now;
	return true;
}

/*
 * The server has no free worker process.  An idle coordinator makes room.  If there is
 * none, the present workers share the work, as with durable.max_workers.  Returns the
 * same as start_worker.
 */
static bool
make_do(Owner *owner, Need need, long *ms)
{
	int			workers = durable_slots_used();
	bool		room_is_made = need == NEEDS_WORKER && durable_coordinator_make_room(durable_my_database(), false);

	durable_process_refused(workers);
	if (room_is_made || workers > 0)
	{
		if (need == NEEDS_WORKER && owner->waits_since == 0)
			owner->waits_since = GetCurrentTimestamp();
		*ms = Min(*ms, SHORTAGE_POLL);
		return room_is_made;
	}
	owner->not_before = GetCurrentTimestamp() + NO_PROCESS_DELAY * 1000;
	owner->failures = Max(owner->failures, 1);
	*ms = Min(*ms, NO_PROCESS_DELAY);
	return true;
}

/*
 * Asks a worker of any database to exit for that owner: an idle one of another
 * owner, else a busy one whose owner has more than one, else a busy one that has used
 * its time slice.  It asks no more workers than owners wait, which are nwaiting up to
 * this one.  A worker whose batch is stuck does not exit soon, so it does not count.
 *
 * For a further worker of an owner no worker has to exit that works or may be about
 * to: the next workflow of an owner without a worker waits for a process to start.
 */
static void
make_room(Oid owner, Need need, int nwaiting)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz best_since = DT_NOEND;
	int			best_rank = 0;
	int			best = -1;
	int			nleaving = 0;
	uint32		best_generation = 0;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		Oid			database;
		Oid			its_owner;
		SlotState	state;
		bool		leaving;
		TimestampTz started_at;
		TimestampTz state_since;
		TimestampTz since;
		uint32		generation;
		int			rank = 0;

		SpinLockAcquire(&slot->mutex);
		database = slot->database;
		its_owner = slot->owner;
		state = slot->state;
		leaving = slot->leave;
		started_at = slot->started_at;
		state_since = slot->state_since;
		since = state == SLOT_IDLE ? state_since : started_at;
		generation = slot->generation;
		SpinLockRelease(&slot->mutex);

		/* A worker that has just connected is about to run its first batch. */
		if (state == SLOT_IDLE && pg_atomic_read_u64(&slot->units) == 0)
			state = SLOT_STARTING;
		if (leaving)
		{
			if (state == SLOT_IDLE || state == SLOT_STARTING ||
				((state == SLOT_BATCH || state == SLOT_TASK) && !durable_clock_passed(state_since, now, LEAVES_WITHIN)))
				nleaving++;
			continue;
		}
		if (database == MyDatabaseId && its_owner == owner)
			continue;
		if (need == NEEDS_PEER)
			rank = state == SLOT_IDLE && durable_clock_passed(since, now, SPARE_AFTER) ? 3 : 0;
		else if (state == SLOT_IDLE)
			rank = 3;
		else if (state == SLOT_BATCH && count_all_workers(database, its_owner) > 1)
			rank = 2;
		else if ((state == SLOT_BATCH || state == SLOT_TASK) && durable_clock_passed(started_at, now, TIME_SLICE))
			rank = 1;
		if (rank > best_rank || (rank == best_rank && rank > 0 && since < best_since))
		{
			best = i;
			best_rank = rank;
			best_since = since;
			best_generation = generation;
		}
	}
	if (best >= 0 && nleaving < nwaiting)
	{
		elog(DEBUG1, "role %u waits for the worker in slot %d", owner, best);
		durable_slot_ask_to_leave(best, best_generation);
	}
}

/* Read without a lock: a wrong answer makes the choice slightly less fair. */
static int
count_all_workers(Oid database, Oid owner)
{
	int			n = 0;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
		if (durable_shared->slots[i].owner == owner && durable_shared->slots[i].database == database)
			n++;
	return n;
}
