/*-------------------------------------------------------------------------
 *
 * activity_calls.c
 *		Durable calls of activities, and code that all durable calls share.
 *
 * Each durable call takes the next number of the instance's calls and is matched with
 * the call that history has under that number.  Only a new call reads its arguments; a
 * call that is replayed needs only its answer.
 *
 * Called by: user code, in a turn; the other *_calls.c
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "activity.h"
#include "calls.h"
#include "decision.h"
#include "error_origin.h"
#include "json.h"
#include "retry.h"
#include "usercall.h"

static int record_activity(Turn *turn, const char *name, Jsonb *(*input) (FunctionCallInfo),
					FunctionCallInfo fcinfo, int retry_arg, int timeout_arg);
static void read_activity(NewCall *call);
static Jsonb * activity_input(FunctionCallInfo fcinfo);
static Jsonb * sql_input(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(durable_call_activity);
PG_FUNCTION_INFO_V1(durable_schedule_activity);
PG_FUNCTION_INFO_V1(durable_call_sql_text);

/* call_activity(name, input, retry, timeout) -> jsonb */
Datum
durable_call_activity(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_activity");
	char	   *name = durable_call_name(fcinfo, 0, "activity");

	return durable_call_answer(fcinfo, turn, record_activity(turn, name, activity_input, fcinfo, 2, 3));
}

Datum
durable_schedule_activity(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("schedule_activity");
	char	   *name = durable_call_name(fcinfo, 0, "activity");

	PG_RETURN_INT64(record_activity(turn, name, activity_input, fcinfo, 2, 3));
}

/* call_sql(query, params) -> jsonb */
Datum
durable_call_sql_text(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_sql");

	return durable_call_answer(fcinfo, turn,
					 record_activity(turn, ACTIVITY_CALL_SQL, sql_input, fcinfo, -1, -1));
}

static int
record_activity(Turn *turn, const char *name, Jsonb *(*input) (FunctionCallInfo),
				FunctionCallInfo fcinfo, int retry_arg, int timeout_arg)
{
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name, .input = input,
		.retry_arg = retry_arg, .timeout_arg = timeout_arg};
	HistoryEvent *recorded;
	int			task;

	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_TASK_SCHEDULED, read_activity);

	task = durable_turn_record(turn, HISTORY_TASK_SCHEDULED, name, call.extra, call.payload,
							   &recorded);
	durable_call_refuse_again(turn, task, recorded);
	return task;
}

static void
read_activity(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	Decision	decision = {.kind = DECISION_ACTIVITY};

	call->payload = call->input(fcinfo);
	if (call->retry_arg >= 0 && (call->retry = durable_call_jsonb(fcinfo, call->retry_arg)) != NULL)
	{
		RetryPolicy policy;

		durable_retry_parse(call->retry, &policy);
	}
	if (call->timeout_arg >= 0 && !PG_ARGISNULL(call->timeout_arg))
		call->timeout_us = durable_activity_timeout_us(PG_GETARG_INTERVAL_P(call->timeout_arg));
	decision.retry = call->retry;
	decision.timeout_us = call->timeout_us;
	call->extra = durable_decision_extra(&decision, call->name);
}

static Jsonb *
activity_input(FunctionCallInfo fcinfo)
{
	return durable_json_from_any(fcinfo, 1, "input of an activity");
}

static Jsonb *
sql_input(FunctionCallInfo fcinfo)
{
	JsonbParseState *state = NULL;
	char	   *query;
	Jsonb	   *result;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query must not be null")));
	query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "query", durable_json_text(query));
	durable_json_push_member(&state, "params", durable_call_jsonb(fcinfo, 1));
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	durable_json_check_size(result, "input of an activity");
	return result;
}

/* Waits for the task, and returns its result or raises its failure. */
Datum
durable_call_answer(FunctionCallInfo fcinfo, Turn *turn, int task)
{
	TaskState  *state = durable_turn_await(turn, task);

	if (state->failed)
		durable_call_raise(turn, state->payload);
	if (state->payload == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(state->payload);
}

void
durable_call_raise(Turn *turn, const Jsonb *failure)
{
	turn->raised = failure;
	durable_json_throw_failure(failure);
}

/*
 * A call whose arguments are refused is recorded in the history with the failure.  The
 * next replay does not check the arguments again, because the result of the check may
 * have changed (durable.max_payload, an input function).
 */
void
durable_call_read(NewCall *call, HistoryType type, void (*read) (NewCall *call))
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		read(call);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		HistoryEvent *recorded;
		int			task;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (durable_error_is_infrastructure(error))
			ReThrowError(error);

		task = durable_turn_record(call->turn, type, call->name,
								   durable_decision_refused(NULL, durable_json_failure(error, NULL, 0)),
								   NULL, &recorded);
		Assert(recorded == NULL);
		durable_call_refuse_again(call->turn, task,
					 call->turn->instance->replay.events[call->turn->instance->replay.nevents - 1]);
	}
	PG_END_TRY();
}

/* Raises the failure with which a call was recorded; does nothing if it was not refused. */
void
durable_call_refuse_again(Turn *turn, int task, const HistoryEvent *recorded)
{
	MemoryContext old = MemoryContextSwitchTo(turn->instance->run);
	Jsonb	   *failure = recorded ? durable_json_get_member(recorded->extra, "failure") : NULL;

	MemoryContextSwitchTo(old);
	if (failure == NULL)
		return;
	/* A refused call has no task that could be waited for. */
	durable_replay_cancel(&turn->instance->replay, task);
	durable_call_raise(turn, failure);
}

char *
durable_call_name(FunctionCallInfo fcinfo, int argno, const char *what)
{
	char	   *name;

	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	name = text_to_cstring(PG_GETARG_TEXT_PP(argno));
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what)));
	if (strlen(name) > DURABLE_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be longer than %d bytes", what, DURABLE_MAX_NAME)));
	return name;
}

Jsonb *
durable_call_jsonb(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_JSONB_P(argno);
}
