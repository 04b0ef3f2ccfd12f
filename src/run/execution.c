/*-------------------------------------------------------------------------
 *
 * execution.c
 *		Runs an instance until it waits or ends.
 *
 * States of an instance (status), and its transitions:
 *
 *	Pending --first turn--> Running --returns--> Completed
 *	   |                    |  ^  \--raises----> Failed
 *	   |            suspend,|  |resume
 *	   |           mismatch v  |
 *	   +----- suspend -> Suspended
 *	any of the three --terminate--> Terminated
 *
 * The last three are final, except that a Failed instance can be rewound (rewind.c).
 * durable_instance_set_status() performs all transitions.  While an instance is
 * suspended its messages still become events of its history, so they keep their order,
 * but it does not run.
 *
 * The steps are those of runner.h: messages are absorbed, a turn decides, and its
 * result is applied (outcome.c, and dispatch.c for activities).  If activities have
 * been answered at once, the orchestration is replayed past them, until no such
 * activity is left.
 *
 * Called by: unit.c; outcome.c, dispatch.c and orchestration_code.c, to suspend an instance
 * Locks:	the caller holds the instance's row lock
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "child_id.h"
#include "companion.h"
#include "dispatch.h"
#include "entity.h"
#include "execution.h"
#include "external.h"
#include "failpoint.h"
#include "instance.h"
#include "json.h"
#include "orchestration_code.h"
#include "outcome.h"
#include "rewind.h"
#include "retry.h"
#include "straight_through.h"
#include "usercall.h"
#include "verbatim.h"
#include "waiting.h"

/* The number of turns in one batch that may end with an error of the server. */
#define ERROR_TRIES		5

/* A turn is run again at most this number of times because its function has just been changed. */
#define STALE_TRIES		10

/* straight_through.c learns that an orchestration suits it if it completes in at most this many turns. */
#define STRAIGHT_TURNS	30

/*
 * A burst is this number of turns in one unit, a second turn over a history of this
 * length, or a turn for which an earlier unit had no time.
 */
#define BURST_TURNS		16
#define BURST_EVENTS	200

/* After a companion with little work, or a piece that did not save time, this many turns are run without one. */
#define WORTH_STEPS		16
#define BACK_OFF		256

/* The state of one instance in one unit. */
typedef struct Progress
{
	int			turns;
	bool		in_burst;		/* replaying each step is too expensive */
	int			straight_from;	/* not tried in turns before these */
	int			companion_from;
}			Progress;

static bool absorb(Batch * batch, Instance *instance, List *messages);
static bool absorb_message(Batch * batch, Instance *instance, Message *message);
static void start(Batch * batch, Instance *instance);
static bool absorb_answer(Batch * batch, Instance *instance, Message *message);
static bool retry_child(Batch * batch, Instance *instance, Message *message, HistoryEvent *call);
static bool child_is_canceled(const Instance *instance, int32 task);
static bool run_turns(Batch * batch, Instance *instance);
static bool run_turn(Batch * batch, Instance *instance, Handler *handler, Turn *turn,
					 Progress *progress);
static bool run_steps(Batch * batch, Instance *instance, Handler *handler, int *steps);
static bool may_be_raised(const ErrorData *error);

void
durable_execution_run(Batch * batch, Instance *instance, List *messages)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	bool		ran = false;

	durable_entities_loaded(instance);
	ran = absorb(batch, instance, messages);
	if (durable_external_is(instance))
	{
		durable_external_go_on(batch, instance);
		MemoryContextSwitchTo(old);
		return;
	}
	if (ran)
		ran = run_turns(batch, instance);
	if (!ran && !STATUS_IS_FINISHED(instance->status))
		instance->waiting = durable_waiting_keep(instance);

	MemoryContextSwitchTo(old);
}

void
durable_execution_park(Batch * batch, Instance *instance, const char *reason)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);

	ereport(LOG,
			(errmsg("instance \"%s\" is suspended: %s", instance->instance_id,
					durable_clip(reason))));
	durable_instance_set_status(instance, STATUS_SUSPENDED, reason);
	MemoryContextSwitchTo(old);
}

/*
 * Messages become events, and change the status.  Returns whether there is a turn to
 * run: messages that arrive before the start, or while the instance is suspended, do not
 * cause one.  An instance that waits for many tasks is not run for each of them.
 */
