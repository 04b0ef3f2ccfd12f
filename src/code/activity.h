/*
 * activity.h
 *		Running an activity.
 */
#ifndef DURABLE_ACTIVITY_H
#define DURABLE_ACTIVITY_H

#include "durable.h"
#include "flight.h"
#include "nodes/pg_list.h"
#include "registry.h"
#include "wait_until.h"

/* The built-in activity behind durable.call_sql(). */
#define ACTIVITY_CALL_SQL	"durable.call_sql"

/* What a name of an activity means in this transaction. */
typedef struct ActivityTarget
{
	const char *name;
	Oid			asking_namespace;	/* schema of the orchestration that asked */
	Jsonb	   *failure;		/* the name cannot be resolved: why, as the failure of a call ... */
	char	   *problem;		/* ... and for the administrator */
	char	   *handler;		/* signature; ACTIVITY_CALL_SQL for the built-in; NULL: external */
	Oid			function;		/* InvalidOid for the built-in */
	ActivityExecution execution;
	const Jsonb *retry;			/* registered default, or NULL */
	int64		timeout_us;		/* registered default, 0 none */
	const char *queue;			/* it waits there until it may run; NULL: it does not */
	int			priority;		/* in the queue */
	const char *share;			/* member of the input that is its key there, or NULL */
	bool		trusted;		/* cannot touch the world outside the database by itself */
} ActivityTarget;

typedef enum ActivityOutcome
{
	ACTIVITY_COMPLETED,
	ACTIVITY_FAILED,
	ACTIVITY_TRY_LATER,			/* infrastructure error, or took too long to be inline */
	ACTIVITY_UNBOUND,			/* its function cannot be called as it is: problem says why */
	ACTIVITY_NOT_YET,			/* a look at data that is not as the orchestration wants it */
	ACTIVITY_STOPPED			/* the instance was terminated meanwhile, or it has left something */
}			ActivityOutcome;

typedef struct ActivityRun
{
	const char *name;
	const char *handler;
	Oid			function;		/* for learning its duration */
	const Jsonb *input;
	int64		timeout_us;		/* 0: durable.activity_timeout */
	bool		is_inline;		/* give up when it takes too long */
	bool		within_turn;	/* the orchestration's stack is alive below */
	bool		must_leave_nothing; /* in the database: else it is stopped */
	bool		(*keep) (void *arg);	/* NULL, or asked before its effects are kept */
	int			attempt;
	int			repeats;		/* of this attempt, after conflicts that count as such only a few times */
	FlightRun	flight;

	WaitUntil	wait;			/* of such a look */
	Jsonb	   *payload;		/* result, or failure */
	char	   *problem;		/* ACTIVITY_UNBOUND */
	int			sqlerrcode;		/* of the failure */
	bool		set_constraints;	/* and was kept: the modes of constraints are not what they were */
	bool		notified;		/* its notifications wait for the commit */
	bool		wrote;
	bool		left;			/* stopped for that reason */
	int64		elapsed_us;
}			ActivityRun;

/* A time limit in us: days of 24 hours, months of 30 days; 22023 unless positive. */
extern int64 durable_activity_timeout_us(const Interval *timeout);

/* The same for one that is stored: never raises, 0 (none) unless positive. */
extern int64 durable_activity_stored_timeout_us(const Interval *timeout);

/* Finds what the name stands for, as the current user; never raises for a bad name. */
extern ActivityTarget * durable_activity_target(List **known, const char *name,
												Oid owner, Oid asking_namespace);

/* Would it run inline now? */
extern bool durable_activity_is_short(const ActivityTarget * target, const Jsonb *input);

extern ActivityOutcome durable_activity_run(ActivityRun * run);

/* Which attempt of its task the running activity is, from 1; 0: no activity is running. */
extern int	durable_activity_attempt(void);

#endif							/* DURABLE_ACTIVITY_H */
