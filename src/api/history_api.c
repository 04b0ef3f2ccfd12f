/*-------------------------------------------------------------------------
 *
 * history_api.c
 *		durable.history: the events of an instance, one row for each.
 *
 * The stored history begins with the first durable call.  The start and the end of
 * the execution are in the instance's own row; they are shown here as the events
 * ExecutionStarted (number 0) and ExecutionCompleted, ExecutionFailed or
 * ExecutionTerminated (the last number).
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	none
 * Memory:	one row of durable.history at a time; the result in a tuplestore
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
#include "sql.h"

#define HISTORY_COLUMNS	8

static DurableSql instance_row = {
	.text = "SELECT key, owner, status, name, execution, coalesce(events, 0), input, output, failure, "
	"coalesce(started_at, created_at), completed_at, started_at IS NOT NULL "
	"FROM durable.instance WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static DurableSql history_rows = {
	.text = "SELECT execution, seq, at, format, events FROM durable.history WHERE key = $1 ORDER BY execution, seq",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static DurableSql attempt_rows = {
	.text = "SELECT 'TaskAttemptFailed', t.task, t.name, t.last_failure, t.scheduled_at, "
	"pg_catalog.jsonb_build_object('next_attempt', t.attempt, 'next_try', coalesce(t.held_run_at, t.run_at)) "
	"FROM durable.task_queue t WHERE t.key = $1 AND t.execution = $2 AND t.last_failure IS NOT NULL "
	"UNION ALL "
	"SELECT 'TaskAttemptFailed', q.task, q.name, q.last_failure, q.scheduled_at, "
	"pg_catalog.jsonb_build_object('next_attempt', q.attempt, 'next_try', q.at) "
	"FROM durable.queued_task q WHERE q.key = $1 AND q.execution = $2 AND q.last_failure IS NOT NULL "
	"AND (q.state IN ('r', 'd', 'h') OR q.state = 'l' AND q.handler IS NULL) "
	"UNION ALL "
	"SELECT 'SubOrchestrationInstanceAttemptFailed', p.parent_task, p.name, p.failure, p.completed_at, "
	"pg_catalog.jsonb_build_object('next_attempt', c.parent_attempt, 'next_instance_id', c.instance_id, 'next_try', "
	"coalesce((SELECT s.due FROM durable.waits(c.waiting, c.created_at) AS s WHERE s.kind = 'start'), c.created_at)) "
	"FROM durable.instance c JOIN durable.instance p ON p.parent_key = c.parent_key "
	"AND p.parent_task = c.parent_task AND p.parent_execution = c.parent_execution "
	"AND p.parent_attempt = c.parent_attempt - 1 "
	"WHERE c.parent_key = $1 AND c.parent_execution = $2 AND c.status IN ('P', 'R', 'S') "
	"ORDER BY 2",
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID}
};

/* The destination of the rows, and whether the caller may read payloads. */
typedef struct HistoryOutput
{
	ReturnSetInfo *result;
	bool		payloads;
}			HistoryOutput;

/* The contents of the instance's row. */
typedef struct HistoryFrame
{
	int64		key;
	Oid			owner;
	char		status;
	char	   *name;
	int32		execution;
	int32		events;
	Jsonb	   *input;
	Jsonb	   *end_payload;
	TimestampTz started_at;
	TimestampTz completed_at;
	bool		has_started;
}			HistoryFrame;

static bool read_frame(int64 key, HistoryFrame *frame);
static void put_events(HistoryOutput *output, const HistoryFrame *frame);
static void put_end(HistoryOutput *output, const HistoryFrame *frame);
static void put_attempts(HistoryOutput *output, const HistoryFrame *frame);
static void put_stored(HistoryOutput *output, uint64 row);
static void put(HistoryOutput *output, int32 execution, int32 seq, const char *type, int32 task,
				const char *name, const Jsonb *payload, TimestampTz time, const Jsonb *detail);
static const char *end_type(char status);
static const Jsonb *detail_of(const HistoryEvent *event);

PG_FUNCTION_INFO_V1(durable_history);

Datum
durable_history(PG_FUNCTION_ARGS)
{
	HistoryOutput output;
	HistoryFrame frame = {0};
	ClientInstance instance;
	bool		found;

	durable_client_refuse_in_turn("history", "Call it from an activity.");
	durable_client_require_visible(durable_client_name(fcinfo, 0, "instance id"), &instance);

	InitMaterializedSRF(fcinfo, 0);
	output.result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* Both queries use one snapshot. */
	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	found = read_frame(instance.key, &frame);
	if (found)
	{
		output.payloads = durable_client_may_act_for(frame.owner);
		put_events(&output, &frame);
	}
	PopActiveSnapshot();
	durable_sql_finish();

	if (!found)
		durable_client_no_instance(instance.instance_id);
	return (Datum) 0;
}

static bool
read_frame(int64 key, HistoryFrame *frame)
{
	Datum		values[1] = {Int64GetDatum(key)};
	bool		isnull;

	if (durable_sql_run(&instance_row, values, NULL, true, 1) == 0)
		return false;

	frame->key = durable_sql_int8(0, 1);
	frame->owner = durable_sql_oid(0, 2);
	frame->status = durable_sql_char(0, 3);
	frame->name = durable_sql_text(0, 4);
	frame->execution = durable_sql_int4(0, 5);
	frame->events = durable_sql_int4(0, 6);
	frame->input = durable_sql_jsonb(0, 7);
	frame->end_payload = durable_sql_jsonb(0, frame->status == STATUS_COMPLETED ? 8 : 9);
	frame->started_at = durable_sql_timestamptz(0, 10, &isnull);
	frame->completed_at = durable_sql_timestamptz(0, 11, &isnull);
	frame->has_started = DatumGetBool(durable_sql_datum(0, 12, &isnull));
	return true;
}

