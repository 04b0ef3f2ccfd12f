/*
 * queue_api.h
 *		Queues, and the privileges to use them.
 */
#ifndef DURABLE_QUEUE_API_H
#define DURABLE_QUEUE_API_H

#include "queue_table.h"

/*
 * For the current user: creates a queue without limits if it does not exist.  keeps: no other
 * transaction can remove the queue before this one has ended (for registrations; work that is
 * started for a queue does not lock it).
 * Raises 42501 if the owner of the queue is a role whose privileges the user does not have,
 * unless it is a superuser or the owner of the extension.
 */
extern void durable_queue_require_or_make(const char *name, bool keeps);

/*
 * Raises 42704 if there is no such queue, 42501 if the current user may not take work from it.
 * Returns whether the queue has limits for all workers together.
 */
extern bool durable_queue_require_work(const char *name);

#endif							/* DURABLE_QUEUE_API_H */
