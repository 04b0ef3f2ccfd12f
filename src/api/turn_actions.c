/*-------------------------------------------------------------------------
 *
 * turn_actions.c
 *		Converts the actions of a completed turn from JSON to events of the history.
 *
 * Invalid actions raise an error here, while the worker waits for the answer.  The unit of
 * work that applies the turn gets the calls in the encoding of the history
 * (run/external.c).
 *
 * Owns:	the JSON form of actions; docs/external.md describes it
 * Called by: turn_api.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "action_members.h"
#include "client.h"
#include "entity_id.h"
#include "history.h"
#include "json.h"
#include "turn_api.h"
#include "verbatim.h"

#define MOST_ACTIONS	100000

static HistoryEvent *read_call(const Jsonb *action, const char *type, const ActionPlace * place, TimestampTz now);
static bool read_entity_action(HistoryEvent *call, JsonbParseState **state, const char *type, const Jsonb *action,
							   const ActionPlace * place);
static char **read_lock_set(const Jsonb *action, const ActionPlace * place, int *nids);
static Jsonb *end_id(const Jsonb *action, const ActionPlace * place);
static Jsonb *read_end(const Jsonb *action, const ActionPlace * place, TimestampTz now);
static Jsonb *read_carryover(const Jsonb *action, const ActionPlace * place, TimestampTz now);

Jsonb *
durable_turn_payload(const Jsonb *actions, const char *custom_status, const char *trace, TimestampTz at,
					 TimestampTz now)
{
	HistoryEvent **calls = NULL;
	int			ncalls = 0;
	int			allocated = 0;
	ActionPlace place = {"action", "turn"};
	Jsonb	   *ending = NULL;
	Jsonb	   *status = durable_verbatim_wrap(custom_status);
	JsonbParseState *state = NULL;
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (actions != NULL && (!JB_ROOT_IS_ARRAY(actions) || JB_ROOT_IS_SCALAR(actions)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("actions must be a JSON array"),
				 errhint("For example [{\"type\": \"complete\", \"id\": 1, \"status\": \"Completed\"}].")));
	if (actions != NULL && JB_ROOT_COUNT(actions) > MOST_ACTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a turn must not have more than %d actions", MOST_ACTIONS),
				 errhint("Divide the work among sub-orchestrations.")));
	if (actions != NULL)
	{
		it = JsonbIteratorInit(unconstify(JsonbContainer *, &actions->root));
		while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
		{
			Jsonb	   *action;
			char	   *type;

			if (token != WJB_ELEM)
				continue;
			CHECK_FOR_INTERRUPTS();
			place.number++;
			action = JsonbValueToJsonb(&value);
			if (!JB_ROOT_IS_OBJECT(action))
				durable_action_bad(&place, "It is not an object.");
			type = durable_action_text(action, "type", &place);
			if (type == NULL)
				durable_action_bad(&place, "Its type is missing.");
			if (strcmp(type, "complete") != 0)
				durable_history_append(&calls, &ncalls, &allocated, read_call(action, type, &place, now));
			else if (ending != NULL)
				durable_action_bad(&place, "There is another action \"complete\" before it.");
			else
				ending = read_end(action, &place, now);
		}
	}
	durable_json_check_size(status, "custom status");

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "at", durable_history_number(at));
	if (ncalls > 0)
		durable_json_push_member(&state, "calls", durable_history_encode(calls, ncalls, now));
	durable_json_push_member(&state, "end", ending);
	durable_json_push_member(&state, "status", status);
	durable_json_push_member(&state, "trace", durable_verbatim_wrap(trace));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static HistoryEvent *
read_call(const Jsonb *action, const char *type, const ActionPlace * place, TimestampTz now)
{
	HistoryEvent *call = palloc0(sizeof(HistoryEvent));
	Jsonb	   *id = durable_history_number(durable_action_id(action, place));
	JsonbParseState *state = NULL;

	call->time = now;
	if (strcmp(type, "create_timer") == 0)
	{
		call->type = HISTORY_TIMER_CREATED;
		if (durable_action_text(action, "due_at", place) == NULL)
			durable_action_bad(place, "Its due_at is missing.");
		call->extra = durable_history_number(durable_action_due(action, place));
		call->payload = id;
		return call;
	}

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "event_id", id);
	if (strcmp(type, "schedule_task") == 0 || strcmp(type, "create_sub_orchestration") == 0)
	{
		call->type = type[0] == 's' ? HISTORY_TASK_SCHEDULED : HISTORY_SUB_CREATED;
		call->name = durable_action_name(action, "name", place);
		call->payload = durable_action_payload(action, "input", place);
		if (call->type == HISTORY_SUB_CREATED && durable_json_get_member(action, "instance_id") != NULL)
			durable_action_push_text(&state, "id", durable_action_name(action, "instance_id", place));
		durable_action_push_text(&state, "version", durable_action_text(action, "version", place));
		durable_json_push_member(&state, "tags", durable_action_tags(action, place));
		durable_action_push_text(&state, "trace", durable_action_text(action, "trace", place));
	}
	else if (strcmp(type, "send_event") == 0)
	{
		call->type = HISTORY_EVENT_SENT;
		call->name = durable_action_name(action, "name", place);
		call->payload = durable_action_payload(action, "input", place);
		durable_action_push_text(&state, "id", durable_action_name(action, "instance_id", place));
	}
	else if (strcmp(type, "terminate") == 0)
	{
		Jsonb	   *recurse = durable_json_get_member(action, "recurse");

		call->type = HISTORY_TERMINATION_SENT;
		call->payload = durable_action_payload(action, "reason", place);
		durable_action_push_text(&state, "id", durable_action_name(action, "instance_id", place));
		if (recurse != NULL && strcmp(durable_json_get_text(action, "recurse"), "false") == 0)
			durable_json_push_member(&state, "alone", recurse);
	}
	else if (!read_entity_action(call, &state, type, action, place))
		durable_action_bad(place, psprintf("Its type is \"%s\".", durable_client_shown(type)));
	call->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return call;
}

/* Converts a call, a signal, a request for locks, or the release of one lock; false: it is none of these. */
static bool
read_entity_action(HistoryEvent *call, JsonbParseState **state, const char *type, const Jsonb *action,
				   const ActionPlace * place)
{
	TimestampTz due;

	if (strcmp(type, "call_entity") == 0)
		call->type = HISTORY_ENTITY_CALLED;
	else if (strcmp(type, "signal_entity") == 0)
		call->type = HISTORY_ENTITY_SIGNALED;
	else if (strcmp(type, "lock_entities") == 0)
		call->type = HISTORY_ENTITY_LOCK_REQUESTED;
	else if (strcmp(type, "unlock_entity") == 0)
		call->type = HISTORY_ENTITY_UNLOCKED;
	else
		return false;
	durable_action_push_text(state, "request", durable_action_name(action, "request_id", place));
	if (call->type == HISTORY_ENTITY_LOCK_REQUESTED)
	{
		int			nids;
		char	  **ids = read_lock_set(action, place, &nids);

		call->name = durable_entity_ids_join(ids, nids);
		call->payload = durable_entity_ids_json(ids, nids);
		return true;
	}
	durable_action_push_text(state, "id", durable_entity_id_parse(durable_action_name(action, "instance_id", place)));
	if (call->type == HISTORY_ENTITY_UNLOCKED)
		return true;
	call->name = durable_action_name(action, "operation", place);
	durable_entity_check_operation(call->name);
	call->payload = durable_action_payload(action, "input", place);
	due = durable_action_due(action, place);
	if (call->type == HISTORY_ENTITY_SIGNALED && due != 0)
		durable_json_push_member(state, "due", durable_history_number(due));
	return true;
}

