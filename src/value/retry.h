/*
 * retry.h
 *		Retry policies, as durable.retry() makes them, and when the next attempt is.
 */
#ifndef DURABLE_RETRY_H
#define DURABLE_RETRY_H

#include "durable.h"

#define RETRY_UNLIMITED		0

typedef struct RetryPolicy
{
	int			max_attempts;	/* includes the first one; or RETRY_UNLIMITED */
	int64		first_us;		/* delay between the first attempt and the second */
	double		backoff;		/* factor between two delays, at least 1 */
	int64		max_us;			/* longest delay */
	int64		timeout_us;		/* time after the first attempt in which others begin; 0: no limit */
	int			ncodes;
	char	  **codes;			/* SQLSTATEs, or their classes, that are not tried again */
}			RetryPolicy;

/*
 * Reads a policy.  Missing members get durable.retry()'s defaults.  Raises 22023, or an error
 * of a type's input function, if it is not valid.  *policy may point into
 * CurrentMemoryContext.
 */
extern void durable_retry_parse(const Jsonb *retry, RetryPolicy *policy);

/*
 * Attempt number "attempt" (from 1) failed with sqlerrcode.  Returns whether there is another
 * attempt, and after which delay.  first_scheduled is when the first attempt was due.
 */
extern bool durable_retry_next(const RetryPolicy *policy, int attempt,
							   TimestampTz first_scheduled, TimestampTz now,
							   int sqlerrcode, int64 *delay_us);

/*
 * The same for a policy as it is stored; NULL: none.  A policy that cannot be read counts as
 * none: it was valid when it was made, perhaps for another version of the library.
 */
extern bool durable_retry_after(const Jsonb *retry, int attempt, TimestampTz first_scheduled,
								TimestampTz now, int sqlerrcode, int64 *delay_us);

/* In microseconds, with days of 24 hours and months of 30 days; clamped to INT64_MIN and INT64_MAX. */
extern int64 durable_retry_interval_us(const Interval *interval);

#endif							/* DURABLE_RETRY_H */
