/*-------------------------------------------------------------------------
 *
 * start_calls.c
 *		Durable calls that reach other instances.
 *
 * Sub-orchestrations, detached orchestrations, events for others.
 *
 * Called by: user code, in a turn
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "arguments.h"
#include "calls.h"
#include "child_id.h"
#include "decision.h"
#include "error_origin.h"
#include "handler.h"
#include "json.h"
#include "registry.h"
#include "retry.h"
#include "usercall.h"
#include "verbatim.h"

/* A sub-orchestration's or detached orchestration's function, looked up in a turn. */
typedef struct StartLookup
{
	Turn	   *turn;
	const char *name;
	const Jsonb *input;			/* at the end in the form in which the function's parameters have read it */
	char	   *registered_name;
	char	   *handler;
	char	   *version;
	const char *wanted_version; /* NULL: none was asked for */
	bool		is_child;		/* it gets the version of its parent, if there is one */
}			StartLookup;

static int record_sub_orchestration(Turn *turn, FunctionCallInfo fcinfo);
static void read_sub_orchestration(NewCall *call);
static bool read_close_policy(FunctionCallInfo fcinfo, int argno);
static char *read_version(FunctionCallInfo fcinfo, int argno);
static void read_start(NewCall *call);
static void read_event(NewCall *call);
static bool look_up_start(StartLookup *lookup, Jsonb **failure);
static Jsonb * look_up_body(void *arg);
static Jsonb *start_extra(const StartLookup *lookup, const NewCall *call, DecisionKind kind);

PG_FUNCTION_INFO_V1(durable_call_sub_orchestrator);
PG_FUNCTION_INFO_V1(durable_schedule_sub_orchestrator);
PG_FUNCTION_INFO_V1(durable_start_orchestration);
PG_FUNCTION_INFO_V1(durable_send_event);

/* call_sub_orchestrator(name, input, instance_id, retry, close_policy, version) -> jsonb */
Datum
durable_call_sub_orchestrator(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_sub_orchestrator");

	durable_require_arguments(fcinfo, 6);
	return durable_call_answer(fcinfo, turn, record_sub_orchestration(turn, fcinfo));
}

Datum
durable_schedule_sub_orchestrator(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("schedule_sub_orchestrator");

	durable_require_arguments(fcinfo, 6);
	PG_RETURN_INT64(record_sub_orchestration(turn, fcinfo));
}

static int
record_sub_orchestration(Turn *turn, FunctionCallInfo fcinfo)
{
	char	   *name = durable_call_name(fcinfo, 0, "orchestration");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name};
	StartLookup lookup = {.turn = turn, .name = name, .is_child = true};
	HistoryEvent *recorded;
	Jsonb	   *failure = NULL;
	int			task;

	if (durable_turn_next_is_new(turn))
	{
		durable_call_read(&call, HISTORY_SUB_CREATED, read_sub_orchestration);
		lookup.input = call.payload;
		lookup.wanted_version = call.version;
		(void) look_up_start(&lookup, &failure);
		call.payload = unconstify(Jsonb *, lookup.input);
		call.extra = start_extra(&lookup, &call, DECISION_CHILD);
	}

	task = durable_turn_record(turn, HISTORY_SUB_CREATED, name, call.extra, call.payload,
							   &recorded);
	durable_call_refuse_again(turn, task, recorded);
	if (recorded != NULL)
		return task;

	/* A name that does not exist is the failure of this call, now and in each replay. */
	if (failure != NULL)
		durable_turn_answer(turn, HISTORY_SUB_FAILED, task, failure);
	return task;
}

static void
read_sub_orchestration(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	Instance   *instance = call->turn->instance;

	call->payload = durable_json_from_any(fcinfo, 1, "input of an orchestration");
	if (!PG_ARGISNULL(2))
		call->instance_id = durable_call_name(fcinfo, 2, "instance id");
	else
	{
		call->instance_id = durable_child_id(instance, instance->replay.ntasks + 1);
		if (strlen(call->instance_id) > DURABLE_MAX_NAME)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("generated instance id of sub-orchestration \"%s\" is longer than %d bytes",
							call->name, DURABLE_MAX_NAME),
					 errhint("Specify instance_id.")));
	}
	call->abandons = read_close_policy(fcinfo, 4);
	call->version = read_version(fcinfo, 5);
	if ((call->retry = durable_call_jsonb(fcinfo, 3)) != NULL)
	{
		RetryPolicy policy;

		durable_retry_parse(call->retry, &policy);
	}
}

/* Returns true for "abandon". */
static bool
read_close_policy(FunctionCallInfo fcinfo, int argno)
{
	char	   *policy = PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));

	if (policy == NULL || (strcmp(policy, "terminate") != 0 && strcmp(policy, "abandon") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"close_policy\": \"%.200s\"", policy ? policy : "null"),
				 errhint("Valid values are \"terminate\" and \"abandon\".")));
	return strcmp(policy, "abandon") == 0;
}

static char *
read_version(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : durable_call_name(fcinfo, argno, "orchestration version");
}