static char **
read_lock_set(const Jsonb *action, const ActionPlace * place, int *nids)
{
	Jsonb	   *lock_set = durable_json_get_member(action, "lock_set");
	char	  **ids;
	int			n;

	if (lock_set == NULL || !JB_ROOT_IS_ARRAY(lock_set) || JB_ROOT_IS_SCALAR(lock_set))
		durable_action_bad(place, "Its lock_set is not an array.");
	n = JB_ROOT_COUNT(lock_set);
	if (n == 0 || n > ENTITY_MAX_LOCKS)
		durable_action_bad(place, psprintf("Its lock_set has %d entities; it must have 1 to %d.", n, ENTITY_MAX_LOCKS));
	ids = palloc(n * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(&lock_set->root, i);

		if (value->type != jbvString)
			durable_action_bad(place, "Its lock_set has an element that is not a string.");
		ids[i] = durable_entity_id_parse(pnstrdup(value->val.string.val, value->val.string.len));
	}
	*nids = durable_entity_ids_sort(ids, n);
	return ids;
}

/* The id of an action that no event refers to.  SDKs that have not run the orchestration send -1, which is NULL here. */
static Jsonb *
end_id(const Jsonb *action, const ActionPlace * place)
{
	Jsonb	   *id = durable_json_get_member(action, "id");

	if (id != NULL && strcmp(JsonbToCString(NULL, &id->root, VARSIZE(id)), "-1") == 0)
		return NULL;
	return durable_history_number(durable_action_id(action, place));
}

