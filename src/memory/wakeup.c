/*
 * wakeup.c
 *		Wakes the processes that need to know of this transaction when it commits.
 *
 * Owns: the wake-ups of the current transaction, in process memory.
 * Called by: all files that write messages, timers, tasks or ends of instances, or change
 * the extension, registrations or settings of the engine.
 * Locks: in the commit callback only spinlocks, one at a time.
 * Memory: arrays in TopMemoryContext that are kept from one transaction to the
 * next, so that the callback neither allocates nor frees.
 *
 * The callback runs at XACT_EVENT_COMMIT: the transaction's rows are visible to all
 * processes by then, so a process that is woken sees them.  It must not fail, because the
 * transaction cannot be undone any more.  So it uses only plain stores, atomics, spinlocks
 * and SetLatch.
 *
 * Wake-ups of a savepoint that was rolled back stay: an unnecessary wake-up is harmless.
 * A transaction that has locked a row which workers pass over (durable_wakeup_released) wakes them also when
 * it, or a savepoint, is rolled back.  By that time it counts as ended, so the workers find the row free.
 * A prepared transaction wakes no process (its COMMIT PREPARED may happen in another
 * session, after a restart): the slow recheck finds its rows.
 */
#include "durable.h"
#include "wakeup.h"

#include "access/xact.h"
#include "failpoint.h"
#include "shared.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

/* Number of messages that justify one more worker: half of a batch. */
#define MESSAGES_FOR_ONE_WORKER 25

/* Number of the newest instances that a worker looks at together. */
#define NEW_KEYS		1000

/* A batch that takes longer than this counts as stuck; in microseconds. */
#define STUCK_BATCH		(100 * 1000)

typedef struct OwnerWakeup
{
	Oid			owner;
	int			nkeys;
	int			ntasks;
	int64		low_key;		/* of those that are not in old[] */
	int			nold;
	int64		old[DURABLE_MAX_HINTED];
	TimestampTz timer_due;
	TimestampTz task_due;
}			OwnerWakeup;

typedef struct KeyList
{
	int64	   *keys;
	int			n;
	int			size;
}			KeyList;

static struct
{
	bool		any;			/* false: the other fields are empty */
	bool		releases;		/* the owners' workers are woken also by a rollback */
	OwnerWakeup  *owners;
	int			nowners;
	int			size;
	KeyList		finished;
	KeyList		cancelled;
	bool		registrations;
	bool		engine;
	bool		admission;
	bool		pause;
	bool		unpause;
	bool		extension;
}			pending;

static OwnerWakeup *pending_of(Oid owner);
static bool is_old(int64 key);
static void note(void);
static void add_key(KeyList *list, int64 key);
static void wake_coordinator(int code, Datum arg);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_savepoint(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg);
static void deliver(void);
static void tell_owners(DurableDatabase *db, TimestampTz stop);
static void tell_workers(DurableDatabase *db, const OwnerWakeup *owner, TimestampTz stop);
static void wake_some(Latch **idle, int nidle, int wanted, int64 first);

void
durable_wakeup_install(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_savepoint, NULL);
}

/* --- while the transaction runs --------------------------------------------------- */

void
durable_wakeup_inbox(Oid owner, int64 key)
{
	OwnerWakeup  *entry = pending_of(owner);

	entry->nkeys++;
	if (is_old(key))
	{
		for (int i = 0; i < entry->nold; i++)
			if (entry->old[i] == key)
				return;
		if (entry->nold < DURABLE_MAX_HINTED)
		{
			entry->old[entry->nold++] = key;
			return;
		}
	}
	entry->low_key = Min(entry->low_key, key);
}

/* Among the newest instances, there are many messages and few dead rows.  Entities have keys of any size. */
static bool
is_old(int64 key)
{
	DurableDatabase *db = durable_my_database();
	int64		newest;

	if (DURABLE_IS_ENTITY_KEY(key))
		return true;
	if (db == NULL)
		return false;
	newest = (int64) pg_atomic_read_u64(&db->newest_key);
	if (key > newest)
		pg_atomic_write_u64(&db->newest_key, (uint64) key);
	return newest - key > NEW_KEYS;
}

void
durable_wakeup_released(Oid owner, int64 key)
{
	durable_wakeup_inbox(owner, key);
	pending.releases = true;
}

void
durable_wakeup_timer(Oid owner, TimestampTz due)
{
	OwnerWakeup  *entry = pending_of(owner);

	entry->timer_due = Min(entry->timer_due, due);
}

