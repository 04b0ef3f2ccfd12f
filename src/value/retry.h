/*
 * retry.h
 *		Retry policies: what durable.retry() makes, and what follows from it.
 */
#ifndef DURABLE_RETRY_H
#define DURABLE_RETRY_H

#include "durable.h"

#define RETRY_UNLIMITED		0

typedef struct RetryPolicy
{
	int			max_attempts;	/* the first one counts; RETRY_UNLIMITED */
	int64		first_us;		/* between the first attempt and the second */
	double		backoff;		/* each wait is so many times the one before, at least 1 */
	int64		max_us;			/* longest wait */
	int64		timeout_us;		/* no attempt begins so long after the first; 0: no limit */
	int			ncodes;
	char	  **codes;			/* SQLSTATEs, or their first two characters: not tried again */
}			RetryPolicy;

/*
 * Reads a policy; members that are missing have durable.retry()'s defaults.
 * Raises 22023 (or what input functions raise) when it is not valid.  *policy may
 * point into CurrentMemoryContext.
 */
extern void durable_retry_parse(const Jsonb *retry, RetryPolicy *policy);

/*
 * After the attempt with that number (1 is the first) failed with sqlerrcode: is
 * there to be another, and how long after now?  first_scheduled is when the first
 * attempt was due.
 */
extern bool durable_retry_next(const RetryPolicy *policy, int attempt,
							   TimestampTz first_scheduled, TimestampTz now,
							   int sqlerrcode, int64 *delay_us);

/*
 * The same for a policy as it travels, which may be NULL.  One that cannot be read is
 * none: it was checked when it was made, by another version perhaps.
 */
extern bool durable_retry_after(const Jsonb *retry, int attempt, TimestampTz first_scheduled,
								TimestampTz now, int sqlerrcode, int64 *delay_us);

/* In microseconds, a day having 24 hours and a month 30 days; INT64_MAX and INT64_MIN if it does not fit. */
extern int64 durable_retry_interval_us(const Interval *interval);

#endif							/* DURABLE_RETRY_H */
