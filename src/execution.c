/*-------------------------------------------------------------------------
 *
 * execution.c
 *		Takes an instance from where it is to where it waits or ends.
 *
 * States of an instance (status), and what moves it:
 *
 *	Pending --first turn--> Running --returns--> Completed
 *	   |                    |  ^  \--raises----> Failed
 *	   |            suspend,|  |resume
 *	   |           mismatch v  |
 *	   +----- suspend -> Suspended
 *	any of the three --terminate--> Terminated
 *
 * The last three are final.  set_status() performs all transitions.  While an
 * instance is suspended its messages still become events of its history, so
 * they keep their order, but it does not run.
 *
 * A turn decides; what it decided is carried out here.  Short activities run
 * right away and the orchestration is replayed past them, until nothing that
 * could be answered at once is left.  When the batch has had its share of time
 * or of writing subtransactions, the instance sends itself a message to go on.
 *
 * Called by: unit.c
 * Locks:	the caller holds the instance's row lock
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "activity.h"
#include "companion.h"
#include "execution.h"
#include "guc.h"
#include "json.h"
#include "retry.h"
#include "usercall.h"
#include "wakeup.h"

static bool apply_message(Batch * batch, Instance *instance, Message *message);
static void start(Batch * batch, Instance *instance);
static bool apply_answer(Batch * batch, Instance *instance, Message *message);
static bool retry_child(Batch * batch, Instance *instance, Message *message, HistoryEvent *call);
static void add_event(Batch * batch, Instance *instance, HistoryType type, int32 task,
					  const char *name, const Jsonb *payload);
static bool run_turns(Batch * batch, Instance *instance);
static bool run_steps(Batch * batch, Instance *instance, Handler *handler, int *steps);
static bool run_activities(Batch * batch, Instance *instance, Handler *handler, bool ending);
static bool run_activity(Batch * batch, Instance *instance, Decision *decision,
						 ActivityTarget * target);
static void make_task(Batch * batch, Instance *instance, Decision *decision,
					  ActivityTarget * target, TimestampTz run_at, int attempt,
					  const Jsonb *failure);
static void go_on_later(Batch * batch, Instance *instance);
static void pick_up_activities(Instance *instance, const Jsonb *tasks);
static void carry_out(Batch * batch, Instance *instance);
static bool has_cancel(const Instance *instance, int32 task);
static bool has_timer(const Instance *instance, int32 task);
static void cancel_open_timers(Batch * batch, Instance *instance);
static void finish(Batch * batch, Instance *instance, char status, Jsonb *output, Jsonb *failure);
static void continue_as_new(Batch * batch, Instance *instance, Turn *turn);
static void set_status(Instance *instance, char status, const char *reason);
static Handler *find_handler(Batch * batch, Instance *instance);
static Jsonb *resolve_body(void *arg);

void
durable_execution_run(Batch * batch, Instance *instance, List *messages)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	ListCell   *cell;
	bool		runnable = false;
	bool		ran = false;

	foreach(cell, messages)
	{
		if (STATUS_IS_FINISHED(instance->status))
			break;				/* the rest is too late: dropped */
		if (apply_message(batch, instance, lfirst(cell)))
			runnable = true;
	}

	/* What comes before the start waits for it; what comes while it is suspended, too. */
	if (runnable && instance->started_at != 0 &&
		(instance->status == STATUS_PENDING || instance->status == STATUS_RUNNING))
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
			(errmsg("instance \"%s\" is suspended: %s", instance->instance_id, reason)));
	set_status(instance, STATUS_SUSPENDED, reason);
	MemoryContextSwitchTo(old);
}