void
durable_wakeup_task(Oid owner, TimestampTz run_at)
{
	OwnerWakeup  *entry = pending_of(owner);

	entry->ntasks++;
	entry->task_due = Min(entry->task_due, run_at);
}

void
durable_wakeup_finished(int64 key)
{
	note();
	add_key(&pending.finished, key);
}

void
durable_wakeup_cancel(int64 key)
{
	note();
	add_key(&pending.cancelled, key);
}

void
durable_wakeup_registrations(void)
{
	note();
	pending.registrations = true;
}

void
durable_wakeup_engine(void)
{
	note();
	pending.engine = true;
}

void
durable_wakeup_admission(void)
{
	note();
	pending.admission = true;
}

/*
 * The callback runs when the session has left shared memory's lists of sessions, so that the
 * coordinator does not find it there.  A crash ends all sessions, and the coordinator looks when
 * it starts.
 */
void
durable_wakeup_engine_at_exit(void)
{
	static bool registered = false;

	if (!registered)
		on_proc_exit(wake_coordinator, (Datum) 0);
	registered = true;
}

static void
wake_coordinator(int code, Datum arg)
{
	DurableDatabase *db = durable_my_database();

	if (db != NULL)
		durable_coordinator_wake(db, true);
}

void
durable_wakeup_pause(bool paused)
{
	durable_wakeup_engine();
	pending.pause = paused;
	pending.unpause = !paused;
}

void
durable_wakeup_extension(void)
{
	note();
	pending.extension = true;
}

/*
 * The entry of this database must exist before the commit, because the callback could not
 * create one.  If there is no room for an entry, no worker runs in this database, and the
 * launcher reports that.
 */
static void
note(void)
{
	durable_shmem_require();
	if (!pending.any && durable_my_database() == NULL)
		(void) durable_database_add(MyDatabaseId);
	pending.any = true;
}

static OwnerWakeup *
pending_of(Oid owner)
{
	OwnerWakeup  *entry;

	note();
	/* Nearly always there is a single owner, or the owner is the same as the last one. */
	for (int i = pending.nowners - 1; i >= 0; i--)
		if (pending.owners[i].owner == owner)
			return &pending.owners[i];

	if (pending.nowners == pending.size)
	{
		int			size = pending.size ? pending.size * 2 : 8;

		if (pending.owners)
			pending.owners = repalloc(pending.owners, size * sizeof(OwnerWakeup));
		else
			pending.owners = MemoryContextAlloc(TopMemoryContext, size * sizeof(OwnerWakeup));
		pending.size = size;
	}
	entry = &pending.owners[pending.nowners++];
	*entry = (OwnerWakeup) {.owner = owner, .low_key = PG_INT64_MAX,
		.timer_due = DT_NOEND, .task_due = DT_NOEND};
	return entry;
}

static void
add_key(KeyList *list, int64 key)
{
	if (list->n == list->size)
	{
		int			size = list->size ? list->size * 2 : 64;

		if (list->keys)
			list->keys = repalloc_huge(list->keys, size * sizeof(int64));
		else
			list->keys = MemoryContextAlloc(TopMemoryContext, size * sizeof(int64));
		list->size = size;
	}
	list->keys[list->n++] = key;
}

/* --- at its end ------------------------------------------------------------------- */

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (!pending.any)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			return;
		case XACT_EVENT_COMMIT:
			durable_failpoint_pass(FAILPOINT_COMMITTED);
			deliver();
			break;
		case XACT_EVENT_ABORT:
			if (pending.releases && durable_my_database() != NULL)
				tell_owners(durable_my_database(), GetCurrentTransactionStopTimestamp());
			break;
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
	pending.any = pending.releases = false;
	pending.nowners = 0;
	pending.finished.n = 0;
	pending.cancelled.n = 0;
	pending.registrations = pending.engine = pending.admission = pending.extension = pending.pause = pending.unpause = false;
}

/* The row lock that it has taken is gone, although the transaction may stay open for a long time. */
static void
end_of_savepoint(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (pending.releases && event == SUBXACT_EVENT_ABORT_SUB && durable_my_database() != NULL)
		tell_owners(durable_my_database(), GetCurrentTimestamp());
}

