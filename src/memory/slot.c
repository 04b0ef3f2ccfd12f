/*
 * slot.c
 *		Slots of workers: the owner for which a worker runs, and its hints.
 *
 * Owns: slots[] in shared memory, and the bitmaps of slots in the databases.
 * Called by: coordinators (reserve, ask to leave), the launcher (release), workers (the
 * rest), wakeup.c.
 * Locks: the LWLock to reserve and release, the slot's spinlock for the rest.
 * Memory: none.
 *
 *		UNUSED --coordinator reserves--> STARTING --worker attaches--> IDLE
 *		IDLE <--> BATCH, IDLE <--> TASK, BATCH <--> TASK
 *		any --process exit, or it never came to life--> UNUSED
 *
 * A reservation has a generation.  A process that acts on a slot because of something
 * it learned earlier names the generation: a slot that was released and reserved again
 * has another one.
 *
 * Hints.  A committing session lowers the hints of all slots of that owner and sets
 * the latch of one idle worker.  A worker takes its hints before each unit, and
 * durable_slot_sleep looks at them once more under the spinlock in which it becomes
 * IDLE: a hint given before is found there, and a process that gives one later sees an
 * idle worker.
 *
 * slot_task.c has the functions for tasks and for cancelling them; slot_look.c has those
 * that read all slots without changing any.
 */
#include "durable.h"
#include "shared.h"

#include "clock.h"
#include "guc.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

/* Number of full batches in a row after which another worker is started. */
#define BATCHES_BEFORE_PEER 3

static DurableSlot *my_slot = NULL;
static uint32 my_generation = 0;
static int	full_batches = 0;

/* How this worker ends, as it has reported itself. */
static volatile sig_atomic_t terminated = false;
static bool ended_idle = false;

static void set_short_since(DurableDatabase *db, TimestampTz since);
static void free_slot(int slotno);
static void detach(int code, Datum arg);

void
durable_slot_init(void)
{
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		SpinLockInit(&slot->mutex);
		pg_atomic_init_u64(&slot->units, 0);
		pg_atomic_init_u64(&slot->turns, 0);
		pg_atomic_init_u64(&slot->activities, 0);
	}
}

/* --- coordinator ------------------------------------------------------------------ */

/*
 * Reserves a free slot for that owner.  Returns -1 if there are durable.max_workers workers,
 * or as many as the server has processes for, or if a database that has been waiting for
 * longer should get the slot.  in_need means that the owner has no worker, so this database
 * waits from now on if there is no slot.
 */
int
durable_slot_reserve(DurableDatabase *db, Oid owner, bool solo, bool in_need, uint32 *generation)
{
	TimestampTz now = GetCurrentTimestamp();
	int			used = 0;
	int			ahead = 0;
	int			limit;
	int			result = -1;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
		if (durable_shared->slots[i].state != SLOT_UNUSED)
			used++;
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *other = &durable_shared->databases[i];

		if (other != db && other->state == DATABASE_ACTIVE && other->short_since != 0 &&
			other->coordinator == COORDINATOR_RUNNING &&
			(!in_need || db->short_since == 0 || other->short_since < db->short_since))
			ahead++;
	}

	limit = durable_max_workers;
	if (GetCurrentTimestamp() < durable_shared->worker_cap_until)
		limit = Min(limit, durable_shared->worker_cap);
	for (int i = 0; i < DURABLE_MAX_SLOTS && used + ahead < limit; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if (slot->state != SLOT_UNUSED)
			continue;

		SpinLockAcquire(&slot->mutex);
		slot->state = SLOT_STARTING;
		slot->generation++;
		slot->database_index = db - durable_shared->databases;
		slot->database = db->database;
		slot->owner = owner;
		slot->solo = solo;
		slot->pid = 0;
		slot->latch = NULL;
		slot->connected = false;
		slot->leave = false;
		slot->task_allowed = false;
		slot->task_denied = false;
		slot->sleeps_until = DT_NOEND;
		slot->started_at = slot->state_since = now;
		slot->signallers = 0;
		slot->light_at = 0;
		slot->task_key = 0;
		slot->task = 0;
		slot->cancel = CANCEL_NONE;
		EVERYTHING_NEW(slot);
		SpinLockRelease(&slot->mutex);
		pg_atomic_write_u64(&slot->units, 0);
		pg_atomic_write_u64(&slot->turns, 0);
		pg_atomic_write_u64(&slot->activities, 0);

		*generation = slot->generation;
		pg_atomic_fetch_or_u64(&db->slots, SLOT_BIT(i));
		result = i;
		break;
	}

	if (in_need && result >= 0)
		set_short_since(db, 0);
	else if (in_need && db->short_since == 0)
		set_short_since(db, now);
	LWLockRelease(durable_shared->lock);
	return result;
}

