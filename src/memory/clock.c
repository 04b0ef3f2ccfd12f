/*
 * clock.c
 *		Provides the engine's clock, and waits by it.
 *
 * Owns: the time of the engine.  Due times of timers and tasks, times in the history
 * and the sleep of the processes all use durable_clock_now().  This file also owns the
 * time that a turn of an orchestration sees.
 * Called by: all layers above.
 * Locks: none.
 * Memory: none.
 *
 * The virtual clock of a database is the wall clock plus an offset in shared
 * memory, which only durable.advance_clock (durable.testing = on) moves.
 */
#include "durable.h"
#include "clock.h"
#include "shared.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

static void set_start(TimestampTz transaction, TimestampTz statement);

static bool showing = false;
static TimestampTz shown;		/* while showing; the times before that: */
static TimestampTz transaction_start;
static TimestampTz statement_start;

TimestampTz
durable_clock_now(void)
{
	return GetCurrentTimestamp() + durable_clock_offset();
}

/*
 * All functions of PostgreSQL for the present time, except for clock_timestamp() and
 * timeofday(), return the time at which the transaction or the statement has begun, and
 * read it when the expression is evaluated.
 */
void
durable_clock_show(TimestampTz time)
{
	if (showing && time == shown)
		return;
	if (!showing)
	{
		transaction_start = GetCurrentTransactionStartTimestamp();
		statement_start = GetCurrentStatementStartTimestamp();
	}
	showing = true;
	shown = time;
	set_start(time, time);
}

void
durable_clock_show_real(void)
{
	if (showing)
		set_start(transaction_start, statement_start);
	showing = false;
}

TimestampTz
durable_clock_transaction_start(void)
{
	return showing ? transaction_start : GetCurrentTransactionStartTimestamp();
}

/*
 * A single function sets both times.  It is meant for parallel workers, which do not
 * have their leader's times, and asserts that it runs in a parallel worker.
 */
static void
set_start(TimestampTz transaction, TimestampTz statement)
{
	int			number = ParallelWorkerNumber;

	ParallelWorkerNumber = 0;
	SetParallelStartTimestamps(transaction, statement);
	ParallelWorkerNumber = number;
}

/* Rounded up, so that a process that sleeps for this time does not wake before t. */
long
durable_clock_ms_until(TimestampTz t, long cap)
{
	TimestampTz now;

	if (TIMESTAMP_IS_NOBEGIN(t))
		return 0;
	if (TIMESTAMP_IS_NOEND(t))
		return cap;
	now = durable_clock_now();
	if (t <= now)
		return 0;
	/* The time is compared before it is multiplied or rounded, so no overflow is possible. */
	if ((uint64) t - (uint64) now >= (uint64) cap * 1000)
		return cap;
	return (long) ((t - now + 999) / 1000);
}

bool
durable_clock_passed(TimestampTz since, TimestampTz now, int64 ms)
{
	return now < since || now - since >= ms * 1000;
}

void
durable_clock_wait(long ms)
{
	static uint32 wait_event = 0;

	Assert(!IsTransactionState());
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Max(0, Min(ms, 60000)), durable_wait_event(&wait_event, "DurableMain"));
}

int64
durable_clock_offset(void)
{
	DurableDatabase *db = durable_my_database();

	return db ? (int64) pg_atomic_read_u64(&db->clock_offset) : 0;
}

/*
 * Moves the clock for all processes at once, independently of transactions; a process
 * that sleeps until a certain time must look at the clock again.
 */
void
durable_clock_advance(int64 us)
{
	DurableDatabase *db;
	uint64		slots;

	durable_shmem_require();
	db = durable_database_add(MyDatabaseId);
	if (db == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("too many databases use durable workflows"),
				 errdetail("The maximum is %d databases.", DURABLE_MAX_DATABASES)));
	pg_atomic_fetch_add_u64(&db->clock_offset, us);

	slots = pg_atomic_read_u64(&db->slots);
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		Latch	   *latch;

		if ((slots & SLOT_BIT(i)) == 0)
			continue;
		SpinLockAcquire(&slot->mutex);
		latch = slot->latch;
		SpinLockRelease(&slot->mutex);
		if (latch)
			SetLatch(latch);
	}
	durable_coordinator_wake(db, true);
}