static void
deliver(void)
{
	DurableDatabase *db = durable_my_database();

	/* The rows became visible before this looks for processes that wait, sleep or run. */
	pg_memory_barrier();

	for (int i = 0; i < pending.finished.n; i++)
		durable_waiter_signal(pending.finished.keys[i]);
	if (db == NULL)
	{
		durable_launcher_wake();
		return;
	}
	if (pending.pause || pending.unpause)
		durable_database_set_paused(pending.pause);
	if (pending.registrations)
		pg_atomic_fetch_add_u64(&db->generation, 1);
	tell_owners(db, GetCurrentTransactionStopTimestamp());
	for (int i = 0; i < pending.cancelled.n; i++)
		durable_slot_cancel(db, pending.cancelled.keys[i], CANCEL_TERMINATED);
	if (pending.admission)
		durable_coordinator_wake_to_admit(db);
	if (pending.engine)
		durable_coordinator_wake(db, true);
	else if (pending.cancelled.n > 0)
		durable_coordinator_wake(db, false);	/* the coordinator makes sure that they end */

	/* A database with messages has the extension, even if its entry says ABSENT. */
	if (pending.extension || db->state == DATABASE_ABSENT)
		durable_database_examine(db);
}

static void
tell_owners(DurableDatabase *db, TimestampTz stop)
{
	pg_memory_barrier();
	for (int i = 0; i < pending.nowners; i++)
		tell_workers(db, &pending.owners[i], stop);
}

/*
 * Every worker of that owner gets the hints, because any of them may look next; as many
 * are woken as there is work for.  If no worker will be free soon, the coordinator is
 * asked for one.
 */
static void
tell_workers(DurableDatabase *db, const OwnerWakeup *owner, TimestampTz stop)
{
	DurableSlot *self = durable_my_slot();
	TimestampTz now = stop + (int64) pg_atomic_read_u64(&db->clock_offset);
	TimestampTz due = Min(owner->timer_due, owner->task_due);
	int64		first = owner->nold > 0 ? owner->old[0] : owner->low_key;
	Latch	   *idle[DURABLE_MAX_SLOTS];
	int			nidle = 0;
	bool		somebody = false;
	bool		myself = false;
	uint64		slots;

	slots = pg_atomic_read_u64(&db->slots);
	while (slots != 0)
	{
		DurableSlot *slot = &durable_shared->slots[__builtin_ctzll(slots)];

		slots &= slots - 1;
		if (*(volatile Oid *) &slot->owner != owner->owner)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->owner == owner->owner && slot->database == db->database &&
			slot->state != SLOT_UNUSED)
		{
			slot->low_key = Min(slot->low_key, owner->low_key);
			for (int i = 0; i < owner->nold; i++)
				durable_slot_hint_key(slot, owner->old[i]);
			slot->due = Min(slot->due, owner->timer_due);
			slot->task_due = Min(slot->task_due, owner->task_due);

			if (slot == self)
				myself = true;
			else if (slot->leave)
				 /* on its way out */ ;
			else if (slot->state == SLOT_IDLE)
			{
				somebody = true;
				if (owner->nkeys > 0 || due < slot->sleeps_until)
					idle[nidle++] = slot->latch;
			}
			else if (slot->state == SLOT_STARTING)
				somebody = true;
			else if (slot->state == SLOT_BATCH && stop - slot->state_since < STUCK_BATCH)
				somebody = true;
		}
		SpinLockRelease(&slot->mutex);
	}

	if (myself)
		wake_some(idle, nidle,
				  owner->nkeys / MESSAGES_FOR_ONE_WORKER + Max(owner->ntasks - 1, 0),
				  first);
	else if (somebody)
		wake_some(idle, nidle,
				  1 + owner->nkeys / MESSAGES_FOR_ONE_WORKER + Max(owner->ntasks - 1, 0),
				  first);
	else if (owner->nkeys > 0 || due <= now)
		durable_database_want(db, owner->owner);
	else
	{
		bool		oversleeps;
		bool		left;

		/* A coordinator that has left need not be started now: it only has to be back in time. */
		SpinLockAcquire(&db->mutex);
		oversleeps = due < db->coordinator_sleeps_until;
		left = db->coordinator_left && db->coordinator_latch == NULL;
		if (oversleeps && left)
			db->coordinator_sleeps_until = due;
		SpinLockRelease(&db->mutex);
		if (oversleeps && left)
			durable_launcher_wake();
		else if (oversleeps)
			durable_coordinator_wake(db, true);
	}
}

static void
wake_some(Latch **idle, int nidle, int wanted, int64 first)
{
	for (int i = 0; i < Min(wanted, nidle); i++)
		SetLatch(idle[((uint64) first + i) % nidle]);
}
