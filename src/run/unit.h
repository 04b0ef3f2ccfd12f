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
	int64		marked_task;	/* the task that durable_unit_task has just noted, and where; 0: none */
	ItemPointerData marked_tid;
	int64		ran_task;		/* the task that the last unit of tasks has run; 0: none */
	TimestampTz ran_task_at;	/* its run_at */
	bool		passed_over;	/* the last batch found only what others hold */
	TimestampTz passed_due;		/* of the timers due at that very time ... */
	int64		passed_key;		/* ... others hold those of instances with key < this */
	bool		shuns_suspects; /* leave instances that are under suspicion ... */
	int64		suspect_key;	/* ... and say which the first of them was; 0: none */
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
 *
 * After a crash of the server (crash.c) durable_unit_task may just note a task, in
 * scan->marked_task too: then durable_unit_marked_task, in the next transaction, runs it.
 */
extern UnitResult durable_unit_batch(Oid owner, UnitScan *scan);
extern UnitResult durable_unit_task(Oid owner, UnitScan *scan);
extern UnitResult durable_unit_marked_task(Oid owner, UnitScan *scan);

/* After a unit that ran a task and whose commit has failed, in the next transaction: it waits a while. */
extern UnitResult durable_unit_put_off(Oid owner, UnitScan *scan);

/*
 * After a crash of the server (crash.c), before anything else and with a scan of
 * its own, until it returns UNIT_NOTHING: notes the next instance that may have
 * been running.  UNIT_SOME: then durable_unit_suspect, in the next transaction,
 * runs it, if it returns UNIT_NOTHING somebody has it locked; and then the caller
 * lets go of CRASH_LOCK_TURN.  UNIT_FULL: there is nothing to run for this one.
 */
extern UnitResult durable_unit_mark(Oid owner, UnitScan *scan);
extern UnitResult durable_unit_suspect(Oid owner, UnitScan *scan);

#endif							/* DURABLE_UNIT_H */
