/*
 * failpoint.h
 *		Named places where a test can have the process killed, or held.
 */
#ifndef DURABLE_FAILPOINT_H
#define DURABLE_FAILPOINT_H

#include "durable.h"

/* Their names are in failpoint.c. */
typedef enum Failpoint
{
	FAILPOINT_BATCH_CLAIMED,	/* messages read, instances locked */
	FAILPOINT_TURN_DONE,
	FAILPOINT_ACTIVITY_DONE,	/* an inline activity */
	FAILPOINT_HISTORY_WRITTEN,
	FAILPOINT_BATCH_WRITTEN,
	FAILPOINT_TASK_BEFORE,		/* an activity with a transaction of its own */
	FAILPOINT_TASK_AFTER,
	FAILPOINT_BEFORE_COMMIT,
	FAILPOINT_COMMITTED,		/* before other processes are woken */
	FAILPOINT_AFTER_COMMIT,
	FAILPOINT_START_INSERTED,
	FAILPOINT_CRASH_COUNTED,	/* by the coordinator, before its commit */
	FAILPOINT_START_SETTLED,	/* start_with_event, between the start and the look at the instance */
	FAILPOINT_WAIT_LOOKED,		/* wait_for, between the first look and entering itself as a waiter */
	FAILPOINT_END_SEEN,			/* wait_for_any, between the end it has found and its result */
	FAILPOINT_COUNT
}			Failpoint;

#ifdef DURABLE_TESTING
extern void durable_failpoint_pass(Failpoint point);
#else
#define durable_failpoint_pass(point)	((void) 0)
#endif

#endif							/* DURABLE_FAILPOINT_H */
