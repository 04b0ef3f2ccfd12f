/*-------------------------------------------------------------------------
 *
 * explain_api.c
 *		durable.calls and durable.source, which durable.explain uses.
 *
 * The calls of an execution and their answers are found by replaying its history with
 * the engine's own rules (replay.c), so an event belongs to the wait to which a replay
 * assigns it.  No user code runs.
 *
 * Owns:	nothing
 * Called by: clients; durable.explain
 * Locks:	none
 * Memory:	the decoded history in a context of its own; the result in a tuplestore
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "history.h"
#include "json.h"
#include "replay.h"
#include "sql.h"

/* Columns of durable.calls. */
enum
{
	CALL_TASK, CALL_KIND, CALL_NAME, CALL_TARGET, CALL_INPUT, CALL_DUE, CALL_AT, CALL_STATE,
	CALL_ANSWERED_AT, CALL_RESULT, CALL_COLUMNS
};

static DurableSql stored_history = {
	.text = "SELECT h.format, h.at, h.events FROM durable.instance i "
	"JOIN durable.history h ON h.key = i.key AND h.execution = i.execution "
	"WHERE i.key = $1 ORDER BY h.seq",
	.nargs = 1,
	.argtypes = {INT8OID}
};

/* Converts the column handler (see instance_table.c) to a signature; an external orchestration has none. */
static DurableSql source_of_function = {
	.text = "SELECT p.prosrc FROM durable.instance i CROSS JOIN LATERAL"
	" (SELECT CASE WHEN starts_with(i.handler, '(') THEN i.name || i.handler"
	"  WHEN NOT starts_with(i.handler, '-') THEN i.handler END AS signature) f"
	" JOIN pg_proc p ON p.oid = to_regprocedure(coalesce((SELECT c.copy FROM durable.code c"
	"  WHERE c.signature = f.signature AND c.code_hash = i.code_hash), f.signature))"
	" WHERE i.key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static void read_history(int64 key, Replay *replay);
static void go_through(Replay *replay);
static void put_call(ReturnSetInfo *result, const Replay *replay, int task, bool payloads);
static const char *kind_of(HistoryType type);
static const char *state_of(const TaskState *task);

PG_FUNCTION_INFO_V1(durable_calls);
PG_FUNCTION_INFO_V1(durable_source);

Datum
durable_calls(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	Replay		replay = {0};
	bool		payloads;

	durable_client_refuse_in_turn("calls", "Call it from an activity.");
	durable_client_require_visible(durable_client_name(fcinfo, 0, "instance id"), &instance);
	payloads = durable_client_may_act_for(instance.owner);
	InitMaterializedSRF(fcinfo, 0);

	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	read_history(instance.key, &replay);
	PopActiveSnapshot();
	durable_replay_rewind(&replay, CurrentMemoryContext);
	go_through(&replay);
	for (int task = 1; task <= replay.ncalls; task++)
	{
		CHECK_FOR_INTERRUPTS();
		put_call((ReturnSetInfo *) fcinfo->resultinfo, &replay, task, payloads);
	}
	durable_sql_finish();
	return (Datum) 0;
}

/* The body of the function that the instance runs, or of its copy; NULL if there is none. */
Datum
durable_source(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	Datum		values[1];
	char	   *source = NULL;
	MemoryContext caller = CurrentMemoryContext;

	durable_client_refuse_in_turn("source", "Call it from an activity.");
	durable_client_require_visible(durable_client_name(fcinfo, 0, "instance id"), &instance);

	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	values[0] = Int64GetDatum(instance.key);
	if (durable_sql_run(&source_of_function, values, NULL, true, 1) > 0)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		source = durable_sql_text(0, 1);
		MemoryContextSwitchTo(spi);
	}
	PopActiveSnapshot();
	durable_sql_finish();

	if (source == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(source));
}

static void
read_history(int64 key, Replay *replay)
{
	Datum		values[1] = {Int64GetDatum(key)};
	uint64		nrows = durable_sql_run(&stored_history, values, NULL, true, 0);

	for (uint64 row = 0; row < nrows; row++)
	{
		HistoryEvent **events = NULL;
		int			nevents = 0;
		int			allocated = 0;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		durable_history_decode(durable_sql_jsonb(row, 3), durable_sql_char(row, 1),
							   durable_sql_timestamptz(row, 2, &isnull), &events, &nevents, &allocated);
		for (int i = 0; i < nevents; i++)
			durable_replay_add(replay, events[i]);
	}
}

