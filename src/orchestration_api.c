/*-------------------------------------------------------------------------
 *
 * orchestration_api.c
 *		The durable calls: what an orchestration can do.
 *
 * Each takes the next number of the instance's calls and is matched with what
 * history has under that number.  Only a call that is new looks at its
 * arguments; one that is replayed needs just its answer.
 *
 * Called by: user code, in a turn
 * Locks:	none
 * Memory:	what is recorded goes to the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include <math.h>

#include "activity.h"
#include "compat.h"
#include "handler.h"
#include "json.h"
#include "registry.h"
#include "retry.h"
#include "turn.h"
#include "usercall.h"

/* A sub-orchestration's or detached orchestration's function, looked up in a turn. */
typedef struct StartLookup
{
	Turn	   *turn;
	const char *name;
	const Jsonb *input;
	char	   *registered_name;
	char	   *handler;
	char	   *version;
}			StartLookup;

/* The arguments of a call that is new. */
typedef struct NewCall
{
	FunctionCallInfo fcinfo;
	Turn	   *turn;
	const char *name;			/* of the activity, orchestration or event */
	Jsonb	   *(*input) (FunctionCallInfo);	/* activities */
	int			retry_arg;		/* activities: -1 none */
	int			timeout_arg;
	Jsonb	   *payload;
	Jsonb	   *retry;
	Jsonb	   *extra;
	int64		timeout_us;		/* activities */
	char	   *instance_id;	/* orchestrations, events */
}			NewCall;

static void read_arguments(NewCall *call, HistoryType type, void (*read) (NewCall *call));
static void refuse_again(Turn *turn, int task, const HistoryEvent *recorded);
static void read_activity(NewCall *call);
static void read_sub_orchestration(NewCall *call);
static void read_start(NewCall *call);
static void read_event(NewCall *call);
static char *get_name(FunctionCallInfo fcinfo, int argno, const char *what);
static Jsonb *get_jsonb(FunctionCallInfo fcinfo, int argno);
static int	record_activity(Turn *turn, const char *name, Jsonb *(*input) (FunctionCallInfo),
							FunctionCallInfo fcinfo, int retry_arg, int timeout_arg);
static Jsonb *activity_input(FunctionCallInfo fcinfo);
static Jsonb *sql_input(FunctionCallInfo fcinfo);
static int	record_sub_orchestration(Turn *turn, FunctionCallInfo fcinfo);
static bool look_up_start(StartLookup *lookup, Jsonb **failure);
static Jsonb *look_up_body(void *arg);
static Jsonb *start_extra(const StartLookup *lookup, const char *instance_id,
						  const Jsonb *retry, const Jsonb *failure);
static int	record_timer(Turn *turn, TimestampTz due);
static int	record_wait(Turn *turn, const char *name);
static void cancel_task(Turn *turn, int task);
static TaskState *get_task(Turn *turn, int64 task);
static Datum answer_of(FunctionCallInfo fcinfo, Turn *turn, int task);
static void raise_failure(Turn *turn, const Jsonb *failure) pg_attribute_noreturn();
static int *get_tasks(FunctionCallInfo fcinfo, Turn *turn, int *ntasks);
static TimestampTz time_after(TimestampTz start, Interval *interval);
static void draw(Turn *turn, uint8 *bytes);
static void push_member(JsonbParseState **state, const char *key, const Jsonb *value);

PG_FUNCTION_INFO_V1(durable_call_activity);
PG_FUNCTION_INFO_V1(durable_schedule_activity);
PG_FUNCTION_INFO_V1(durable_call_sql_text);
PG_FUNCTION_INFO_V1(durable_call_sub_orchestrator);
PG_FUNCTION_INFO_V1(durable_schedule_sub_orchestrator);
PG_FUNCTION_INFO_V1(durable_create_timer);
PG_FUNCTION_INFO_V1(durable_sleep);
PG_FUNCTION_INFO_V1(durable_cancel_timer);
PG_FUNCTION_INFO_V1(durable_external_event);
PG_FUNCTION_INFO_V1(durable_wait_for_external_event);
PG_FUNCTION_INFO_V1(durable_when_all);
PG_FUNCTION_INFO_V1(durable_when_any);
PG_FUNCTION_INFO_V1(durable_result);
PG_FUNCTION_INFO_V1(durable_start_orchestration);
PG_FUNCTION_INFO_V1(durable_send_event);
PG_FUNCTION_INFO_V1(durable_continue_as_new);
PG_FUNCTION_INFO_V1(durable_now);
PG_FUNCTION_INFO_V1(durable_uuid);
PG_FUNCTION_INFO_V1(durable_random);
PG_FUNCTION_INFO_V1(durable_instance_id);
PG_FUNCTION_INFO_V1(durable_parent_instance_id);
PG_FUNCTION_INFO_V1(durable_is_replaying);
PG_FUNCTION_INFO_V1(durable_set_custom_status);
PG_FUNCTION_INFO_V1(durable_log);

