/*
 * turn.h
 *		One turn of an instance.
 */
#ifndef DURABLE_TURN_H
#define DURABLE_TURN_H

#include "durable.h"
#include "handler.h"
#include "instance_table.h"
#include "nodes/pg_list.h"
#include "replay.h"
#include "runner.h"

/* Where a turn's activities run; see straight_through.c. */
typedef enum TurnMode
{
	TURN_STEPWISE,				/* between turns, or in the worker while a companion runs the turn */
	TURN_WHOLE,					/* within the turn; discarded with it unless the orchestration completes */
	TURN_PIECE					/* within the turn, if they change nothing; the results so far are kept */
}			TurnMode;

/* A turn while it runs. */
typedef struct Turn
{
	Instance   *instance;
	Handler    *handler;
	TimestampTz clock;			/* time of the unit and of new events */

	/*
	 * Set before the error that suspends the orchestration is raised.  While it is set, each
	 * durable call raises that error again, because the code may have caught it.
	 */
	bool		stopped;
	TurnResult	result;			/* while the turn runs, its outcome is valid if stopped */
	const Jsonb *raised;		/* failure that a durable call has raised last */
	int			fresh_events;	/* events from this index on are new in this run */
	int			new_calls;		/* new calls since the code has last waited */
	int			known_calls;	/* number of calls recorded before this run */
	const int  *awaited;		/* tasks that must all be answered before it can continue; NULL: not known */
	int			nawaited;

	/*
	 * Called at the end of the history; returns true if it has added events.  Set in a
	 * companion, and if activities run within the turn (straight_through.c).
	 */
	bool		(*at_frontier) (struct Turn *turn);
	void	   *frontier_arg;
	TurnMode	mode;
	bool		discarded;		/* its effects were rolled back: the turn does not count */
	SubTransactionId innermost; /* innermost subtransaction with effects of activities within the turn */
	bool		spoiled;		/* user code has rolled back some of these effects */
	bool		dry;			/* a dry run (verify.c): it writes nothing, not even to the log */
	bool		changed_settings;	/* user code has changed settings, in this run or an earlier one */
}			Turn;

extern void durable_turn_install(void); /* from _PG_init */

/* Is an orchestration running in this process? */
extern bool durable_turn_active(void);

/* Is user code running that must be deterministic?  For the hooks of determinism.c. */
extern bool durable_turn_guarded(void);

/* The running turn.  Raises WF005 if there is none, and suspends again if it was stopped. */
extern Turn *durable_turn_current(const char *function);

/*
 * Called around an activity that runs within the turn, during which no orchestration counts as
 * running.  If the activity has not completed, reenter ends the turn.
 */
extern void durable_turn_leave(Turn *turn);
extern void durable_turn_reenter(Turn *turn, bool completed);

/* Runs a turn from the beginning of the orchestration, and sets turn->result (runner.h). */
extern TurnOutcome durable_turn_run(Turn *turn);

/* Will the next call be new, so that its arguments are needed? */
extern bool durable_turn_next_is_new(const Turn *turn);

/*
 * Makes the next durable call, and returns its task number.  *recorded is the recorded event;
 * NULL: the call is new, and was recorded with that payload and extra.
 */
extern int	durable_turn_record(Turn *turn, HistoryType type, const char *name,
								Jsonb *extra, Jsonb *payload, HistoryEvent **recorded);

/* Records an answer that is known in the turn that makes the call. */
extern void durable_turn_answer(Turn *turn, HistoryType type, int task, const Jsonb *payload);

/*
 * The next call of an activity that has not been dispatched, or NULL.  Calls are dispatched in
 * their order; the caller then sets instance->dispatched to the task.
 */
extern HistoryEvent *durable_turn_next_activity(Instance *instance);

/* Writes the text of an event LOG_WRITTEN to the server's log. */
extern void durable_turn_log(const Instance *instance, const HistoryEvent *event);

/* Returns when the task is answered, or suspends the turn. */
extern TaskState *durable_turn_await(Turn *turn, int task);

/* The same for several tasks: no turn is run before all of them are answered. */
extern void durable_turn_await_all(Turn *turn, const int *tasks, int ntasks);

/* Moves the cursor of the replay by one event, or suspends the turn. */
extern void durable_turn_advance(Turn *turn);

/* Ends the turn with that outcome. */
pg_noreturn_compat extern void durable_turn_stop(Turn *turn, TurnOutcome outcome);

#endif							/* DURABLE_TURN_H */