/* Under the LWLock. */
static void
set_short_since(DurableDatabase *db, TimestampTz since)
{
	SpinLockAcquire(&db->mutex);
	db->short_since = since;
	SpinLockRelease(&db->mutex);
}

/*
 * Ends a reservation.  The worker calls this at its exit, or the coordinator if the
 * process was never started.
 */
void
durable_slot_release(int slotno, uint32 generation, WorkerExit how)
{
	DurableSlot *slot = &durable_shared->slots[slotno];
	DurableDatabase *db = NULL;
	Oid			owner = InvalidOid;
	Latch	   *short_of_workers[DURABLE_MAX_DATABASES];
	Latch	   *peers[DURABLE_MAX_SLOTS];
	int			nshort = 0;
	int			npeers = 0;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	if (slot->state != SLOT_UNUSED && slot->generation == generation)
	{
		db = &durable_shared->databases[slot->database_index];
		owner = slot->owner;
		free_slot(slotno);
		if (how == EXIT_LOST || how == EXIT_FAILED || how == EXIT_BY_CODE)
			npeers = durable_slot_tell_peers(db, owner, peers);

		SpinLockAcquire(&db->mutex);
		if (db->nexits < MAX_EXITS)
			db->exits[db->nexits++] = (WorkerExitReport) {owner, how};
		SpinLockRelease(&db->mutex);

		for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
		{
			DurableDatabase *other = &durable_shared->databases[i];

			if (other == db || other->short_since == 0)
				continue;
			SpinLockAcquire(&other->mutex);
			if (other->coordinator_latch)
				short_of_workers[nshort++] = other->coordinator_latch;
			SpinLockRelease(&other->mutex);
		}
	}
	LWLockRelease(durable_shared->lock);

	for (int i = 0; i < nshort; i++)
		SetLatch(short_of_workers[i]);
	for (int i = 0; i < npeers; i++)
		SetLatch(peers[i]);
	if (db)
	{
		/* The work that it has not finished is in the tables. */
		durable_coordinator_wake(db, true);
		durable_task_wake_denied();
	}
}

/* There is a reservation but no process for it, so this is not a failure of a worker. */
void
durable_slot_withdraw(int slotno, uint32 generation)
{
	DurableSlot *slot = &durable_shared->slots[slotno];

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	if (slot->state == SLOT_STARTING && slot->generation == generation)
		free_slot(slotno);
	LWLockRelease(durable_shared->lock);
}

/*
 * Releases reservations of a coordinator that has ended before their processes attached.
 * No other process would ever release them.
 */
void
durable_slot_release_lost(DurableDatabase *db)
{
	uint64		slots = pg_atomic_read_u64(&db->slots);
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		uint32		generation;
		bool		lost;

		if ((slots & SLOT_BIT(i)) == 0 || slot->state != SLOT_STARTING)
			continue;
		SpinLockAcquire(&slot->mutex);
		generation = slot->generation;
		lost = slot->state == SLOT_STARTING && slot->pid == 0 && slot->database == db->database &&
			durable_clock_passed(slot->started_at, now, DURABLE_START_TIMEOUT);
		SpinLockRelease(&slot->mutex);
		if (lost)
			durable_slot_release(i, generation, EXIT_NOT_STARTED);
	}
}