/* --- activities ------------------------------------------------------------- */

/* call_activity(name, input, retry, timeout) -> jsonb */
Datum
durable_call_activity(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_activity");
	char	   *name = get_name(fcinfo, 0, "activity");

	return answer_of(fcinfo, turn, record_activity(turn, name, activity_input, fcinfo, 2, 3));
}

Datum
durable_schedule_activity(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("schedule_activity");
	char	   *name = get_name(fcinfo, 0, "activity");

	PG_RETURN_INT64(record_activity(turn, name, activity_input, fcinfo, 2, 3));
}

/* call_sql(query, params) -> jsonb */
Datum
durable_call_sql_text(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_sql");

	return answer_of(fcinfo, turn,
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
		read_arguments(&call, HISTORY_TASK_SCHEDULED, read_activity);

	task = durable_turn_record(turn, HISTORY_TASK_SCHEDULED, name, call.extra, call.payload,
							   &recorded);
	refuse_again(turn, task, recorded);
	if (recorded == NULL)
	{
		Replay	   *replay = &turn->instance->replay;
		MemoryContext old = MemoryContextSwitchTo(turn->instance->context);

		turn->instance->activities =
			lappend(turn->instance->activities,
					durable_turn_decision_of(replay->events[replay->nevents - 1]));
		MemoryContextSwitchTo(old);
	}
	return task;
}

static void
read_activity(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	call->payload = call->input(fcinfo);
	if (call->retry_arg >= 0 && (call->retry = get_jsonb(fcinfo, call->retry_arg)) != NULL)
	{
		RetryPolicy policy;

		durable_retry_parse(call->retry, &policy);
	}
	if (call->timeout_arg >= 0 && !PG_ARGISNULL(call->timeout_arg))
		call->timeout_us = durable_activity_timeout_us(PG_GETARG_INTERVAL_P(call->timeout_arg));
	if (call->retry != NULL || call->timeout_us > 0)
	{
		JsonbParseState *state = NULL;

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_member(&state, "retry", call->retry);
		if (call->timeout_us > 0)
			push_member(&state, "timeout", durable_history_number(call->timeout_us));
		call->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	}
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
	push_member(&state, "query", durable_json_text(query));
	push_member(&state, "params", get_jsonb(fcinfo, 1));
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	durable_json_check_size(result, "input of an activity");
	return result;
}

/* --- other orchestrations --------------------------------------------------- */

/* call_sub_orchestrator(name, input, instance_id, retry) -> jsonb */
Datum
durable_call_sub_orchestrator(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_sub_orchestrator");

	return answer_of(fcinfo, turn, record_sub_orchestration(turn, fcinfo));
}

Datum
durable_schedule_sub_orchestrator(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("schedule_sub_orchestrator");

	PG_RETURN_INT64(record_sub_orchestration(turn, fcinfo));
}

static int
record_sub_orchestration(Turn *turn, FunctionCallInfo fcinfo)
{
	Instance   *instance = turn->instance;
	char	   *name = get_name(fcinfo, 0, "orchestration");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name};
	StartLookup lookup = {turn, name, NULL, NULL, NULL, NULL};
	HistoryEvent *recorded;
	Jsonb	   *failure = NULL;
	int			task;

	if (durable_turn_next_is_new(turn))
	{
		read_arguments(&call, HISTORY_SUB_CREATED, read_sub_orchestration);
		lookup.input = call.payload;
		(void) look_up_start(&lookup, &failure);
		call.extra = start_extra(&lookup, call.instance_id, call.retry, NULL);
	}

	task = durable_turn_record(turn, HISTORY_SUB_CREATED, name, call.extra, call.payload,
							   &recorded);
	refuse_again(turn, task, recorded);
	if (recorded != NULL)
		return task;

	/* A name that means nothing is the failure of this call, now and in each replay. */
	if (failure != NULL)
		durable_turn_answer(turn, HISTORY_SUB_FAILED, task, failure);
	else
	{
		HistoryEvent *event = instance->replay.events[instance->replay.nevents - 1];
		Decision   *decision = durable_turn_decide(turn, DECISION_CHILD, task);
		MemoryContext old = MemoryContextSwitchTo(instance->context);

		decision->name = event->name;
		decision->input = event->payload;
		decision->instance_id = pstrdup(call.instance_id);
		decision->registered_name = pstrdup(lookup.registered_name);
		decision->handler = pstrdup(lookup.handler);
		decision->version = lookup.version ? pstrdup(lookup.version) : NULL;
		MemoryContextSwitchTo(old);
	}
	return task;
}