/* Returns whether the instance has something to run for. */
static bool
apply_message(Batch * batch, Instance *instance, Message *message)
{
	switch (message->kind)
	{
		case MESSAGE_START:
			start(batch, instance);
			return true;

		case MESSAGE_CONTINUE:
			if (message->execution != instance->execution)
				return false;
			pick_up_activities(instance, message->payload);
			return true;

		case MESSAGE_EVENT:
			add_event(batch, instance, HISTORY_EVENT_RAISED, 0,
					  message->name, message->payload);
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
			add_event(batch, instance, HISTORY_TIMER_FIRED, message->task, NULL, NULL);
			return true;

		case MESSAGE_COMPLETED:
		case MESSAGE_FAILED:
			return apply_answer(batch, instance, message);

		case MESSAGE_SUSPEND:
			if (instance->status != STATUS_SUSPENDED)
			{
				char	   *reason = message->payload ?
					durable_json_get_text(message->payload, "reason") : NULL;

				add_event(batch, instance, HISTORY_SUSPENDED, 0, NULL, message->payload);
				set_status(instance, STATUS_SUSPENDED, reason);
			}
			return false;

		case MESSAGE_RESUME:
			if (instance->status != STATUS_SUSPENDED)
				return false;
			add_event(batch, instance, HISTORY_RESUMED, 0, NULL, message->payload);
			pick_up_activities(instance, durable_waiting_take_pending(instance));
			set_status(instance, instance->started_at == 0 ? STATUS_PENDING : STATUS_RUNNING,
					   NULL);
			return true;

		case MESSAGE_TERMINATE:
			{
				Jsonb	   *failure = message->payload;

				batch->gone_tasks = lappend(batch->gone_tasks, instance);
				finish(batch, instance, STATUS_TERMINATED, NULL, failure);
				return false;
			}

		default:
			elog(ERROR, "inbox message " INT64_FORMAT " has unknown kind \"%c\"",
				 message->id, message->kind);
	}
	return false;
}

/* From now on it may run; if it is suspended, after that. */
static void
start(Batch * batch, Instance *instance)
{
	if (instance->started_at == 0)
		instance->started_at = instance->replay.started = batch->clock;
}

/* A task or a sub-orchestration has ended. */
static bool
apply_answer(Batch * batch, Instance *instance, Message *message)
{
	Replay	   *replay = &instance->replay;
	HistoryEvent *call;
	bool		is_child;
	bool		failed = message->kind == MESSAGE_FAILED;

	/* Something of an earlier execution, or of a turn that was taken back. */
	if (message->execution != instance->execution ||
		message->task < 1 || message->task > replay->ncalls)
		return false;

	call = replay->events[replay->calls[message->task - 1]];
	is_child = call->type == HISTORY_SUB_CREATED;
	if (!is_child && call->type != HISTORY_TASK_SCHEDULED)
		return false;

	if (failed && is_child && retry_child(batch, instance, message, call))
		return false;

	add_event(batch, instance,
			  is_child ? (failed ? HISTORY_SUB_FAILED : HISTORY_SUB_COMPLETED) :
			  (failed ? HISTORY_TASK_FAILED : HISTORY_TASK_COMPLETED),
			  message->task, NULL, message->payload);
	return true;
}

/*
 * A failed sub-orchestration with attempts left is started again under an id of
 * its own.  Nothing of it is in the history: that has one child and one answer.
 */
static bool
retry_child(Batch * batch, Instance *instance, Message *message, HistoryEvent *call)
{
	Jsonb	   *retry = durable_json_get_member(call->extra, "retry");
	char	   *sqlstate = message->payload ?
		durable_json_get_text(message->payload, "sqlstate") : NULL;
	int			attempt = message->name ? atoi(message->name) : 1;
	RetryPolicy policy;
	int64		delay;
	Decision   *decision;
	char	   *base;

	if (retry == NULL)
		return false;
	durable_retry_parse(retry, &policy);
	if (!durable_retry_next(&policy, attempt, call->time, batch->clock,
							sqlstate ? MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2],
													 sqlstate[3], sqlstate[4]) :
							ERRCODE_INTERNAL_ERROR, &delay))
		return false;

	base = durable_json_get_text(call->extra, "id");
	decision = palloc0(sizeof(Decision));
	decision->kind = DECISION_CHILD;
	decision->task = message->task;
	decision->name = call->name;
	decision->registered_name = durable_json_get_text(call->extra, "name");
	decision->handler = durable_json_get_text(call->extra, "handler");
	decision->version = durable_json_get_text(call->extra, "version");
	decision->input = call->payload;
	decision->instance_id = psprintf("%s#%d", base, attempt + 1);
	decision->attempt = attempt + 1;
	decision->due = batch->clock + delay;
	instance->decisions = lappend(instance->decisions, decision);
	carry_out(batch, instance);
	return true;
}