/* Proceeds like an orchestration that makes the calls of the history. */
static void
go_through(Replay *replay)
{
	for (int i = 0; i < replay->nevents; i++)
	{
		const HistoryEvent *event = replay->events[i];

		if (durable_history_is_call(event->type))
		{
			HistoryEvent *recorded;
			char	   *mismatch;
			int			task = durable_replay_call(replay, event->type, event->name, &recorded, &mismatch);

			if (event->type == HISTORY_EVENT_WAIT_CREATED)
				durable_replay_open_wait(replay, task);
			else if (event->type == HISTORY_TIMER_CANCELED || event->type == HISTORY_EVENT_WAIT_CANCELED)
			{
				int64		canceled = event->payload ? durable_history_get_number(event->payload) : 0;

				if (canceled >= 1 && canceled < task)
					durable_replay_cancel(replay, (int) canceled);
			}
		}
		(void) durable_replay_advance(replay);
	}
}

static void
put_call(ReturnSetInfo *result, const Replay *replay, int task, bool payloads)
{
	const HistoryEvent *call = replay->events[replay->calls[task - 1]];
	const TaskState *state = &replay->tasks[task - 1];
	const char *kind = kind_of(call->type);
	Datum		values[CALL_COLUMNS];
	bool		nulls[CALL_COLUMNS];
	char	   *target = NULL;

	if (kind == NULL)
		return;
	memset(nulls, true, sizeof(nulls));
#define PUT(column, value) \
	do { values[column] = (value); nulls[column] = false; } while (0)

	PUT(CALL_TASK, Int64GetDatum(task));
	PUT(CALL_KIND, CStringGetTextDatum(kind));
	if (call->name)
		PUT(CALL_NAME, CStringGetTextDatum(call->name));
	if (call->type == HISTORY_SUB_CREATED || call->type == HISTORY_EVENT_SENT || call->type == HISTORY_START_REQUESTED ||
		call->type == HISTORY_ENTITY_CALLED || call->type == HISTORY_ENTITY_SIGNALED)
		target = call->extra ? durable_json_get_text(call->extra, "id") : NULL;
	if (target)
		PUT(CALL_TARGET, CStringGetTextDatum(target));
	if (call->payload && payloads)
		PUT(CALL_INPUT, JsonbPGetDatum(call->payload));
	if (call->type == HISTORY_TIMER_CREATED)
		PUT(CALL_DUE, TimestampTzGetDatum(durable_history_get_number(call->extra)));
	PUT(CALL_AT, TimestampTzGetDatum(call->time));
	PUT(CALL_STATE, CStringGetTextDatum(state_of(state)));
	if (state->done)
	{
		PUT(CALL_ANSWERED_AT, TimestampTzGetDatum(replay->events[state->answer]->time));
		if (state->payload && payloads)
			PUT(CALL_RESULT, JsonbPGetDatum(state->payload));
	}
#undef PUT
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The column kind; NULL: the call is shown as the state of another call. */
static const char *
kind_of(HistoryType type)
{
	switch (type)
	{
		case HISTORY_TASK_SCHEDULED:
			return "activity";
		case HISTORY_TIMER_CREATED:
			return "timer";
		case HISTORY_EVENT_WAIT_CREATED:
			return "event";
		case HISTORY_SUB_CREATED:
			return "orchestration";
		case HISTORY_EVENT_SENT:
			return "send";
		case HISTORY_START_REQUESTED:
			return "start";
		case HISTORY_LOG_WRITTEN:
			return "log";
		case HISTORY_ENTITY_CALLED:
			return "entity";
		case HISTORY_ENTITY_SIGNALED:
			return "signal";
		case HISTORY_ENTITY_LOCK_REQUESTED:
			return "lock";
		case HISTORY_ENTITY_UNLOCKED:
			return "unlock";
		case HISTORY_PATCHED:
			return "patch";
		case HISTORY_COMPENSATION_ADDED:
			return "compensation";
		default:
			return NULL;
	}
}

static const char *
state_of(const TaskState *task)
{
	if (task->done)
		return task->failed ? "failed" : "completed";
	if (task->canceled)
		return "canceled";
	switch (task->kind)
	{
		case HISTORY_EVENT_SENT:
		case HISTORY_START_REQUESTED:
		case HISTORY_LOG_WRITTEN:
		case HISTORY_PATCHED:
		case HISTORY_COMPENSATION_ADDED:
		case HISTORY_ENTITY_SIGNALED:
		case HISTORY_ENTITY_UNLOCKED:
			return "completed";
		default:
			return "waiting";
	}
}
