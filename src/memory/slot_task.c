/*
 * slot_task.c
 *		Slots of workers that run an activity in a transaction of its own.
 *
 * Owns: the fields of a slot about the task that its worker runs; the decision
 *			which worker may start a task.
 * Called by: workers, while they run a task; the commit callback and the
 * coordinator, to cancel one.
 * Locks: the slots' spinlocks, one at a time; the LWLock to decide which worker
 *			may start a task.
 * Memory: none.
 *
 * Cancelling.  A session that terminates an instance finds, after its commit, the
 * workers that run an activity of it, and sends SIGINT under the slot's spinlock.  The
 * worker enters its task before it checks whether the instance is still running: so either
 * the worker sees the termination, or the terminating session sees the worker.
 */
#include "durable.h"
#include "shared.h"

#include <signal.h>

#include "clock.h"
#include "guc.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

/* The process of an activity that catches its cancellation is terminated after this time; ms. */
#define CANCEL_PATIENCE		10000
#define PRESS_INTERVAL		1000

static void signal_task(DurableSlot *slot, int pid, int signal);
static bool peer_is_idle(DurableSlot *self);
static void count_tasks(DurableSlot *except, int *allowed, int *denied_before);

void
durable_slot_begin_task(int64 key, int32 task)
{
	DurableSlot *my_slot = durable_my_slot();
	TimestampTz now = GetCurrentTimestamp();

	if (my_slot == NULL)
		return;
	SpinLockAcquire(&my_slot->mutex);
	my_slot->task_key = key;
	my_slot->task = task;
	my_slot->cancel = CANCEL_NONE;
	my_slot->task_denied = false;
	durable_slot_change_state(my_slot, SLOT_TASK, now);
	SpinLockRelease(&my_slot->mutex);

	/* Another worker is needed for the other tasks and the turns. */
	if (!peer_is_idle(my_slot))
		durable_coordinator_wake(&durable_shared->databases[my_slot->database_index], true);
}

static bool
peer_is_idle(DurableSlot *my_slot)
{
	uint64		slots = pg_atomic_read_u64(&durable_shared->databases[my_slot->database_index].slots);

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		/* Read without a lock: if the worker ends just now, the release of its slot wakes the coordinator. */
		if ((slots & SLOT_BIT(i)) != 0 && slot != my_slot && slot->owner == my_slot->owner &&
			slot->state == SLOT_IDLE && !slot->leave)
			return true;
	}
	return false;
}

/*
 * From here on no process cancels this one.  A signal that was sent just before may
 * not have arrived yet; it must not cancel the work that follows.
 */
CancelReason
durable_slot_end_task(void)
{
	DurableSlot *my_slot = durable_my_slot();
	CancelReason reason;

	if (my_slot == NULL)
		return CANCEL_NONE;
	for (;;)
	{
		bool		signaled;

		SpinLockAcquire(&my_slot->mutex);
		signaled = my_slot->signallers > 0;
		reason = my_slot->cancel;
		my_slot->task_key = 0;
		my_slot->task = 0;
		if (!signaled)
			my_slot->cancel = CANCEL_NONE;
		SpinLockRelease(&my_slot->mutex);
		if (!signaled)
			break;
		/* Another process is about to send its signal, which takes microseconds. */
		pg_usleep(100);
	}
	if (reason != CANCEL_NONE)
		QueryCancelPending = false;
	return reason;
}

CancelReason
durable_slot_cancel_reason(void)
{
	DurableSlot *my_slot = durable_my_slot();
	CancelReason reason;

	if (my_slot == NULL)
		return CANCEL_NONE;
	SpinLockAcquire(&my_slot->mutex);
	reason = my_slot->cancel;
	SpinLockRelease(&my_slot->mutex);
	return reason;
}

/*
 * One of all the cluster's workers stays free for turns.  A worker that is refused is
 * woken when that changes; the one that has been refused for the longest time comes
 * first.  A worker that is the only one runs both turns and tasks.
 *
 * The count and the decision are one step under the LWLock, so workers that ask at the
 * same time see each other.
 */
bool
durable_task_may_start(void)
{
	DurableSlot *my_slot = durable_my_slot();
	TimestampTz now = GetCurrentTimestamp();
	int			denied_before;
	int			allowed;
	bool		may_start;

	if (my_slot == NULL)
		return true;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	count_tasks(my_slot, &allowed, &denied_before);
	may_start = durable_max_workers <= 1 || allowed + denied_before < durable_max_workers - 1;

	SpinLockAcquire(&my_slot->mutex);
	if (!may_start && !my_slot->task_denied)
		my_slot->denied_since = now;
	my_slot->task_denied = !may_start;
	my_slot->task_allowed = may_start;
	SpinLockRelease(&my_slot->mutex);
	LWLockRelease(durable_shared->lock);
	return may_start;
}