static void
add_event(Batch * batch, Instance *instance, HistoryType type, int32 task,
		  const char *name, const Jsonb *payload)
{
	HistoryEvent *event = palloc0(sizeof(HistoryEvent));

	event->type = type;
	event->task = task;
	event->name = name ? pstrdup(name) : NULL;
	event->time = batch->clock;
	event->payload = unconstify(Jsonb *, payload);
	durable_replay_add(&instance->replay, event);
}

/* Returns false when the instance is parked: it waits for what it has waited for before. */
static bool
run_turns(Batch * batch, Instance *instance)
{
	Handler    *handler = find_handler(batch, instance);
	Turn		turn = {0};
	int			turns = 0;
	int			companion_from = 0;
	bool		again = true;

	if (handler == NULL)
		return false;

	if (instance->status == STATUS_PENDING)
		set_status(instance, STATUS_RUNNING, NULL);
	turn.instance = instance;
	turn.handler = handler;
	turn.clock = batch->clock;
	turn.fresh_events = instance->stored_events;

	/* Activities that an earlier batch had no time for. */
	if (instance->activities != NIL && !run_activities(batch, instance, handler, false))
		again = false;

	while (again)
	{
		int64		before = instance->compute_us;

		/* A long burst need not be replayed for every step of it. */
		if (turns >= companion_from && durable_companion_is_worth(instance, turns) &&
			!durable_companion_runs(instance))
			(void) durable_companion_begin(instance, handler);
		if (durable_companion_runs(instance))
		{
			int			steps;

			again = run_steps(batch, instance, handler, &steps);
			if (!again)
				break;
			/* It had little to do; do not ask for it again soon. */
			companion_from = turns + (steps < 16 ? 256 : 1);
		}

		durable_turn_run(&turn);
		turns++;
		batch->turns++;
		batch->user_us += instance->compute_us - before;

		switch (turn.outcome)
		{
			case TURN_WAITS:
				again = instance->activities != NIL &&
					run_activities(batch, instance, handler, false);
				break;

			case TURN_COMPLETED:
				(void) run_activities(batch, instance, handler, true);
				finish(batch, instance, STATUS_COMPLETED, turn.result, NULL);
				return true;

			case TURN_FAILED:
				(void) run_activities(batch, instance, handler, true);
				finish(batch, instance, STATUS_FAILED, NULL, turn.failure);
				return true;

			case TURN_CONTINUED_AS_NEW:
				(void) run_activities(batch, instance, handler, true);
				continue_as_new(batch, instance, &turn);
				turn.fresh_events = 0;
				if (durable_batch_exhausted(batch))
				{
					go_on_later(batch, instance);
					again = false;
				}
				break;

			case TURN_MISMATCH:
				durable_execution_park(batch, instance, turn.mismatch);
				carry_out(batch, instance);
				return false;

			case TURN_ERROR:
				ReThrowError(turn.error);
		}
	}

	carry_out(batch, instance);
	instance->waiting = instance->put_off ? NULL : durable_waiting_build(instance);
	return true;
}

/*
 * Lets the companion run the orchestration and carries out what it asks for, until
 * it does something else than calling activities, or the batch has had enough (then
 * false: it goes on in the next one).
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
		if (run_activities(batch, instance, handler, false))
			continue;
		if (instance->put_off)
			return false;

		/* One of them became a task: the orchestration waits. */
		durable_companion_stop();
	}
	return true;
}

