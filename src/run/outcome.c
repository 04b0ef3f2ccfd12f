/*-------------------------------------------------------------------------
 *
 * outcome.c
 *		Applies a turn's result, and ends an execution.
 *
 * The result does not depend on the process that ran the turn (runner.h).  Decisions become
 * rows of other tables.  An execution that ends deletes its timers.  If the instance has
 * finished, its parent and waiting sessions are notified.  If it continues as new, the next
 * execution gets the events that have not been consumed.
 *
 * Called by: execution.c, external.c; compensation.c and rewind.c, to start instances
 * Locks:	the caller holds the instance's row lock
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compensation.h"
#include "decision.h"
#include "dispatch.h"
#include "entity.h"
#include "execution.h"
#include "external.h"
#include "guc.h"
#include "instance.h"
#include "json.h"
#include "outcome.h"
#include "waiting.h"
#include "wakeup.h"

static bool carry_out_calls(Batch * batch, Instance *instance, Oid namespace);
static void continue_as_new(Batch * batch, Instance *instance, const TurnResult *result);
static void apply_decision(Batch * batch, Instance *instance, const Decision *decision,
						   const Bitmapset *canceled);
static Bitmapset *canceled_at_once(const Instance *instance);
static List *add_timer(List *timers, const Instance *instance, int32 task, TimestampTz due);
static void give_up_timers(Batch * batch, Instance *instance);
static bool may_have_children(const Instance *instance);
static Jsonb *termination_failure(const Instance *instance);

bool
durable_outcome_apply(Batch * batch, Instance *instance, const TurnResult *result, Oid namespace)
{
	switch (result->outcome)
	{
		case TURN_WAITS:
			return carry_out_calls(batch, instance, namespace);

		case TURN_COMPLETED:
			(void) durable_dispatch_run(batch, instance, namespace, true);
			durable_outcome_finish(batch, instance, STATUS_COMPLETED, result->payload, NULL);
			return false;

		case TURN_FAILED:
			(void) durable_dispatch_run(batch, instance, namespace, true);
			durable_outcome_finish(batch, instance, STATUS_FAILED, NULL, result->payload);
			return false;

		case TURN_CONTINUED_AS_NEW:
			(void) durable_dispatch_run(batch, instance, namespace, true);
			continue_as_new(batch, instance, result);
			if (!durable_batch_exhausted(batch))
				return true;
			durable_dispatch_put_off(batch, instance);
			return false;

		case TURN_MISMATCH:
			durable_execution_park(batch, instance, result->mismatch);
			return false;

		case TURN_ERROR:
			durable_outcome_finish(batch, instance, STATUS_FAILED, NULL,
								   durable_json_failure(result->error, NULL, 0));
			return false;
	}
	return false;
}

/* Carries out entity operations and activities; returns whether the orchestration can continue with their answers. */
static bool
carry_out_calls(Batch * batch, Instance *instance, Oid namespace)
{
	bool		answered = durable_entities_dispatch(batch, instance);

	if (durable_turn_next_activity(instance) != NULL)
		answered |= durable_dispatch_run(batch, instance, namespace, false);
	else if (answered && durable_batch_exhausted(batch))
		durable_dispatch_put_off(batch, instance);
	return answered && !instance->put_off && instance->replay.nevents >= instance->runs_at;
}

/* Decisions in new events become rows; dispatch.c carries out those for activities. */
void
durable_outcome_carry_out(Batch * batch, Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Replay	   *replay = &instance->replay;
	Bitmapset  *canceled = canceled_at_once(instance);

	for (int i = instance->applied; i < replay->nevents; i++)
	{
		const HistoryEvent *event = replay->events[i];
		Decision	decision;

		if (event->type != HISTORY_TASK_SCHEDULED && durable_decision_read(event, &decision))
			apply_decision(batch, instance, &decision, canceled);
	}
	instance->applied = replay->nevents;
	bms_free(canceled);
	MemoryContextSwitchTo(old);
}

