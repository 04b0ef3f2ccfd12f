/*
 * waiter.h
 *		Sessions that wait for the end of an instance.
 */
#ifndef DURABLE_WAITER_H
#define DURABLE_WAITER_H

#include "durable.h"

#define DURABLE_MAX_WAITERS		1024

/* Waiting for the end of an instance (durable.wait). */
extern int	durable_waiter_begin(int64 key);	/* the number of the waiter; raises an error if none is free */
extern bool durable_waiter_signalled(int waiter);	/* and resets the signal */
extern bool durable_waiter_wait(int waiter, long ms);	/* sleeps on MyLatch until signalled or ms are over */
extern void durable_waiter_end(int waiter);	/* call it on error, too; at process exit it happens automatically */

#endif							/* DURABLE_WAITER_H */
