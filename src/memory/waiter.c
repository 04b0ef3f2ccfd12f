/*
 * waiter.c
 *		Wakes sessions that wait for the end of an instance, or for tasks of a queue.
 *
 * Owns: the waiters in shared memory.
 * Called by: run_api.c, wait_api.c, work_wait.c (begin, wait, end); wakeup.c in the commit
 * callback (signal).
 * Locks: one spinlock for each bucket of the hash table, one for the free list.
 * Memory: a fixed number of entries.
 *
 * No signal is lost between looking and sleeping: a waiter first enters itself and
 * then looks at the instance.  The process that commits the end first makes it visible
 * and then looks for waiters.  A signal carries no data: the waiter reads the state of the
 * instance from the table.
 */
#include "durable.h"
#include "shared.h"

#include "common/hashfn.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/wait_event.h"

static bool exit_callback_registered = false;

static bool take_signal(int n);
static uint32 bucket_of(Oid database, int64 key);
static void leave_all(int code, Datum arg);

void
durable_waiter_init(void)
{
	pg_atomic_init_u32(&durable_shared->nwaiters, 0);
	SpinLockInit(&durable_shared->waiter_mutex);
	for (int i = 0; i < WAITER_BUCKETS; i++)
	{
		SpinLockInit(&durable_shared->bucket_mutex[i]);
		durable_shared->bucket[i] = -1;
	}
	for (int i = 0; i < DURABLE_MAX_WAITERS; i++)
		durable_shared->waiters[i].next = i + 1 < DURABLE_MAX_WAITERS ? i + 1 : -1;
	durable_shared->free_waiter = 0;
}

int
durable_waiter_begin(int64 key)
{
	uint32		bucket = bucket_of(MyDatabaseId, key);
	Waiter	   *waiter;
	int			n;

	durable_shmem_require();
	if (!exit_callback_registered)
	{
		before_shmem_exit(leave_all, (Datum) 0);
		exit_callback_registered = true;
	}

	SpinLockAcquire(&durable_shared->waiter_mutex);
	n = durable_shared->free_waiter;
	if (n >= 0)
		durable_shared->free_waiter = durable_shared->waiters[n].next;
	SpinLockRelease(&durable_shared->waiter_mutex);
	if (n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("too many sessions are waiting for instances"),
				 errdetail("At most %d sessions can wait at the same time.", DURABLE_MAX_WAITERS),
				 errhint("Call durable.status() periodically instead.")));

	waiter = &durable_shared->waiters[n];
	SpinLockAcquire(&durable_shared->bucket_mutex[bucket]);
	waiter->database = MyDatabaseId;
	waiter->key = key;
	waiter->latch = MyLatch;
	waiter->signalled = false;
	waiter->next = durable_shared->bucket[bucket];
	durable_shared->bucket[bucket] = n;
	SpinLockRelease(&durable_shared->bucket_mutex[bucket]);

	/* A full barrier: the caller reads the instance after it. */
	pg_atomic_fetch_add_u32(&durable_shared->nwaiters, 1);
	return n;
}

/* Returns whether it was signalled, and resets the signal. */
static bool
take_signal(int n)
{
	Waiter	   *waiter = &durable_shared->waiters[n];
	uint32		bucket = bucket_of(waiter->database, waiter->key);
	bool		signalled;

	SpinLockAcquire(&durable_shared->bucket_mutex[bucket]);
	signalled = waiter->signalled;
	waiter->signalled = false;
	SpinLockRelease(&durable_shared->bucket_mutex[bucket]);
	return signalled;
}

/*
 * May be called in a transaction.  The session keeps its snapshots and locks while it
 * waits.
 */
bool
durable_waiter_wait(int n, long ms)
{
	static uint32 wait_event = 0;

	CHECK_FOR_INTERRUPTS();
	if (take_signal(n))
		return true;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max(0, Min(ms, 60000)), durable_wait_event(&wait_event, "DurableInstanceEnd"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return take_signal(n);
}

void
durable_waiter_end(int n)
{
	Waiter	   *waiter = &durable_shared->waiters[n];
	uint32		bucket = bucket_of(waiter->database, waiter->key);
	int		   *link;

	SpinLockAcquire(&durable_shared->bucket_mutex[bucket]);
	link = &durable_shared->bucket[bucket];
	while (*link >= 0 && *link != n)
		link = &durable_shared->waiters[*link].next;
	if (*link == n)
		*link = waiter->next;
	waiter->latch = NULL;
	SpinLockRelease(&durable_shared->bucket_mutex[bucket]);
	pg_atomic_fetch_sub_u32(&durable_shared->nwaiters, 1);

	SpinLockAcquire(&durable_shared->waiter_mutex);
	waiter->next = durable_shared->free_waiter;
	durable_shared->free_waiter = n;
	SpinLockRelease(&durable_shared->waiter_mutex);
}

/*
 * Called in a commit callback, after a memory barrier: the instance's new state became
 * visible before.  This function cannot fail.
 */
void
durable_waiter_signal(int64 key)
{
	uint32		bucket;

	if (pg_atomic_read_u32(&durable_shared->nwaiters) == 0)
		return;

	bucket = bucket_of(MyDatabaseId, key);
	for (;;)
	{
		Latch	   *latch = NULL;

		/* Waiters are signalled one at a time, so that no latch is set under the spinlock. */
		SpinLockAcquire(&durable_shared->bucket_mutex[bucket]);
		for (int n = durable_shared->bucket[bucket]; n >= 0; n = durable_shared->waiters[n].next)
		{
			Waiter	   *waiter = &durable_shared->waiters[n];

			if (waiter->key == key && waiter->database == MyDatabaseId && !waiter->signalled)
			{
				waiter->signalled = true;
				latch = waiter->latch;
				break;
			}
		}
		SpinLockRelease(&durable_shared->bucket_mutex[bucket]);
		if (latch == NULL)
			return;
		SetLatch(latch);
	}
}

static uint32
bucket_of(Oid database, int64 key)
{
	return murmurhash32((uint32) key ^ (uint32) (key >> 32) ^ database) % WAITER_BUCKETS;
}

/* A session that ends while it waits (FATAL) does not call durable_waiter_end. */
static void
leave_all(int code, Datum arg)
{
	for (int i = 0; i < WAITER_BUCKETS; i++)
	{
		int			mine;

		do
		{
			mine = -1;
			SpinLockAcquire(&durable_shared->bucket_mutex[i]);
			for (int n = durable_shared->bucket[i]; n >= 0; n = durable_shared->waiters[n].next)
				if (durable_shared->waiters[n].latch == MyLatch)
				{
					mine = n;
					break;
				}
			SpinLockRelease(&durable_shared->bucket_mutex[i]);
			if (mine >= 0)
				durable_waiter_end(mine);
		} while (mine >= 0);
	}
}