static void
apply_decision(Batch * batch, Instance *instance, const Decision *decision, const Bitmapset *canceled)
{
	switch (decision->kind)
	{
		case DECISION_TIMER:
			if (!bms_is_member(decision->task, canceled))
				batch->new_timers = add_timer(batch->new_timers, instance, decision->task, decision->due);
			break;

		case DECISION_TIMER_CANCEL:
			if (!bms_is_member(decision->task, canceled))
				batch->gone_timers = add_timer(batch->gone_timers, instance, decision->task, decision->due);
			break;

		case DECISION_CHILD:
		case DECISION_START:
			durable_outcome_start(batch, instance, decision, 1, 0);
			break;

		case DECISION_SEND:
			{
				SendRow    *row = palloc(sizeof(SendRow));

				row->instance_id = decision->instance_id;
				row->name = decision->name;
				row->payload = decision->input;
				row->kind = MESSAGE_EVENT;
				row->is_text = durable_external_is(instance);
				batch->sends = lappend(batch->sends, row);
				break;
			}

		case DECISION_CHILD_CANCEL:
			{
				ChildCancelRow *row = palloc(sizeof(ChildCancelRow));

				row->parent_key = instance->key;
				row->execution = instance->execution;
				row->task = decision->task;
				row->payload = decision->input;
				batch->child_cancels = lappend(batch->child_cancels, row);
				break;
			}

		case DECISION_TERMINATE:
			{
				SendRow    *row = palloc0(sizeof(SendRow));

				row->instance_id = decision->instance_id;
				row->name = decision->alone ? TERMINATE_ALONE : NULL;
				row->payload = durable_external_reason(decision->input);
				row->kind = MESSAGE_TERMINATE;
				batch->sends = lappend(batch->sends, row);
				break;
			}

		case DECISION_ACTIVITY:
		case DECISION_ENTITY_SIGNAL:
		case DECISION_ENTITY_CALL:
		case DECISION_ENTITY_LOCK:
		case DECISION_ENTITY_UNLOCK:
			break;
	}
}

/* Timers that were created and canceled since decisions were last carried out never become rows. */
static Bitmapset *
canceled_at_once(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	Bitmapset  *canceled = NULL;

	for (int i = instance->applied; i < replay->nevents; i++)
	{
		const HistoryEvent *event = replay->events[i];
		int32		task;

		if (event->type != HISTORY_TIMER_CANCELED)
			continue;
		task = (int32) durable_history_get_number(event->payload);
		if (replay->calls[task - 1] >= instance->applied)
			canceled = bms_add_member(canceled, task);
	}
	return canceled;
}

static List *
add_timer(List *timers, const Instance *instance, int32 task, TimestampTz due)
{
	TimerRow   *row = palloc(sizeof(TimerRow));

	row->key = instance->key;
	row->execution = instance->execution;
	row->task = task;
	row->due = due;
	return lappend(timers, row);
}

void
durable_outcome_start(Batch * batch, Instance *instance, const Decision *decision, int attempt,
					  TimestampTz start_at)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	NewInstance *row = palloc0(sizeof(NewInstance));

	row->instance_id = decision->instance_id;
	row->name = decision->name;
	row->handler = decision->handler;
	row->version = decision->version;
	row->input = decision->input;
	row->tags = decision->tags;
	row->trace = decision->trace;
	row->replaces = durable_external_is(instance);
	row->owner = batch->owner;
	row->created_at = batch->clock;
	row->start_at = start_at;
	if (decision->kind == DECISION_CHILD)
	{
		row->parent_key = instance->key;
		row->parent_execution = instance->execution;
		row->parent_task = decision->task;
		row->parent_attempt = attempt;
		row->parent_call = decision->call_id;
		if (decision->abandoned)
			row->close_policy = CLOSE_ABANDON;
		else if (durable_external_is(instance))
			row->close_policy = CLOSE_TERMINATED;
	}
	batch->children = lappend(batch->children, row);
	MemoryContextSwitchTo(old);
}

/*
 * The execution ends: its decisions are carried out, and its timers are deleted.  Timers
 * that it has created since decisions were last carried out have never been rows.
 */
static void
give_up_timers(Batch * batch, Instance *instance)
{
	Replay	   *replay = &instance->replay;
	List	   *new_timers;
	int			applied = instance->applied;
	bool	   *closed = NULL;
	MemoryContext old;

	durable_entities_end(batch, instance);
	new_timers = batch->new_timers;
	batch->new_timers = NIL;
	durable_outcome_carry_out(batch, instance);
	batch->new_timers = new_timers;

	old = MemoryContextSwitchTo(batch->context);
	for (int i = replay->nevents - 1; i >= 0; i--)
	{
		HistoryEvent *event = replay->events[i];
		int32		task;

		if (event->type == HISTORY_TIMER_FIRED)
			task = event->task;
		else if (event->type == HISTORY_TIMER_CANCELED)
			task = (int32) durable_history_get_number(event->payload);
		else
		{
			if (event->type == HISTORY_TIMER_CREATED && i < applied &&
				(closed == NULL || !closed[event->task - 1]))
				batch->gone_timers = add_timer(batch->gone_timers, instance, event->task,
											   durable_history_get_number(event->extra));
			continue;
		}

		/* In this direction, from the end, answers come before their calls. */
		if (closed == NULL)
			closed = palloc0(replay->ncalls * sizeof(bool));
		if (task >= 1 && task <= replay->ncalls)
			closed[task - 1] = true;
	}
	MemoryContextSwitchTo(old);
}

