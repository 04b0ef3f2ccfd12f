/*-------------------------------------------------------------------------
 *
 * work_api.c
 *		Functions for workers outside of the database: durable.fetch_work, complete_tasks,
 *		complete_tasks_text, fail_task, fail_tasks, extend_lease, release_work.
 *
 * A token names a task, its attempt and, by a random number, the lease.  It is valid for as
 * long as no other worker has got the task: a lease that has ended and was not taken over
 * can still be answered.  A token that is no longer valid changes nothing and raises an
 * error (WF008).  Answers are remembered for a while, so that a worker that has got no
 * confirmation can repeat its answer and gets the same result.
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
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "answer_table.h"
#include "client.h"
#include "clock.h"
#include "columns.h"
#include "history.h"
#include "inbox_table.h"
#include "json.h"
#include "lease.h"
#include "retry.h"
#include "sql.h"
#include "verbatim.h"
#include "work_token.h"

#define MOST_TASKS			10000
#define MOST_BYTES			(64 * 1024 * 1024)	/* of inputs; then no further task is added */
#define WORK_COLUMNS		14

#define OF_ANY_TOKEN WORK_OF_TOKEN " AND t.kind IN ('e', 'o', 'n')"
#define WANTED_STILL	"(t.kind = 'n' OR " WORK_IS_WANTED ")"

