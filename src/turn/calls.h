/*
 * calls.h
 *		What the durable calls have in common (activity_calls.c).
 */
#ifndef DURABLE_CALLS_H
#define DURABLE_CALLS_H

#include "compat.h"
#include "fmgr.h"
#include "turn.h"

/* The arguments of a call that is new. */
typedef struct NewCall
{
	FunctionCallInfo fcinfo;
	Turn	   *turn;
	const char *name;			/* of the activity, orchestration or event */
	Jsonb	   *(*input) (FunctionCallInfo);	/* activities */
	int			retry_arg;		/* activities: -1 none */
	int			timeout_arg;
	Jsonb	   *payload;
	Jsonb	   *retry;
	Jsonb	   *extra;
	int64		timeout_us;		/* activities */
	char	   *instance_id;	/* orchestrations, events */
	bool		abandons;		/* close_policy of a sub-orchestration */
	char	   *version;		/* orchestrations: the version that was asked for, or NULL */
}			NewCall;

/* Runs read(call), which looks at the arguments; what it raises is recorded as the call's. */
extern void durable_call_read(NewCall *call, HistoryType type, void (*read) (NewCall *call));

/* In a replay: the call was refused, and is again. */
extern void durable_call_refuse_again(Turn *turn, int task, const HistoryEvent *recorded);

/* Waits for the task; its result, or its failure raised. */
extern Datum durable_call_answer(FunctionCallInfo fcinfo, Turn *turn, int task);

/* Raises a failure of something the orchestration has called. */
pg_noreturn_compat extern void durable_call_raise(Turn *turn, const Jsonb *failure);

/* A text argument that must be neither null, nor empty, nor too long; what names it. */
extern char *durable_call_name(FunctionCallInfo fcinfo, int argno, const char *what);

/* A jsonb argument, NULL for SQL NULL. */
extern Jsonb *durable_call_jsonb(FunctionCallInfo fcinfo, int argno);

/* The next 16 of the instance's random bytes (context_calls.c). */
extern void durable_call_draw(Turn *turn, uint8 *bytes);

#endif							/* DURABLE_CALLS_H */
