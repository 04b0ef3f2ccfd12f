/*-------------------------------------------------------------------------
 *
 * rewind.c
 *		durable.rewind in a unit: continues an instance that has failed.
 *
 * No event of the history is changed or deleted.  An event ExecutionRewound is
 * appended, which lists the failures that no longer count; a replay passes over them
 * (replay.c), so their calls wait for an answer again.  The execution and the numbers
 * of tasks stay the same, so activities and sub-orchestrations that are still running
 * answer to them.
 *
 * A failure is taken back if the orchestration has made no call after it: then no
 * recorded call can depend on it.  An activity is scheduled again.  A failed
 * sub-orchestration is rewound itself.  If it no longer exists, or was terminated because
 * its parent failed, it is started again.  Completed activities and sub-orchestrations stay
 * completed.  If there is no such failure, the orchestration's own code raised the error,
 * and its last turn is run again.
 *
 * Answers that arrive after the failure of an instance are recorded, because they may
 * be needed after a rewind; so are events, which count as dropped until then.
 *
 *	Failed --rewind--> Running
 *
 * Called by: execution.c, unit.c
 * Locks:	the caller holds the instance's row lock; none on children
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/numeric.h"

#include "child_id.h"
#include "compensation.h"
#include "entity.h"
#include "instance.h"
#include "json.h"
#include "outcome.h"
#include "rewind.h"
#include "sql.h"

/* The last attempt. */
static DurableSql find_child = {
	.text = "SELECT key, status, parent_attempt, failure ->> 'reason', failure ->> 'compensation', instance_id FROM durable.instance "
	"WHERE parent_key = $1 AND parent_execution = $2 AND parent_task = $3 ORDER BY key DESC",
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID}
};

static Jsonb *take_back_failures(Batch * batch, Instance *instance, const Jsonb *reason);
static int *last_answers(const Replay *replay);
static bool rewind_child(Batch * batch, Instance *instance, HistoryEvent *call, const Jsonb *reason);
static void reopen_timers(Batch * batch, Instance *instance);

bool
durable_rewind_wants(const Instance *instance, const List *messages)
{
	ListCell   *cell;

	if (instance->status != STATUS_FAILED)
		return false;
	foreach(cell, messages)
	{
		const Message *message = lfirst(cell);

		if (message->kind == MESSAGE_REWIND || message->kind == MESSAGE_COMPLETED ||
			message->kind == MESSAGE_FAILED || message->kind == MESSAGE_EVENT)
			return true;
	}
	return false;
}

void
durable_rewind_apply(Batch * batch, Instance *instance, const Message *message)
{
	Jsonb	   *taken_back;
	HistoryEvent *event;
	const HistoryEvent *section;

	Assert(instance->status == STATUS_FAILED);
	if (durable_compensation_is_started(instance))
		return;					/* its steps are being undone; restart_api.c raises an error for that */
	instance->rewound_from = instance->completed_at;
	durable_instance_reopen(instance);
	instance->completed_at = 0;
	instance->failure = NULL;
	instance->dropped_events = 0;	/* they were recorded, and count now */

	taken_back = take_back_failures(batch, instance, message->payload);
	reopen_timers(batch, instance);
	durable_instance_add_event(batch, instance, HISTORY_REWOUND, 0, NULL, message->payload);
	event = instance->replay.events[instance->replay.nevents - 1];
	event->extra = taken_back;
	durable_replay_take_back(&instance->replay, event);

	/* Its end has freed the locks.  It does not run before it has them again (execution.c). */
	section = durable_replay_open_section(&instance->replay);
	if (section != NULL)
		durable_entities_call_again(batch, instance, section);
}