/* Under the LWLock. */
static void
free_slot(int slotno)
{
	DurableSlot *slot = &durable_shared->slots[slotno];

	pg_atomic_fetch_and_u64(&durable_shared->databases[slot->database_index].slots,
							~SLOT_BIT(slotno));
	SpinLockAcquire(&slot->mutex);
	slot->state = SLOT_UNUSED;
	slot->database = InvalidOid;
	slot->owner = InvalidOid;
	slot->pid = 0;
	slot->latch = NULL;
	slot->task_key = 0;
	slot->task_allowed = false;
	slot->task_denied = false;
	SpinLockRelease(&slot->mutex);
}

void
durable_slot_no_shortage(void)
{
	DurableDatabase *db = durable_my_database();

	if (db->short_since == 0)
		return;
	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	set_short_since(db, 0);
	LWLockRelease(durable_shared->lock);
}

void
durable_slot_ask_to_leave(int slotno, uint32 generation)
{
	DurableSlot *slot = &durable_shared->slots[slotno];
	Latch	   *latch = NULL;

	SpinLockAcquire(&slot->mutex);
	if (slot->state != SLOT_UNUSED && slot->generation == generation)
	{
		slot->leave = true;
		latch = slot->latch;
	}
	SpinLockRelease(&slot->mutex);
	if (latch)
		SetLatch(latch);
}

int
durable_slots_used(void)
{
	int			used = 0;

	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
		used += __builtin_popcountll(pg_atomic_read_u64(&durable_shared->databases[i].slots));
	return used;
}

/* --- worker ----------------------------------------------------------------------- */

DurableSlot *
durable_my_slot(void)
{
	return my_slot;
}

/*
 * Called before the worker connects to its database, so that a process that stops the
 * database finds the worker's pid.  Returns false when the reservation is over, or no
 * worker may connect now, or no record of the flight recorder is free.
 */
bool
durable_slot_attach(int slotno, uint32 generation, pqsigfunc terminate)
{
	DurableSlot *slot = &durable_shared->slots[slotno];
	bool		ours;

	Assert(my_slot == NULL && slotno >= 0 && slotno < DURABLE_MAX_SLOTS);

	SpinLockAcquire(&slot->mutex);
	ours = slot->state == SLOT_STARTING && slot->generation == generation && slot->pid == 0;
	if (ours)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
	}
	SpinLockRelease(&slot->mutex);
	if (!ours)
		return false;

	my_slot = slot;
	my_generation = generation;
	before_shmem_exit(detach, (Datum) 0);
	if (!durable_flight_attach(slot->database, terminate))
		return false;

	/*
	 * This is checked after the pid has been stored: a process that stops the database
	 * marks it first and then looks for pids.
	 */
	pg_memory_barrier();
	return !durable_database_stopping(&durable_shared->databases[slot->database_index]);
}

void
durable_slot_connected(void)
{
	TimestampTz now = GetCurrentTimestamp();

	durable_flight_connected();
	SpinLockAcquire(&my_slot->mutex);
	my_slot->connected = true;
	durable_slot_change_state(my_slot, SLOT_IDLE, now);
	SpinLockRelease(&my_slot->mutex);
}

void
durable_slot_note_terminated(void)
{
	terminated = true;
}

void
durable_slot_note_idle_end(void)
{
	ended_idle = true;
}