static void
read_sub_orchestration(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	Instance   *instance = call->turn->instance;

	call->payload = durable_json_from_any(fcinfo, 1, "input of an orchestration");
	if (!PG_ARGISNULL(2))
		call->instance_id = get_name(fcinfo, 2, "instance id");
	else
	{
		call->instance_id = instance->execution == 1 ?
			psprintf("%s:%d", instance->instance_id, instance->replay.ntasks + 1) :
			psprintf("%s:%d.%d", instance->instance_id, instance->execution,
					 instance->replay.ntasks + 1);
		if (strlen(call->instance_id) > DURABLE_MAX_NAME)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("instance id made for sub-orchestration \"%s\" is longer than %d bytes",
							call->name, DURABLE_MAX_NAME),
					 errhint("Give it an instance_id.")));
	}
	if ((call->retry = get_jsonb(fcinfo, 3)) != NULL)
	{
		RetryPolicy policy;

		durable_retry_parse(call->retry, &policy);
	}
}

/* start_orchestration(name, input, instance_id) -> text */
Datum
durable_start_orchestration(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("start_orchestration");
	Instance   *instance = turn->instance;
	char	   *name = get_name(fcinfo, 0, "orchestration");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name};
	StartLookup lookup = {turn, name, NULL, NULL, NULL, NULL};
	HistoryEvent *recorded;
	HistoryEvent *event;
	Jsonb	   *failure = NULL;
	int			task;

	if (durable_turn_next_is_new(turn))
	{
		read_arguments(&call, HISTORY_START_REQUESTED, read_start);
		lookup.input = call.payload;
		(void) look_up_start(&lookup, &failure);
		call.extra = start_extra(&lookup, call.instance_id, NULL, failure);
	}
	else if (PG_ARGISNULL(2))
		instance->replay.draws++;

	task = durable_turn_record(turn, HISTORY_START_REQUESTED, name, call.extra, call.payload,
							   &recorded);
	event = recorded ? recorded : instance->replay.events[instance->replay.nevents - 1];
	refuse_again(turn, task, event);

	if (recorded == NULL)
	{
		Decision   *decision = durable_turn_decide(turn, DECISION_START, task);
		MemoryContext old = MemoryContextSwitchTo(instance->context);

		decision->name = event->name;
		decision->input = event->payload;
		decision->instance_id = pstrdup(call.instance_id);
		decision->registered_name = pstrdup(lookup.registered_name);
		decision->handler = pstrdup(lookup.handler);
		decision->version = lookup.version ? pstrdup(lookup.version) : NULL;
		MemoryContextSwitchTo(old);
	}
	PG_RETURN_TEXT_P(cstring_to_text(durable_json_get_text(event->extra, "id")));
}

/* The draw comes first: a replay counts it, whatever becomes of the other arguments. */
static void
read_start(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (PG_ARGISNULL(2))
	{
		pg_uuid_t	uuid;

		draw(call->turn, uuid.data);
		call->instance_id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&uuid)));
	}
	else
		call->instance_id = get_name(fcinfo, 2, "instance id");
	call->payload = durable_json_from_any(fcinfo, 1, "input of an orchestration");
}

/* send_event(instance_id, name, data) */
Datum
durable_send_event(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("send_event");
	char	   *instance_id = get_name(fcinfo, 0, "instance id");
	char	   *name = get_name(fcinfo, 1, "event");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name, .instance_id = instance_id};
	HistoryEvent *recorded;
	int			task;

	if (durable_turn_next_is_new(turn))
		read_arguments(&call, HISTORY_EVENT_SENT, read_event);
	task = durable_turn_record(turn, HISTORY_EVENT_SENT, name, call.extra, call.payload, &recorded);
	refuse_again(turn, task, recorded);
	if (recorded == NULL)
	{
		Replay	   *replay = &turn->instance->replay;
		HistoryEvent *event = replay->events[replay->nevents - 1];
		Decision   *decision = durable_turn_decide(turn, DECISION_SEND, task);

		decision->name = event->name;
		decision->input = event->payload;
		decision->instance_id = MemoryContextStrdup(turn->instance->context, instance_id);
	}
	PG_RETURN_VOID();
}