/*
 * Carries out the activities a turn has asked for: runs the short ones, makes
 * tasks of the others.  Returns true when the orchestration should be run again
 * now.  When the batch is exhausted, what is left is put off.  An execution that is
 * ending can put off nothing: what it has scheduled and not waited for is run now,
 * or becomes a task.
 */
static bool
run_activities(Batch * batch, Instance *instance, Handler *handler, bool ending)
{
	bool		answered = false;
	while (instance->activities != NIL)
	{
		Decision   *decision = linitial(instance->activities);
		ActivityTarget *target;
		MemoryContext old = MemoryContextSwitchTo(batch->context);

		target = durable_activity_target(&batch->targets, decision->name,
										 batch->owner, handler->namespace);
		MemoryContextSwitchTo(old);

		if (!durable_activity_is_short(target, decision->input) ||
			(batch->cautious && target->failure == NULL) ||
			(ending && durable_batch_exhausted(batch) && target->failure == NULL))
			make_task(batch, instance, decision, target, batch->clock, 1, NULL);
		else if (durable_batch_exhausted(batch) && !ending)
		{
			go_on_later(batch, instance);
			return false;
		}
		else if (run_activity(batch, instance, decision, target))
			answered = true;
		instance->activities = list_delete_first(instance->activities);
	}

	if (answered && !ending && durable_batch_exhausted(batch))
	{
		go_on_later(batch, instance);
		return false;
	}
	return answered;
}

/* Runs it inline; returns whether it has an answer now. */
static bool
run_activity(Batch * batch, Instance *instance, Decision *decision, ActivityTarget * target)
{
	ActivityRun run = {0};
	ActivityOutcome outcome;
	RetryPolicy policy;
	const Jsonb *retry;
	int64		delay;

	if (target->failure != NULL)
	{
		add_event(batch, instance, HISTORY_TASK_FAILED, decision->task, NULL, target->failure);
		return true;
	}

	run.name = decision->name;
	run.handler = target->handler;
	run.function = target->function;
	run.input = decision->input;
	run.timeout_us = decision->timeout_us > 0 ? decision->timeout_us : target->timeout_us;
	run.is_inline = true;
	run.attempt = 1;
	outcome = durable_activity_run(&run);

	batch->activities++;
	batch->user_us += run.elapsed_us;
	instance->compute_us += run.elapsed_us;
	if (run.wrote)
		batch->writes++;

	/*
	 * Temporary tables last until the end of the transaction: the next activity
	 * would find those of this one.
	 */
	if (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE)
		batch->closed = true;

	switch (outcome)
	{
		case ACTIVITY_COMPLETED:
			add_event(batch, instance, HISTORY_TASK_COMPLETED, decision->task, NULL, run.payload);
			return true;

		case ACTIVITY_FAILED:
			retry = decision->retry ? decision->retry : target->retry;
			if (retry != NULL)
			{
				durable_retry_parse(retry, &policy);
				if (durable_retry_next(&policy, 1, batch->clock, batch->clock,
									   run.sqlerrcode, &delay))
				{
					make_task(batch, instance, decision, target, batch->clock + delay,
							  2, run.payload);
					return false;
				}
			}
			add_event(batch, instance, HISTORY_TASK_FAILED, decision->task, NULL, run.payload);
			return true;

		case ACTIVITY_TRY_LATER:
		case ACTIVITY_STOPPED:
			make_task(batch, instance, decision, target, batch->clock, 1, run.payload);
			return false;
	}
	return false;
}

