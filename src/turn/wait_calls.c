/*-------------------------------------------------------------------------
 *
 * wait_calls.c
 *		Durable calls that wait: timers, events, when_all, when_any, result.
 *
 * A call that waits moves the cursor of the replay on (replay.c), or ends the turn.
 *
 * Called by: user code, in a turn
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "calls.h"
#include "json.h"
#include "time_after.h"

static int record_timer(Turn *turn, TimestampTz due, const char *label);
static char *get_label(FunctionCallInfo fcinfo, int argno);
static int record_wait(Turn *turn, const char *name);
static void cancel_task(Turn *turn, int task);
static void cancel_child(Turn *turn, int task, const char *reason);
static TaskState * get_task(Turn *turn, int64 task);
static TaskState * get_open_task(Turn *turn, int64 task);
static int * get_tasks(FunctionCallInfo fcinfo, Turn *turn, int *ntasks);

PG_FUNCTION_INFO_V1(durable_create_timer);
PG_FUNCTION_INFO_V1(durable_sleep);
PG_FUNCTION_INFO_V1(durable_cancel_timer);
PG_FUNCTION_INFO_V1(durable_cancel);
PG_FUNCTION_INFO_V1(durable_external_event);
PG_FUNCTION_INFO_V1(durable_wait_for_external_event);
PG_FUNCTION_INFO_V1(durable_when_all);
PG_FUNCTION_INFO_V1(durable_when_any);
PG_FUNCTION_INFO_V1(durable_result);

/* create_timer(fire_at, label) -> task */
Datum
durable_create_timer(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("create_timer");

	durable_require_arguments(fcinfo, 2);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("fire_at must not be null")));
	PG_RETURN_INT64(record_timer(turn, PG_GETARG_TIMESTAMPTZ(0), get_label(fcinfo, 1)));
}

/* sleep(duration, label) */
Datum
durable_sleep(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("sleep");

	durable_require_arguments(fcinfo, 2);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("duration must not be null")));
	(void) durable_turn_await(turn,
							  record_timer(turn, durable_time_after(turn->instance->replay.now,
																	PG_GETARG_INTERVAL_P(0),
																	"duration"),
												 get_label(fcinfo, 1)));
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

/* cancel(task, reason): a timer, the wait for an event, or a sub-orchestration, which is asked to end */
Datum
durable_cancel(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("cancel");
	TaskState  *state;
	int			task;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("task must not be null")));
	state = get_task(turn, PG_GETARG_INT64(0));
	task = (int) PG_GETARG_INT64(0);
	switch (state->kind)
	{
		case HISTORY_TIMER_CREATED:
		case HISTORY_EVENT_WAIT_CREATED:
			cancel_task(turn, task);
			break;
		case HISTORY_SUB_CREATED:
			cancel_child(turn, task, PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)));
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("task %d cannot be canceled", task),
					 errdetail("It is neither a timer, nor the wait for an event, nor a sub-orchestration."),
					 errhint("Give the activity a timeout, or stop waiting for it with durable.when_any().")));
	}
	PG_RETURN_VOID();
}

/* external_event(name) -> task */
Datum
durable_external_event(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("external_event");

	PG_RETURN_INT64(record_wait(turn, durable_call_name(fcinfo, 0, "event")));
}

/* wait_for_external_event(name, timeout, default_value) -> jsonb */
Datum
durable_wait_for_external_event(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("wait_for_external_event");
	Replay	   *replay = &turn->instance->replay;
	char	   *name = durable_call_name(fcinfo, 0, "event");
	TimestampTz due = 0;
	int			wait;
	int			timer;

	/* A timeout that is refused must not leave the wait open. */
	if (!PG_ARGISNULL(1))
		due = durable_time_after(replay->now, PG_GETARG_INTERVAL_P(1), "timeout");
	wait = record_wait(turn, name);

	/* If the event has arrived already, no timer is needed. */
	if (PG_ARGISNULL(1) || durable_replay_task(replay, wait)->done)
		return durable_call_answer(fcinfo, turn, wait);

	timer = record_timer(turn, due, NULL);
	for (;;)
	{
		if (durable_replay_task(replay, wait)->done)
		{
			cancel_task(turn, timer);
			return durable_call_answer(fcinfo, turn, wait);
		}
		if (durable_replay_task(replay, timer)->done)
			break;
		durable_turn_advance(turn);
	}

	/* The timeout has come first, so this wait must never take an event. */
	cancel_task(turn, wait);
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(2));
}

/* Returns NULL if there is no label. */
static char *
get_label(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : durable_call_name(fcinfo, argno, "label");
}

static int
record_timer(Turn *turn, TimestampTz due, const char *label)
{
	HistoryEvent *recorded;

	return durable_turn_record(turn, HISTORY_TIMER_CREATED, label,
							   durable_turn_next_is_new(turn) ? durable_history_number(due) : NULL,
							   NULL, &recorded);
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

/* Cancels a timer or a wait; does nothing if it has been answered or canceled. */
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
}

/*
 * Asks a sub-orchestration to end; does nothing if it has answered.  Its task stays open
 * until the answer comes: a failure with the reason, or the output if that was faster.
 */
static void
cancel_child(Turn *turn, int task, const char *reason)
{
	Jsonb	   *extra = NULL;
	HistoryEvent *recorded;

	if (durable_replay_task(&turn->instance->replay, task)->done)
		return;
	if (reason != NULL && durable_turn_next_is_new(turn))
	{
		JsonbParseState *state = NULL;

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		durable_json_push_member(&state, "reason", durable_json_text(reason));
		extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
		durable_json_check_size(extra, "reason");
	}
	(void) durable_turn_record(turn, HISTORY_SUB_CANCELED, NULL, extra, durable_history_number(task), &recorded);
}

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

	durable_turn_await_all(turn, tasks, ntasks);
	for (int i = 0; i < ntasks; i++)
	{
		TaskState  *state = durable_replay_task(&turn->instance->replay, tasks[i]);

		if (state->failed)
			durable_call_raise(turn, state->payload);
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
				 errmsg("durable.when_any() requires at least one task")));
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
			/* A task that when_any has returned counts as consumed, whether its result is read or not. */
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
	(void) get_open_task(turn, PG_GETARG_INT64(0));
	return durable_call_answer(fcinfo, turn, (int) PG_GETARG_INT64(0));
}

/* Returns a task of a kind that can be waited for. */
static TaskState *
get_task(Turn *turn, int64 task)
{
	TaskState  *state = task > PG_INT32_MAX || task < 1 ? NULL :
		durable_replay_task(&turn->instance->replay, (int) task);

	if (state == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("task " INT64_FORMAT " does not exist in this orchestration", task)));
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
					 errmsg("cannot wait for task " INT64_FORMAT, task)));
	}
	return state;
}

/* Refuses a task that has been canceled, because it would never be answered. */
static TaskState *
get_open_task(Turn *turn, int64 task)
{
	TaskState  *state = get_task(turn, task);

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
	/* The array's elements are of the domain durable.task. */
	deconstruct_array(array, ARR_ELEMTYPE(array), 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls, ntasks);
	tasks = palloc(Max(*ntasks, 1) * sizeof(int));
	for (int i = 0; i < *ntasks; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("tasks must not be null")));
		(void) get_open_task(turn, DatumGetInt64(values[i]));
		tasks[i] = (int) DatumGetInt64(values[i]);
	}
	return tasks;
}
