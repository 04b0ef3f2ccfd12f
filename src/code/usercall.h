/*
 * usercall.h
 *		Running user code in a subtransaction, with its errors and limits.
 */
#ifndef DURABLE_USERCALL_H
#define DURABLE_USERCALL_H

#include "durable.h"
#include "flight.h"

/* The stage of a call in which an error is raised.  Before STAGE_CODE it is not an error of the code. */
typedef enum CallStage
{
	STAGE_BINDING,				/* looking the function up, checking privileges, matching parameters */
	STAGE_VALUE,				/* converting values to the types of parameters */
	STAGE_CODE
}			CallStage;

typedef struct UserCall
{
	/* runs the code; its result is in the context that is current when it is called */
	Jsonb	   *(*body) (void *arg);
	void	   *arg;

	/* called after body has returned: should its effects be kept?  NULL: yes */
	bool		(*keep) (void *arg);

	bool		read_only;		/* a turn: it must not write, and is rolled back */
	bool		may_keep;		/* with read_only: keep the effects of activities that ran within the turn */
	bool		within_turn;	/* an activity within a turn: it may write, and deferred triggers wait */
	int64		timeout_us;		/* 0: none */
	FlightRun	flight;			/* for the flight recorder; FLIGHT_NOTHING: a look-up */
	bool		must_stop;		/* end the process if the code keeps catching the timeout's error */

	/* outcome */
	bool		returned;		/* body has returned; else error is set */
	bool		kept;
	bool		timed_out;
	CallStage	stage;			/* in which the error was raised */
	bool		wrote;			/* the subtransaction had a transaction id */
	bool		changed_settings;	/* a change was noticed; settings are restored in any case */
	bool		notified;		/* it has sent notifications, which wait for the commit */
	bool		set_constraints;	/* it has run SET CONSTRAINTS, which lasts until the end of the transaction */
	int64		elapsed_us;
	Jsonb	   *result;			/* in the caller's context */
	ErrorData  *error;			/* in the caller's context */
}			UserCall;

extern void durable_usercall_run(UserCall *call);

/* Is an orchestration or an activity running in this process? */
extern bool durable_usercall_active(void);

/* The stage of the innermost call, which handler_call.c sets. */
extern CallStage durable_usercall_get_stage(void);
extern void durable_usercall_set_stage(CallStage stage);

/* Called by hooks: the running code changes settings, or the modes of constraints. */
extern void durable_usercall_note_settings(void);
extern void durable_usercall_note_constraints(void);

/* Has the running code changed settings? */
extern bool durable_usercall_changed_settings(void);

/* Is the process about to end because the running code did not stop? */
extern bool durable_usercall_is_ending(void);

#endif							/* DURABLE_USERCALL_H */
