/*
 * worker_supply.h
 *		What a coordinator knows of the owners, and the workers it starts for them.
 *
 * For the coordinator and its parts only.
 */
#ifndef DURABLE_WORKER_SUPPLY_H
#define DURABLE_WORKER_SUPPLY_H

#include "durable.h"
#include "utils/hsearch.h"

typedef enum Need
{
	NEEDS_NOTHING,
	NEEDS_PEER,					/* a further worker, if there is room */
	NEEDS_WORKER				/* one; somebody else has to go if need be */
}			Need;

typedef struct Owner
{
	Oid			owner;			/* hash key */
	Need		need;			/* in this round */
	bool		wanted;			/* a session or a worker said so */
	bool		has_messages;	/* as of the last look at the tables */
	int			tasks_due;
	TimestampTz timer_due;		/* virtual time */
	TimestampTz task_due;
	bool		solo;			/* the last worker was lost in a unit */
	int			failures;		/* in a row */
	int			useless;		/* workers in a row that found nothing to do */
	TimestampTz not_before;		/* real time, as are the others */
	TimestampTz waits_since;	/* for a slot; 0: does not */
	TimestampTz started_at;		/* the last worker */
	bool		problem_logged;
	NameData	name;			/* of the role, when a worker was started last */
}			Owner;

/* The workers of one owner, counted from the slots. */
typedef struct Workforce
{
	int			coming;			/* idle or starting */
	int			starting;		/* of these: not yet attached */
	int			busy;			/* in a batch */
	int			slow;			/* in a batch that takes long: the machine is busy, or it is stuck */
	int			away;			/* in a task or a stuck batch */
	int			tasks;			/* in a task */
	int			total;
}			Workforce;

/* owners.c */
extern void durable_owners_init(void);
extern void durable_owners_take_requests(void);	/* of sessions and workers, from shared memory */
extern void durable_owners_look(void);	/* at the tables, in the caller's transaction */
extern TimestampTz durable_owners_next_due(TimestampTz judged_at);
extern bool durable_owners_are_busy(void);	/* workers are in batches */	/* of owners without a worker; virtual time */
extern long durable_owners_count(void);
extern void durable_owners_scan(HASH_SEQ_STATUS *scan); /* of Owner */

/* ms is lowered to when the answer may change by the passing of time alone, except for what becomes due. */
extern Need durable_owner_need(Owner *owner, long *ms);

/*
 * worker_supply.c: one round, outside a transaction.  running is false when the engine
 * is paused, held or switched off.  Returns ms until it should be called again.
 */
extern long durable_supply_workers(bool running);

#endif							/* DURABLE_WORKER_SUPPLY_H */
