/*-------------------------------------------------------------------------
 *
 * compensation_calls.c
 *		The durable call that says how to undo a step: compensate_with.
 *
 * The call only records the activity and its input.  If the instance fails or is
 * terminated, compensation.c starts an orchestration that runs the recorded activities.
 *
 * Called by: user code, in a turn
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "calls.h"
#include "json.h"
#include "retry.h"

static void read_compensation(NewCall *call);
static const char *lasting_name(const char *name, Oid namespace);

PG_FUNCTION_INFO_V1(durable_compensate_with);

/* compensate_with(name, input, retry) */
Datum
durable_compensate_with(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("compensate_with");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = durable_call_name(fcinfo, 0, "activity")};
	HistoryEvent *recorded;
	int			task;

	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_COMPENSATION_ADDED, read_compensation);
	task = durable_turn_record(turn, HISTORY_COMPENSATION_ADDED, call.name, call.extra, call.payload, &recorded);
	durable_call_refuse_again(turn, task, recorded);
	PG_RETURN_VOID();
}

static void
read_compensation(NewCall *call)
{
	JsonbParseState *state = NULL;
	const char *handler = lasting_name(call->name, call->turn->handler->namespace);

	call->payload = durable_json_from_any(call->fcinfo, 1, "input of a compensation");
	call->retry = durable_call_jsonb(call->fcinfo, 2);
	if (call->retry != NULL)
	{
		RetryPolicy policy;

		durable_retry_parse(call->retry, &policy);
	}
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "retry", call->retry);
	durable_json_push_member(&state, "handler", durable_json_text(handler));
	call->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Returns the activity's name for an orchestration in another schema.  Raises 42883 if there is none. */
static const char *
lasting_name(const char *name, Oid namespace)
{
	if (durable_handler_registration(name, "activity", GetUserId(), namespace) != NULL)
		return name;
	return durable_handler_find(name, "activity", namespace)->signature;
}