static void
put_events(HistoryOutput *output, const HistoryFrame *frame)
{
	Datum		values[1] = {Int64GetDatum(frame->key)};
	MemoryContext spi = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(spi, "durable history", ALLOCSET_DEFAULT_SIZES);
	uint64		nrows;
	bool		ended = false;

	if (frame->has_started)
		put(output, frame->execution, 0, "ExecutionStarted", 0, frame->name,
			frame->input, frame->started_at, NULL);

	nrows = durable_sql_run(&history_rows, values, NULL, true, 0);
	for (uint64 i = 0; i < nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(context);

		/* Events behind the end of the execution arrived after it. */
		if (!ended && STATUS_IS_FINISHED(frame->status) && durable_sql_int4(i, 2) > frame->events)
		{
			put_end(output, frame);
			ended = true;
		}
		put_stored(output, i);
		MemoryContextSwitchTo(spi);
		MemoryContextReset(context);
	}

	if (!ended && STATUS_IS_FINISHED(frame->status))
		put_end(output, frame);
	put_attempts(output, frame);
}

static void
put_end(HistoryOutput *output, const HistoryFrame *frame)
{
	put(output, frame->execution, frame->events + 1, end_type(frame->status), 0, frame->name,
		frame->end_payload, frame->completed_at, NULL);
}

/* Failed attempts of tasks that are to be tried again.  They are not in the history, so they have no number. */
static void
put_attempts(HistoryOutput *output, const HistoryFrame *frame)
{
	Datum		values[2] = {Int64GetDatum(frame->key), Int32GetDatum(frame->execution)};
	uint64		nrows;

	if (STATUS_IS_FINISHED(frame->status))
		return;
	nrows = durable_sql_run(&attempt_rows, values, NULL, true, 0);
	for (uint64 i = 0; i < nrows; i++)
	{
		bool		isnull;
		TimestampTz since = durable_sql_timestamptz(i, 5, &isnull);

		put(output, frame->execution, 0, durable_sql_text(i, 1), durable_sql_int4(i, 2), durable_sql_text(i, 3),
			durable_sql_jsonb(i, 4), since, durable_sql_jsonb(i, 6));
	}
}

static void
put_stored(HistoryOutput *output, uint64 row)
{
	int32		execution = durable_sql_int4(row, 1);
	int32		seq = durable_sql_int4(row, 2);
	HistoryEvent **events = NULL;
	int			nevents = 0;
	int			allocated = 0;
	bool		isnull;

	durable_history_decode(durable_sql_jsonb(row, 5), durable_sql_char(row, 4),
						   durable_sql_timestamptz(row, 3, &isnull), &events, &nevents, &allocated);
	for (int i = 0; i < nevents; i++)
		put(output, execution, seq + i, durable_history_type_name(events[i]->type), events[i]->task,
			events[i]->name, events[i]->payload, events[i]->time, detail_of(events[i]));
}

static void
put(HistoryOutput *output, int32 execution, int32 seq, const char *type, int32 task,
	const char *name, const Jsonb *payload, TimestampTz time, const Jsonb *detail)
{
	Datum		values[HISTORY_COLUMNS];
	bool		nulls[HISTORY_COLUMNS] = {0};

	values[0] = Int32GetDatum(execution);
	values[1] = Int32GetDatum(seq);
	nulls[1] = seq == 0 && task > 0;
	values[2] = CStringGetTextDatum(type);
	values[3] = Int32GetDatum(task);
	nulls[3] = task == 0;
	nulls[4] = name == NULL;
	values[4] = name ? CStringGetTextDatum(name) : (Datum) 0;
	nulls[5] = payload == NULL || !output->payloads;
	values[5] = JsonbPGetDatum(payload);
	values[6] = TimestampTzGetDatum(time);
	nulls[7] = detail == NULL || !output->payloads;
	values[7] = JsonbPGetDatum(detail);

	tuplestore_putvalues(output->result->setResult, output->result->setDesc, values, nulls);
}

static const char *
end_type(char status)
{
	switch (status)
	{
		case STATUS_COMPLETED:
			return "ExecutionCompleted";
		case STATUS_FAILED:
			return "ExecutionFailed";
		default:
			return "ExecutionTerminated";
	}
}

/* The attributes that are kept beside the payload, with names for the numbers in the history. */
static const Jsonb *
detail_of(const HistoryEvent *event)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *due;

	if (event->extra == NULL)
		return NULL;
	switch (event->type)
	{
		case HISTORY_TASK_COMPLETED:
		case HISTORY_TASK_FAILED:
		case HISTORY_SUB_COMPLETED:
		case HISTORY_SUB_FAILED:
			pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
			durable_json_push_member(&state, "attempt", event->extra);
			return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));

		case HISTORY_TIMER_CREATED:
		case HISTORY_TIMER_CANCELED:
			break;

		default:
			return event->extra;
	}

	due = durable_json_from_datum(TimestampTzGetDatum(durable_history_get_number(event->extra)),
								  TIMESTAMPTZOID, false);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	value.type = jbvString;
	value.val.string.val = "fire_at";
	value.val.string.len = strlen("fire_at");
	pushJsonbValue(&state, WJB_KEY, &value);
	durable_json_root(due, &value);
	pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
