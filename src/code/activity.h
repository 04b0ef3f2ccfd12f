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

/* What an activity's name refers to in this transaction. */
typedef struct ActivityTarget
{
	const char *name;
	Oid			asking_namespace;	/* schema of the orchestration that calls it */
	Jsonb	   *failure;		/* if the name cannot be resolved: the failure of the call; else NULL */
	char	   *problem;		/* the same as a text for the administrator */
	char	   *handler;		/* signature; ACTIVITY_CALL_SQL for the built-in; NULL: external */
	Oid			function;		/* InvalidOid for the built-in */
	ActivityExecution execution;
	const Jsonb *retry;			/* registered default, or NULL */
	int64		timeout_us;		/* registered default; 0: none */
	const char *queue;			/* its calls wait in this queue; NULL: they do not wait */
	int			priority;		/* in the queue */
	const char *share;			/* member of the input that is the key in the queue, or NULL */
	bool		trusted;		/* in a trusted language: it has no effects outside of the database by itself */
} ActivityTarget;

typedef enum ActivityOutcome
{
	ACTIVITY_COMPLETED,
	ACTIVITY_FAILED,
	ACTIVITY_TRY_LATER,			/* error of the server, or it took too long to run inline */
	ACTIVITY_UNBOUND,			/* its function cannot be called: see problem */
	ACTIVITY_NOT_YET,			/* wait_until(): the condition does not hold yet */
	ACTIVITY_STOPPED			/* the instance was terminated, or must_leave_nothing was violated */
}			ActivityOutcome;

typedef struct ActivityRun
{
	const char *name;
	const char *handler;
	Oid			function;		/* for duration.h */
	const Jsonb *input;
	int64		timeout_us;		/* 0: durable.activity_timeout */
	bool		is_inline;		/* stop it when it takes too long */
	bool		within_turn;	/* it is called while the orchestration is on the stack */
	bool		must_leave_nothing; /* stop it if it changes the database */
	bool		(*keep) (void *arg);	/* returns whether its effects are kept; NULL: they are */
	int			attempt;
	int			repeats;		/* of this attempt, after conflicts (ERROR_OF_EITHER) */
	FlightRun	flight;

	/* results */
	WaitUntil	wait;			/* wait_until() */
	Jsonb	   *payload;		/* result, or failure */
	char	   *problem;		/* ACTIVITY_UNBOUND */
	int			sqlerrcode;		/* of the failure */
	bool		set_constraints;	/* its effects are kept, and it has run SET CONSTRAINTS */
	bool		notified;		/* it has sent notifications, which wait for the commit */
	bool		wrote;
	bool		left;			/* ACTIVITY_STOPPED because of must_leave_nothing */
	int64		elapsed_us;
}			ActivityRun;

/* A time limit in microseconds, with days of 24 hours and months of 30 days.  Raises 22023 unless it is positive. */
extern int64 durable_activity_timeout_us(const Interval *timeout);

/*
 * Resolves the name as the current user.  If that is not possible, failure is set in the
 * result, and no error is raised.  known: results of this transaction, which this function
 * searches and extends.
 */
extern ActivityTarget * durable_activity_target(List **known, const char *name,
												Oid owner, Oid asking_namespace);

/* Would a call run inline, according to its registration and its run time so far? */
extern bool durable_activity_is_short(const ActivityTarget * target, const Jsonb *input);

extern ActivityOutcome durable_activity_run(ActivityRun * run);

/* The number of the attempt that is running, from 1; 0: no activity is running. */
extern int	durable_activity_attempt(void);

#endif							/* DURABLE_ACTIVITY_H */