/* In the form that run/external.c reads. */
static Jsonb *
read_end(const Jsonb *action, const ActionPlace * place, TimestampTz now)
{
	char	   *word = durable_action_text(action, "status", place);
	char		status[2] = {0};
	JsonbParseState *state = NULL;

	if (word == NULL)
		durable_action_bad(place, "Its status is missing.");
	else if (strcmp(word, "Completed") == 0)
		status[0] = STATUS_COMPLETED;
	else if (strcmp(word, "Failed") == 0)
		status[0] = STATUS_FAILED;
	else if (strcmp(word, "Terminated") == 0 || strcmp(word, "Canceled") == 0)
		status[0] = STATUS_TERMINATED;
	else if (strcmp(word, "ContinuedAsNew") == 0)
		status[0] = 'N';
	else
		durable_action_bad(place, psprintf("Its status is \"%s\".", durable_client_shown(word)));

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_action_push_text(&state, "status", status);
	durable_json_push_member(&state, "id", end_id(action, place));
	durable_json_push_member(&state, "output", durable_action_payload(action, "output", place));
	if (status[0] == STATUS_FAILED)
		durable_json_push_member(&state, "failure", durable_action_failure(action, place));
	if (status[0] == 'N')
	{
		durable_action_push_text(&state, "version", durable_action_text(action, "version", place));
		durable_json_push_member(&state, "carryover", read_carryover(action, place, now));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static Jsonb *
read_carryover(const Jsonb *action, const ActionPlace * place, TimestampTz now)
{
	Jsonb	   *carryover = durable_json_get_member(action, "carryover");
	HistoryEvent **events = NULL;
	int			nevents = 0;
	int			allocated = 0;
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (carryover == NULL)
		return NULL;
	if (!JB_ROOT_IS_ARRAY(carryover) || JB_ROOT_IS_SCALAR(carryover))
		durable_action_bad(place, "Its carryover is not an array.");
	it = JsonbIteratorInit(&carryover->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		HistoryEvent *event;
		Jsonb	   *element;

		if (token != WJB_ELEM)
			continue;
		element = JsonbValueToJsonb(&value);
		if (!JB_ROOT_IS_OBJECT(element))
			durable_action_bad(place, "An event of its carryover is not an object.");
		event = palloc0(sizeof(HistoryEvent));
		event->type = HISTORY_EVENT_RAISED;
		event->name = durable_action_name(element, "name", place);
		event->payload = durable_action_payload(element, "input", place);
		event->time = now;
		durable_history_append(&events, &nevents, &allocated, event);
	}
	return nevents > 0 ? durable_history_encode(events, nevents, now) : NULL;
}
