/*
 * calls.h
 *		Functions that the files *_calls.c share; most are in activity_calls.c.
 */
#ifndef DURABLE_CALLS_H
#define DURABLE_CALLS_H

#include "compat.h"
#include "fmgr.h"
#include "turn.h"

/* The arguments of a new call. */
typedef struct NewCall
{
	FunctionCallInfo fcinfo;
	Turn	   *turn;
	const char *name;			/* of the activity, orchestration or event */
	Jsonb	   *(*input) (FunctionCallInfo);	/* activities: makes the payload from the arguments */
	int			retry_arg;		/* activities: number of the argument; -1: none */
	int			timeout_arg;	/* the same */
	Jsonb	   *payload;
	Jsonb	   *retry;
	Jsonb	   *extra;
	int64		timeout_us;		/* activities */
	char	   *instance_id;	/* orchestrations, events */
	bool		abandons;		/* sub-orchestrations: close_policy is abandon */
	char	   *version;		/* orchestrations: the version that was asked for, or NULL */
}			NewCall;

/* Runs read(call), which reads the arguments.  An error that it raises is recorded as the call's failure. */
extern void durable_call_read(NewCall *call, HistoryType type, void (*read) (NewCall *call));

/* In a replay: raises the recorded error of a call that was refused. */
extern void durable_call_refuse_again(Turn *turn, int task, const HistoryEvent *recorded);

/* Waits for the task.  Returns its result, or raises its failure. */
extern Datum durable_call_answer(FunctionCallInfo fcinfo, Turn *turn, int task);

/* Raises a failure of an activity, sub-orchestration or entity that the orchestration has called. */
pg_noreturn_compat extern void durable_call_raise(Turn *turn, const Jsonb *failure);

/* A text argument that must not be null, empty or too long; "what" names it in the error. */
extern char *durable_call_name(FunctionCallInfo fcinfo, int argno, const char *what);

/* A jsonb argument, NULL for SQL NULL. */
extern Jsonb *durable_call_jsonb(FunctionCallInfo fcinfo, int argno);

/* The next 16 of the instance's random bytes (context_calls.c). */
extern void durable_call_draw(Turn *turn, uint8 *bytes);

#endif							/* DURABLE_CALLS_H */
