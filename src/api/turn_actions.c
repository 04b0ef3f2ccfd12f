/*-------------------------------------------------------------------------
 *
 * turn_actions.c
 *		Converts the actions of a completed turn from JSON to events of the history.
 *
 * Every invalid action is refused here, while the worker waits for the answer.  The
 * unit of work that applies the turn gets the calls in the encoding of the
 * history (run/external.c).
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

#include "client.h"
#include "history.h"
#include "json.h"
#include "turn_api.h"
#include "verbatim.h"

#define MOST_ACTIONS	100000

static HistoryEvent *read_call(const Jsonb *action, const char *type, int number, TimestampTz now);
static Jsonb *read_end(const Jsonb *action, int number, TimestampTz now);
static Jsonb *read_failure(const Jsonb *action, int number);
static Jsonb *read_carryover(const Jsonb *action, int number, TimestampTz now);
static int32 id_of(const Jsonb *action, int number);
static char *name_of(const Jsonb *action, const char *member, int number);
static char *text_of(const Jsonb *action, const char *member, int number);
static Jsonb *payload_of(const Jsonb *action, const char *member, int number);
static TimestampTz due_of(const Jsonb *action, int number);
static Jsonb *tags_of(const Jsonb *action, int number);
static void push_text(JsonbParseState **state, const char *member, const char *value);
pg_noreturn_compat static void bad_action(int number, const char *problem);

Jsonb *
durable_turn_payload(const Jsonb *actions, const char *custom_status, const char *trace, TimestampTz at,
					 TimestampTz now)
{
	HistoryEvent **calls = NULL;
	int			ncalls = 0;
	int			allocated = 0;
	int			number = 0;
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
				 errmsg("a turn must not have more than %d actions", MOST_ACTIONS)));
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
			number++;
			action = JsonbValueToJsonb(&value);
			if (!JB_ROOT_IS_OBJECT(action))
				bad_action(number, "It is not an object.");
			type = text_of(action, "type", number);
			if (type == NULL)
				bad_action(number, "Its type is missing.");
			if (strcmp(type, "complete") != 0)
				durable_history_append(&calls, &ncalls, &allocated, read_call(action, type, number, now));
			else if (ending != NULL)
				bad_action(number, "There is another action \"complete\" before it.");
			else
				ending = read_end(action, number, now);
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
read_call(const Jsonb *action, const char *type, int number, TimestampTz now)
{
	HistoryEvent *call = palloc0(sizeof(HistoryEvent));
	Jsonb	   *id = durable_history_number(id_of(action, number));
	JsonbParseState *state = NULL;

	call->time = now;
	if (strcmp(type, "create_timer") == 0)
	{
		call->type = HISTORY_TIMER_CREATED;
		call->extra = durable_history_number(due_of(action, number));
		call->payload = id;
		return call;
	}

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "event_id", id);
	if (strcmp(type, "schedule_task") == 0 || strcmp(type, "create_sub_orchestration") == 0)
	{
		call->type = type[0] == 's' ? HISTORY_TASK_SCHEDULED : HISTORY_SUB_CREATED;
		call->name = name_of(action, "name", number);
		call->payload = payload_of(action, "input", number);
		if (call->type == HISTORY_SUB_CREATED && durable_json_get_member(action, "instance_id") != NULL)
			push_text(&state, "id", name_of(action, "instance_id", number));
		push_text(&state, "version", text_of(action, "version", number));
		durable_json_push_member(&state, "tags", tags_of(action, number));
		push_text(&state, "trace", text_of(action, "trace", number));
	}
	else if (strcmp(type, "send_event") == 0)
	{
		call->type = HISTORY_EVENT_SENT;
		call->name = name_of(action, "name", number);
		call->payload = payload_of(action, "input", number);
		push_text(&state, "id", name_of(action, "instance_id", number));
	}
	else if (strcmp(type, "terminate") == 0)
	{
		Jsonb	   *recurse = durable_json_get_member(action, "recurse");

		call->type = HISTORY_TERMINATION_SENT;
		call->payload = payload_of(action, "reason", number);
		push_text(&state, "id", name_of(action, "instance_id", number));
		if (recurse != NULL && strcmp(durable_json_get_text(action, "recurse"), "false") == 0)
			durable_json_push_member(&state, "alone", recurse);
	}
	else if (strcmp(type, "send_entity_message") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("external orchestrations cannot send messages to entities")));
	else
		bad_action(number, psprintf("Its type is \"%s\".", durable_client_shown(type)));
	call->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	return call;
}

/* In the form that run/external.c reads. */
static Jsonb *
read_end(const Jsonb *action, int number, TimestampTz now)
{
	char	   *word = text_of(action, "status", number);
	char		status[2] = {0};
	JsonbParseState *state = NULL;

	if (word == NULL)
		bad_action(number, "Its status is missing.");
	else if (strcmp(word, "Completed") == 0)
		status[0] = STATUS_COMPLETED;
	else if (strcmp(word, "Failed") == 0)
		status[0] = STATUS_FAILED;
	else if (strcmp(word, "Terminated") == 0 || strcmp(word, "Canceled") == 0)
		status[0] = STATUS_TERMINATED;
	else if (strcmp(word, "ContinuedAsNew") == 0)
		status[0] = 'N';
	else
		bad_action(number, psprintf("Its status is \"%s\".", durable_client_shown(word)));

	(void) id_of(action, number);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "status", status);
	durable_json_push_member(&state, "output", payload_of(action, "output", number));
	if (status[0] == STATUS_FAILED)
		durable_json_push_member(&state, "failure", read_failure(action, number));
	if (status[0] == 'N')
	{
		push_text(&state, "version", text_of(action, "version", number));
		durable_json_push_member(&state, "carryover", read_carryover(action, number, now));
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* With an SQLSTATE, so that an orchestration in SQL can catch it. */
static Jsonb *
read_failure(const Jsonb *action, int number)
{
	Jsonb	   *failure = durable_json_get_member(action, "failure");
	JsonbParseState *state = NULL;

	if (failure == NULL || !JB_ROOT_IS_OBJECT(failure) || durable_json_get_text(failure, "message") == NULL)
		bad_action(number, "Its failure is not an object with a message.");
	durable_json_check_size(failure, "failure of an orchestration");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "sqlstate", unpack_sql_state(ERRCODE_DURABLE_EXTERNAL));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(failure),
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

static Jsonb *
read_carryover(const Jsonb *action, int number, TimestampTz now)
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
		bad_action(number, "Its carryover is not an array.");
	it = JsonbIteratorInit(&carryover->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		HistoryEvent *event;
		Jsonb	   *element;

		if (token != WJB_ELEM)
			continue;
		element = JsonbValueToJsonb(&value);
		if (!JB_ROOT_IS_OBJECT(element))
			bad_action(number, "An event of its carryover is not an object.");
		event = palloc0(sizeof(HistoryEvent));
		event->type = HISTORY_EVENT_RAISED;
		event->name = name_of(element, "name", number);
		event->payload = payload_of(element, "input", number);
		event->time = now;
		durable_history_append(&events, &nevents, &allocated, event);
	}
	return nevents > 0 ? durable_history_encode(events, nevents, now) : NULL;
}