static void
read_event(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	JsonbParseState *state = NULL;

	call->payload = durable_json_from_any(fcinfo, 2, "data of an event");
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_member(&state, "id", durable_json_text(call->instance_id));
	call->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Finds the function and sees whether the input fits.  In a subtransaction of its
 * own: what goes wrong has to be recorded, and then is the call's failure.
 */
static bool
look_up_start(StartLookup *lookup, Jsonb **failure)
{
	UserCall	call = {0};

	call.body = look_up_body;
	call.arg = lookup;
	call.read_only = true;
	durable_usercall_run(&call);
	if (call.returned)
		return true;
	if (durable_usercall_is_infrastructure(call.error->sqlerrcode))
		ReThrowError(call.error);
	*failure = durable_json_failure(call.error, NULL, 0);
	return false;
}

static Jsonb *
look_up_body(void *arg)
{
	StartLookup *lookup = arg;
	MemoryContext context = lookup->turn->instance->context;
	const Registration *registration =
		durable_registry_orchestration(lookup->name, lookup->turn->instance->owner);
	Handler    *handler;

	if (registration != NULL)
	{
		handler = durable_handler_resolve(registration->handler);
		lookup->registered_name = MemoryContextStrdup(context, registration->name);
		if (registration->version != NULL)
			lookup->version = MemoryContextStrdup(context, registration->version);
	}
	else
	{
		handler = durable_handler_find(lookup->name, "orchestration",
									   lookup->turn->handler->namespace);
		lookup->registered_name = MemoryContextStrdup(context, handler->name);
	}
	lookup->handler = MemoryContextStrdup(context, handler->signature);
	durable_handler_check_input(handler, lookup->input);
	return NULL;
}

/* What execution.c needs to start it again on a retry is recorded with the call. */
static Jsonb *
start_extra(const StartLookup *lookup, const char *instance_id, const Jsonb *retry,
			const Jsonb *failure)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_member(&state, "id", durable_json_text(instance_id));
	if (retry != NULL)
	{
		push_member(&state, "retry", retry);
		if (lookup->handler != NULL)
		{
			push_member(&state, "name", durable_json_text(lookup->registered_name));
			push_member(&state, "handler", durable_json_text(lookup->handler));
			if (lookup->version != NULL)
				push_member(&state, "version", durable_json_text(lookup->version));
		}
	}
	push_member(&state, "failure", failure);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* --- timers and events ------------------------------------------------------ */

/* create_timer(fire_at) -> task */
Datum
durable_create_timer(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("create_timer");

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("fire_at must not be null")));
	PG_RETURN_INT64(record_timer(turn, PG_GETARG_TIMESTAMPTZ(0)));
}

/* sleep(interval) */
Datum
durable_sleep(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("sleep");

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("duration must not be null")));
	(void) durable_turn_await(turn,
							  record_timer(turn, time_after(turn->instance->replay.now,
															PG_GETARG_INTERVAL_P(0))));
	PG_RETURN_VOID();
}

/* cancel_timer(task): a timer, or the wait for an event */
Datum
durable_cancel_timer(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("cancel_timer");
	TaskState  *state;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("task must not be null")));
	state = get_task(turn, PG_GETARG_INT64(0));
	if (state->kind != HISTORY_TIMER_CREATED && state->kind != HISTORY_EVENT_WAIT_CREATED)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("task " INT64_FORMAT " is neither a timer nor a wait for an event",
						PG_GETARG_INT64(0))));
	cancel_task(turn, (int) PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

/* external_event(name) -> task */
Datum
durable_external_event(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("external_event");

	PG_RETURN_INT64(record_wait(turn, get_name(fcinfo, 0, "event")));
}

/* wait_for_external_event(name, timeout, default_value) -> jsonb */
Datum
durable_wait_for_external_event(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("wait_for_external_event");
	Replay	   *replay = &turn->instance->replay;
	char	   *name = get_name(fcinfo, 0, "event");
	TimestampTz due = 0;
	int			wait;
	int			timer;

	/* A timeout that is refused must not leave the wait open. */
	if (!PG_ARGISNULL(1))
		due = time_after(replay->now, PG_GETARG_INTERVAL_P(1));
	wait = record_wait(turn, name);

	/* An event that is there already needs no timer. */
	if (PG_ARGISNULL(1) || durable_replay_task(replay, wait)->done)
		return answer_of(fcinfo, turn, wait);

	timer = record_timer(turn, due);
	for (;;)
	{
		if (durable_replay_task(replay, wait)->done)
		{
			cancel_task(turn, timer);
			return answer_of(fcinfo, turn, wait);
		}
		if (durable_replay_task(replay, timer)->done)
			break;
		durable_turn_advance(turn);
	}

	/* Too late: this wait must never take an event. */
	cancel_task(turn, wait);
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(2));
}

