/*
 * worker_supply.h
 *		Starts workers for the owners that need them; for the coordinator and its parts only.
 */
#ifndef DURABLE_WORKER_SUPPLY_H
#define DURABLE_WORKER_SUPPLY_H

#include "durable.h"
#include "utils/hsearch.h"

typedef enum Need
{
	NEEDS_NOTHING,
	NEEDS_PEER,					/* a further worker, if there is room */
	NEEDS_WORKER				/* a worker, even if another owner's worker has to leave */
}			Need;

typedef struct Owner
{
	Oid			owner;			/* hash key */
	Need		need;			/* in this round */
	bool		wanted;			/* a session or a worker has requested a worker */
	bool		has_messages;	/* at the last look at the tables */
	int			tasks_due;
	TimestampTz timer_due;		/* virtual time */
	TimestampTz task_due;
	bool		solo;			/* the last worker was lost within a unit */
	int			failures;		/* in a row */
	int			useless;		/* number of workers in a row that found no work */
	TimestampTz not_before;		/* no worker is started before; real time, like the next members */
	TimestampTz waits_since;	/* since when it has waited for a slot; 0: it does not wait */
	TimestampTz started_at;		/* start of the last worker */
	bool		problem_logged;
	NameData	name;			/* of the role at the start of the last worker */
}			Owner;

/* The workers of one owner, counted from the slots. */
typedef struct Workforce
{
	int			coming;			/* idle or starting */
	int			starting;		/* those of "coming" that have not attached yet */
	int			busy;			/* in a batch */
	int			slow;			/* in a batch that takes long */
	int			away;			/* in a task or a stuck batch */
	int			tasks;			/* in a task */
	int			total;
}			Workforce;

/* owners.c */
extern void durable_owners_init(void);
extern void durable_owners_take_requests(void);	/* reads requests of sessions and workers from shared memory */
extern void durable_owners_look(void);	/* looks at the tables, in the caller's transaction */
extern TimestampTz durable_owners_next_due(TimestampTz judged_at);	/* of owners without a worker; virtual time */
extern bool durable_owners_are_busy(void);	/* workers are in batches */
extern long durable_owners_count(void);
extern void durable_owners_scan(HASH_SEQ_STATUS *scan); /* of Owner */

/*
 * What the owner needs now.  *ms is lowered to the time after which the answer may change
 * although no work becomes due.
 */
extern Need durable_owner_need(Owner *owner, long *ms);

/*
 * worker_supply.c: one round, outside of a transaction.  running is false if the engine is
 * paused, held or switched off.  Returns the milliseconds until the next call.
 */
extern long durable_supply_workers(bool running);

#endif							/* DURABLE_WORKER_SUPPLY_H */