static void
make_task(Batch * batch, Instance *instance, Decision *decision, ActivityTarget * target,
		  TimestampTz run_at, int attempt, const Jsonb *failure)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TaskRow    *row = palloc0(sizeof(TaskRow));

	row->key = instance->key;
	row->execution = instance->execution;
	row->task = decision->task;
	row->attempt = attempt;
	row->run_at = run_at;
	row->name = decision->name;
	row->handler = target->handler;
	row->input = decision->input;
	row->retry = decision->retry ? decision->retry : target->retry;
	row->timeout_us = decision->timeout_us > 0 ? decision->timeout_us : target->timeout_us;
	row->last_failure = failure;
	batch->new_tasks = lappend(batch->new_tasks, row);
	MemoryContextSwitchTo(old);
}

/*
 * The batch is exhausted: go on in the next one.  The message names the
 * activities that are still to be run inline, since history does not tell them
 * from those that became tasks.
 */
static void
go_on_later(Batch * batch, Instance *instance)
{
	JsonbParseState *state = NULL;
	ListCell   *cell;
	JsonbValue *tasks;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, instance->activities)
	{
		Decision   *decision = lfirst(cell);
		JsonbValue	number;

		number.type = jbvNumeric;
		number.val.numeric = int64_to_numeric(decision->task);
		pushJsonbValue(&state, WJB_ELEM, &number);
	}
	tasks = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	durable_batch_send(batch, instance->key, MESSAGE_CONTINUE, instance->execution, 0, NULL,
					   instance->activities == NIL ? NULL : JsonbValueToJsonb(tasks));
	instance->activities = NIL;
	instance->put_off = true;
}

/*
 * The other side of go_on_later, and, when the instance was suspended before it
 * could go on, of durable_waiting_keep.
 */
static void
pick_up_activities(Instance *instance, const Jsonb *tasks)
{
	Replay	   *replay = &instance->replay;
	int			count = tasks ? JB_ROOT_COUNT(tasks) : 0;

	for (int i = 0; i < count; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &tasks->root), i);
		int			task = DatumGetInt32(DirectFunctionCall1(numeric_int4,
															 NumericGetDatum(value->val.numeric)));

		if (task < 1 || task > replay->ncalls)
			elog(ERROR, "instance " INT64_FORMAT " has no task %d to go on with",
				 instance->key, task);
		instance->activities =
			lappend(instance->activities,
					durable_turn_decision_of(replay->events[replay->calls[task - 1]]));
	}
}

/* Turns decisions into rows. */
static void
carry_out(Batch * batch, Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	ListCell   *cell;

	foreach(cell, instance->decisions)
	{
		Decision   *decision = lfirst(cell);

		switch (decision->kind)
		{
			case DECISION_TIMER:
			case DECISION_TIMER_CANCEL:
				{
					TimerRow   *row;

					if (decision->kind == DECISION_TIMER ?
						has_cancel(instance, decision->task) :
						has_timer(instance, decision->task))
						break;
					row = palloc(sizeof(TimerRow));
					row->key = instance->key;
					row->execution = instance->execution;
					row->task = decision->task;
					row->due = decision->due;
					if (decision->kind == DECISION_TIMER)
						batch->new_timers = lappend(batch->new_timers, row);
					else
						batch->gone_timers = lappend(batch->gone_timers, row);
					break;
				}

			case DECISION_CHILD:
			case DECISION_START:
				{
					ChildRow   *row = palloc0(sizeof(ChildRow));

					row->instance_id = decision->instance_id;
					row->name = decision->registered_name;
					row->handler = decision->handler;
					row->version = decision->version;
					row->input = decision->input;
					row->start_at = decision->due;
					if (decision->kind == DECISION_CHILD)
					{
						row->parent_key = instance->key;
						row->parent_execution = instance->execution;
						row->parent_task = decision->task;
						row->parent_attempt = decision->attempt;
					}
					batch->children = lappend(batch->children, row);
					break;
				}

			case DECISION_SEND:
				{
					SendRow    *row = palloc(sizeof(SendRow));

					row->instance_id = decision->instance_id;
					row->name = decision->name;
					row->payload = decision->input;
					batch->sends = lappend(batch->sends, row);
					break;
				}

			case DECISION_ACTIVITY:
				elog(ERROR, "activity among the decisions");
		}
	}
	instance->decisions = NIL;
	MemoryContextSwitchTo(old);
}