static int
record_timer(Turn *turn, TimestampTz due)
{
	HistoryEvent *recorded;
	int			task;

	task = durable_turn_record(turn, HISTORY_TIMER_CREATED, NULL,
							   durable_turn_next_is_new(turn) ? durable_history_number(due) : NULL,
							   NULL, &recorded);
	if (recorded == NULL)
		durable_turn_decide(turn, DECISION_TIMER, task)->due = due;
	return task;
}

static int
record_wait(Turn *turn, const char *name)
{
	HistoryEvent *recorded;
	int			task = durable_turn_record(turn, HISTORY_EVENT_WAIT_CREATED, name, NULL, NULL,
										   &recorded);

	durable_replay_open_wait(&turn->instance->replay, task);
	return task;
}

/* Gives up a timer or a wait; nothing if it has been answered. */
static void
cancel_task(Turn *turn, int task)
{
	Replay	   *replay = &turn->instance->replay;
	TaskState	state = *durable_replay_task(replay, task);
	HistoryEvent *created = replay->events[replay->calls[task - 1]];
	bool		is_timer = state.kind == HISTORY_TIMER_CREATED;
	HistoryEvent *recorded;

	if (state.done || state.canceled)
		return;
	(void) durable_turn_record(turn,
							   is_timer ? HISTORY_TIMER_CANCELED : HISTORY_EVENT_WAIT_CANCELED,
							   created->name, created->extra, durable_history_number(task),
							   &recorded);
	durable_replay_cancel(replay, task);
	if (recorded == NULL && is_timer)
		durable_turn_decide(turn, DECISION_TIMER_CANCEL, task)->due =
			durable_history_get_number(created->extra);
}

/* --- waiting for tasks ------------------------------------------------------ */

/* when_all(VARIADIC tasks) -> jsonb[]; raises the first failure once all have ended */
Datum
durable_when_all(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("when_all");
	int			ntasks;
	int		   *tasks = get_tasks(fcinfo, turn, &ntasks);
	Datum	   *values = palloc(Max(ntasks, 1) * sizeof(Datum));
	bool	   *nulls = palloc(Max(ntasks, 1) * sizeof(bool));
	int			dims[1] = {ntasks};
	int			lower[1] = {1};

	for (int i = 0; i < ntasks; i++)
		(void) durable_turn_await(turn, tasks[i]);
	for (int i = 0; i < ntasks; i++)
	{
		TaskState  *state = durable_replay_task(&turn->instance->replay, tasks[i]);

		if (state->failed)
			raise_failure(turn, state->payload);
		values[i] = PointerGetDatum(state->payload);
		nulls[i] = state->payload == NULL;
	}
	if (ntasks == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(JSONBOID));
	PG_RETURN_ARRAYTYPE_P(construct_md_array(values, nulls, 1, dims, lower, JSONBOID,
											 -1, false, TYPALIGN_INT));
}

/* when_any(VARIADIC tasks) -> task: the one that was answered first, failed or not */
Datum
durable_when_any(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("when_any");
	int			ntasks;
	int		   *tasks = get_tasks(fcinfo, turn, &ntasks);

	if (ntasks == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("when_any needs at least one task")));
	for (;;)
	{
		int			first = 0;
		int			first_at = 0;

		for (int i = 0; i < ntasks; i++)
		{
			TaskState  *state = durable_replay_task(&turn->instance->replay, tasks[i]);

			if (state->done && (first == 0 || state->answered_at < first_at))
			{
				first = tasks[i];
				first_at = state->answered_at;
			}
		}
		if (first != 0)
		{
			/* Who knows that it came has got it, whether he reads its data or not. */
			durable_replay_task(&turn->instance->replay, first)->seen = true;
			PG_RETURN_INT64(first);
		}
		durable_turn_advance(turn);
	}
}

