/*
 * unit.h
 *		Units of work: what a worker (or durable.drain) does in one transaction.
 */
#ifndef DURABLE_UNIT_H
#define DURABLE_UNIT_H

#include "durable.h"

/*
 * What this process believes is waiting.  A worker merges the hints of its slot
 * into it; the units move it on.  {0, -infinity, -infinity} means "look at
 * everything".
 */
typedef struct UnitScan
{
	int64		inbox_from;		/* instances with key >= this may have messages; INT64_MAX: none */
	int64		part_from;		/* same, of the instances of the own part; at least inbox_from */
	TimestampTz timer_due;		/* no timer is due before; DT_NOEND: none */
	TimestampTz task_due;		/* no task is due before; DT_NOEND: none */
	int			part;			/* prefer instances with key % nparts = part */
	int			nparts;
	bool		solo;			/* one instance in a unit */
	int64		walked_us;		/* time spent looking for messages; the caller resets it */
	int64		only_key;		/* this instance and no other; 0: any */
	int64		ran_task;		/* the task that the last unit of tasks has run; 0: none */
	TimestampTz ran_task_at;	/* its run_at */
	bool		passed_over;	/* the last batch found only what others hold */
	TimestampTz passed_due;		/* of the timers due at that very time ... */
	int64		passed_key;		/* ... others hold those of instances with key < this */
	int64		suspect_key;	/* found: it has ended a process or the server, and runs alone; 0: none */
	TimestampTz suspect_due;	/* its first timer that is due; DT_NOEND: none */
	TimestampTz look_again;		/* what has been passed over may run then: look at everything; 0: nothing has */
	int64		remains_us;		/* a look ends after so long among remains of what is gone; 0: no limit */
	const int64 *hinted;			/* just these instances, without positions; NULL: any */
	int			nhinted;
}			UnitScan;

typedef enum UnitResult
{
	UNIT_NOTHING,				/* nothing was due */
	UNIT_SOME,					/* did what there was */
	UNIT_FULL					/* did a full batch: there may be more */
}			UnitResult;

/*
 * All run inside the caller's transaction, as the owner, with no SPI connection
 * open; the caller commits.  Errors they raise are the engine's or the server's,
 * not the workflow's: abort and try again in solo mode.
 */
extern UnitResult durable_unit_batch(Oid owner, UnitScan *scan);
extern UnitResult durable_unit_task(Oid owner, UnitScan *scan);

/* There is news of a timer of that instance, or of one with a higher key, that is due then. */
extern void durable_unit_timers_from(UnitScan *scan, TimestampTz due, int64 key);

/* After a unit that ran a task and whose commit has failed, in the next transaction: it waits a while. */
extern UnitResult durable_unit_put_off(Oid owner, UnitScan *scan);

/*
 * What a batch has found in scan->suspect_key, if durable_suspect_may_run says so; and
 * afterwards durable_suspect_ran, here as after units of tasks.
 */
extern UnitResult durable_unit_suspect(Oid owner, UnitScan *scan);

/* Are these crashes, in fifths, enough to run it no more? */
extern bool durable_blame_convicts(int crashes);

#endif							/* DURABLE_UNIT_H */