void
durable_outcome_finish(Batch * batch, Instance *instance, char status, Jsonb *output, Jsonb *failure)
{
	if (output != NULL && VARSIZE(output) > (Size) durable_max_payload * 1024)
	{
		char	   *message = psprintf("output of orchestration \"%s\" has %zu bytes, but the limit is %zu bytes",
									   instance->name, (size_t) VARSIZE(output),
									   (size_t) durable_max_payload * 1024);

		failure = durable_json_make_failure(ERRCODE_DURABLE_PAYLOAD_TOO_LARGE, message);
		output = NULL;
		status = STATUS_FAILED;
	}

	give_up_timers(batch, instance);
	if (instance->started_at == 0 && durable_waiting_start_due(instance) != DT_NOEND)
	{
		MemoryContext old = MemoryContextSwitchTo(batch->context);

		batch->gone_timers = add_timer(batch->gone_timers, instance, 0,
									   durable_waiting_start_due(instance));
		MemoryContextSwitchTo(old);
	}
	if (status != STATUS_COMPLETED)
		failure = durable_compensation_start(batch, instance, failure);
	durable_instance_set_status(instance, status, NULL);
	instance->completed_at = batch->clock;
	instance->output = output;
	instance->failure = failure;
	instance->waiting = NULL;
	durable_wakeup_finished(instance->key);
	if (status != STATUS_TERMINATED && may_have_children(instance))
		batch->closed_parents = lappend(batch->closed_parents, instance);

	if (instance->parent_key != 0)
	{
		if (status == STATUS_COMPLETED)
		{
			durable_batch_send(batch, instance->parent_key, MESSAGE_COMPLETED,
							   instance->parent_execution, instance->parent_task,
							   instance->parent_attempt, NULL, output);
			((Message *) llast(batch->outbox))->is_text = durable_external_is(instance);
		}
		else
		{
			if (status == STATUS_TERMINATED)
				failure = termination_failure(instance);
			durable_batch_send(batch, instance->parent_key, MESSAGE_FAILED,
							   instance->parent_execution, instance->parent_task,
							   instance->parent_attempt, NULL, failure);
		}
	}
}

/* Are there sub-orchestrations that have not answered, or that an earlier execution has left? */
static bool
may_have_children(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	int			unanswered = 0;

	for (int i = 0; i < replay->nevents; i++)
	{
		HistoryType type = replay->events[i]->type;

		if (type == HISTORY_SUB_CREATED)
			unanswered++;
		else if ((type == HISTORY_SUB_COMPLETED || type == HISTORY_SUB_FAILED) && !replay->events[i]->taken_back)
			unanswered--;
	}
	return unanswered > 0 || instance->execution > 1;
}

/* The failure for the parent, with the reason that was given. */
static Jsonb *
termination_failure(const Instance *instance)
{
	char	   *reason = instance->failure ? durable_json_get_text(instance->failure, "reason") : NULL;
	ErrorData	error = {
		.sqlerrcode = ERRCODE_DURABLE_FINISHED,
		.message = psprintf("sub-orchestration \"%s\" was terminated", instance->instance_id),
		.detail = reason ? psprintf("Reason: %s", reason) : NULL
	};

	return durable_json_failure(&error, NULL, 0);
}

/* Begins the next execution, with the same id and an empty history; events that were not consumed are kept. */
static void
continue_as_new(Batch * batch, Instance *instance, const TurnResult *result)
{
	Replay	   *replay = &instance->replay;
	HistoryEvent **kept = NULL;
	int			nkept = 0;
	int			allocated = 0;

	give_up_timers(batch, instance);

	if (result->keeps_events)
	{
		bool	   *unconsumed = palloc0(replay->nevents * sizeof(bool));

		for (int i = 0; i < replay->nbuffered; i++)
			unconsumed[replay->buffered[i]] = true;
		for (int i = replay->cursor; i < replay->nevents; i++)
			unconsumed[i] = replay->events[i]->type == HISTORY_EVENT_RAISED;
		/* A wait consumed it, but the orchestration has never read it. */
		for (int i = 0; i < replay->ntasks; i++)
			if (replay->tasks[i].kind == HISTORY_EVENT_WAIT_CREATED &&
				replay->tasks[i].done && !replay->tasks[i].seen)
				unconsumed[replay->tasks[i].answer] = true;
		for (int i = 0; i < replay->nevents; i++)
			if (unconsumed[i])
				durable_history_append(&kept, &nkept, &allocated, replay->events[i]);
	}

	durable_compensation_keep(replay, &kept, &nkept, &allocated);
	for (int i = 0; i < result->ncarried; i++)
		durable_history_append(&kept, &nkept, &allocated, result->carried[i]);
	if (result->version != NULL)
	{
		instance->version = result->version;
		instance->version_changed = true;
	}

	instance->discard_history |= instance->stored_events > 0;
	instance->stored_events = instance->applied = 0;
	instance->execution++;
	instance->code_hash = 0;	/* a new execution runs the present code */
	instance->input = result->payload;
	instance->input_changed = true;
	instance->dispatched = 0;
	instance->waiting = NULL;
	instance->runs_at = 0;
	memset(replay, 0, sizeof(Replay));
	durable_entities_loaded(instance);
	instance->started_at = replay->started = batch->clock;
	for (int i = 0; i < nkept; i++)
		durable_replay_add(replay, kept[i]);
}