/* A timer that was made and given up in one unit leaves no row. */
static bool
has_cancel(const Instance *instance, int32 task)
{
	ListCell   *cell;

	foreach(cell, instance->decisions)
	{
		Decision   *decision = lfirst(cell);

		if (decision->kind == DECISION_TIMER_CANCEL && decision->task == task)
			return true;
	}
	return false;
}

static bool
has_timer(const Instance *instance, int32 task)
{
	ListCell   *cell;

	foreach(cell, instance->decisions)
	{
		Decision   *decision = lfirst(cell);

		if (decision->kind == DECISION_TIMER && decision->task == task)
			return true;
	}
	return false;
}

/* The instance ends, or starts anew: its timers go. */
static void
cancel_open_timers(Batch * batch, Instance *instance)
{
	Replay	   *replay = &instance->replay;
	bool	   *closed = NULL;

	for (int i = replay->nevents - 1; i >= 0; i--)
	{
		HistoryEvent *event = replay->events[i];
		int32		task;

		if (event->type == HISTORY_TIMER_FIRED)
			task = event->task;
		else if (event->type == HISTORY_TIMER_CANCELED)
			task = (int32) durable_history_get_number(event->payload);
		else if (event->type == HISTORY_TIMER_CREATED)
		{
			Decision   *decision;

			if (closed != NULL && closed[event->task - 1])
				continue;
			decision = palloc0(sizeof(Decision));
			decision->kind = DECISION_TIMER_CANCEL;
			decision->task = event->task;
			decision->due = durable_history_get_number(event->extra);
			instance->decisions = lappend(instance->decisions, decision);
			continue;
		}
		else
			continue;

		/* Seen from the end: answers before the calls. */
		if (closed == NULL)
			closed = palloc0(replay->ncalls * sizeof(bool));
		if (task >= 1 && task <= replay->ncalls)
			closed[task - 1] = true;
	}
}

static void
finish(Batch * batch, Instance *instance, char status, Jsonb *output, Jsonb *failure)
{
	if (output != NULL && VARSIZE(output) > (Size) durable_max_payload * 1024)
	{
		char	   *message = psprintf("output of orchestration \"%s\" has %zu bytes, the limit is %zu",
									   instance->name, (size_t) VARSIZE(output),
									   (size_t) durable_max_payload * 1024);

		failure = durable_json_make_failure(ERRCODE_DURABLE_PAYLOAD_TOO_LARGE, message);
		output = NULL;
		status = STATUS_FAILED;
	}

	cancel_open_timers(batch, instance);
	if (instance->started_at == 0 &&
		durable_waiting_start_due(instance->waiting) != DT_NOEND)
	{
		Decision   *decision = palloc0(sizeof(Decision));

		decision->kind = DECISION_TIMER_CANCEL;
		decision->due = durable_waiting_start_due(instance->waiting);
		instance->decisions = lappend(instance->decisions, decision);
	}
	carry_out(batch, instance);
	set_status(instance, status, NULL);
	instance->completed_at = batch->clock;
	instance->output = output;
	instance->failure = failure;
	instance->waiting = NULL;
	durable_wakeup_finished(instance->key);

	if (instance->parent_key != 0)
	{
		if (status == STATUS_COMPLETED)
			durable_batch_send(batch, instance->parent_key, MESSAGE_COMPLETED,
							   instance->parent_execution, instance->parent_task, NULL, output);
		else
		{
			if (status == STATUS_TERMINATED)
				failure = durable_json_make_failure(ERRCODE_DURABLE_FINISHED,
													psprintf("sub-orchestration \"%s\" was terminated",
															 instance->instance_id));
			durable_batch_send(batch, instance->parent_key, MESSAGE_FAILED,
							   instance->parent_execution, instance->parent_task,
							   psprintf("%d", instance->parent_attempt), failure);
		}
	}
}

