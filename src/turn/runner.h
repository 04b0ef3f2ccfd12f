/*
 * runner.h
 *		Input and result of a turn, in whichever process it runs.
 *
 * A turn is a function.  It takes an instance (id, parent, input, custom status), the
 * history of its execution and a time, and it returns a TurnResult: the events that
 * are new in the history, and the members below.  It changes no data, so the process
 * that runs it needs no lock, and may be on another machine.  The new events contain
 * the decisions of the orchestration, with all data that carrying them out needs
 * (decision.h).
 *
 * A unit of work (execution.c) has three steps.  It absorbs messages, which become
 * events; it has turns run; and it applies their results (durable_outcome_apply).  The
 * middle one can be done by any of these:
 *
 *	this process		durable_turn_run (turn.c) appends the new events to
 *						instance->replay itself.  If it discards the turn, it has taken
 *						them back.
 *	a companion			companion.c sends what a turn is given to another process, and
 *						takes the events that come back with durable_turn_adopt.
 *	a program elsewhere	A unit absorbs the messages and stores that a turn is to be run.
 *						The program gets the history and sends the new events and the
 *						outcome.  Another unit then locks the instance, sees that it is
 *						still the same execution and number of events, calls
 *						durable_turn_adopt for the events, fills in a TurnResult and
 *						applies it.
 *	a dry run			An Instance that belongs to no batch, with a history in its
 *						replay, is given to durable_turn_run.  The outcome and the
 *						number of new events are read, and nothing is applied.
 */
#ifndef DURABLE_RUNNER_H
#define DURABLE_RUNNER_H

#include "durable.h"
#include "instance_table.h"

typedef enum TurnOutcome
{
	TURN_WAITS,					/* for answers, some of which may come at once */
	TURN_COMPLETED,
	TURN_FAILED,
	TURN_CONTINUED_AS_NEW,
	TURN_MISMATCH,				/* the code does not fit the history, or a function cannot be
								 * called; no event is new */
	TURN_ERROR					/* of the server, not of the code; no event is new */
}			TurnOutcome;

/* Besides the events that are behind those that the turn was given. */
typedef struct TurnResult
{
	TurnOutcome outcome;
	Jsonb	   *payload;		/* COMPLETED: output, or NULL; FAILED: failure; CONTINUED_AS_NEW:
								 * input of the next execution, or NULL */
	bool		keeps_events;	/* CONTINUED_AS_NEW: takes along events that nobody has consumed */
	HistoryEvent **carried;		/* CONTINUED_AS_NEW: other events that it takes along */
	int			ncarried;
	char	   *version;		/* CONTINUED_AS_NEW: of the next execution; NULL: the same */
	char	   *mismatch;		/* MISMATCH: what the history has and what the code does, or
								 * what keeps the function from being called */
	ErrorData  *error;			/* ERROR */
	Jsonb	   *custom_status;	/* what the turn has set or found; NULL: none */
}			TurnResult;

/*
 * Takes over calls that the orchestration has made where somebody else has run it:
 * appends them to the instance's history.  Raises 22023 when they are not the calls
 * that come next.
 */
extern void durable_turn_adopt(Instance *instance, HistoryEvent **events, int nevents);

#endif							/* DURABLE_RUNNER_H */
