/*
 * runner.h
 *		Input and result of a turn.
 *
 * A turn is a function of an instance (id, parent, input, custom status), the history of its
 * execution and a time.  It returns new events of the history and a TurnResult.  It changes no
 * data, so the process that runs it needs no lock, and may be on another machine.  The new
 * events contain the decisions of the orchestration, with all data that is needed to carry them
 * out (decision.h).
 *
 * A unit of work (execution.c) has three steps: it absorbs messages, which become events; it
 * runs turns; and it applies their results (durable_outcome_apply).  There are four ways to run
 * a turn:
 *
 *	in this process		durable_turn_run (turn.c) appends the new events to
 *						instance->replay.  If the turn is discarded, they are removed.
 *	in a companion		companion.c sends the input of the turn to another process, and
 *						appends the events that it returns with durable_turn_adopt.
 *	in a program		A unit absorbs the messages and puts a turn into a queue.  The
 *						program gets the history, and sends new events and the outcome.
 *						Another unit locks the instance, checks that the execution and the
 *						number of events are the same, calls durable_turn_adopt for the
 *						events, and applies a TurnResult (external.c).
 *	as a dry run		verify.c calls durable_turn_run for an Instance that belongs to no
 *						batch.  It reads the outcome and the number of new events, and
 *						applies nothing.
 */
#ifndef DURABLE_RUNNER_H
#define DURABLE_RUNNER_H

#include "durable.h"
#include "instance_table.h"

typedef enum TurnOutcome
{
	TURN_WAITS,					/* for answers; inline activities may give them at once */
	TURN_COMPLETED,
	TURN_FAILED,
	TURN_CONTINUED_AS_NEW,
	TURN_MISMATCH,				/* the code does not match the history, or a function cannot be
								 * called; there are no new events */
	TURN_ERROR					/* of the server, not of the code; there are no new events */
}			TurnOutcome;

/* The result besides the new events. */
typedef struct TurnResult
{
	TurnOutcome outcome;
	Jsonb	   *payload;		/* COMPLETED: output, or NULL; FAILED: failure; CONTINUED_AS_NEW:
								 * input of the next execution, or NULL */
	bool		keeps_events;	/* CONTINUED_AS_NEW: unconsumed events go into the next execution */
	HistoryEvent **carried;		/* CONTINUED_AS_NEW: other events that go into the next execution */
	int			ncarried;
	char	   *version;		/* CONTINUED_AS_NEW: of the next execution; NULL: the same */
	char	   *mismatch;		/* MISMATCH: the difference, or why the function cannot be called */
	ErrorData  *error;			/* ERROR */
	Jsonb	   *custom_status;	/* after the turn; NULL: none */
}			TurnResult;

/*
 * Appends to the instance's history the calls of a turn that another process or a program has
 * run.  Raises 22023 if their numbers are not those of the next calls.
 */
extern void durable_turn_adopt(Instance *instance, HistoryEvent **events, int nevents);

#endif							/* DURABLE_RUNNER_H */
