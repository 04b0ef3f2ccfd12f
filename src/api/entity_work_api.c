/*-------------------------------------------------------------------------
 *
 * entity_work_api.c
 *		Functions for workers that run operations of external entities:
 *		durable.fetch_entities, complete_entity, complete_entities.
 *
 * A batch that is ready is a row of durable.queued_task, which is leased as a task is.  A
 * worker gets the state of the entity and the operations that it can serve at that moment.
 * Their ids are kept in the row, because others arrive while the batch is out.  Completing the
 * batch deletes the row and sends the results to the entity in one transaction; the unit that
 * takes this message applies them (run/entity_external.c).
 *
 * Owns:	nothing
 * Called by: clients
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
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "entity_id.h"
#include "entity_results.h"
#include "history.h"
#include "inbox_table.h"
#include "json.h"
#include "lease.h"
#include "sql.h"
#include "turn_api.h"
#include "verbatim.h"
#include "work_token.h"

#define MOST_BATCHES		1000
#define BATCH_COLUMNS		9

/* The largest number of operations of a batch, and bytes of their inputs; a batch has at least one operation. */
#define OPERATIONS_AT_ONCE	"500"
#define BYTES_AT_ONCE		(1024 * 1024)

/*
 * Reads the state, and the waiting operations in their order.  If the entity is locked, these
 * are the calls of the holder.  Returns one row without an operation if there are none.
 */
static DurableSql read_entity = {
	"SELECT e.state, coalesce(e.is_text, false), o.id, o.kind, o.name, o.payload, coalesce(o.is_text, false), o.sent_at, "
	"i.instance_id, i.key, o.execution, i.created_at FROM durable.entity e LEFT JOIN LATERAL ("
	"SELECT q.* FROM durable.entity_operation q WHERE q.owner = e.owner AND q.key = e.key AND q.due_at = '-infinity' "
	"AND (e.locked_by IS NULL OR q.kind = 'q' AND q.sender = e.locked_by AND q.execution = e.locked_execution) "
	"ORDER BY q.id LIMIT " OPERATIONS_AT_ONCE ") o ON true LEFT JOIN durable.instance i ON i.key = o.sender "
	"WHERE e.entity_id = $1 AND e.owner = $2 ORDER BY o.id",
	2, {TEXTOID, REGROLEOID}
};

static DurableSql keep_ids = {
	"UPDATE durable.queued_task SET call = $3 WHERE key = $1 AND id = $2",
	3, {INT8OID, INT8OID, JSONBOID}
};

static DurableSql take_completed = {
	"DELETE FROM durable.queued_task t USING " WORK_TOKENS " WHERE " WORK_OF_TOKEN " AND t.kind = 'n' "
	"AND t.state IN ('l', 'r') RETURNING u.n::int4, t.queue, t.owner, t.key, t.input #>> '{}', t.call",
	4, {WORK_TOKEN_TYPES}
};

/* The operations of a batch, while it is read. */
typedef struct Operations
{
	char	   *state;
	JsonbParseState *events;
	JsonbParseState *ids;
	Jsonb	   *events_array;
	Jsonb	   *ids_array;
	int			n;
	Size		bytes;
}			Operations;

static void put_batch(ReturnSetInfo *result, const QueuedTask * task, int64 nonce);
static void read_operations(Operations *operations, Oid owner, const char *id);
static bool add_operation(Operations *operations, uint64 row, const char *id);
static void push(JsonbParseState **state, const char *member, const char *value);
static void give_up(const QueuedTask * task, const char *id);
static int	complete(Tokens *tokens, Jsonb **results, char **states, Jsonb **actions, bool skips);
static Message *results_message(Oid owner, int64 key, const char *id, Jsonb *payload, TimestampTz now);

PG_FUNCTION_INFO_V1(durable_fetch_entities);
PG_FUNCTION_INFO_V1(durable_complete_entity);
PG_FUNCTION_INFO_V1(durable_complete_entities);

/* --- fetching ----------------------------------------------------------------------------- */

