/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *		Decides whether an activity runs inline, as a task or in a queue, and postpones the
 *		remaining work of an exhausted batch.
 *
 * Short activities run right between two turns.  The others become rows of
 * durable.task_queue, or of durable.queued_task where they have a queue.  When the
 * batch has used up its share of time or of writing subtransactions, the instance
 * sends itself a message to continue.
 *
 * Called by: execution.c, outcome.c, external.c
 * Locks:	the locks that inline activities take
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "activity.h"
#include "decision.h"
#include "dispatch.h"
#include "execution.h"
#include "external.h"
#include "failpoint.h"
#include "handler.h"
#include "instance.h"
#include "json.h"
#include "retry.h"
#include "verbatim.h"

/* The largest length of a key in bytes; it is limited because keys are in an index. */
#define MAX_SHARE	256

static bool run_activity(Batch * batch, Instance *instance, const Decision *decision, ActivityTarget * target,
						 bool ending);
static bool cannot_call(Batch * batch, Instance *instance, const Decision *decision, bool ending,
						const char *problem, Jsonb *failure);
static ActivityTarget *target_of(Batch * batch, const Instance *instance, Decision *decision, Oid namespace);
static const Jsonb *call_of(const Instance *instance, const Jsonb *extra);
static const char *share_of(const ActivityTarget * target, const Jsonb *input);
static void make_task(Batch * batch, Instance *instance, const Decision *decision, ActivityTarget * target,
					TimestampTz run_at, int attempt, const Jsonb *failure);

/*
 * Dispatches the activities that a turn has called: runs the short ones, and turns the
 * others into tasks.  Returns true if the orchestration should be run again now.  When
 * the batch is exhausted, the remaining activities are postponed.  An execution that is
 * ending cannot postpone activities.  Those that it has scheduled and not awaited are run
 * now, or become tasks.
 */
bool
durable_dispatch_run(Batch * batch, Instance *instance, Oid namespace, bool ending)
{
	bool		answered = false;
	HistoryEvent *call;

	while ((call = durable_turn_next_activity(instance)) != NULL)
	{
		Decision	decision;
		ActivityTarget *target;
		MemoryContext old = MemoryContextSwitchTo(batch->context);

		(void) durable_decision_read(call, &decision);
		target = target_of(batch, instance, &decision, namespace);
		MemoryContextSwitchTo(old);

		if (!durable_activity_is_short(target, decision.input) ||
			(batch->cautious && target->failure == NULL) ||
			(ending && durable_batch_exhausted(batch) && target->failure == NULL))
			make_task(batch, instance, &decision, target, batch->clock, 1, NULL);
		else if (durable_batch_exhausted(batch) && !ending)
		{
			durable_dispatch_put_off(batch, instance);
			return false;
		}
		else if (run_activity(batch, instance, &decision, target, ending))
			answered = true;
		if (instance->put_off)
			return false;
		instance->dispatched = call->task;
	}

	if (answered && !ending && durable_batch_exhausted(batch))
	{
		durable_dispatch_put_off(batch, instance);
		return false;
	}
	return answered;
}

/*
 * Resolves the name of an activity.  In an external orchestration a name that is not
 * registered is that of an external activity, and not of a function.  An activity in SQL
 * gets its input, which is a text, converted to jsonb.
 */
static ActivityTarget *
target_of(Batch * batch, const Instance *instance, Decision *decision, Oid namespace)
{
	ActivityTarget *target;

	if (!durable_external_is(instance))
		return durable_activity_target(&batch->targets, decision->name, batch->owner, namespace);

	if (durable_handler_registration(decision->name, "activity", batch->owner, InvalidOid) == NULL)
	{
		target = palloc0(sizeof(ActivityTarget));
		target->name = decision->name;
		target->execution = EXECUTION_EXTERNAL;
		target->queue = pstrdup(durable_verbatim_queue(instance->handler_signature));
		return target;
	}
	target = durable_activity_target(&batch->targets, decision->name, batch->owner, InvalidOid);
	if (target->execution != EXECUTION_EXTERNAL)
		decision->input = durable_verbatim_to_json(decision->input);
	return target;
}

