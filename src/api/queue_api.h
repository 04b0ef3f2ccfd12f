/*
 * queue_api.h
 *		Queues, and who may take work from them.
 */
#ifndef DURABLE_QUEUE_API_H
#define DURABLE_QUEUE_API_H

#include "queue_table.h"

/*
 * For a registration of the current user: makes a queue without limits if there is none.
 * 42501 if it belongs to a role whose privileges the user does not have and whom not
 * everybody has to trust.
 */
extern void durable_queue_require_or_make(const char *name);

/* 42704 if there is no such queue, 42501 if the current user may not take work from it. */
extern bool durable_queue_require_work(const char *name);

#endif							/* DURABLE_QUEUE_API_H */
