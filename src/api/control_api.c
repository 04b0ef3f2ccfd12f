/*-------------------------------------------------------------------------
 *
 * control_api.c
 *		durable.raise_event, terminate, suspend, resume: messages to an instance.
 *
 * Each of these functions inserts one row into the inbox, which takes effect in the
 * instance's next turn.  If the instance is finished, the function raises an error.  If it
 * finishes before the caller's commit, the engine discards the message.
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	none beyond a plain insert's
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "arguments.h"
#include "client.h"
#include "json.h"
#include "verbatim.h"
#include "wakeup.h"

static void control(FunctionCallInfo fcinfo, char kind, const char *name, ClientInstance *instance);

PG_FUNCTION_INFO_V1(durable_raise_event);
PG_FUNCTION_INFO_V1(durable_raise_event_text);
PG_FUNCTION_INFO_V1(durable_terminate);
PG_FUNCTION_INFO_V1(durable_suspend);
PG_FUNCTION_INFO_V1(durable_resume);

Datum
durable_raise_event(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	char	   *instance_id;
	char	   *name;
	Jsonb	   *data;

	durable_client_enter("raise_event", "Use durable.send_event().");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	name = durable_client_name(fcinfo, 1, "event name");
	data = durable_client_event_data(fcinfo, 2);

	durable_client_require_unfinished(instance_id, &instance);
	durable_client_send(&instance, MESSAGE_EVENT, name, data);
	PG_RETURN_VOID();
}

/* raise_event_text(instance_id, name, data) */
Datum
durable_raise_event_text(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	char	   *instance_id;
	char	   *name;
	Jsonb	   *data;

	durable_client_enter("raise_event_text", "Use durable.send_event().");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	name = durable_client_name(fcinfo, 1, "event name");
	data = durable_verbatim_wrap(durable_client_text(fcinfo, 2));
	durable_json_check_size(data, "event data");

	durable_client_require_unfinished(instance_id, &instance);
	durable_client_send_text(&instance, MESSAGE_EVENT, name, data);
	PG_RETURN_VOID();
}

Datum
durable_terminate(PG_FUNCTION_ARGS)
{
	ClientInstance instance;

	durable_require_arguments(fcinfo, 3);
	durable_client_enter("terminate", "Call it from an activity.");
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("recursive must not be null"),
				 errhint("Use false to let its sub-orchestrations continue.")));
	control(fcinfo, MESSAGE_TERMINATE, PG_GETARG_BOOL(2) ? NULL : TERMINATE_ALONE, &instance);

	/* An activity of the instance may be running for hours in a transaction of its own. */
	durable_wakeup_cancel(instance.key);
	PG_RETURN_VOID();
}

Datum
durable_suspend(PG_FUNCTION_ARGS)
{
	ClientInstance instance;

	durable_client_enter("suspend", "Call it from an activity.");
	control(fcinfo, MESSAGE_SUSPEND, NULL, &instance);
	PG_RETURN_VOID();
}

Datum
durable_resume(PG_FUNCTION_ARGS)
{
	ClientInstance instance;

	durable_client_enter("resume", "Call it from an activity.");
	control(fcinfo, MESSAGE_RESUME, NULL, &instance);
	PG_RETURN_VOID();
}

static void
control(FunctionCallInfo fcinfo, char kind, const char *name, ClientInstance *instance)
{
	char	   *instance_id = durable_client_name(fcinfo, 0, "instance id");
	Jsonb	   *payload = durable_client_reason(durable_client_text(fcinfo, 1));

	durable_client_require_unfinished(instance_id, instance);
	durable_client_send(instance, kind, name, payload);
}

void
durable_client_require_unfinished(const char *instance_id, ClientInstance *instance)
{
	durable_client_require(instance_id, instance);
	if (STATUS_IS_FINISHED(instance->status))
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_FINISHED),
				 errmsg("instance \"%s\" is finished", instance_id),
				 errdetail("Its status is %s.", durable_client_status_word(instance->status)),
				 errhint("Use durable.start() with on_conflict => 'replace_finished' to start it again under the same id.")));
}

Jsonb *
durable_client_reason(const char *reason)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *payload;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (reason)
	{
		value.type = jbvString;
		value.val.string.val = "reason";
		value.val.string.len = strlen("reason");
		pushJsonbValue(&state, WJB_KEY, &value);
		value.val.string.val = unconstify(char *, reason);
		value.val.string.len = strlen(reason);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	payload = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	durable_json_check_size(payload, "reason");
	return payload;
}
