/*
 * clock.c
 *		What time it is, and waiting.
 *
 * Owns: the engine's idea of time.  Due times of timers and tasks, history and
 * the sleep of the processes all go by durable_clock_now().
 * Called by: everybody.
 * Locks: none.
 * Memory: none.
 *
 * The virtual clock of a database is the wall clock plus an offset in shared
 * memory, which only durable.advance_clock (durable.testing = on) moves.
 */
#include "durable.h"
#include "clock.h"

#include "access/xact.h"
#include "shmem.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

TimestampTz
durable_clock_now(void)
{
	return GetCurrentTimestamp() + durable_clock_offset();
}

/* Rounded up: who sleeps that long does not wake before t. */
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
	/* Compared before it is multiplied or rounded, so nothing overflows. */
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

void
durable_clock_pause(long ms)
{
	(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, PG_WAIT_EXTENSION);
}
