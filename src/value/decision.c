/*-------------------------------------------------------------------------
 *
 * decision.c
 *		Converts decisions of an orchestration to and from the events that record them.
 *
 * The event has the name under which something was called and the input.  The rest
 * is in its extra member:
 *		TaskScheduled	{"retry": policy, "timeout": us}, members optional
 *		TimerCreated	due time, a number: us since 2000-01-01 UTC
 *		TimerCanceled	the same; the payload is the number of the timer's task
 *		SubOrchestrationInstanceCreated, OrchestrationStartRequested
 *						{"id": instance id, "handler": signature, "name": as it is
 *						registered, unless it was called by that name, "version":
 *						optional, "retry": policy, optional, "close_policy": "abandon" if so}
 *		EventSent		{"id": instance id}
 *		EntityOperationSignaled, EntityOperationCalled
 *						{"id": entity's id, "due": time, optional}
 *		TerminationSent	{"id": instance id, "alone": true if its sub-orchestrations go on}
 * Calls of entities by an external orchestration have "request", the id that it has given the operation or
 * the critical section; its EntityUnlockSent has the "id" of one entity, that of others unlocks all.
 * Calls of an external orchestration have "event_id", the number that it has given the call,
 * and may have "version", "tags" and "trace"; for a timer this is the event's payload.
 * A call that was refused has {"failure": failure} there, and a sub-orchestration that
 * does not exist has no handler; neither of them leads to an action.
 *
 * Owns:	the encoding of HistoryEvent.extra of calls
 * Called by: the *_calls.c of turn/ (writing); dispatch.c, entity_dispatch.c,
 *			straight_through.c, outcome.c, execution.c, rewind.c (reading)
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "decision.h"
#include "json.h"

static bool read_start(const HistoryEvent *event, Decision *decision);

bool
durable_decision_read(const HistoryEvent *event, Decision *decision)
{
	const Jsonb *timeout;

	memset(decision, 0, sizeof(Decision));
	decision->task = event->task;
	decision->name = event->name;
	decision->input = event->payload;
	decision->extra = event->extra;
	switch (event->type)
	{
		case HISTORY_TASK_SCHEDULED:
			decision->kind = DECISION_ACTIVITY;
			if (event->extra == NULL)
				return true;
			if (durable_json_get_member(event->extra, "failure") != NULL)
				return false;
			decision->retry = durable_json_get_member(event->extra, "retry");
			timeout = durable_json_get_member(event->extra, "timeout");
			decision->timeout_us = timeout ? durable_history_get_number(timeout) : 0;
			return true;

		case HISTORY_TIMER_CREATED:
			decision->kind = DECISION_TIMER;
			decision->due = durable_history_get_number(event->extra);
			return true;

		case HISTORY_TIMER_CANCELED:
			decision->kind = DECISION_TIMER_CANCEL;
			decision->task = (int32) durable_history_get_number(event->payload);
			decision->due = durable_history_get_number(event->extra);
			return true;

		case HISTORY_SUB_CANCELED:
			decision->kind = DECISION_CHILD_CANCEL;
			decision->task = (int32) durable_history_get_number(event->payload);
			decision->input = event->extra;
			return true;

		case HISTORY_SUB_CREATED:
			decision->kind = DECISION_CHILD;
			return read_start(event, decision);

		case HISTORY_START_REQUESTED:
			decision->kind = DECISION_START;
			return read_start(event, decision);

		case HISTORY_EVENT_SENT:
			decision->kind = DECISION_SEND;
			if (durable_json_get_member(event->extra, "failure") != NULL)
				return false;
			decision->instance_id = durable_json_get_text(event->extra, "id");
			return true;

		case HISTORY_ENTITY_SIGNALED:
		case HISTORY_ENTITY_CALLED:
			{
				const Jsonb *due;

				decision->kind = event->type == HISTORY_ENTITY_CALLED ? DECISION_ENTITY_CALL : DECISION_ENTITY_SIGNAL;
				if (durable_json_get_member(event->extra, "failure") != NULL)
					return false;
				decision->instance_id = durable_json_get_text(event->extra, "id");
				due = durable_json_get_member(event->extra, "due");
				decision->due = due ? durable_history_get_number(due) : 0;
				return true;
			}

		case HISTORY_ENTITY_LOCK_REQUESTED:
			decision->kind = DECISION_ENTITY_LOCK;
			return event->payload != NULL;

		case HISTORY_ENTITY_UNLOCKED:
			decision->kind = DECISION_ENTITY_UNLOCK;
			decision->instance_id = durable_json_get_text(event->extra, "id");
			decision->task = (int32) durable_history_get_number(event->payload);
			return true;

		case HISTORY_TERMINATION_SENT:
			decision->kind = DECISION_TERMINATE;
			decision->instance_id = durable_json_get_text(event->extra, "id");
			decision->alone = durable_json_get_member(event->extra, "alone") != NULL;
			return true;

		default:
			return false;
	}
}

static bool
read_start(const HistoryEvent *event, Decision *decision)
{
	const char *registered = durable_json_get_text(event->extra, "name");
	const Jsonb *given;

	if (durable_json_get_member(event->extra, "failure") != NULL)
		return false;
	decision->handler = durable_json_get_text(event->extra, "handler");
	if (registered != NULL)
		decision->name = registered;
	decision->instance_id = durable_json_get_text(event->extra, "id");
	decision->version = durable_json_get_text(event->extra, "version");
	decision->retry = durable_json_get_member(event->extra, "retry");
	decision->tags = durable_json_get_member(event->extra, "tags");
	decision->trace = durable_json_get_text(event->extra, "trace");
	decision->abandoned = durable_json_get_member(event->extra, "close_policy") != NULL;
	given = durable_json_get_member(event->extra, "event_id");
	decision->call_id = given != NULL ? (int32) durable_history_get_number(given) : event->task;
	return decision->handler != NULL;
}

Jsonb *
durable_decision_extra(const Decision *decision, const char *recorded_name)
{
	JsonbParseState *state = NULL;

	if (decision->kind == DECISION_TIMER || decision->kind == DECISION_TIMER_CANCEL)
		return durable_history_number(decision->due);
	if (decision->kind == DECISION_ACTIVITY && decision->retry == NULL && decision->timeout_us == 0)
		return NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (decision->instance_id != NULL)
		durable_json_push_member(&state, "id", durable_json_text(decision->instance_id));
	durable_json_push_member(&state, "retry", decision->retry);
	if (decision->kind == DECISION_ENTITY_SIGNAL && decision->due != 0)
		durable_json_push_member(&state, "due", durable_history_number(decision->due));
	if (decision->abandoned)
		durable_json_push_member(&state, "close_policy", durable_json_text("abandon"));
	if (decision->timeout_us > 0)
		durable_json_push_member(&state, "timeout", durable_history_number(decision->timeout_us));
	if (decision->handler != NULL)
	{
		durable_json_push_member(&state, "handler", durable_json_text(decision->handler));
		if (strcmp(decision->name, recorded_name) != 0)
			durable_json_push_member(&state, "name", durable_json_text(decision->name));
		if (decision->version != NULL)
			durable_json_push_member(&state, "version", durable_json_text(decision->version));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
durable_decision_refused(const char *instance_id, const Jsonb *failure)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (instance_id != NULL)
		durable_json_push_member(&state, "id", durable_json_text(instance_id));
	durable_json_push_member(&state, "failure", failure);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