/* result(task) -> jsonb */
Datum
durable_result(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("result");

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("task must not be null")));
	(void) get_task(turn, PG_GETARG_INT64(0));
	return answer_of(fcinfo, turn, (int) PG_GETARG_INT64(0));
}

/* Waits for the task; its result, or its failure raised. */
static Datum
answer_of(FunctionCallInfo fcinfo, Turn *turn, int task)
{
	TaskState  *state = durable_turn_await(turn, task);

	if (state->failed)
		raise_failure(turn, state->payload);
	if (state->payload == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(state->payload);
}

static void
raise_failure(Turn *turn, const Jsonb *failure)
{
	turn->raised = failure;
	durable_json_throw_failure(failure);
}

/* A task that can be waited for. */
static TaskState *
get_task(Turn *turn, int64 task)
{
	TaskState  *state = task > PG_INT32_MAX || task < 1 ? NULL :
		durable_replay_task(&turn->instance->replay, (int) task);

	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("this orchestration has no task " INT64_FORMAT, task)));
	switch (state->kind)
	{
		case HISTORY_TASK_SCHEDULED:
		case HISTORY_TIMER_CREATED:
		case HISTORY_EVENT_WAIT_CREATED:
		case HISTORY_SUB_CREATED:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("task " INT64_FORMAT " is nothing that can be waited for", task)));
	}
	if (state->canceled)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("task " INT64_FORMAT " was canceled", task)));
	return state;
}

static int *
get_tasks(FunctionCallInfo fcinfo, Turn *turn, int *ntasks)
{
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int		   *tasks;

	*ntasks = 0;
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tasks must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(0);
	/* Its elements are of the domain durable.task. */
	deconstruct_array(array, ARR_ELEMTYPE(array), 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, ntasks);
	tasks = palloc(Max(*ntasks, 1) * sizeof(int));
	for (int i = 0; i < *ntasks; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("tasks must not be null")));
		(void) get_task(turn, DatumGetInt64(values[i]));
		tasks[i] = (int) DatumGetInt64(values[i]);
	}
	return tasks;
}

/* --- the rest --------------------------------------------------------------- */

/* continue_as_new(input, preserve_unprocessed_events) */
Datum
durable_continue_as_new(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("continue_as_new");
	Jsonb	   *input = durable_json_from_any(fcinfo, 0, "input of an orchestration");

	durable_handler_check_input(turn->handler, input);
	turn->continue_input = NULL;
	if (input != NULL)
	{
		turn->continue_input = MemoryContextAlloc(turn->instance->context, VARSIZE(input));
		memcpy(turn->continue_input, input, VARSIZE(input));
	}
	turn->continue_preserve_events = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	durable_turn_stop(turn, TURN_CONTINUED_AS_NEW);
}

Datum
durable_now(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("now");

	PG_RETURN_TIMESTAMPTZ(turn->instance->replay.now);
}

Datum
durable_uuid(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("uuid");
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	draw(turn, uuid->data);
	PG_RETURN_UUID_P(uuid);
}

/* random() -> float8 in [0, 1) */
Datum
durable_random(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("random");
	uint8		bytes[UUID_LEN];
	uint64		bits;

	draw(turn, bytes);
	memcpy(&bits, bytes + UUID_LEN - sizeof(bits), sizeof(bits));
	/* The two highest bits of this half are the variant of the UUID. */
	PG_RETURN_FLOAT8(ldexp((double) (bits & UINT64CONST(0x1FFFFFFFFFFFFF)), -53));
}

/*
 * The next of the instance's random numbers: SHA-256 of what is the same in every
 * replay and differs between instances, executions and draws.  Bytes are those of
 * a UUID of version 8.  They can be guessed: nothing for secrets.
 */
static void
draw(Turn *turn, uint8 *bytes)
{
	Instance   *instance = turn->instance;
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	int64		parts[4] = {instance->key, instance->created_at, instance->execution,
	instance->replay.draws++};

	if (hash == NULL || pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (uint8 *) parts, sizeof(parts)) < 0 ||
		pg_cryptohash_update(hash, (uint8 *) instance->instance_id,
							 strlen(instance->instance_id)) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a SHA-256 hash");
	pg_cryptohash_free(hash);
	memcpy(bytes, digest, UUID_LEN);
	bytes[6] = (bytes[6] & 0x0F) | 0x80;
	bytes[8] = (bytes[8] & 0x3F) | 0x80;
}

