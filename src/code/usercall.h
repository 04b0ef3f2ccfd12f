/*
 * usercall.h
 *		Running user code so that whatever it does can be undone.
 */
#ifndef DURABLE_USERCALL_H
#define DURABLE_USERCALL_H

#include "durable.h"
#include "flight.h"

/* How far a call has come.  Until it is in the code, what goes wrong is not the code's fault. */
typedef enum CallStage
{
	STAGE_BINDING,				/* looking the function up, asking for rights, matching its parameters */
	STAGE_VALUE,				/* converting values to the types of parameters */
	STAGE_CODE
}			CallStage;

typedef struct UserCall
{
	/* what to run: returns its result in the context that is current then */
	Jsonb	   *(*body) (void *arg);
	void	   *arg;

	/* asked after body returned: should its effects be kept?  NULL: yes */
	bool		(*keep) (void *arg);

	bool		read_only;		/* a turn: no writes, and not kept ... */
	bool		may_keep;		/* ... unless so, for the activities run within it */
	bool		within_turn;	/* such an activity: may write, deferred triggers wait */
	int64		timeout_us;		/* 0: none */
	FlightRun	flight;			/* what it is for; FLIGHT_NOTHING: a look-up */
	bool		must_stop;		/* code that catches the timeout's error time and again loses its process */

	/* outcome */
	bool		returned;		/* body returned; else error is set */
	bool		kept;
	bool		timed_out;
	CallStage	stage;			/* in which the error was raised */
	bool		wrote;			/* the subtransaction had a transaction id */
	bool		changed_settings;	/* as far as it was seen; they are put back */
	bool		notified;		/* notifications wait for the commit */
	bool		set_constraints;	/* SET CONSTRAINTS was run: it holds for the transaction */
	int64		elapsed_us;
	Jsonb	   *result;			/* in the caller's context */
	ErrorData  *error;			/* same */
}			UserCall;

extern void durable_usercall_run(UserCall *call);

/* Is an orchestration or an activity running in this process? */
extern bool durable_usercall_active(void);

/* From handler_call.c: the stage of the innermost call. */
extern CallStage durable_usercall_get_stage(void);
extern void durable_usercall_set_stage(CallStage stage);

/* From the hooks that see it: the code that runs changes settings, or the modes of constraints. */
extern void durable_usercall_note_settings(void);
extern void durable_usercall_note_constraints(void);

/* Has the code that runs changed settings? */
extern bool durable_usercall_changed_settings(void);

/* Is it losing its process? */
extern bool durable_usercall_is_ending(void);

#endif							/* DURABLE_USERCALL_H */