static DurableSql extend = {
	"UPDATE durable.queued_task t SET at = least($5, t.leased_at + t.timeout) FROM " WORK_TOKENS
	" WHERE " OF_ANY_TOKEN " AND " WORK_IS_LEASED " AND (t.timeout IS NULL OR t.leased_at + t.timeout > $6) AND " WANTED_STILL
	" RETURNING u.n::int4, t.queue",
	6, {WORK_TOKEN_TYPES, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

#define RELEASED(state, at, given_back) \
	"UPDATE durable.queued_task t SET state = " state ", at = " at ", given_back = " given_back ", nonce = NULL, " \
	"worker = NULL, leased_at = NULL FROM " WORK_TOKENS " WHERE " OF_ANY_TOKEN " AND " WORK_IS_LEASED " RETURNING u.n::int4, t.queue"

static DurableSql release = {
	RELEASED("CASE WHEN $5 > $6 THEN 'd' ELSE 'r' END", "$5", "t.given_back"),
	6, {WORK_TOKEN_TYPES, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* After 1 s, 2 s, 4 s, ... 30 s. */
static DurableSql give_back = {
	RELEASED("'d'", "$5 + least(30, 1 << least(t.given_back, 5)) * '1 second'::interval", "t.given_back + 1"),
	6, {WORK_TOKEN_TYPES, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* The result for one token; a repeated failure finds the task with another attempt. */
static DurableSql find_leased = {
	"SELECT t.execution, t.task, t.owner, t.queue, t.name, t.retry, t.scheduled_at, t.state, t.attempt, " WANTED_STILL
	", t.call FROM durable.queued_task t WHERE t.key = $1 AND t.id = $2 AND t.nonce = $3 AND t.kind = 'e' FOR UPDATE",
	3, {INT8OID, INT8OID, INT8OID}
};

typedef enum FailOutcome
{
	FAIL_STALE, FAIL_RETRIED, FAIL_FINAL
}			FailOutcome;

static void put_work(ReturnSetInfo *result, const QueuedTask * task, int64 nonce);
static void put_call(Datum *values, bool *nulls, const QueuedTask * task);
static int32 complete_all(FunctionCallInfo fcinfo, bool is_text);
static Jsonb **results_argument(FunctionCallInfo fcinfo, int argno, int n, bool is_text);
static int	change(DurableSql *sql, Tokens *tokens, TimestampTz at, TimestampTz now, bool wakes);
static FailOutcome fail(const char *text, const Jsonb *failure, bool retryable, char **checked);
static Jsonb *failure_of(const Jsonb *given, const QueuedTask * task, int *sqlerrcode, bool *retryable);

PG_FUNCTION_INFO_V1(durable_fetch_work);
PG_FUNCTION_INFO_V1(durable_complete_tasks);
PG_FUNCTION_INFO_V1(durable_complete_tasks_text);
PG_FUNCTION_INFO_V1(durable_fail_task);
PG_FUNCTION_INFO_V1(durable_fail_tasks);
PG_FUNCTION_INFO_V1(durable_extend_lease);
PG_FUNCTION_INFO_V1(durable_release_work);

/* --- fetching ----------------------------------------------------------------------------- */

/* fetch_work(queue, worker, max_tasks, lease, names) */
Datum
durable_fetch_work(PG_FUNCTION_ARGS)
{
	QueuedWanted wanted = {.kind = QUEUED_EXTERNAL};
	List	   *tasks = durable_work_fetch(fcinfo, &wanted, "fetch_work", "max_tasks", MOST_TASKS);
	ListCell   *cell;
	Size		size = 0;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, tasks)
	{
		QueuedTask *task = lfirst(cell);

		if (size < MOST_BYTES)
			put_work((ReturnSetInfo *) fcinfo->resultinfo, task, wanted.nonce);
		else
			durable_queued_put(task, QUEUED_READY, wanted.now, task->attempt, task->lost, task->last_failure, false);
		size += task->input ? VARSIZE(task->input) : 0;
	}
	return (Datum) 0;
}

/*
 * The columns of durable.work.  The input of an external orchestration's activity is stored as
 * a text: the worker gets that text, and the value that it denotes.
 */
static void
put_work(ReturnSetInfo *result, const QueuedTask * task, int64 nonce)
{
	Datum		values[WORK_COLUMNS];
	bool		nulls[WORK_COLUMNS] = {0};
	const Jsonb *input = task->call ? durable_verbatim_to_json(task->input) : task->input;

	values[0] = CStringGetTextDatum(durable_work_make_token(task, nonce));
	values[1] = CStringGetTextDatum(task->queue);
	values[2] = CStringGetTextDatum(task->name);
	values[3] = JsonbPGetDatum(input);
	nulls[3] = input == NULL;
	values[4] = CStringGetTextDatum(task->instance_id);
	values[5] = Int32GetDatum(task->attempt);
	values[6] = CStringGetTextDatum(psprintf("%s:" INT64_FORMAT ".%d.%d.%d", task->instance_id, task->key,
											 task->execution, task->task, task->attempt));
	values[7] = TimestampTzGetDatum(task->at);
	values[8] = TimestampTzGetDatum(task->scheduled_at);
	put_call(values, nulls, task);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The columns from payload on, which an external orchestration has said about its call. */
static void
put_call(Datum *values, bool *nulls, const QueuedTask * task)
{
	char	   *text = NULL;
	Jsonb	   *tags = NULL;
	Jsonb	   *id = NULL;
	char	   *version = NULL;
	char	   *trace = NULL;

	if (task->call == NULL && task->input != NULL)
		text = JsonbToCString(NULL, &task->input->root, VARSIZE(task->input));
	else if (task->call != NULL)
	{
		text = durable_verbatim_unwrap(task->input);
		version = durable_json_get_text(task->call, "version");
		tags = durable_json_get_member(task->call, "tags");
		trace = durable_json_get_text(task->call, "trace");
		id = durable_json_get_member(task->call, "event_id");
	}
	nulls[9] = text == NULL;
	values[9] = text ? CStringGetTextDatum(text) : (Datum) 0;
	nulls[10] = version == NULL;
	values[10] = version ? CStringGetTextDatum(version) : (Datum) 0;
	nulls[11] = tags == NULL;
	values[11] = JsonbPGetDatum(tags);
	nulls[12] = trace == NULL;
	values[12] = trace ? CStringGetTextDatum(trace) : (Datum) 0;
	values[13] = Int32GetDatum(id ? (int32) durable_history_get_number(id) : task->task);
}

/* --- answers ------------------------------------------------------------------------------ */

/* complete_tasks(tokens, results, on_stale) */
Datum
durable_complete_tasks(PG_FUNCTION_ARGS)
{
	durable_client_enter("complete_tasks", "It is for workers outside of the database.");
	PG_RETURN_INT32(complete_all(fcinfo, false));
}

/* complete_tasks_text(tokens, results, on_stale) */
Datum
durable_complete_tasks_text(PG_FUNCTION_ARGS)
{
	durable_client_enter("complete_tasks_text", "It is for workers outside of the database.");
	PG_RETURN_INT32(complete_all(fcinfo, true));
}

/* Returns the number of valid tokens. */
static int32
complete_all(FunctionCallInfo fcinfo, bool is_text)
{
	Tokens		tokens;
	Jsonb	  **results;
	char	  **queues;
	List	   *messages = NIL;
	TimestampTz now = durable_clock_now();
	List	   *tasks;
	ListCell   *cell;
	bool		skips;
	int			ncompleted;

	durable_work_tokens(fcinfo, 0, &tokens);
	results = results_argument(fcinfo, 1, tokens.n, is_text);
	skips = durable_work_skips_stale(fcinfo, 2);
	if (tokens.n == 0)
		return 0;
	queues = palloc0(tokens.n * sizeof(char *));

	tasks = durable_answer_complete(tokens.values, now);
	foreach(cell, tasks)
	{
		AnsweredTask *task = lfirst(cell);
		Message    *message = palloc0(sizeof(Message));

		queues[task->n] = task->queue;
		message->owner = task->owner;
		message->key = task->key;
		message->kind = MESSAGE_COMPLETED;
		message->execution = task->execution;
		message->task = task->task;
		message->attempt = task->attempt;
		message->payload = results[task->n];
		message->is_text = is_text;
		message->at = now;
		messages = lappend(messages, message);
	}
	if (list_length(messages) < tokens.n)
		durable_answer_find_completed(tokens.values, queues);

	ncompleted = durable_work_completed(&tokens, queues, skips);
	if (messages != NIL)
		durable_lease_send(messages);
	return ncompleted;
}

static Jsonb **
results_argument(FunctionCallInfo fcinfo, int argno, int n, bool is_text)
{
	Jsonb	  **results;

	if (is_text)
	{
		char	  **texts = durable_work_texts(fcinfo, argno, n, "results");

		results = palloc(Max(n, 1) * sizeof(Jsonb *));
		for (int i = 0; i < n; i++)
			results[i] = durable_verbatim_wrap(texts[i]);
	}
	else
		results = durable_work_jsonbs(fcinfo, argno, n, "results");
	for (int i = 0; i < n; i++)
		durable_json_check_size(results[i], "result of an activity");
	return results;
}

/* fail_task(token, failure, retryable): returns whether there will be another attempt */
Datum
durable_fail_task(PG_FUNCTION_ARGS)
{
	char	   *text;
	char	   *checked = NULL;
	FailOutcome outcome;

	durable_client_enter("fail_task", "It is for workers outside of the database.");
	text = durable_client_text(fcinfo, 0);
	outcome = fail(text, PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1), PG_ARGISNULL(2) || PG_GETARG_BOOL(2), &checked);
	if (outcome == FAIL_STALE)
		durable_work_stale(text);
	PG_RETURN_BOOL(outcome == FAIL_RETRIED);
}

/* fail_tasks(tokens, failures, on_stale): returns the number of valid tokens */
Datum
durable_fail_tasks(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	Jsonb	  **failures;
	bool		skips;
	char	   *checked = NULL;
	int			n = 0;

	durable_client_enter("fail_tasks", "It is for workers outside of the database.");
	durable_work_tokens(fcinfo, 0, &tokens);
	failures = durable_work_jsonbs(fcinfo, 1, tokens.n, "failures");
	skips = durable_work_skips_stale(fcinfo, 2);
	for (int i = 0; i < tokens.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (fail(tokens.texts[i], failures[i], true, &checked) != FAIL_STALE)
			n++;
		else if (!skips)
			durable_work_stale(tokens.texts[i]);
	}
	PG_RETURN_INT32(n);
}

static FailOutcome
fail(const char *text, const Jsonb *given, bool retryable, char **checked)
{
	Token		token;
	QueuedTask	task = {0};
	Datum		values[3];
	Jsonb	   *failure;
	int			sqlerrcode;
	bool		isnull;
	bool		found;
	bool		wanted = false;
	char		state = '\0';
	MemoryContext context = CurrentMemoryContext;

	if (!durable_work_read_token(text, &token))
		durable_work_bad_token(text);
	values[0] = Int64GetDatum(token.key);
	values[1] = Int64GetDatum(token.id);
	values[2] = Int64GetDatum(token.nonce);
	task.key = token.key;
	task.id = token.id;

	durable_sql_connect();
	found = durable_sql_run(&find_leased, values, NULL, false, 0) > 0;
	MemoryContextSwitchTo(context);
	if (found)
	{
		task.execution = durable_sql_int4(0, 1);
		task.task = durable_sql_int4(0, 2);
		task.owner = durable_sql_oid(0, 3);
		task.queue = durable_sql_text(0, 4);
		task.name = durable_sql_text(0, 5);
		task.retry = durable_sql_jsonb(0, 6);
		task.scheduled_at = durable_sql_timestamptz(0, 7, &isnull);
		state = durable_sql_char(0, 8);
		task.attempt = durable_sql_int4(0, 9);
		wanted = DatumGetBool(durable_sql_datum(0, 10, &isnull));
		task.call = durable_sql_jsonb(0, 11);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	if (!found)
	{
		task.queue = durable_answer_failed(token.id, token.nonce);
		if (task.queue == NULL)
			return FAIL_STALE;
		durable_work_check_queue(task.queue, checked);
		return FAIL_FINAL;		/* repeated */
	}
	durable_work_check_queue(task.queue, checked);
	if (task.attempt == token.attempt + 1 && state != QUEUED_LEASED)
		return FAIL_RETRIED;	/* repeated */
	if (task.attempt != token.attempt || !wanted || (state != QUEUED_LEASED && state != QUEUED_READY))
		return FAIL_STALE;

	failure = failure_of(given, &task, &sqlerrcode, &retryable);
	return durable_lease_fail(&task, failure, sqlerrcode, retryable, durable_clock_now()) ? FAIL_RETRIED : FAIL_FINAL;
}

/*
 * A string is the message; an object has message, and perhaps sqlstate, detail, hint, context.
 * The members of a failure in docs/external.md are kept as they are.
 */
static Jsonb *
failure_of(const Jsonb *given, const QueuedTask * task, int *sqlerrcode, bool *retryable)
{
	static const char *const kept[] = {"type", "stack", "non_retriable", "inner", "properties"};
	JsonbParseState *state = NULL;
	ErrorData	error = {.sqlerrcode = ERRCODE_DURABLE_EXTERNAL};
	JsonbValue	root;
	char	   *sqlstate;

	if (given == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("failure must not be null")));
	durable_json_check_size(given, "failure of an activity");
	durable_json_root(given, &root);
	if (root.type == jbvString)
		error.message = pnstrdup(root.val.string.val, root.val.string.len);
	else if (JB_ROOT_IS_OBJECT(given))
	{
		error.message = durable_json_get_text(given, "message");
		error.detail = durable_json_get_text(given, "detail");
		error.hint = durable_json_get_text(given, "hint");
		error.context = durable_json_get_text(given, "context");
		sqlstate = durable_json_get_text(given, "sqlstate");
		if (sqlstate != NULL)
		{
			if (strlen(sqlstate) != 5 || strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
				strncmp(sqlstate, "00", 2) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("invalid sqlstate \"%s\" of a failure", durable_client_shown(sqlstate)),
						 errhint("An SQLSTATE has five characters. The default is WF010.")));
			error.sqlerrcode = MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
		}
	}
	if (error.message == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a failure must be a JSON string, or an object with a message"),
				 errhint("For example {\"message\": \"the server is busy\", \"sqlstate\": \"WF010\"}.")));
	*sqlerrcode = error.sqlerrcode;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; JB_ROOT_IS_OBJECT(given) && i < lengthof(kept); i++)
		durable_json_push_member(&state, kept[i], durable_json_get_member(given, kept[i]));
	if (JB_ROOT_IS_OBJECT(given) && durable_json_get_member(given, "non_retriable") != NULL &&
		strcmp(durable_json_get_text(given, "non_retriable"), "true") == 0)
		*retryable = false;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat,
											  JsonbPGetDatum(durable_json_failure(&error, task->name, task->attempt)),
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

/* --- leases ------------------------------------------------------------------------------- */

/* extend_lease(tokens, lease) */
Datum
durable_extend_lease(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	TimestampTz now = durable_clock_now();

	durable_client_enter("extend_lease", "It is for workers outside of the database.");
	durable_work_tokens(fcinfo, 0, &tokens);
	PG_RETURN_INT32(change(&extend, &tokens, now + durable_work_lease(fcinfo, 1), now, false));
}

/* release_work(tokens, delay) */
Datum
durable_release_work(PG_FUNCTION_ARGS)
{
	Tokens		tokens;
	int64		delay;
	TimestampTz now = durable_clock_now();

	durable_client_enter("release_work", "It is for workers outside of the database.");
	durable_work_tokens(fcinfo, 0, &tokens);
	if (PG_ARGISNULL(1))
		PG_RETURN_INT32(change(&give_back, &tokens, now, now, true));
	delay = durable_retry_interval_us(PG_GETARG_INTERVAL_P(1));
	if (delay < 0 || delay > WORK_LONGEST_LEASE_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("delay must not be negative, nor longer than 7 days")));
	PG_RETURN_INT32(change(&release, &tokens, now + delay, now, true));
}

/* Returns the number of valid tokens. */
static int
change(DurableSql *sql, Tokens *tokens, TimestampTz at, TimestampTz now, bool wakes)
{
	Datum		values[6];
	List	   *queues = NIL;
	ListCell   *cell;
	char	   *checked = NULL;
	uint64		nrows;
	MemoryContext context = CurrentMemoryContext;

	if (tokens->n == 0)
		return 0;
	memcpy(values, tokens->values, sizeof(tokens->values));
	values[4] = TimestampTzGetDatum(at);
	values[5] = TimestampTzGetDatum(now);
	durable_sql_connect();
	nrows = durable_sql_run(sql, values, NULL, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < nrows; i++)
		queues = lappend(queues, durable_sql_text(i, 2));
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	foreach(cell, queues)
	{
		durable_work_check_queue(lfirst(cell), &checked);
		if (wakes)
			durable_queue_wake(lfirst(cell));
	}
	return (int) nrows;
}
