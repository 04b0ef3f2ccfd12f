/*
 * clock.h
 *		Time: the current time, the virtual clock, and waiting.
 *
 * Everything that is due at a time, and the history, go by durable_clock_now(), which a test
 * can advance.
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
 * Makes now(), CURRENT_DATE, 'today' and the like yield that time in this transaction, until
 * durable_clock_show_real is called.  The caller calls it on error, too.
 */
extern void durable_clock_show(TimestampTz time);
extern void durable_clock_show_real(void);

/* The real start time of the transaction, also while another time is shown. */
extern TimestampTz durable_clock_transaction_start(void);

/* Milliseconds from now to t, clamped to 0..cap; infinity yields cap. */
extern long durable_clock_ms_until(TimestampTz t, long cap);

/*
 * Have ms milliseconds passed from since to now, both in real time?  True also if since is in
 * the future: then the clock was set back, and the elapsed time is not known.
 */
extern bool durable_clock_passed(TimestampTz since, TimestampTz now, int64 ms);

/*
 * Waits on MyLatch, at most ms milliseconds.  Must not be called in a transaction.  The latch
 * stays set; the caller resets it at the top of its loop.
 */
extern void durable_clock_wait(long ms);

#endif							/* DURABLE_CLOCK_H */
