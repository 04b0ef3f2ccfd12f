/*
 * unit.h
 *		Units of work: what a worker (or durable.drain) does in one transaction.
 */
#ifndef DURABLE_UNIT_H
#define DURABLE_UNIT_H

#include "durable.h"

/*
 * The positions from which on this process looks for work.  A worker merges the hints
 * of its slot into them; the units move them forward.  {0, 0, -infinity, -infinity}
 * means "look at everything".
 */
typedef struct UnitScan
{
	int64		inbox_from;		/* instances with key >= this may have messages; INT64_MAX: none */
	int64		part_from;		/* the same for the instances of the own part; at least inbox_from */
	TimestampTz timer_due;		/* no timer is due before; DT_NOEND: none */
	TimestampTz task_due;		/* no task is due before; DT_NOEND: none */
	int			part;			/* prefer instances with key % nparts = part */
	int			nparts;
	bool		solo;			/* one instance in a unit */
	int64		walked_us;		/* time spent looking for messages; the caller resets it */
	int64		only_key;		/* this instance and no other; 0: any */
	int64		ran_task;		/* the task that the last unit of tasks has run; 0: none */
	TimestampTz ran_task_at;	/* its run_at */
	bool		passed_over;	/* the last batch found only instances that other processes have locked */
	TimestampTz passed_due;		/* timers due at this time are skipped if their instance's key ... */
	int64		passed_key;		/* ... is less than this, because other processes have these locked */
	int64		suspect_key;	/* instance found that has ended a process or the server, and runs alone; 0: none */
	TimestampTz suspect_due;	/* its first timer that is due; DT_NOEND: none */
	TimestampTz look_again;		/* an instance that was skipped may run then: look at everything; 0: none was */
	int64		remains_us;		/* a scan ends after it has spent so long on dead rows; 0: no limit */
	const int64 *hinted;		/* only these instances, without positions; NULL: any */
	int			nhinted;
}			UnitScan;

typedef enum UnitResult
{
	UNIT_NOTHING,				/* nothing was due */
	UNIT_SOME,					/* did all that was due */
	UNIT_FULL					/* did a full batch: there may be more */
}			UnitResult;

/*
 * All run inside the caller's transaction, as the owner, with no SPI connection
 * open; the caller commits.  Errors they raise are the engine's or the server's,
 * not the workflow's: abort and try again in solo mode.
 */
extern UnitResult durable_unit_batch(Oid owner, UnitScan *scan);
extern UnitResult durable_unit_task(Oid owner, UnitScan *scan);

/* A timer of that instance, or of one with a higher key, may be due then. */
extern void durable_unit_timers_from(UnitScan *scan, TimestampTz due, int64 key);

/* In the transaction after a unit that ran a task and whose commit failed: the task waits for a while. */
extern UnitResult durable_unit_put_off(Oid owner, UnitScan *scan);

/*
 * Runs the instance that a batch has found in scan->suspect_key.  The caller asks
 * durable_suspect_may_run before and calls durable_suspect_ran afterwards, as for units
 * of tasks.
 */
extern UnitResult durable_unit_suspect(Oid owner, UnitScan *scan);

#endif							/* DURABLE_UNIT_H */