Datum
durable_instance_id(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("instance_id");

	PG_RETURN_TEXT_P(cstring_to_text(turn->instance->instance_id));
}

Datum
durable_parent_instance_id(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("parent_instance_id");

	if (turn->instance->parent_instance_id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(turn->instance->parent_instance_id));
}

/* Is this part of the run known from an earlier one? */
Datum
durable_is_replaying(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("is_replaying");
	Replay	   *replay = &turn->instance->replay;

	PG_RETURN_BOOL(replay->ntasks < turn->known_calls || replay->cursor < turn->fresh_events);
}

/* set_custom_status(status jsonb) */
Datum
durable_set_custom_status(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("set_custom_status");
	Jsonb	   *status = get_jsonb(fcinfo, 0);
	MemoryContext old;

	if (status != NULL)
	{
		durable_json_check_size(status, "custom status");
		old = MemoryContextSwitchTo(turn->instance->context);
		status = (Jsonb *) PG_DETOAST_DATUM_COPY(PointerGetDatum(status));
		MemoryContextSwitchTo(old);
	}
	turn->instance->custom_status = status;
	PG_RETURN_VOID();
}

/* log(message): once into the history and the server's log, however often it is replayed */
Datum
durable_log(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("log");
	HistoryEvent *recorded;
	char	   *message = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));

	(void) durable_turn_record(turn, HISTORY_LOG_WRITTEN, NULL, NULL,
							   durable_turn_next_is_new(turn) ? durable_json_text(message) : NULL,
							   &recorded);
	/* A companion leaves it to its worker. */
	if (recorded == NULL && turn->at_frontier == NULL)
		durable_turn_log(turn->instance,
						 turn->instance->replay.events[turn->instance->replay.nevents - 1]);
	PG_RETURN_VOID();
}

/* --- arguments -------------------------------------------------------------- */

/*
 * A call whose arguments are refused has its place in the history, with the
 * failure: nobody looks at them in the next replay, and what they depended on
 * (durable.max_payload, an input function) may be different then.
 */
static void
read_arguments(NewCall *call, HistoryType type, void (*read) (NewCall *call))
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		read(call);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		JsonbParseState *state = NULL;
		HistoryEvent *recorded;
		int			task;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (durable_usercall_is_infrastructure(error->sqlerrcode))
			ReThrowError(error);

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_member(&state, "failure", durable_json_failure(error, NULL, 0));
		task = durable_turn_record(call->turn, type, call->name,
								   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)),
								   NULL, &recorded);
		Assert(recorded == NULL);
		refuse_again(call->turn, task,
					 call->turn->instance->replay.events[call->turn->instance->replay.nevents - 1]);
	}
	PG_END_TRY();
}

/* Raises the failure with which a call was recorded; nothing if it was not refused. */
static void
refuse_again(Turn *turn, int task, const HistoryEvent *recorded)
{
	MemoryContext old = MemoryContextSwitchTo(turn->instance->run);
	Jsonb	   *failure = recorded ? durable_json_get_member(recorded->extra, "failure") : NULL;

	MemoryContextSwitchTo(old);
	if (failure == NULL)
		return;
	/* It is nothing that could be waited for. */
	durable_replay_cancel(&turn->instance->replay, task);
	raise_failure(turn, failure);
}

static char *
get_name(FunctionCallInfo fcinfo, int argno, const char *what)
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

static Jsonb *
get_jsonb(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_JSONB_P(argno);
}

static TimestampTz
time_after(TimestampTz start, Interval *interval)
{
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(start),
												   IntervalPGetDatum(interval)));
}

/* A member of an object, none if value is NULL. */
static void
push_member(JsonbParseState **state, const char *key, const Jsonb *value)
{
	JsonbValue	string;
	JsonbValue	binary;

	if (value == NULL)
		return;
	string.type = jbvString;
	string.val.string.val = unconstify(char *, key);
	string.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &string);
	binary.type = jbvBinary;
	binary.val.binary.data = unconstify(JsonbContainer *, &value->root);
	binary.val.binary.len = VARSIZE(value) - VARHDRSZ;
	pushJsonbValue(state, WJB_VALUE, &binary);
}
