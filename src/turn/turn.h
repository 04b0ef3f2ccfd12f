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
	TURN_STEPWISE,				/* between turns, or by a companion's worker */
	TURN_WHOLE,					/* within it: kept if it completes, else nothing is */
	TURN_PIECE					/* within it, those that leave nothing behind: kept as far as it comes */
}			TurnMode;

/* A turn while it runs. */
typedef struct Turn
{
	Instance   *instance;
	Handler    *handler;
	TimestampTz clock;			/* of this unit; time of new events */

	/*
	 * Set before the error that suspends is raised.  While it is set every durable
	 * call raises again: languages that can catch anything get nowhere.
	 */
	bool		stopped;
	TurnResult	result;			/* its outcome is meaningful while it runs when stopped */
	const Jsonb *raised;		/* failure that a durable call has raised last */
	int			fresh_events;	/* events from here on are new to this run */
	int			new_calls;		/* since it has waited */
	int			known_calls;	/* recorded before this run */
	const int  *awaited;		/* tasks that all must be answered before it goes on; NULL: not known */
	int			nawaited;
	/*
	 * Asked when the history ends, true if there is more now.  In a companion, and
	 * when activities are run within the turn (straight_through.c).
	 */
	bool		(*at_frontier) (struct Turn *turn);
	void	   *frontier_arg;
	TurnMode	mode;
	bool		discarded;		/* nothing of it is left: it does not count */
	SubTransactionId innermost; /* the youngest one that holds effects of such activities */
	bool		spoiled;		/* user code has rolled back some of them */
	bool		dry;			/* nothing comes of it, not even a line in the log (verify.c) */
	bool		changed_settings;	/* user code has, in this or an earlier run */
}			Turn;

extern void durable_turn_install(void); /* from _PG_init */

/* Are we inside an orchestration? */
extern bool durable_turn_active(void);

/* Is user code running that must be deterministic? (hooks of determinism.c) */
extern bool durable_turn_guarded(void);

/* The running turn; raises WF005 outside, or suspends again when stopped. */
extern Turn *durable_turn_current(const char *function);

/*
 * While an activity runs within the turn, we are not in an orchestration.  Unless it
 * has completed, the turn is over.
 */
extern void durable_turn_leave(Turn *turn);
extern void durable_turn_reenter(Turn *turn, bool completed);

/* Runs one turn from the top; turn->result is what it comes to (runner.h). */
extern TurnOutcome durable_turn_run(Turn *turn);

/* Will the next call be new?  Then its arguments are needed. */
extern bool durable_turn_next_is_new(const Turn *turn);

/*
 * For durable calls.  record makes the next call: returns its task; *recorded is
 * the recorded event, or NULL when the call is new, and then the event is recorded
 * with that payload and extra.
 */
extern int	durable_turn_record(Turn *turn, HistoryType type, const char *name,
								Jsonb *extra, Jsonb *payload, HistoryEvent **recorded);

/* An answer that is known at once, in the turn that made the call. */
extern void durable_turn_answer(Turn *turn, HistoryType type, int task, const Jsonb *payload);

/*
 * The next call of an activity that has not been dispatched, or NULL.  Calls are
 * dispatched in their order: whoever has dispatched it sets instance->dispatched to
 * its task.
 */
extern HistoryEvent *durable_turn_next_activity(Instance *instance);

/* Writes a line that was recorded to the server's log. */
extern void durable_turn_log(const Instance *instance, const HistoryEvent *event);

/* Waits until the task is answered: returns, or suspends the turn. */
extern TaskState *durable_turn_await(Turn *turn, int task);

/* The same for several: the turn is not worth running before all of them can be answered. */
extern void durable_turn_await_all(Turn *turn, const int *tasks, int ntasks);

/* Sees one more event, or suspends the turn. */
extern void durable_turn_advance(Turn *turn);

/* Ends the turn with that outcome; does not return. */
pg_noreturn_compat extern void durable_turn_stop(Turn *turn, TurnOutcome outcome);

#endif							/* DURABLE_TURN_H */
