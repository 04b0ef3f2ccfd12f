/*-------------------------------------------------------------------------
 *
 * entity_results.c
 *		Converts the results of a batch of operations from the JSON of a worker to the message
 *		for the entity.
 *
 * Invalid results raise an error here, while the worker waits for the answer.
 *
 * Owns:	the JSON form of results and actions; docs/external.md describes it
 * Called by: entity_work_api.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "action_members.h"
#include "client.h"
#include "entity_id.h"
#include "entity_results.h"
#include "history.h"
#include "json.h"
#include "verbatim.h"

/* The largest number of actions of a batch. */
#define MOST_ACTIONS	10000

typedef Jsonb *(*ElementReader) (const Jsonb *element, const ActionPlace * place);

static Jsonb *read_array(const Jsonb *array, const char *what, ElementReader read);
static Jsonb *read_result(const Jsonb *result, const ActionPlace * place);
static Jsonb *read_action(const Jsonb *action, const ActionPlace * place);
static char *random_id(void);

Jsonb *
durable_entity_results(const Jsonb *results, const char *state, const Jsonb *actions)
{
	JsonbParseState *object = NULL;
	Jsonb	   *kept = durable_verbatim_wrap(state);

	if (results == NULL || !JB_ROOT_IS_ARRAY(results) || JB_ROOT_IS_SCALAR(results) || JB_ROOT_COUNT(results) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("results must be a JSON array with at least one element"),
				 errhint("For example [{\"output\": \"1\"}].  durable.release_work() gives back a batch that was not run.")));
	if (actions != NULL && (!JB_ROOT_IS_ARRAY(actions) || JB_ROOT_IS_SCALAR(actions)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("actions must be a JSON array"),
				 errhint("For example [{\"type\": \"signal_entity\", \"instance_id\": \"@counter@a\", \"operation\": \"add\"}].")));
	if (actions != NULL && JB_ROOT_COUNT(actions) > MOST_ACTIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a batch must not have more than %d actions", MOST_ACTIONS),
				 errhint("Complete only some of the operations; the others are handed out again.")));
	durable_json_check_size(kept, "state of an entity");

	pushJsonbValue(&object, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&object, "results", read_array(results, "result", read_result));
	durable_json_push_member(&object, "state", kept);
	if (actions != NULL)
		durable_json_push_member(&object, "actions", read_array(actions, "action", read_action));
	return JsonbValueToJsonb(pushJsonbValue(&object, WJB_END_OBJECT, NULL));
}

Jsonb *
durable_entity_results_of(const Jsonb *payload, const Jsonb *ids)
{
	JsonbParseState *object = NULL;
	Jsonb	   *results = durable_json_get_member(payload, "results");
	int			nids = ids != NULL ? JB_ROOT_COUNT(ids) : 0;

	if (JB_ROOT_COUNT(results) > nids)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a batch of %d operations has %d results", nids, (int) JB_ROOT_COUNT(results))));
	pushJsonbValue(&object, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&object, "ids", ids);
	durable_json_push_member(&object, "results", results);
	durable_json_push_member(&object, "state", durable_json_get_member(payload, "state"));
	durable_json_push_member(&object, "actions", durable_json_get_member(payload, "actions"));
	return JsonbValueToJsonb(pushJsonbValue(&object, WJB_END_OBJECT, NULL));
}

static Jsonb *
read_array(const Jsonb *array, const char *what, ElementReader read)
{
	ActionPlace place = {what, "batch"};
	JsonbParseState *state = NULL;
	JsonbIterator *it = JsonbIteratorInit(unconstify(JsonbContainer *, &array->root));
	JsonbIteratorToken token;
	JsonbValue	value;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		Jsonb	   *element;

		if (token != WJB_ELEM)
			continue;
		CHECK_FOR_INTERRUPTS();
		place.number++;
		element = JsonbValueToJsonb(&value);
		if (!JB_ROOT_IS_OBJECT(element))
			durable_action_bad(&place, "It is not an object.");
		durable_json_root(read(element, &place), &value);
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
read_result(const Jsonb *result, const ActionPlace * place)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (durable_json_get_member(result, "failure") != NULL)
		durable_json_push_member(&state, "failure", durable_action_failure(result, place));
	else
		durable_json_push_member(&state, "output", durable_action_payload(result, "output", place));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static Jsonb *
read_action(const Jsonb *action, const ActionPlace * place)
{
	char	   *type = durable_action_text(action, "type", place);
	TimestampTz due = durable_action_due(action, place);
	JsonbParseState *state = NULL;

	if (type == NULL)
		durable_action_bad(place, "Its type is missing.");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (strcmp(type, "signal_entity") == 0)
	{
		char	   *operation = durable_action_name(action, "operation", place);

		durable_entity_check_operation(operation);
		durable_action_push_text(&state, "operation", operation);
		durable_action_push_text(&state, "id", durable_entity_id_parse(durable_action_name(action, "instance_id", place)));
	}
	else if (strcmp(type, "start_orchestration") == 0)
	{
		durable_action_push_text(&state, "name", durable_action_name(action, "name", place));
		durable_action_push_text(&state, "id", durable_json_get_member(action, "instance_id") != NULL ?
								 durable_action_name(action, "instance_id", place) : random_id());
		durable_action_push_text(&state, "version", durable_action_text(action, "version", place));
		durable_json_push_member(&state, "tags", durable_action_tags(action, place));
	}
	else
		durable_action_bad(place, psprintf("Its type is \"%s\".", durable_client_shown(type)));
	durable_json_push_member(&state, "input", durable_action_payload(action, "input", place));
	if (due != 0)
		durable_json_push_member(&state, "due", durable_history_number(due));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static char *
random_id(void)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, DirectFunctionCall1(gen_random_uuid, (Datum) 0)));
}