/* Same id, next execution, empty history; events nobody consumed come along. */
static void
continue_as_new(Batch * batch, Instance *instance, Turn *turn)
{
	Replay	   *replay = &instance->replay;
	HistoryEvent **kept = NULL;
	int			nkept = 0;
	int			allocated = 0;

	cancel_open_timers(batch, instance);
	carry_out(batch, instance);

	if (turn->continue_preserve_events)
	{
		bool	   *unconsumed = palloc0(replay->nevents * sizeof(bool));

		for (int i = 0; i < replay->nbuffered; i++)
			unconsumed[replay->buffered[i]] = true;
		for (int i = replay->cursor; i < replay->nevents; i++)
			unconsumed[i] = replay->events[i]->type == HISTORY_EVENT_RAISED;
		/* A wait took it, but the orchestration has never looked. */
		for (int i = 0; i < replay->ntasks; i++)
			if (replay->tasks[i].kind == HISTORY_EVENT_WAIT_CREATED &&
				replay->tasks[i].done && !replay->tasks[i].seen)
				unconsumed[replay->tasks[i].answer] = true;
		for (int i = 0; i < replay->nevents; i++)
			if (unconsumed[i])
				durable_history_append(&kept, &nkept, &allocated, replay->events[i]);
	}

	instance->discard_history |= instance->stored_events > 0;
	instance->stored_events = 0;
	instance->execution++;
	instance->input = turn->continue_input;
	instance->input_changed = true;
	memset(replay, 0, sizeof(Replay));
	instance->started_at = replay->started = batch->clock;
	for (int i = 0; i < nkept; i++)
		durable_replay_add(replay, kept[i]);
}

/* The only place that changes the status. */
static void
set_status(Instance *instance, char status, const char *reason)
{
	Assert(!STATUS_IS_FINISHED(instance->status));
	Assert(status != STATUS_COMPLETED || instance->status == STATUS_RUNNING);
	Assert(status != STATUS_FAILED || instance->status == STATUS_RUNNING);
	Assert(status != STATUS_PENDING || instance->status == STATUS_SUSPENDED);

	instance->status = status;
	instance->suspend_reason = reason ? pstrdup(reason) : NULL;
}

/* The function to run, or NULL: then the instance is parked. */
static Handler *
find_handler(Batch * batch, Instance *instance)
{
	HandlerTarget *target = NULL;
	ListCell   *cell;

	foreach(cell, batch->handlers)
	{
		HandlerTarget *known = lfirst(cell);

		if (strcmp(known->signature, instance->handler_signature) == 0)
		{
			target = known;
			break;
		}
	}

	if (target == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(batch->context);
		UserCall	call = {0};

		target = palloc0(sizeof(HandlerTarget));
		target->signature = pstrdup(instance->handler_signature);
		call.body = resolve_body;
		call.arg = target;
		call.read_only = true;
		durable_usercall_run(&call);
		if (call.returned)
			target->code_hash = durable_handler_code_hash(target->handler);
		else if (durable_usercall_is_infrastructure(call.error->sqlerrcode))
			ReThrowError(call.error);
		else
		{
			target->handler = NULL;
			target->problem = call.error->message;
		}
		batch->handlers = lappend(batch->handlers, target);
		MemoryContextSwitchTo(old);
	}

	if (target->handler == NULL)
		durable_execution_park(batch, instance, target->problem);
	else if (instance->code_hash == NULL)
		instance->code_hash = pstrdup(target->code_hash);
	return target->handler;
}

/* Looking up a name that is gone raises, so it is done like user code. */
static Jsonb *
resolve_body(void *arg)
{
	HandlerTarget *target = arg;

	target->handler = durable_handler_resolve(target->signature);
	return NULL;
}