static bool
absorb(Batch * batch, Instance *instance, List *messages)
{
	ListCell   *cell;
	bool		runnable = false;
	bool		forced = false; /* run it regardless of the number of tasks it waits for */

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		/* Messages after the end are dropped, except those that a rewind needs. */
		if (instance->status == STATUS_FAILED)
		{
			if (message->kind == MESSAGE_REWIND)
			{
				durable_rewind_apply(batch, instance, message);
				runnable = forced = true;
			}
			else if (message->kind == MESSAGE_COMPLETED || message->kind == MESSAGE_FAILED)
				(void) absorb_answer(batch, instance, message);
			else if (message->kind == MESSAGE_EVENT)
			{
				(void) absorb_message(batch, instance, message);
				instance->dropped_events++;
			}
			continue;
		}
		if (STATUS_IS_FINISHED(instance->status))
		{
			if (message->kind == MESSAGE_EVENT)
				durable_instance_drop_event(batch, instance, message);
			continue;
		}
		if (absorb_message(batch, instance, message))
			runnable = true;
		forced |= message->kind == MESSAGE_CONTINUE || message->kind == MESSAGE_RESUME ||
			message->kind == MESSAGE_EVENT;
	}
	return runnable && instance->started_at != 0 && !durable_replay_lacks_locks(&instance->replay) &&
		(forced || instance->replay.nevents >= instance->runs_at || instance->dispatched >= 0) &&
		(instance->status == STATUS_PENDING || instance->status == STATUS_RUNNING);
}

/* Returns whether the message is a reason to run the instance. */
static bool
absorb_message(Batch * batch, Instance *instance, Message *message)
{
	switch (message->kind)
	{
		case MESSAGE_START:
			start(batch, instance);
			return true;

		case MESSAGE_CONTINUE:
			if (message->execution != instance->execution)
				return false;
			return true;

		case MESSAGE_EVENT:
			durable_instance_add_event(batch, instance, HISTORY_EVENT_RAISED, 0, message->name,
									   durable_verbatim_convert(message->payload, message->is_text,
																durable_external_is(instance)));
			return true;

		case MESSAGE_TURN:
			durable_external_apply(batch, instance, message);
			return true;

		case MESSAGE_TIMER:
			/* Task 0 is the start of an instance with start_at. */
			if (message->task == 0)
			{
				start(batch, instance);
				return true;
			}
			if (message->execution != instance->execution)
				return false;
			durable_instance_add_event(batch, instance, HISTORY_TIMER_FIRED, message->task, NULL, NULL);
			return true;

		case MESSAGE_COMPLETED:
		case MESSAGE_FAILED:
			return absorb_answer(batch, instance, message);

		case MESSAGE_SUSPEND:
			if (instance->status != STATUS_SUSPENDED)
			{
				char	   *reason = message->payload ?
					durable_json_get_text(message->payload, "reason") : NULL;

				durable_instance_add_event(batch, instance, HISTORY_SUSPENDED, 0, NULL, message->payload);
				durable_instance_set_status(instance, STATUS_SUSPENDED, reason);
			}
			return false;

		case MESSAGE_RESUME:
			if (instance->status != STATUS_SUSPENDED)
				return false;
			durable_instance_add_event(batch, instance, HISTORY_RESUMED, 0, NULL, message->payload);
			durable_instance_set_status(instance, instance->started_at == 0 ? STATUS_PENDING : STATUS_RUNNING,
					   NULL);
			return true;

		case MESSAGE_REWIND:
			return false;		/* it has not failed */

		case MESSAGE_TERMINATE:
			{
				Jsonb	   *failure = message->payload;

				batch->gone_tasks = lappend(batch->gone_tasks, instance);
				instance->leaves_children = message->name != NULL && strcmp(message->name, TERMINATE_ALONE) == 0;
				durable_outcome_finish(batch, instance, STATUS_TERMINATED, NULL, failure);
				return false;
			}

		default:
			elog(ERROR, "inbox message " INT64_FORMAT " has unknown kind \"%c\"",
				 message->id, message->kind);
	}
	return false;
}

/* Sets the start time, after which the instance may run.  A suspended instance runs after it has been resumed. */
static void
start(Batch * batch, Instance *instance)
{
	if (instance->started_at != 0)
		return;
	instance->waiting = durable_waiting_start(instance, batch->clock);
	instance->started_at = instance->replay.started = batch->clock;
}

