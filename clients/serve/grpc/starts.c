/*
 * starts.c - RPC StartInstance.
 *
 * Requests are collected (collector.c), and those of one statement are one transaction.  If it fails, each of them is
 * sent by itself, so that each gets its own answer.
 *
 * A request with a reuse policy may have to terminate an instance first, which takes a transaction of its own and a
 * unit of work of the engine.  Such a request is a call of durable.grpc, which is repeated until it has an answer.
 *
 * Owns: the requests that have no answer yet.
 * Called by: rpc.c.
 * Memory: a Start until it is answered; it keeps its call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "work.h"

#define MOST_AT_A_TIME		200
#define LARGEST_BATCH		(4 * 1024 * 1024)
#define REPLACE_SECONDS		30
#define REPLACE_PAUSE_US	20000

typedef struct Start
{
	Collected	collected;
	Call	   *call;
	char	   *json;
	size_t		length;
	double		since;
} Start;

typedef struct HubStarts
{
	Collector	collector;
} HubStarts;

typedef struct Batch
{
	Hub		   *hub;
	Collected  *starts;
	int			n;
} Batch;

static const char *const members[] = {"instance_id", "name", "version", "input", "start_at", "tags", "trace"};
#define NMEMBERS	7				/* and one more parameter of the statement, the hub's queue */

static const Statement start_statement = {
	"start", "SELECT u.n, durable.start_external($1, u.name, u.input, NULLIF(u.instance_id, ''), "
	"start_at => CASE WHEN u.start_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp() THEN u.start_at END, "
	"version => NULLIF(u.version, ''), tags => u.tags, on_conflict => 'replace_finished', trace => u.trace) "
	"FROM ROWS FROM (pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[]), "
	"pg_catalog.unnest($4::pg_catalog.text[]), pg_catalog.unnest($5::pg_catalog.text[]), pg_catalog.unnest($6::pg_catalog.timestamptz[]), "
	"pg_catalog.unnest($7::pg_catalog.jsonb[]), pg_catalog.unnest($8::pg_catalog.text[])) "
	"WITH ORDINALITY AS u (instance_id, name, version, input, start_at, tags, trace, n)", 8
};

static bool is_good(Call *call, JsonSpan request);
static void send_batch(void *arg);
static size_t add_values(void *arg, const Collected *collected);
static void started(const Outcome *outcome, void *arg);
static void answer(Start *start, const char *instance_id);
static void finish(Start *start);
static void replace(evutil_socket_t fd, short events, void *arg);
static void replaced(const Outcome *outcome, void *arg);

void
starts_begin(Call *call, const Buffer *json)
{
	JsonSpan	request = {json->data, json->length};
	JsonSpan	policy;
	Hub		   *hub = call->hub;
	HubStarts  *starts = hub->starts;
	Start	   *start;

	if (!is_good(call, request))
		return;
	start = must_alloc(sizeof(Start));
	start->call = call;
	start->json = must_copy(json->data);
	start->length = json->length;
	start->since = now_seconds();
	call_keep(call);
	if (json_member(request, "reuse_policy", &policy))
	{
		replace(-1, 0, start);
		return;
	}
	if (starts == NULL)
		starts = hub->starts = must_alloc(sizeof(HubStarts));
	collector_add(&starts->collector, &start->collected);
	collector_send(&starts->collector, send_batch, hub);
}

/* false: the call has been answered. */
static bool
is_good(Call *call, JsonSpan request)
{
	char	   *instance_id = json_member_text(request, "instance_id");
	char	   *name = json_member_text(request, "name");
	bool		good = true;

	if (instance_id != NULL && instance_id[0] == '@')
	{
		call_finish(call, GRPC_INVALID_ARGUMENT, "Instance ids that begin with @ belong to entities.");
		good = false;
	}
	else if (name == NULL || name[0] == '\0')
	{
		call_finish(call, GRPC_INVALID_ARGUMENT, "The name of the orchestration is missing.");
		good = false;
	}
	free(instance_id);
	free(name);
	return good;
}

/* --- many at a time ----------------------------------------------------------------------------------------- */

