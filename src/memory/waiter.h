/*
 * waiter.h
 *		Sessions that wait for the end of an instance.
 */
#ifndef DURABLE_WAITER_H
#define DURABLE_WAITER_H

#include "durable.h"

#define DURABLE_MAX_WAITERS		1024

extern int	durable_waiter_begin(int64 key);	/* returns the number of the waiter; raises an error if none is free */
extern bool durable_waiter_wait(int waiter, long ms);	/* sleeps on MyLatch until a signal, at most ms milliseconds */
extern void durable_waiter_end(int waiter);	/* the caller calls it on error, too; automatic at process exit */

#endif							/* DURABLE_WAITER_H */