/* A task or a sub-orchestration has ended. */
static bool
absorb_answer(Batch * batch, Instance *instance, Message *message)
{
	Replay	   *replay = &instance->replay;
	HistoryEvent *call;
	bool		is_child;
	bool		failed = message->kind == MESSAGE_FAILED;

	/* The answer belongs to an earlier execution, or to a turn that was rolled back. */
	if (message->execution != instance->execution ||
		message->task < 1 || message->task > replay->ncalls)
		return false;

	call = replay->events[replay->calls[message->task - 1]];
	if (HISTORY_IS_ENTITY_CALL(call->type))
	{
		bool		lacks_locks = durable_replay_lacks_locks(replay);

		durable_instance_add_event(batch, instance,
								   call->type == HISTORY_ENTITY_LOCK_REQUESTED ? HISTORY_ENTITY_LOCK_GRANTED :
								   failed ? HISTORY_ENTITY_FAILED : HISTORY_ENTITY_COMPLETED,
								   message->task, NULL,
								   failed ? message->payload :
								   durable_verbatim_convert(message->payload, message->is_text,
															durable_external_is(instance)));
		if (lacks_locks && !durable_replay_lacks_locks(replay))
			durable_entities_resume_section(batch, instance);
		return true;
	}
	is_child = call->type == HISTORY_SUB_CREATED;
	if (!is_child && call->type != HISTORY_TASK_SCHEDULED)
		return false;

	if (failed && is_child && instance->status != STATUS_FAILED && retry_child(batch, instance, message, call))
		return false;

	durable_instance_add_answer(batch, instance,
								is_child ? (failed ? HISTORY_SUB_FAILED : HISTORY_SUB_COMPLETED) :
								(failed ? HISTORY_TASK_FAILED : HISTORY_TASK_COMPLETED),
								message->task, message->attempt,
								failed ? message->payload :
								durable_verbatim_convert(message->payload, message->is_text,
														 durable_external_is(instance)));
	return true;
}

/*
 * Starts a failed sub-orchestration with attempts left again, under another id.  The
 * history has only one child and one answer.
 */
static bool
retry_child(Batch * batch, Instance *instance, Message *message, HistoryEvent *call)
{
	Jsonb	   *retry = durable_json_get_member(call->extra, "retry");
	char	   *sqlstate = message->payload ?
		durable_json_get_text(message->payload, "sqlstate") : NULL;
	int			attempt = Max(message->attempt, 1);
	int64		delay;
	Decision	decision;

	if (message->attempt == ATTEMPT_NEVER_STARTED || child_is_canceled(instance, message->task))
		return false;
	if (!durable_retry_after(retry, attempt, call->time, batch->clock,
							sqlstate ? MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
													 sqlstate[3], sqlstate[4]) :
							ERRCODE_INTERNAL_ERROR, &delay))
		return false;

	(void) durable_decision_read(call, &decision);
	decision.instance_id = durable_child_attempt_id(instance, message->task, decision.instance_id,
													attempt + 1);
	durable_outcome_start(batch, instance, &decision, attempt + 1, batch->clock + delay);
	return true;
}

/* Has the orchestration called cancel() for this child?  Then it is not tried again. */
static bool
child_is_canceled(const Instance *instance, int32 task)
{
	const Replay *replay = &instance->replay;

	for (int i = replay->calls[task - 1] + 1; i < replay->nevents; i++)
		if (replay->events[i]->type == HISTORY_SUB_CANCELED &&
			durable_history_get_number(replay->events[i]->payload) == task)
			return true;
	return false;
}

/* Returns false if the instance is parked, so that it still waits for the same events. */
static bool
run_turns(Batch * batch, Instance *instance)
{
	Handler    *handler = durable_orchestration_find(batch, instance);
	Turn		turn = {0};
	Progress	progress = {0};
	int			errors = 0;
	int			stale = 0;
	int			ntasks = list_length(batch->new_tasks);
	int			writes = batch->writes;
	bool		again = true;

	durable_dispatch_again(batch, instance, handler ? handler->namespace : InvalidOid);
	if (handler == NULL)
		return false;

	if (instance->status == STATUS_PENDING)
		durable_instance_set_status(instance, STATUS_RUNNING, NULL);
	turn.instance = instance;
	turn.handler = handler;
	turn.clock = batch->clock;
	turn.fresh_events = instance->stored_events;

	/* The activities for which an earlier batch had no time. */
	if (durable_turn_next_activity(instance) != NULL)
	{
		progress.in_burst = instance->replay.nevents >= BURST_EVENTS;
		(void) durable_dispatch_run(batch, instance, handler->namespace, false);
		again = !instance->put_off && instance->replay.nevents >= instance->runs_at;
	}

	while (again)
	{
		if (!run_turn(batch, instance, handler, &turn, &progress))
			break;

		/* The function was replaced during the turn, so the code that ran may not be that of this instance. */
		if (durable_handler_is_stale(handler) && turn.discarded)
		{
			if (++stale > STALE_TRIES)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("function %s changes too often to be run", handler->signature)));
			handler = turn.handler = durable_orchestration_find_again(batch, instance);
			if (handler == NULL)
				break;
			continue;
		}

		if (turn.result.outcome == TURN_ERROR)
		{
			if (!may_be_raised(turn.result.error))
				ReThrowError(turn.result.error);
			if (++errors < ERROR_TRIES)
				continue;
		}
		if (turn.result.outcome == TURN_COMPLETED &&
			progress.turns > 1 && progress.turns <= STRAIGHT_TURNS &&
			ntasks == list_length(batch->new_tasks) &&
			durable_turn_next_activity(instance) == NULL)
			durable_straight_learn(&turn, batch->writes > writes);

		again = durable_outcome_apply(batch, instance, &turn.result, handler->namespace);
		if (STATUS_IS_FINISHED(instance->status))
			return true;
		if (turn.result.outcome == TURN_CONTINUED_AS_NEW)
		{
			turn.fresh_events = 0;
			handler = turn.handler = durable_orchestration_find(batch, instance);
			if (handler == NULL)
				break;
		}
	}

	if (durable_entities_dispatch(batch, instance) && !instance->put_off)
		durable_dispatch_put_off(batch, instance);
	durable_outcome_carry_out(batch, instance);
	if (instance->status == STATUS_SUSPENDED)
		return false;
	instance->waiting = instance->replay.run != NULL ? durable_waiting_build(instance) :
		durable_waiting_keep(instance);
	return true;
}