static void
send_batch(void *arg)
{
	Hub		   *hub = arg;
	Collector  *collector = &hub->starts->collector;
	Buffer		arrays[NMEMBERS];
	const char *values[1 + NMEMBERS] = {hub->queue};
	Access		access = {NULL, hub->role, false};
	Batch	   *batch = must_alloc(sizeof(Batch));

	for (int i = 0; i < NMEMBERS; i++)
		arrays[i] = (Buffer) {.limit = SIZE_MAX / 4};
	batch->hub = hub;
	batch->starts = collector_take(collector, MOST_AT_A_TIME, LARGEST_BATCH, add_values, arrays, &batch->n);
	for (int i = 0; i < NMEMBERS; i++)
	{
		buffer_add_byte(&arrays[i], '}');
		values[1 + i] = buffer_text(&arrays[i]);
	}
	collector->is_busy = true;
	pool_run(&start_statement, values, &access, started, batch);
	for (int i = 0; i < NMEMBERS; i++)
		buffer_free(&arrays[i]);
}

/* Tags are JSON, all others are texts. */
static size_t
add_values(void *arg, const Collected *collected)
{
	Buffer	   *arrays = arg;
	const Start *start = (const Start *) collected;
	JsonSpan	request = {start->json, start->length};

	for (int i = 0; i < NMEMBERS; i++)
	{
		JsonSpan	value;
		char	   *text = NULL;

		if (json_member(request, members[i], &value))
		{
			text = json_text(value);
			if (text == NULL)
			{
				text = must_alloc(value.length + 1);
				memcpy(text, value.at, value.length);
			}
		}
		array_add(&arrays[i], text);
		free(text);
	}
	return start->length;
}

static void
started(const Outcome *outcome, void *arg)
{
	Batch	   *batch = arg;
	Collector  *collector = &batch->hub->starts->collector;

	/* A statement that may have been executed is not sent again. */
	if (outcome->rows == NULL && batch->n > 1 && strcmp(outcome->sqlstate, POOL_LOST) != 0)
		collector_give_back(collector, batch->starts, true);
	else
		for (int i = 0; i < batch->n; i++)
		{
			Start	   *start = (Start *) batch->starts;

			batch->starts = batch->starts->next;
			if (outcome->rows == NULL)
				rpc_fail(start->call, outcome);
			else
				answer(start, PQgetvalue(outcome->rows, i, 1));
			finish(start);
		}
	collector->is_busy = false;
	collector_send(collector, send_batch, batch->hub);
	free(batch);
}

static void
answer(Start *start, const char *instance_id)
{
	Buffer		json = {.limit = SIZE_MAX / 4};

	buffer_add_text(&json, "{\"instance_id\":");
	json_add_text(&json, instance_id, strlen(instance_id));
	buffer_add_byte(&json, '}');
	if (rpc_send(start->call, start->call->rpc->answer, buffer_text(&json), json.length))
		call_finish(start->call, GRPC_OK, "%s", "");
	buffer_free(&json);
}

static void
finish(Start *start)
{
	call_release(start->call);
	free(start->json);
	free(start);
}

/* --- with a reuse policy ------------------------------------------------------------------------------------- */

static void
replace(evutil_socket_t fd, short events, void *arg)
{
	Start	   *start = arg;
	const char *values[3] = {start->call->rpc->name, start->call->hub->queue, start->json};
	Access		access = {NULL, start->call->hub->role, false};

	(void) fd;
	(void) events;
	pool_run(&rpc_statement, values, &access, replaced, start);
}

static void
replaced(const Outcome *outcome, void *arg)
{
	static const struct timeval pause = {0, REPLACE_PAUSE_US};
	Start	   *start = arg;
	JsonSpan	json = {0};
	char	   *instance_id = NULL;

	if (outcome->rows != NULL && PQntuples(outcome->rows) == 1)
		json = (JsonSpan) {PQgetvalue(outcome->rows, 0, 0), (size_t) PQgetlength(outcome->rows, 0, 0)};
	if (outcome->rows == NULL)
		rpc_fail(start->call, outcome);
	else if (json.at != NULL && (instance_id = json_member_text(json, "instance_id")) != NULL)
		answer(start, instance_id);
	else if (now_seconds() - start->since > REPLACE_SECONDS)
		call_finish(start->call, GRPC_FAILED_PRECONDITION, "The instance with that id was asked to terminate, but has not ended within %d s.", REPLACE_SECONDS);
	/* If the client is gone, the second step is omitted. */
	else if (start->call->connection != NULL && !start->call->is_finished &&
			 event_base_once(base, -1, EV_TIMEOUT, replace, start, &pause) == 0)
		return;
	free(instance_id);
	finish(start);
}