/* --- members ------------------------------------------------------------------------------ */

static int32
id_of(const Jsonb *action, int number)
{
	Jsonb	   *id = durable_json_get_member(action, "id");
	JsonbValue	value;
	long		result = -1;

	if (id != NULL)
	{
		durable_json_root(id, &value);
		if (value.type == jbvNumeric)
		{
			char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));

			if (strlen(digits) <= 10 && strspn(digits, "0123456789") == strlen(digits))
				result = strtol(digits, NULL, 10);
		}
	}
	if (result < 0 || result > PG_INT32_MAX)
		bad_action(number, "Its id is not an integer from 0 on.");
	return (int32) result;
}

/* A text, or NULL when it is missing. */
static char *
text_of(const Jsonb *action, const char *member, int number)
{
	Jsonb	   *value = durable_json_get_member(action, member);
	JsonbValue	root;

	if (value == NULL)
		return NULL;
	durable_json_root(value, &root);
	if (root.type != jbvString)
		bad_action(number, psprintf("Its %s is not a string.", member));
	return pnstrdup(root.val.string.val, root.val.string.len);
}

static char *
name_of(const Jsonb *action, const char *member, int number)
{
	char	   *name = text_of(action, member, number);

	if (name == NULL)
		bad_action(number, psprintf("Its %s is missing.", member));
	durable_client_check_name(name, member);
	return name;
}

static Jsonb *
payload_of(const Jsonb *action, const char *member, int number)
{
	Jsonb	   *payload = durable_verbatim_wrap(text_of(action, member, number));

	durable_json_check_size(payload, member);
	return payload;
}

static TimestampTz
due_of(const Jsonb *action, int number)
{
	char	   *text = text_of(action, "due_at", number);
	TimestampTz due;

	if (text == NULL)
		bad_action(number, "Its due_at is missing.");
	due = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
												  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (TIMESTAMP_IS_NOBEGIN(due))
		bad_action(number, "Its due_at is minus infinity.");
	return due;
}

static Jsonb *
tags_of(const Jsonb *action, int number)
{
	Jsonb	   *tags = durable_json_get_member(action, "tags");

	if (tags == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(tags))
		bad_action(number, "Its tags are not an object.");
	durable_json_check_size(tags, "object of tags");
	return tags;
}

static void
push_text(JsonbParseState **state, const char *member, const char *value)
{
	if (value != NULL)
		durable_json_push_member(state, member, durable_json_text(value));
}

static void
bad_action(int number, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("action %d of the turn is not valid", number),
			 errdetail("%s", problem),
			 errhint("docs/external.md describes the actions.")));
}
