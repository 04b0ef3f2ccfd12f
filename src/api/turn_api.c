/*-------------------------------------------------------------------------
 *
 * turn_api.c
 *		Functions for workers that run external orchestrations: durable.fetch_turns,
 *		turn_events, complete_turn, complete_turns.
 *
 * A turn that is ready is a row of durable.queued_task, which is leased as a task is.  A
 * worker sees the events that the instance has at that moment.  Completing the turn deletes
 * the row and sends the actions to the instance in one transaction; the unit that takes this
 * message applies them (run/external.c).
 *
 * Owns:	nothing
 * Called by: clients; external_api.c
 * Locks:	rows of durable.queued_task until the caller's transaction ends; lease.c
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "clock.h"
#include "history_table.h"
#include "inbox_table.h"
#include "json.h"
#include "lease.h"
#include "sql.h"
#include "table_scan.h"
#include "turn_api.h"
#include "work_token.h"

#define MOST_TURNS			1000
#define MOST_BYTES			(64 * 1024 * 1024)	/* of events; then no further turn is added */
#define TURN_COLUMNS		15

static DurableSql take_completed = {
	"DELETE FROM durable.queued_task t USING " WORK_TOKENS " WHERE " WORK_OF_TOKEN " AND t.kind = 'o' AND " WORK_IS_LEASED " "
	"AND " WORK_IS_WANTED " "
	"RETURNING u.n::int4, t.queue, t.owner, t.key, t.execution, t.attempt, t.leased_at",
	4, {WORK_TOKEN_TYPES}
};

static DurableSql find_turn = {
	"SELECT t.queue, t.owner, t.attempt, t.leased_at FROM durable.queued_task t WHERE t.key = $1 AND t.id = $2 AND t.attempt = $3 "
	"AND t.nonce = $4 AND t.kind = 'o' AND " WORK_IS_LEASED,
	4, {INT8OID, INT8OID, INT4OID, INT8OID}
};

static Size put_turn(ReturnSetInfo *result, const QueuedTask * task, int64 nonce, bool with_events);
static TimestampTz time_of(const Instance *instance, int seen, TimestampTz leased_at);
static int	complete(Tokens *tokens, Jsonb **actions, char **statuses, char **traces, bool skips);

PG_FUNCTION_INFO_V1(durable_fetch_turns);
PG_FUNCTION_INFO_V1(durable_turn_events_of);
PG_FUNCTION_INFO_V1(durable_complete_turn);
PG_FUNCTION_INFO_V1(durable_complete_turns);

/* fetch_turns(queue, worker, max_turns, lease, names, with_events, with_session) */
Datum
durable_fetch_turns(PG_FUNCTION_ARGS)
{
	QueuedWanted wanted = {.kind = QUEUED_TURN, .session = durable_work_session(fcinfo, 6)};
	List	   *tasks = durable_work_fetch(fcinfo, &wanted, "fetch_turns", "max_turns", MOST_TURNS);
	ListCell   *cell;
	Size		size = 0;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tasks)
	{
		QueuedTask *task = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (size < MOST_BYTES)
			size += put_turn((ReturnSetInfo *) fcinfo->resultinfo, task, wanted.nonce, PG_ARGISNULL(5) || PG_GETARG_BOOL(5));
		else
			durable_queued_put(task, QUEUED_READY, wanted.now, task->attempt, task->lost, task->last_failure, false);
	}
	return (Datum) 0;
}

/* The columns of durable.turn.  Returns the size of its events. */
static Size
put_turn(ReturnSetInfo *result, const QueuedTask * task, int64 nonce, bool with_events)
{
	Instance   *instance = durable_turn_load(task->owner, task->key, task->attempt);
	Datum		values[TURN_COLUMNS];
	bool		nulls[TURN_COLUMNS] = {0};
	List	   *events;
	ListCell   *cell;
	TurnEvent  *started = NULL;
	char	   *parent;
	int			nnew = 0;
	Size		size = 0;

	if (instance == NULL)
		return 0;				/* it has just been purged */
	events = durable_turn_events(instance, task->attempt, time_of(instance, task->attempt, task->leased_at));
	foreach(cell, events)
	{
		TurnEvent  *event = lfirst(cell);

		if (started == NULL && event->execution_id != NULL)
			started = event;
		nnew += event->is_new;
	}
	parent = durable_json_get_text(started->parent, "instance_id");

	values[0] = CStringGetTextDatum(durable_work_make_token(task, nonce));
	values[1] = CStringGetTextDatum(task->queue);
	values[2] = CStringGetTextDatum(instance->name);
	nulls[3] = instance->version == NULL;
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(instance->version);
	values[4] = CStringGetTextDatum(instance->instance_id);
	values[5] = CStringGetTextDatum(started->execution_id);
	nulls[6] = parent == NULL;
	values[6] = parent ? CStringGetTextDatum(parent) : (Datum) 0;
	values[7] = Int32GetDatum(task->lost + 1);
	nulls[8] = nulls[9] = !with_events;
	values[8] = with_events ? JsonbPGetDatum(durable_turn_events_json(events, false)) : (Datum) 0;
	values[9] = with_events ? JsonbPGetDatum(durable_turn_events_json(events, true)) : (Datum) 0;
	values[10] = Int32GetDatum(list_length(events) - nnew);
	values[11] = Int32GetDatum(nnew);
	values[12] = TimestampTzGetDatum(task->at);
	values[13] = TimestampTzGetDatum(task->scheduled_at);
	nulls[14] = started->orchestration_trace == NULL;
	values[14] = nulls[14] ? (Datum) 0 : CStringGetTextDatum(started->orchestration_trace);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	for (int i = 8; i <= 9 && with_events; i++)
	{
		size += VARSIZE(DatumGetPointer(values[i]));
		pfree(DatumGetPointer(values[i]));
	}
	MemoryContextDelete(instance->context);
	return size;
}