static void
detach(int code, Datum arg)
{
	DurableSlot *slot = my_slot;
	WorkerExit	how = EXIT_CLEAN;

	SpinLockAcquire(&slot->mutex);
	if (!slot->connected)
		how = EXIT_NOT_STARTED;
	else if (durable_flight_ended_by_code())
		how = EXIT_BY_CODE;
	else if (slot->state == SLOT_BATCH || slot->state == SLOT_TASK)
		how = EXIT_LOST;
	else if (code != 0 && !terminated)
		how = EXIT_FAILED;
	else if (ended_idle && !durable_slot_has_messages(slot) &&
			 pg_atomic_read_u64(&slot->turns) + pg_atomic_read_u64(&slot->activities) == 0)
		how = EXIT_USELESS;		/* and it got no hint after its decision to end */
	SpinLockRelease(&slot->mutex);

	/* A worker that was told to end because of DROP DATABASE or a similar command has not failed. */
	if (durable_database_stopping(&durable_shared->databases[slot->database_index]))
		how = EXIT_CLEAN;

	my_slot = NULL;
	durable_slot_release(slot - durable_shared->slots, my_generation, how);
}

/*
 * Called under the slot's spinlock.  The time is measured for each batch anew, to tell
 * whether the batch is stuck.
 */
void
durable_slot_change_state(DurableSlot *slot, SlotState state, TimestampTz now)
{
	if (slot->state == state && state != SLOT_BATCH)
		return;
	slot->state = state;
	slot->state_since = now;
}

void
durable_slot_set_state(SlotState state)
{
	TimestampTz now;

	if (my_slot == NULL)
		return;					/* durable.drain in a session */
	Assert(state == SLOT_IDLE || state == SLOT_BATCH || state == SLOT_TASK);
	if (state == SLOT_BATCH)
		pg_atomic_write_u64(&my_slot->units, pg_atomic_read_u64(&my_slot->units) + 1);
	now = GetCurrentTimestamp();
	SpinLockAcquire(&my_slot->mutex);
	durable_slot_change_state(my_slot, state, now);
	SpinLockRelease(&my_slot->mutex);
}

bool
durable_slot_sleep(TimestampTz until)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		nothing_new;

	full_batches = 0;
	SpinLockAcquire(&my_slot->mutex);
	nothing_new = !durable_slot_has_messages(my_slot) && my_slot->due == DT_NOEND &&
		my_slot->task_due == DT_NOEND && !my_slot->leave;
	if (nothing_new)
	{
		durable_slot_change_state(my_slot, SLOT_IDLE, now);
		my_slot->sleeps_until = until;
	}
	SpinLockRelease(&my_slot->mutex);
	return nothing_new;
}

/*
 * Wakes an idle worker of the same owner, which has been given the same hints as this
 * one.  If there is none, the coordinator may start one, but not for the first full
 * batch, because the start of a process takes some milliseconds.
 */
void
durable_slot_want_peer(void)
{
	DurableDatabase *db;
	uint64		slots;

	if (my_slot == NULL)
		return;
	db = &durable_shared->databases[my_slot->database_index];
	slots = pg_atomic_read_u64(&db->slots);
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		Latch	   *latch = NULL;
		bool		coming = false;

		if ((slots & SLOT_BIT(i)) == 0 || slot == my_slot ||
			slot->owner != my_slot->owner)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->owner == my_slot->owner && slot->database == my_slot->database)
		{
			/* A worker without hints found only work that this worker has locked, and would find no more now. */
			coming = slot->state == SLOT_STARTING || slot->state == SLOT_IDLE;
			if (slot->state == SLOT_IDLE && durable_slot_has_messages(slot))
				latch = slot->latch;
		}
		SpinLockRelease(&slot->mutex);
		if (latch)
			SetLatch(latch);
		if (coming)
			return;
	}

	if (++full_batches % BATCHES_BEFORE_PEER == 0)
		durable_database_want(db, my_slot->owner);
}

void
durable_slot_was_light(void)
{
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&my_slot->mutex);
	my_slot->light_at = now;
	SpinLockRelease(&my_slot->mutex);
}

void
durable_slot_count(int64 turns, int64 activities)
{
	if (my_slot == NULL)
		return;
	pg_atomic_write_u64(&my_slot->turns, pg_atomic_read_u64(&my_slot->turns) + turns);
	pg_atomic_write_u64(&my_slot->activities, pg_atomic_read_u64(&my_slot->activities) + activities);
}
