/*
 * unit.h
 *		Units of work: the work of a worker, or of durable.drain(), in one transaction.
 */
#ifndef DURABLE_UNIT_H
#define DURABLE_UNIT_H

#include "durable.h"

/*
 * The positions from which on this process looks for work.  A worker merges the hints of its
 * slot into them, and units move them forward.  {0, 0, -infinity, -infinity} means to look for
 * any work.
 */
typedef struct UnitScan
{
	int64		inbox_from;		/* instances with this key or a higher one may have messages; INT64_MAX: none */
	int64		part_from;		/* the same for the instances of this worker's part; at least inbox_from */
	TimestampTz timer_due;		/* no timer is due before; DT_NOEND: none */
	TimestampTz task_due;		/* no task is due before; DT_NOEND: none */
	int			part;			/* prefer instances with key % nparts = part */
	int			nparts;
	bool		solo;			/* run only one instance in each unit */
	int64		walked_us;		/* time spent looking for messages; the caller resets it */
	int64		only_key;		/* run this instance only; 0: any */
	int64		ran_task;		/* the task that the last unit of tasks has run; 0: none */
	TimestampTz ran_task_at;	/* its run_at */
	bool		passed_over;	/* the last batch found only instances that other processes have locked */
	TimestampTz passed_due;		/* timers due at this time are skipped if the key of their instance is */
	int64		passed_key;		/* less than this one, because other processes have locked these */
	int64		suspect_key;	/* an instance that has ended a process or the server, and runs alone; 0: none */
	TimestampTz suspect_due;	/* its first due timer; DT_NOEND: none */
	TimestampTz look_again;		/* look for any work then, because an instance was skipped; 0: none was */
	int64		remains_us;		/* limit of the time that a scan spends on dead rows; 0: none */
	const int64 *hinted;		/* only these instances, whatever the positions; NULL: any */
	int			nhinted;
	bool		only_queued;	/* the last batch has done nothing but put work into queues: see only_queued() in unit.c */
}			UnitScan;

typedef enum UnitResult
{
	UNIT_NOTHING,				/* nothing was due */
	UNIT_SOME,					/* all work that was due was done */
	UNIT_FULL					/* a full batch was done: there may be more */
}			UnitResult;

/*
 * Units run in the caller's transaction, as the owner, without an open SPI connection; the
 * caller commits.  An error that a unit raises is one of the engine or the server, not of the
 * workflow: the caller aborts, and tries again in solo mode.
 */
extern UnitResult durable_unit_batch(Oid owner, UnitScan *scan);
extern UnitResult durable_unit_task(Oid owner, UnitScan *scan);

/* A timer of that instance, or of one with a higher key, may be due then. */
extern void durable_unit_timers_from(UnitScan *scan, TimestampTz due, int64 key);

/* Called in the next transaction if the commit of a unit of tasks has failed: the task waits for a while. */
extern UnitResult durable_unit_put_off(Oid owner, UnitScan *scan);

/*
 * Runs the instance scan->suspect_key, which a batch has found.  The caller calls
 * durable_suspect_may_run before and durable_suspect_ran afterwards, as for units of tasks.
 */
extern UnitResult durable_unit_suspect(Oid owner, UnitScan *scan);

#endif							/* DURABLE_UNIT_H */