/* Runs an activity inline; returns whether it has an answer now. */
static bool
run_activity(Batch * batch, Instance *instance, const Decision *decision, ActivityTarget * target, bool ending)
{
	ActivityRun run = {0};
	ActivityOutcome outcome;
	int64		delay;

	if (target->failure != NULL)
		return cannot_call(batch, instance, decision, ending, target->problem, target->failure);

	run.name = decision->name;
	run.handler = target->handler;
	run.function = target->function;
	run.input = decision->input;
	run.timeout_us = decision->timeout_us > 0 ? decision->timeout_us : target->timeout_us;
	run.is_inline = true;
	run.attempt = 1;
	run.flight = (FlightRun) {FLIGHT_INLINE, instance->execution, decision->task, instance->key, 0};
	outcome = durable_activity_run(&run);
	durable_failpoint_pass(FAILPOINT_ACTIVITY_DONE);

	batch->activities++;
	batch->user_us += run.elapsed_us;
	instance->compute_us += run.elapsed_us;
	if (run.wrote)
		batch->writes++;

	/*
	 * Temporary tables and modes of constraints last until the end of the
	 * transaction, so the next activity would find those of this one.  PostgreSQL drops
	 * a notification if the transaction has sent the same one before, even if two
	 * different activities have sent them.
	 */
	if (run.notified || (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) || run.set_constraints)
		batch->closed = true;

	switch (outcome)
	{
		case ACTIVITY_COMPLETED:
			durable_instance_add_event(batch, instance, HISTORY_TASK_COMPLETED, decision->task, NULL,
									   durable_verbatim_convert(run.payload, false, durable_external_is(instance)));
			return true;

		case ACTIVITY_FAILED:
			if (durable_retry_after(decision->retry ? decision->retry : target->retry,
									1, batch->clock, batch->clock, run.sqlerrcode, &delay))
			{
				make_task(batch, instance, decision, target, batch->clock + delay,
						  2, run.payload);
				return false;
			}
			durable_instance_add_event(batch, instance, HISTORY_TASK_FAILED, decision->task, NULL, run.payload);
			return true;

		case ACTIVITY_UNBOUND:
			return cannot_call(batch, instance, decision, ending, run.problem, run.payload);

		case ACTIVITY_TRY_LATER:
		case ACTIVITY_NOT_YET:	/* it always becomes a task */
		case ACTIVITY_STOPPED:
			make_task(batch, instance, decision, target, batch->clock, 1, run.payload);
			return false;
	}
	return false;
}

/*
 * The function does not exist, does not accept the input, or may not be called by the
 * owner.  The instance is suspended until the problem has been corrected, and then
 * continues with this activity.  An execution that is ending is not suspended.
 */
static bool
cannot_call(Batch * batch, Instance *instance, const Decision *decision, bool ending,
			const char *problem, Jsonb *failure)
{
	if (ending)
	{
		durable_instance_add_event(batch, instance, HISTORY_TASK_FAILED, decision->task, NULL, failure);
		return true;
	}
	durable_execution_park(batch, instance, problem);
	instance->put_off = true;
	return false;
}

void
durable_dispatch_again(Batch * batch, Instance *instance, Oid namespace)
{
	Replay	   *replay = &instance->replay;
	ListCell   *cell;

	foreach(cell, instance->again)
	{
		Decision	decision;
		ActivityTarget *target;
		MemoryContext old = MemoryContextSwitchTo(batch->context);

		(void) durable_decision_read(replay->events[replay->calls[lfirst_int(cell) - 1]], &decision);
		target = target_of(batch, instance, &decision, namespace);
		MemoryContextSwitchTo(old);
		if (target->failure != NULL)
			durable_instance_add_event(batch, instance, HISTORY_TASK_FAILED, decision.task, NULL, target->failure);
		else
			make_task(batch, instance, &decision, target, batch->clock, 1, NULL);
	}
	instance->again = NIL;
}

static void
make_task(Batch * batch, Instance *instance, const Decision *decision, ActivityTarget * target,
		  TimestampTz run_at, int attempt, const Jsonb *failure)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TaskRow    *row = palloc0(sizeof(TaskRow));

	row->key = instance->key;
	row->execution = instance->execution;
	row->task = decision->task;
	row->attempt = attempt;
	row->scheduled_at = batch->clock;
	row->run_at = run_at;
	row->name = decision->name;
	row->handler = target->handler;
	row->input = decision->input;
	row->retry = decision->retry ? decision->retry : target->retry;
	row->timeout_us = decision->timeout_us > 0 ? decision->timeout_us : target->timeout_us;
	row->last_failure = failure;
	row->crashes = batch->cautious ? instance->crashes : 0;
	if (target->queue != NULL)
	{
		row->queue = target->queue;
		row->priority = target->priority;
		row->share = share_of(target, row->handler == NULL && durable_external_is(instance) ?
							  durable_verbatim_to_json(decision->input) : decision->input);
		row->call = row->handler == NULL && durable_external_is(instance) ? call_of(instance, decision->extra) : NULL;
		batch->new_queued = lappend(batch->new_queued, row);
	}
	else
		batch->new_tasks = lappend(batch->new_tasks, row);
	MemoryContextSwitchTo(old);
}

/* The description of a call for workers.  A call without a version has that of its orchestration. */
static const Jsonb *
call_of(const Instance *instance, const Jsonb *extra)
{
	JsonbParseState *state = NULL;

	if (instance->version == NULL || durable_json_get_member(extra, "version") != NULL)
		return extra;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "version", durable_json_text(instance->version));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(extra),
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

/* The key by which activities share the queue; NULL: the key is the owner. */
static const char *
share_of(const ActivityTarget * target, const Jsonb *input)
{
	char	   *share = target->share && input ? durable_json_get_text(input, target->share) : NULL;

	if (share != NULL && strlen(share) > MAX_SHARE)
		share[pg_mbcliplen(share, strlen(share), MAX_SHARE)] = '\0';
	return share;
}

/*
 * The batch is exhausted, and the instance continues in the next one.  The message only
 * makes the instance runnable.  Activities that are still to be run inline are the calls
 * behind instance->dispatched.  This number is stored with the instance, so its next run
 * finds them, even if another message causes that run.
 */
void
durable_dispatch_put_off(Batch * batch, Instance *instance)
{
	durable_batch_send(batch, instance->key, MESSAGE_CONTINUE, instance->execution, 0, 0, NULL, NULL);
	instance->put_off = true;
}
