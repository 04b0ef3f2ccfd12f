/*
 * lease.h
 *		Leases of work from queues: taking work, expired leases, and failed attempts.
 */
#ifndef DURABLE_LEASE_H
#define DURABLE_LEASE_H

#include "queued_table.h"

/*
 * Leases tasks of a queue within its limits, wanted->limit at most, as a List of QueuedTask.
 * NIL if the queue is paused or there are no tasks, and, with *busy, if another transaction has
 * locked a limited queue.  Tasks of deleted or terminated instances are removed, those of
 * suspended ones are held.
 */
extern List *durable_lease_take(QueuedWanted * wanted, bool *busy);

/* Is there a task to take?  If not, *next is when that may change, unless a commit wakes the session before. */
extern bool durable_lease_available(QueuedWanted * wanted, TimestampTz *next);

/*
 * Makes delayed tasks ready that are due, and ends leases that have expired.  Returns whether
 * there were any, including those that another transaction has locked.
 */
extern bool durable_lease_expire(const char *queue, TimestampTz now);

/*
 * The attempt, whose row is locked, has failed.  Schedules another attempt according to the
 * retry policy, or sends the failure as the answer.  Returns whether there is another attempt.
 */
extern bool durable_lease_fail(const QueuedTask * task, const Jsonb *failure, int sqlerrcode, bool retryable,
							   TimestampTz now);

/* Sends the answers of activities to their instances. */
extern void durable_lease_send(List *messages);

#endif							/* DURABLE_LEASE_H */