/* fetch_entities(queue, worker, max_batches, lease, names, with_session) */
Datum
durable_fetch_entities(PG_FUNCTION_ARGS)
{
	QueuedWanted wanted = {.kind = QUEUED_BATCH, .session = durable_work_session(fcinfo, 5)};
	List	   *tasks = durable_work_fetch(fcinfo, &wanted, "fetch_entities", "max_batches", MOST_BATCHES);
	MemoryContext context;
	MemoryContext old;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "durable batch of operations", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	foreach(cell, tasks)
	{
		CHECK_FOR_INTERRUPTS();
		put_batch((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell), wanted.nonce);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* The columns of durable.entity_batch. */
static void
put_batch(ReturnSetInfo *result, const QueuedTask * task, int64 nonce)
{
	Operations	operations = {0};
	char	   *id = durable_verbatim_unwrap(task->input);
	Datum		values[BATCH_COLUMNS];
	bool		nulls[BATCH_COLUMNS] = {0};
	Datum		kept[3];

	read_operations(&operations, task->owner, id);
	if (operations.n == 0)
	{
		give_up(task, id);
		return;
	}
	kept[0] = Int64GetDatum(task->key);
	kept[1] = Int64GetDatum(task->id);
	kept[2] = JsonbPGetDatum(operations.ids_array);
	durable_sql_connect();
	durable_sql_run(&keep_ids, kept, NULL, false, 0);
	durable_sql_finish();

	values[0] = CStringGetTextDatum(durable_work_make_token(task, nonce));
	values[1] = CStringGetTextDatum(task->queue);
	values[2] = CStringGetTextDatum(task->name);
	values[3] = CStringGetTextDatum(id);
	values[4] = Int32GetDatum(task->lost + 1);
	nulls[5] = operations.state == NULL;
	values[5] = nulls[5] ? (Datum) 0 : CStringGetTextDatum(operations.state);
	values[6] = JsonbPGetDatum(operations.events_array);
	values[7] = TimestampTzGetDatum(task->at);
	values[8] = TimestampTzGetDatum(task->scheduled_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
read_operations(Operations *operations, Oid owner, const char *id)
{
	Datum		values[2] = {CStringGetTextDatum(id), ObjectIdGetDatum(owner)};
	MemoryContext caller = CurrentMemoryContext;
	uint64		nrows;

	pushJsonbValue(&operations->events, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&operations->ids, WJB_BEGIN_ARRAY, NULL);
	durable_sql_connect();
	nrows = durable_sql_run(&read_entity, values, NULL, false, 0);
	MemoryContextSwitchTo(caller);
	if (nrows > 0)
	{
		bool		isnull;
		bool		is_text = DatumGetBool(durable_sql_datum(0, 2, &isnull));
		Jsonb	   *state = durable_sql_jsonb(0, 1);

		operations->state = durable_verbatim_unwrap(durable_verbatim_convert(state, is_text, true));
	}
	for (uint64 row = 0; row < nrows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!add_operation(operations, row, id))
			break;
	}
	durable_sql_finish();
	MemoryContextSwitchTo(caller);
	operations->events_array = JsonbValueToJsonb(pushJsonbValue(&operations->events, WJB_END_ARRAY, NULL));
	operations->ids_array = JsonbValueToJsonb(pushJsonbValue(&operations->ids, WJB_END_ARRAY, NULL));
}

/* Adds an operation as docs/external.md describes it; false: the batch ends before this one. */
static bool
add_operation(Operations *operations, uint64 row, const char *id)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;
	bool		no_id;
	bool		isnull;
	int64		number = DatumGetInt64(durable_sql_datum(row, 3, &no_id));
	char		kind;
	Jsonb	   *payload;
	char	   *target;
	char	   *operation;

	if (no_id)
		return false;			/* there are no operations */
	kind = durable_sql_char(row, 4);
	if (kind == MESSAGE_LOCK)
		return false;			/* operations behind a request for locks wait until it has been granted */
	durable_entity_address_read(durable_sql_text(row, 5), &target, &operation);
	if (strcmp(target, id) != 0)
		return true;			/* of another id with the same key */
	payload = durable_sql_jsonb(row, 6);
	operations->bytes += payload ? VARSIZE(payload) : 0;
	if (operations->n > 0 && operations->bytes > BYTES_AT_ONCE)
		return false;

	operations->n++;
	durable_json_root(durable_history_number(number), &value);
	pushJsonbValue(&operations->ids, WJB_ELEM, &value);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push(&state, "type", kind == MESSAGE_CALL ? "EntityOperationCalled" : "EntityOperationSignaled");
	push(&state, "request_id", psprintf(INT64_FORMAT, number));
	push(&state, "name", operation);
	push(&state, "input", durable_verbatim_unwrap(durable_entity_input(payload, DatumGetBool(durable_sql_datum(row, 7, &isnull)),
																	   true)));
	durable_json_push_member(&state, "at", durable_json_from_datum(durable_sql_datum(row, 8, &isnull), TIMESTAMPTZOID, false));
	if (kind == MESSAGE_CALL && durable_sql_text(row, 9) != NULL)
	{
		push(&state, "parent_instance_id", durable_sql_text(row, 9));
		push(&state, "parent_execution_id",
			 durable_turn_execution_id_of(durable_sql_int8(row, 10), durable_sql_int4(row, 11),
										  durable_sql_timestamptz(row, 12, &isnull)));
	}
	durable_json_root(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)), &value);
	pushJsonbValue(&operations->events, WJB_ELEM, &value);
	return true;
}

