/*-------------------------------------------------------------------------
 *
 * action_members.c
 *		Reads the members of JSON objects that workers send: actions of turns, and actions and
 *		results of batches of operations.
 *
 * Owns:	nothing
 * Called by: turn_actions.c, entity_results.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "action_members.h"
#include "client.h"
#include "json.h"
#include "verbatim.h"

/* With an SQLSTATE, so that an orchestration in SQL can catch it. */
Jsonb *
durable_action_failure(const Jsonb *action, const ActionPlace * place)
{
	Jsonb	   *failure = durable_json_get_member(action, "failure");
	JsonbParseState *state = NULL;

	if (failure == NULL || !JB_ROOT_IS_OBJECT(failure) || durable_json_get_text(failure, "message") == NULL)
		durable_action_bad(place, "Its failure is not an object with a message.");
	durable_json_check_size(failure, "failure");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_action_push_text(&state, "sqlstate", unpack_sql_state(ERRCODE_DURABLE_EXTERNAL));
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(failure),
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

int32
durable_action_id(const Jsonb *action, const ActionPlace * place)
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
		durable_action_bad(place, "Its id is not a nonnegative integer.");
	return (int32) result;
}

/* A text, or NULL when it is missing. */
char *
durable_action_text(const Jsonb *action, const char *member, const ActionPlace * place)
{
	Jsonb	   *value = durable_json_get_member(action, member);
	JsonbValue	root;

	if (value == NULL)
		return NULL;
	durable_json_root(value, &root);
	if (root.type != jbvString)
		durable_action_bad(place, psprintf("Its %s is not a string.", member));
	return pnstrdup(root.val.string.val, root.val.string.len);
}

char *
durable_action_name(const Jsonb *action, const char *member, const ActionPlace * place)
{
	char	   *name = durable_action_text(action, member, place);

	if (name == NULL)
		durable_action_bad(place, psprintf("Its %s is missing.", member));
	durable_client_check_name(name, member);
	return name;
}

Jsonb *
durable_action_payload(const Jsonb *action, const char *member, const ActionPlace * place)
{
	Jsonb	   *payload = durable_verbatim_wrap(durable_action_text(action, member, place));

	durable_json_check_size(payload, member);
	return payload;
}

TimestampTz
durable_action_due(const Jsonb *action, const ActionPlace * place)
{
	char	   *text = durable_action_text(action, "due_at", place);
	TimestampTz due;

	if (text == NULL)
		return 0;
	due = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
												  ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (TIMESTAMP_IS_NOBEGIN(due))
		durable_action_bad(place, "Its due_at is minus infinity.");
	return due;
}

Jsonb *
durable_action_tags(const Jsonb *action, const ActionPlace * place)
{
	Jsonb	   *tags = durable_json_get_member(action, "tags");

	if (tags == NULL)
		return NULL;
	if (!JB_ROOT_IS_OBJECT(tags))
		durable_action_bad(place, "Its tags are not an object.");
	durable_json_check_size(tags, "object of tags");
	return tags;
}

void
durable_action_push_text(JsonbParseState **state, const char *member, const char *value)
{
	if (value != NULL)
		durable_json_push_member(state, member, durable_json_text(value));
}

void
durable_action_bad(const ActionPlace * place, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s %d of the %s is not valid", place->what, place->number, place->of),
			 errdetail("%s", problem),
			 errhint("docs/external.md describes the %ss.", place->what)));
}
