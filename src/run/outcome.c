/*-------------------------------------------------------------------------
 *
 * outcome.c
 *		What becomes of decisions, and of an execution that ends.
 *
 * Decisions become rows of other tables.  An execution that ends gives up its
 * timers; one that has finished tells its parent and whoever waits, one that
 * continues as new takes along the events nobody has consumed.
 *
 * Called by: execution.c
 * Locks:	none
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "guc.h"
#include "instance.h"
#include "json.h"
#include "outcome.h"
#include "waiting.h"
#include "wakeup.h"

static bool has_cancel(const Instance *instance, int32 task);
static bool has_timer(const Instance *instance, int32 task);
static void cancel_open_timers(Batch * batch, Instance *instance);

/* Turns decisions into rows. */
void
durable_outcome_carry_out(Batch * batch, Instance *instance)
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
					NewInstance *row = palloc0(sizeof(NewInstance));

					row->instance_id = decision->instance_id;
					row->name = decision->registered_name;
					row->handler = decision->handler;
					row->version = decision->version;
					row->input = decision->input;
					row->owner = batch->owner;
					row->created_at = batch->clock;
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

void
durable_outcome_finish(Batch * batch, Instance *instance, char status, Jsonb *output, Jsonb *failure)
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
		durable_waiting_start_due(instance) != DT_NOEND)
	{
		Decision   *decision = palloc0(sizeof(Decision));

		decision->kind = DECISION_TIMER_CANCEL;
		decision->due = durable_waiting_start_due(instance);
		instance->decisions = lappend(instance->decisions, decision);
	}
	durable_outcome_carry_out(batch, instance);
	durable_instance_set_status(instance, status, NULL);
	instance->completed_at = batch->clock;
	instance->output = output;
	instance->failure = failure;
	instance->waiting = NULL;
	durable_wakeup_finished(instance->key);

	if (instance->parent_key != 0)
	{
		if (status == STATUS_COMPLETED)
			durable_batch_send(batch, instance->parent_key, MESSAGE_COMPLETED,
							   instance->parent_execution, instance->parent_task,
							   instance->parent_attempt, NULL, output);
		else
		{
			if (status == STATUS_TERMINATED)
				failure = durable_json_make_failure(ERRCODE_DURABLE_FINISHED,
													psprintf("sub-orchestration \"%s\" was terminated",
															 instance->instance_id));
			durable_batch_send(batch, instance->parent_key, MESSAGE_FAILED,
							   instance->parent_execution, instance->parent_task,
							   instance->parent_attempt, NULL, failure);
		}
	}
}

/* Same id, next execution, empty history; events nobody consumed come along. */
void
durable_outcome_continue_as_new(Batch * batch, Instance *instance, Turn *turn)
{
	Replay	   *replay = &instance->replay;
	HistoryEvent **kept = NULL;
	int			nkept = 0;
	int			allocated = 0;

	cancel_open_timers(batch, instance);
	durable_outcome_carry_out(batch, instance);

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
	instance->dispatched = 0;
	instance->waiting = NULL;
	instance->runs_at = 0;
	memset(replay, 0, sizeof(Replay));
	instance->started_at = replay->started = batch->clock;
	for (int i = 0; i < nkept; i++)
		durable_replay_add(replay, kept[i]);
}