/*
 * Runs one turn, if possible with its activities within it, or after the run of a
 * companion if that saves time.  Returns false when the batch is exhausted.
 */
static bool
run_turn(Batch * batch, Instance *instance, Handler *handler, Turn *turn, Progress *progress)
{
	int64		before;

	progress->in_burst |= progress->turns >= BURST_TURNS ||
		(progress->turns >= 2 && instance->replay.nevents >= BURST_EVENTS);
	if ((progress->turns == 0 || progress->in_burst) && progress->turns >= progress->straight_from &&
		!durable_companion_runs(instance))
	{
		bool		pays;
		bool		counts = durable_straight_run(batch, instance, handler, turn,
												  progress->in_burst, &pays);

		if (progress->in_burst && !pays)
			progress->straight_from = progress->turns + BACK_OFF;
		if (counts)
		{
			durable_failpoint_pass(FAILPOINT_TURN_DONE);
			progress->turns++;
			return true;
		}
	}

	/* In a long burst a companion saves the replays.  A suspect runs in this process only. */
	if (progress->in_burst && progress->turns >= progress->companion_from && !batch->cautious &&
		!durable_companion_runs(instance))
		(void) durable_companion_begin(instance, handler);
	if (durable_companion_runs(instance))
	{
		int			steps;

		if (!run_steps(batch, instance, handler, &steps))
			return false;
		/* The companion had little to do; do not request it again soon. */
		progress->companion_from = progress->turns + (steps < WORTH_STEPS ? BACK_OFF : 1);
	}

	before = instance->compute_us;
	(void) durable_turn_run(turn);
	durable_failpoint_pass(FAILPOINT_TURN_DONE);
	progress->turns++;
	batch->turns++;
	batch->user_us += instance->compute_us - before;
	return true;
}

/*
 * Lets the companion run the orchestration, and carries out the activities that the
 * orchestration calls, until it does anything else or the batch is exhausted.  In the
 * latter case returns false, and the instance continues in the next batch.
 */
static bool
run_steps(Batch * batch, Instance *instance, Handler *handler, int *steps)
{
	*steps = 0;
	while (durable_companion_runs(instance))
	{
		instr_time	start;
		instr_time	end;
		bool		stepped;

		INSTR_TIME_SET_CURRENT(start);
		stepped = durable_companion_step(instance, batch->clock);
		INSTR_TIME_SET_CURRENT(end);
		INSTR_TIME_SUBTRACT(end, start);
		batch->user_us += INSTR_TIME_GET_MICROSEC(end);
		instance->compute_us += INSTR_TIME_GET_MICROSEC(end);
		if (!stepped)
			break;

		(*steps)++;
		instance->turns++;
		batch->turns++;
		if (durable_dispatch_run(batch, instance, handler->namespace, false))
			continue;
		if (instance->put_off)
			return false;

		/* One of the activities became a task, so the orchestration waits. */
		durable_companion_stop();
	}
	return true;
}

/*
 * A conflict does not recur by itself when the turn is run again, because the turn has
 * written nothing.  But user code can cause it each time.  Every other error that reaches
 * this point is one of the server.
 */
static bool
may_be_raised(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK;
}