static void
push(JsonbParseState **state, const char *member, const char *value)
{
	if (value != NULL)
		durable_json_push_member(state, member, durable_json_text(value));
}

/*
 * There is no operation to hand out, because a lock was released and a request for locks is
 * now the first operation that waits.  Deletes the batch, and makes a unit grant the request.
 */
static void
give_up(const QueuedTask * task, const char *id)
{
	durable_queued_delete_one(task->key, task->id);
	durable_lease_send(list_make1(results_message(task->owner, task->key, id, NULL, durable_clock_now())));
}

/* --- completing --------------------------------------------------------------------------- */

/* complete_entity(token, results, state, actions) */
Datum
durable_complete_entity(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	Jsonb	   *results[1];
	char	   *states[1];
	Jsonb	   *actions[1];

	durable_client_enter("complete_entity", "It is for workers outside of the database.");
	durable_work_token(fcinfo, 0, &tokens);
	results[0] = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	states[0] = durable_client_text(fcinfo, 2);
	actions[0] = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	(void) complete(&tokens, results, states, actions, false);
	PG_RETURN_VOID();
}

/* complete_entities(tokens, results, states, actions, on_stale) */
Datum
durable_complete_entities(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	Jsonb	  **results;
	char	  **states;
	Jsonb	  **actions;

	durable_client_enter("complete_entities", "It is for workers outside of the database.");
	durable_work_tokens(fcinfo, 0, &tokens);
	if (tokens.n == 0)
		PG_RETURN_INT32(0);
	results = durable_work_jsonbs(fcinfo, 1, tokens.n, "results");
	states = durable_work_texts(fcinfo, 2, tokens.n, "states");
	actions = durable_work_jsonbs(fcinfo, 3, tokens.n, "actions");
	PG_RETURN_INT32(complete(&tokens, results, states, actions, durable_work_skips_stale(fcinfo, 4)));
}

/* Returns the number of valid tokens. */
static int
complete(Tokens *tokens, Jsonb **results, char **states, Jsonb **actions, bool skips)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = durable_clock_now();
	Jsonb	  **payloads = palloc(tokens->n * sizeof(Jsonb *));
	char	  **queues = palloc0(tokens->n * sizeof(char *));
	List	   *messages = NIL;
	uint64		nrows;

	/* All checks that can raise an error come first. */
	for (int i = 0; i < tokens->n; i++)
		payloads[i] = durable_entity_results(results[i], states[i], actions[i]);

	durable_sql_connect();
	nrows = durable_sql_run(&take_completed, tokens->values, NULL, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < nrows; row++)
	{
		int			n = durable_sql_int4(row, 1) - 1;
		Jsonb	   *ids = durable_sql_jsonb(row, 6);

		queues[n] = durable_sql_text(row, 2);
		messages = lappend(messages, results_message(durable_sql_oid(row, 3), durable_sql_int8(row, 4),
													 durable_sql_text(row, 5),
													 durable_entity_results_of(payloads[n], ids), now));
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);

	(void) durable_work_completed(tokens, queues, skips);
	if (messages != NIL)
		durable_lease_send(messages);
	return list_length(messages);
}

/* The message of a batch that was run, for the unit that applies it (run/entity_external.c). */
static Message *
results_message(Oid owner, int64 key, const char *id, Jsonb *payload, TimestampTz now)
{
	Message    *message = palloc0(sizeof(Message));

	message->owner = owner;
	message->key = key;
	message->kind = MESSAGE_RESULTS;
	message->name = durable_entity_address(id, "");
	message->payload = payload;
	message->at = now;
	return message;
}
