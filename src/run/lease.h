/*
 * lease.h
 *		Taking work from queues, and what becomes of leases that end.
 */
#ifndef DURABLE_LEASE_H
#define DURABLE_LEASE_H

#include "queued_table.h"

/*
 * Takes tasks (QueuedTask) from a queue within its limits, wanted->limit at most.  NIL when it
 * is paused or there are none; or, with *busy, when another transaction has a limited queue
 * locked.  Tasks of instances that are gone, terminated or suspended are put aside.
 */
extern List *durable_lease_take(QueuedWanted * wanted, bool *busy);

/* Is there anything to take?  If not, *next is when that may change without a commit that wakes. */
extern bool durable_lease_available(QueuedWanted * wanted, TimestampTz *next);

/* Makes ready what is due, and what was leased for too long. */
extern void durable_lease_expire(const char *queue, TimestampTz now);

/*
 * The attempt, whose row is locked, has failed.  Tries it again as its retry policy says, or
 * sends the failure as the answer.  Returns whether it is tried again.
 */
extern bool durable_lease_fail(const QueuedTask * task, const Jsonb *failure, int sqlerrcode, bool retryable,
							   TimestampTz now);

/* The answer of an activity goes to its instance. */
extern void durable_lease_send(List *messages);

#endif							/* DURABLE_LEASE_H */
