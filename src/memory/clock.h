/*
 * clock.h
 *		The only place where the engine asks what time it is.
 */
#ifndef DURABLE_CLOCK_H
#define DURABLE_CLOCK_H

#include "durable.h"

/* Wall clock plus the virtual clock's offset of this database. */
extern TimestampTz durable_clock_now(void);

/* The virtual clock: microseconds to add in this database. */
extern int64 durable_clock_offset(void);
extern void durable_clock_advance(int64 us);

/*
 * In this transaction now(), CURRENT_DATE, 'today' and the like shall say that time,
 * however the expression came about; until durable_clock_show_real, which does nothing
 * when they do not.  Nothing may be raised in between without it.
 */
extern void durable_clock_show(TimestampTz time);
extern void durable_clock_show_real(void);

/* When the transaction has begun, whatever is shown. */
extern TimestampTz durable_clock_transaction_start(void);

/* Milliseconds from now to t, 0..cap, clamped at both ends; infinity is cap. */
extern long durable_clock_ms_until(TimestampTz t, long cap);

/*
 * Have ms milliseconds passed from since to now, both real time?  Also when since is
 * in the future: the clock was set back, and nobody knows how long it has been.
 */
extern bool durable_clock_passed(TimestampTz since, TimestampTz now, int64 ms);

/*
 * Wait on MyLatch, at most ms milliseconds.  Never inside a transaction.
 * Leaves the latch set; the caller resets it at the top of its loop.
 */
extern void durable_clock_wait(long ms);

/* The whole time, whatever news come; for a few milliseconds at most. */
extern void durable_clock_pause(long ms);

#endif							/* DURABLE_CLOCK_H */