/* start_orchestration(name, input, instance_id, version) -> text */
Datum
durable_start_orchestration(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("start_orchestration");
	Instance   *instance = turn->instance;
	char	   *name = durable_call_name(fcinfo, 0, "orchestration");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name};
	StartLookup lookup = {.turn = turn, .name = name};
	HistoryEvent *recorded;
	HistoryEvent *event;
	Jsonb	   *failure = NULL;
	int			task;

	durable_require_arguments(fcinfo, 4);
	if (durable_turn_next_is_new(turn))
	{
		durable_call_read(&call, HISTORY_START_REQUESTED, read_start);
		lookup.input = call.payload;
		lookup.wanted_version = call.version;
		(void) look_up_start(&lookup, &failure);
		call.payload = unconstify(Jsonb *, lookup.input);
		call.extra = failure != NULL ? durable_decision_refused(call.instance_id, failure) :
			start_extra(&lookup, &call, DECISION_START);
	}
	else if (PG_ARGISNULL(2))
		instance->replay.draws++;

	task = durable_turn_record(turn, HISTORY_START_REQUESTED, name, call.extra, call.payload,
							   &recorded);
	event = recorded ? recorded : instance->replay.events[instance->replay.nevents - 1];
	durable_call_refuse_again(turn, task, event);

	PG_RETURN_TEXT_P(cstring_to_text(durable_json_get_text(event->extra, "id")));
}

/* durable_call_draw comes first, because a replay counts it even if the other arguments are refused. */
static void
read_start(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	if (PG_ARGISNULL(2))
	{
		pg_uuid_t	uuid;

		durable_call_draw(call->turn, uuid.data);
		call->instance_id = durable_id_of_uuid(&uuid);
	}
	else
		call->instance_id = durable_call_name(fcinfo, 2, "instance id");
	call->payload = durable_json_from_any(fcinfo, 1, "input of an orchestration");
	call->version = read_version(fcinfo, 3);
}

/* send_event(instance_id, name, data) */
Datum
durable_send_event(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("send_event");
	char	   *instance_id = durable_call_name(fcinfo, 0, "instance id");
	char	   *name = durable_call_name(fcinfo, 1, "event");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = name, .instance_id = instance_id};
	HistoryEvent *recorded;
	int			task;

	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_EVENT_SENT, read_event);
	task = durable_turn_record(turn, HISTORY_EVENT_SENT, name, call.extra, call.payload, &recorded);
	durable_call_refuse_again(turn, task, recorded);
	PG_RETURN_VOID();
}

static void
read_event(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	Decision	decision = {.kind = DECISION_SEND, .instance_id = call->instance_id};

	call->payload = durable_json_from_any(fcinfo, 2, "event data");
	call->extra = durable_decision_extra(&decision, call->name);
}

/*
 * Finds the function and checks whether the input fits.  This runs in a subtransaction
 * of its own, because an error has to be recorded as the call's failure.
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
	if (durable_error_is_infrastructure(call.error))
		ReThrowError(call.error);
	if (call.stage == STAGE_BINDING)
	{
		/* This is not the call's failure: the instance is suspended, and makes the call again when resumed. */
		MemoryContextSwitchTo(lookup->turn->instance->context);
		lookup->turn->result.mismatch = durable_handler_problem("orchestration", lookup->name, call.error);
		durable_turn_stop(lookup->turn, TURN_MISMATCH);
	}
	*failure = durable_json_failure(call.error, NULL, 0);
	return false;
}

static Jsonb *
look_up_body(void *arg)
{
	StartLookup *lookup = arg;
	MemoryContext context = lookup->turn->instance->context;
	const Registration *registration =
		durable_handler_registration(lookup->name, "orchestration", lookup->turn->instance->owner,
									 lookup->turn->handler->namespace);
	const Registration *same = NULL;
	Handler    *handler;

	if (lookup->wanted_version != NULL)
	{
		if (registration != NULL)
			same = durable_registry_version(registration, lookup->wanted_version);
		if (same == NULL)
			durable_handler_no_version(lookup->name, registration, lookup->wanted_version);
	}
	else if (registration != NULL && lookup->is_child && lookup->turn->instance->version != NULL)
		same = durable_registry_version(registration, lookup->turn->instance->version);
	if (same != NULL)
		registration = same;
	if (registration != NULL && registration->handler == NULL)
	{
		MemoryContextSwitchTo(context);
		lookup->registered_name = pstrdup(registration->name);
		lookup->version = registration->version ? pstrdup(registration->version) : NULL;
		lookup->handler = durable_verbatim_handler(registration->queue);
		lookup->input = durable_verbatim_from_json(lookup->input);
		durable_json_check_size(lookup->input, "input of an orchestration");
		return NULL;
	}
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
	MemoryContextSwitchTo(context);
	lookup->input = durable_handler_check_input(handler, lookup->input);
	durable_json_check_size(lookup->input, "input of an orchestration");
	return NULL;
}

/* Makes the event's extra member, without a handler if the orchestration does not exist. */
static Jsonb *
start_extra(const StartLookup *lookup, const NewCall *call, DecisionKind kind)
{
	Decision	decision = {
		.kind = kind,
		.name = lookup->registered_name,
		.retry = call->retry,
		.abandoned = call->abandons,
		.instance_id = call->instance_id,
		.handler = lookup->handler,
		.version = lookup->version
	};

	return durable_decision_extra(&decision, call->name);
}