/* Returns the numbers of the events, as in durable.history, and schedules their work again. */
static Jsonb *
take_back_failures(Batch * batch, Instance *instance, const Jsonb *reason)
{
	Replay	   *replay = &instance->replay;
	int			first = replay->ncalls > 0 ? replay->calls[replay->ncalls - 1] + 1 : 0;
	JsonbParseState *state = NULL;
	JsonbValue	number;
	int			nevents = replay->nevents;
	int		   *last = last_answers(replay);

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = first; i < nevents; i++)
	{
		HistoryEvent *event = replay->events[i];
		HistoryEvent *call;

		CHECK_FOR_INTERRUPTS();
		if (event->taken_back ||
			(event->type != HISTORY_TASK_FAILED && event->type != HISTORY_SUB_FAILED &&
			 event->type != HISTORY_ENTITY_FAILED) ||
			event->task < 1 || event->task > replay->ncalls)
			continue;
		call = replay->events[replay->calls[event->task - 1]];
		if (last[event->task] == i)
		{
			if (event->type == HISTORY_TASK_FAILED)
				instance->again = lappend_int(instance->again, event->task);
			else if (event->type == HISTORY_ENTITY_FAILED)
			{
				/* In a critical section, the call is made after the locks have been granted. */
				if (durable_replay_open_section(replay) == NULL)
					durable_entities_call_again(batch, instance, call);
			}
			else if (!rewind_child(batch, instance, call, reason))
				continue;
		}
		number.type = jbvNumeric;
		number.val.numeric = int64_to_numeric(i + 1);
		pushJsonbValue(&state, WJB_ELEM, &number);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Returns the index of the last answer of each task. */
static int *
last_answers(const Replay *replay)
{
	int		   *last = palloc0((replay->ncalls + 1) * sizeof(int));

	for (int i = 0; i < replay->nevents; i++)
	{
		const HistoryEvent *event = replay->events[i];

		if (event->task >= 1 && event->task <= replay->ncalls && !durable_history_is_call(event->type))
			last[event->task] = i;
	}
	return last;
}

/* Returns false if a user has terminated the child, or it is still running: then its failure remains. */
static bool
rewind_child(Batch * batch, Instance *instance, HistoryEvent *call, const Jsonb *reason)
{
	Datum		values[3] = {
		Int64GetDatum(instance->key), Int32GetDatum(instance->execution), Int32GetDatum(call->task)
	};
	Decision	decision;
	int64		key = 0;
	char		status = '\0';
	int32		attempt = 1;
	bool		ended_with_parent = false;
	bool		is_undone = false;	/* its compensations run, so it is started again */
	char	   *instance_id = NULL;
	char	   *why;
	MemoryContext context = CurrentMemoryContext;

	durable_sql_connect();
	if (durable_sql_run(&find_child, values, NULL, false, 1) > 0)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		instance_id = durable_sql_text(0, 6);
		MemoryContextSwitchTo(spi);
		key = durable_sql_int8(0, 1);
		status = durable_sql_char(0, 2);
		attempt = Max(durable_sql_int4(0, 3), 1);
		why = durable_sql_text(0, 4);
		if (why != NULL && strcmp(why, REASON_PARENT_FAILED) == 0)
			ended_with_parent = true;
		is_undone = durable_sql_text(0, 5) != NULL;
	}
	durable_sql_finish();

	if (status == STATUS_FAILED && !is_undone)
	{
		/* If it is purged before it takes this message, the parent gets an answer because of the sender (batch_claim.c). */
		durable_batch_send(batch, key, MESSAGE_REWIND, instance->execution, call->task, attempt, instance_id, reason);
		((Message *) llast(batch->outbox))->sender = instance->key;
	}
	else if (status == '\0' && durable_decision_read(call, &decision))
		durable_outcome_start(batch, instance, &decision, 1, 0);
	else if ((status == STATUS_FAILED || (status == STATUS_TERMINATED && ended_with_parent)) &&
			 durable_decision_read(call, &decision))
	{
		decision.instance_id = durable_child_attempt_id(instance, call->task, decision.instance_id, attempt + 1);
		durable_outcome_start(batch, instance, &decision, attempt + 1, 0);
	}
	else
		return false;
	return true;
}

/* Creates the timers again that had not fired when the end of the instance deleted them. */
static void
reopen_timers(Batch * batch, Instance *instance)
{
	Replay	   *replay = &instance->replay;
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	bool	   *closed = palloc0((replay->ncalls + 1) * sizeof(bool));

	for (int i = 0; i < replay->nevents; i++)
	{
		HistoryEvent *event = replay->events[i];
		int64		task = event->type == HISTORY_TIMER_FIRED ? event->task :
			event->type == HISTORY_TIMER_CANCELED ? durable_history_get_number(event->payload) : 0;

		if (task >= 1 && task <= replay->ncalls)
			closed[task] = true;
	}
	for (int task = 1; task <= replay->ncalls; task++)
	{
		HistoryEvent *call = replay->events[replay->calls[task - 1]];
		TimerRow   *row;

		if (call->type != HISTORY_TIMER_CREATED || closed[task])
			continue;
		row = palloc(sizeof(TimerRow));
		row->key = instance->key;
		row->execution = instance->execution;
		row->task = task;
		row->due = durable_history_get_number(call->extra);
		batch->new_timers = lappend(batch->new_timers, row);
	}
	MemoryContextSwitchTo(old);
}