/* The worker's task has ended, or it had none. */
void
durable_task_ended(void)
{
	DurableSlot *my_slot = durable_my_slot();

	if (my_slot == NULL)
		return;
	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	SpinLockAcquire(&my_slot->mutex);
	my_slot->task_allowed = false;
	SpinLockRelease(&my_slot->mutex);
	LWLockRelease(durable_shared->lock);
	durable_task_wake_denied();
}

/*
 * Stops the running activities of an instance that was terminated.  Called after
 * commit.  Until the signal is sent, the slot shows that another process is about to send
 * it, and durable_slot_end_task waits for that, so the signal cannot cancel the process's
 * later work.
 */
void
durable_slot_cancel(DurableDatabase *db, int64 key, CancelReason reason)
{
	uint64		slots = pg_atomic_read_u64(&db->slots);
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		int			pid = 0;

		if ((slots & SLOT_BIT(i)) == 0 || slot->state != SLOT_TASK)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->state == SLOT_TASK && slot->task_key == key && slot->pid != 0 &&
			slot->database == db->database)
		{
			slot->cancel = reason;
			slot->cancelled_at = slot->pressed_at = now;
			slot->signallers++;
			pid = slot->pid;
		}
		SpinLockRelease(&slot->mutex);
		if (pid != 0)
			signal_task(slot, pid, SIGINT);
	}
}

/* The caller has added itself to the signallers.  No interrupt is processed in between. */
static void
signal_task(DurableSlot *slot, int pid, int signal)
{
	(void) kill(pid, signal);
	SpinLockAcquire(&slot->mutex);
	slot->signallers--;
	SpinLockRelease(&slot->mutex);
}

/*
 * User code can catch a cancel and continue.  The process gets another one each second,
 * and is terminated after CANCEL_PATIENCE, which no code can catch.
 */
bool
durable_slot_press_cancels(DurableDatabase *db)
{
	uint64		slots = pg_atomic_read_u64(&db->slots);
	TimestampTz now = GetCurrentTimestamp();
	bool		any = false;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		bool		gave_up = false;
		int			pid = 0;

		if ((slots & SLOT_BIT(i)) == 0 || slot->cancel == CANCEL_NONE)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->cancel != CANCEL_NONE && slot->task_key != 0 && slot->pid != 0 &&
			slot->database == db->database)
		{
			any = true;
			if (durable_clock_passed(slot->pressed_at, now, PRESS_INTERVAL))
			{
				gave_up = durable_clock_passed(slot->cancelled_at, now, CANCEL_PATIENCE);
				slot->pressed_at = now;
				slot->signallers++;
				pid = slot->pid;
			}
		}
		SpinLockRelease(&slot->mutex);
		if (pid != 0)
			signal_task(slot, pid, gave_up ? SIGTERM : SIGINT);
		if (gave_up)
			ereport(LOG,
					(errmsg("terminating durable worker that ignored a cancel request")));
	}
	return any;
}

/* No worker is to wait behind one that no longer wants to start a task. */
void
durable_task_not_due(void)
{
	DurableSlot *my_slot = durable_my_slot();

	if (my_slot == NULL || !my_slot->task_denied)
		return;
	SpinLockAcquire(&my_slot->mutex);
	my_slot->task_denied = false;
	SpinLockRelease(&my_slot->mutex);
	durable_task_wake_denied();
}

/* Under the LWLock. */
static void
count_tasks(DurableSlot *except, int *allowed, int *denied_before)
{
	*allowed = *denied_before = 0;
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if (slot == except || slot->state == SLOT_UNUSED)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->task_allowed)
			++*allowed;
		else if (slot->task_denied &&
				 (!except->task_denied || slot->denied_since < except->denied_since))
			++*denied_before;
		SpinLockRelease(&slot->mutex);
	}
}

/* A task or its worker has ended, or a worker no longer wants to start a task. */
void
durable_task_wake_denied(void)
{
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		Latch	   *latch = NULL;

		if (!slot->task_denied)
			continue;
		SpinLockAcquire(&slot->mutex);
		if (slot->task_denied)
			latch = slot->latch;
		SpinLockRelease(&slot->mutex);
		if (latch)
			SetLatch(latch);
	}
}