Instance *
durable_turn_load(Oid owner, int64 key, int seen)
{
	DurableScan instances;
	DurableScan history;
	Instance   *instance;

	durable_scan_open(&instances, &durable_instance_table, INSTANCE_BY_KEY, AccessShareLock);
	durable_history_open(&history);
	durable_scan_share_snapshot(&history, &instances);
	instance = durable_instance_read(&instances, owner, key, CurrentMemoryContext);
	if (instance != NULL && instance->stored_events >= seen)
	{
		MemoryContext old = MemoryContextSwitchTo(instance->context);

		durable_history_load(&history, instance);
		MemoryContextSwitchTo(old);
	}
	else
		instance = NULL;
	durable_history_close(&history);
	durable_scan_close(&instances);
	return instance;
}

/* The time of the turn, which is not before its last event, and the same in each call. */
static TimestampTz
time_of(const Instance *instance, int seen, TimestampTz leased_at)
{
	return seen > 0 ? Max(leased_at, instance->replay.events[seen - 1]->time) :
		Max(leased_at, instance->started_at);
}

/* turn_events(token) */
Datum
durable_turn_events_of(PG_FUNCTION_ARGS)
{
	Token		token;
	char	   *text;
	Datum		values[4];
	char	   *queue = NULL;
	char	   *checked = NULL;
	Oid			owner = InvalidOid;
	TimestampTz leased_at = 0;
	Instance   *instance;
	MemoryContext context = CurrentMemoryContext;
	bool		isnull;

	durable_client_refuse_in_turn("turn_events", "It is for workers outside of the database.");
	text = durable_client_text(fcinfo, 0);
	if (!durable_work_read_token(text, &token))
		durable_work_bad_token(text);
	values[0] = Int64GetDatum(token.key);
	values[1] = Int64GetDatum(token.id);
	values[2] = Int32GetDatum(token.attempt);
	values[3] = Int64GetDatum(token.nonce);
	durable_sql_connect();
	if (durable_sql_run(&find_turn, values, NULL, false, 1) > 0)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		queue = durable_sql_text(0, 1);
		owner = durable_sql_oid(0, 2);
		leased_at = durable_sql_timestamptz(0, 4, &isnull);
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	if (queue == NULL)
		durable_work_stale(text);
	durable_work_check_queue(queue, &checked);

	instance = durable_turn_load(owner, token.key, token.attempt);
	if (instance == NULL)
		durable_work_stale(text);
	InitMaterializedSRF(fcinfo, 0);
	durable_turn_events_put((ReturnSetInfo *) fcinfo->resultinfo,
							durable_turn_events(instance, token.attempt, time_of(instance, token.attempt, leased_at)));
	return (Datum) 0;
}

/* --- completing --------------------------------------------------------------------------- */

/* complete_turn(token, actions, custom_status, trace) */
Datum
durable_complete_turn(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	Jsonb	   *actions[1];
	char	   *statuses[1];
	char	   *traces[1];

	durable_client_enter("complete_turn", "It is for workers outside of the database.");
	durable_work_token(fcinfo, 0, &tokens);
	actions[0] = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	statuses[0] = durable_client_text(fcinfo, 2);
	traces[0] = durable_client_text(fcinfo, 3);
	(void) complete(&tokens, actions, statuses, traces, false);
	PG_RETURN_VOID();
}

/* complete_turns(tokens, actions, custom_statuses, traces, on_stale) */
Datum
durable_complete_turns(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	Jsonb	  **actions;
	char	  **statuses;
	char	  **traces;

	durable_client_enter("complete_turns", "It is for workers outside of the database.");
	durable_work_tokens(fcinfo, 0, &tokens);
	if (tokens.n == 0)
		PG_RETURN_INT32(0);
	actions = durable_work_jsonbs(fcinfo, 1, tokens.n, "actions");
	statuses = durable_work_texts(fcinfo, 2, tokens.n, "custom_statuses");
	traces = durable_work_texts(fcinfo, 3, tokens.n, "traces");
	PG_RETURN_INT32(complete(&tokens, actions, statuses, traces, durable_work_skips_stale(fcinfo, 4)));
}

/* Returns the number of valid tokens. */
static int
complete(Tokens *tokens, Jsonb **actions, char **statuses, char **traces, bool skips)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = durable_clock_now();
	char	  **queues = palloc0(tokens->n * sizeof(char *));
	List	   *messages = NIL;
	uint64		nrows;

	/* All checks that can raise an error come first. */
	for (int i = 0; i < tokens->n; i++)
		(void) durable_turn_payload(actions[i], statuses[i], traces[i], now, now);

	durable_sql_connect();
	nrows = durable_sql_run(&take_completed, tokens->values, NULL, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < nrows; row++)
	{
		int			n = durable_sql_int4(row, 1) - 1;
		Message    *message = palloc0(sizeof(Message));
		bool		isnull;

		queues[n] = durable_sql_text(row, 2);
		message->owner = durable_sql_oid(row, 3);
		message->key = durable_sql_int8(row, 4);
		message->kind = MESSAGE_TURN;
		message->execution = durable_sql_int4(row, 5);
		message->task = durable_sql_int4(row, 6);
		message->payload = durable_turn_payload(actions[n], statuses[n], traces[n],
												durable_sql_timestamptz(row, 7, &isnull), now);
		message->at = now;
		messages = lappend(messages, message);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);

	(void) durable_work_completed(tokens, queues, skips);
	if (messages != NIL)
		durable_lease_send(messages);
	return list_length(messages);
}
