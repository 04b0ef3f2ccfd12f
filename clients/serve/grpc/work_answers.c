/*
 * work_answers.c - answers of workers: completions of turns, activities and operations, and abandoned work.
 *
 * Answers are collected (collector.c), and those of one statement are one transaction.  If it fails, each of them is sent
 * by itself, so that an answer that cannot be applied does not affect the others.  An answer that is refused then becomes a
 * failure of its orchestration or activity, with the database's message.
 *
 * An answer that comes twice, or too late, is answered with OK and changes nothing, because SDKs repeat
 * answers that have failed.
 *
 * Owns: the answers of a hub that are not applied yet.
 * Called by: call.c.
 * Memory: a Completion until it is applied; it keeps its call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector.h"
#include "work.h"

#define MOST_AT_A_TIME	500
#define LARGEST_BATCH	(4 * 1024 * 1024)

typedef struct Completion
{
	Collected	collected;
	Call	   *call;
	char	   *token;
	char	   *content;		/* of a turn: its actions; of an activity: its failure as JSON, or NULL; of operations: results */
	char	   *text;			/* of a turn: the custom status; of an activity: the result; of operations: the state; or NULL */
	char	   *extra;			/* of a turn: the trace; of operations: their actions; or NULL */
	char	   *instance_id;	/* of a turn, if it is known */
	bool		is_refused;		/* the failure is sent now */
} Completion;

typedef struct Answers
{
	Collector	collectors[WORK_KINDS];
	int			n;
} Answers;

typedef struct Batch
{
	HubWork    *work;
	WorkKind	kind;
	Collected  *answers;
	int			n;
} Batch;

/* What send_batch is called with. */
typedef struct KindOfWork
{
	HubWork    *work;
	WorkKind	kind;
} KindOfWork;

/* The values of a statement while they are made. */
typedef struct Values
{
	WorkKind	kind;
	Buffer		arrays[STATEMENT_MOST_VALUES];
} Values;

static const Statement complete_statements[WORK_KINDS] = {
	[WORK_TURN] = {"complete_turns", "SELECT durable.complete_turns($1, $2, $3, $4, 'skip')", 4},
	[WORK_TASK] = {
		"complete_tasks",
		"SELECT durable.complete_tasks_text($1, $2, 'skip') OPERATOR(pg_catalog.+) durable.fail_tasks($3, $4, 'skip')", 4
	},
	[WORK_BATCH] = {"complete_entities", "SELECT durable.complete_entities($1, $2, $3, $4, 'skip')", 4}
};
static const Statement abandon_statement = {
	"abandon", "SELECT durable.release_work(ARRAY[$1], NULL)", 1
};

uint64_t	answers_stale;

static char *actions_of(JsonSpan message, const Buffer *parts);
static char *copy_of(JsonSpan value);
static Completion *new_completion(Call *call, char *token);
static void add(HubWork *work, WorkKind kind, Completion *answer);
static void send_batches(HubWork *work, WorkKind kind);
static void send_batch(void *arg);
static size_t add_values(void *arg, const Collected *collected);
static void applied(const Outcome *outcome, void *arg);
static bool is_refusal(WorkKind kind, const Completion *answer, const Outcome *outcome);
static void refuse(WorkKind kind, Completion *answer, const Outcome *outcome);
static void release(HubWork *work, const char *token);
static void finish(HubWork *work, Completion *answer, const Outcome *outcome);
static void abandoned(const Outcome *outcome, void *arg);
static bool is_token(const char *text);
static WorkItem *item_of(Call *call, WorkKind kind, JsonSpan message, char **token);
static void give_back_work(Call *call, WorkKind kind, JsonSpan message);

int
answers_pending(const HubWork *work)
{
	return work->answers != NULL ? work->answers->n : 0;
}

void
work_complete_turn(Call *call, const Buffer *json)
{
	JsonSpan	message = {json->data, json->length};
	HubWork    *work = work_of(call->hub);
	char	   *token;
	WorkItem   *item = item_of(call, WORK_TURN, message, &token);
	Completion *answer;

	if (token == NULL)
		return;
	if (json_member_true(message, "requires_history"))
	{
		/* The worker has got the whole history already, so the turn can only be tried again. */
		free(token);
		give_back_work(call, WORK_TURN, message);
		return;
	}
	if (json_member_true(message, "is_partial") || (item != NULL && item->nparts > 0))
		if (!part_keep(call, item, message))
		{
			free(token);
			return;
		}
	answer = new_completion(call, token);
	answer->content = actions_of(message, item != NULL ? &item->parts : NULL);
	answer->text = json_member_text(message, "custom_status");
	answer->extra = turn_trace(message);
	if (item != NULL)
	{
		if (answer->text == NULL && item->custom_status != NULL)
			answer->text = must_copy(item->custom_status);
		if (answer->extra == NULL && item->trace != NULL)
			answer->extra = must_copy(item->trace);
		answer->instance_id = must_copy(item->instance_id);
		item_remove(work, item);
	}
	add(work, WORK_TURN, answer);
	work_pump(work);
}

/*
 * The trace of a turn, or NULL.  A worker without a tracer sends a span of zeros, which is not valid: to
 * store it and to send it with each of the next turns would cost the worker and the server time for nothing.
 */
char *
turn_trace(JsonSpan message)
{
	/* OrchestrationTraceContext: span_id = StringValue "0000000000000000", and whatever follows */
	static const char no_span[] = "0a120a10" "3030303030303030" "3030303030303030";
	char	   *trace = json_member_text(message, "trace");

	if (trace != NULL && strncmp(trace, no_span, sizeof(no_span) - 1) == 0)
	{
		free(trace);
		return NULL;
	}
	return trace;
}

/* The array of actions, those of all parts if there are any. */
static char *
actions_of(JsonSpan message, const Buffer *parts)
{
	Buffer		array = {.limit = SIZE_MAX / 4};
	JsonSpan	actions;

	if (parts == NULL || parts->length == 0)
		return json_member(message, "actions", &actions) ? copy_of(actions) : must_copy("[]");
	buffer_add_byte(&array, '[');
	buffer_add(&array, parts->data, parts->length);
	buffer_add_byte(&array, ']');
	buffer_text(&array);
	return array.data;
}

static char *
copy_of(JsonSpan value)
{
	char	   *copy = must_alloc(value.length + 1);

	memcpy(copy, value.at, value.length);
	return copy;
}

void
work_complete_task(Call *call, const Buffer *json)
{
	JsonSpan	message = {json->data, json->length};
	JsonSpan	failure;
	HubWork    *work = work_of(call->hub);
	char	   *token;
	WorkItem   *item = item_of(call, WORK_TASK, message, &token);
	Completion *answer;

	if (token == NULL)
		return;
	answer = new_completion(call, token);
	if (json_member(message, "failure", &failure))
		answer->content = copy_of(failure);
	else
		answer->text = json_member_text(message, "result");
	if (item != NULL)
		item_remove(work, item);
	add(work, WORK_TASK, answer);
	work_pump(work);
}

/* A batch of operations.  One that could not be run, or has no results, is given back. */
void
work_complete_batch(Call *call, const Buffer *json)
{
	JsonSpan	message = {json->data, json->length};
	JsonSpan	span;
	HubWork    *work = work_of(call->hub);
	char	   *token;
	WorkItem   *item;
	Completion *answer;

	if (json_member(message, "failure", &span) || !json_member(message, "results", &span))
	{
		give_back_work(call, WORK_BATCH, message);
		return;
	}
	item = item_of(call, WORK_BATCH, message, &token);
	if (token == NULL)
		return;
	answer = new_completion(call, token);
	answer->content = copy_of(span);
	answer->text = json_member_text(message, "state");
	if (json_member(message, "actions", &span))
		answer->extra = copy_of(span);
	if (item != NULL)
		item_remove(work, item);
	add(work, WORK_BATCH, answer);
	work_pump(work);
}

/* The item, if it is known here, and the token; token NULL: the call has been refused. */
static WorkItem *
item_of(Call *call, WorkKind kind, JsonSpan message, char **token)
{
	HubWork    *work = work_of(call->hub);
	WorkItem   *item;

	*token = json_member_text(message, "token");
	if (*token != NULL && (*token)[0] != '\0')
	{
		if (is_token(*token))
			return item_find(work, *token);
		free(*token);
		*token = NULL;
		call_finish(call, GRPC_NOT_FOUND, "There is no work with this token.");
		return NULL;
	}
	free(*token);
	*token = json_member_text(message, "instance_id");
	item = *token != NULL ? item_of_instance(work, kind, *token, json_member_integer(message, "task_id")) : NULL;
	free(*token);
	*token = item != NULL ? must_copy(item->token) : NULL;
	if (item == NULL)
		call_finish(call, GRPC_NOT_FOUND, "The answer has no token, and no work of that instance is out.");
	return item;
}

/* Can it be a token?  Those of the engine are four numbers in hexadecimal. */
static bool
is_token(const char *text)
{
	int			groups = 0;

	while (groups < 4)
	{
		size_t		n = strspn(text, "0123456789abcdef");

		if (n < 1 || n > (groups == 2 ? 8 : 16))
			return false;
		text += n;
		groups++;
		if (groups < 4 && *text++ != '-')
			return false;
	}
	return *text == '\0';
}

/* --- batches -------------------------------------------------------------------------------------------------- */

static Completion *
new_completion(Call *call, char *token)
{
	Completion *answer = must_alloc(sizeof(Completion));

	answer->call = call;
	answer->token = token;
	call_keep(call);
	return answer;
}

static void
add(HubWork *work, WorkKind kind, Completion *answer)
{
	if (work->answers == NULL)
		work->answers = must_alloc(sizeof(Answers));
	collector_add(&work->answers->collectors[kind], &answer->collected);
	work->answers->n++;
	send_batches(work, kind);
}

static void
send_batches(HubWork *work, WorkKind kind)
{
	KindOfWork	what = {work, kind};

	collector_send(&work->answers->collectors[kind], send_batch, &what);
}

static void
send_batch(void *arg)
{
	const KindOfWork *what = arg;
	Collector  *collector = &what->work->answers->collectors[what->kind];
	const Statement *statement = &complete_statements[what->kind];
	Values		made = {what->kind};
	const char *values[STATEMENT_MOST_VALUES];
	/* An answer that is repeated after a lost connection may have been applied already. */
	Access		access = {NULL, what->work->hub->role, true};
	Batch	   *batch = must_alloc(sizeof(Batch));

	batch->work = what->work;
	batch->kind = what->kind;
	for (int i = 0; i < statement->nvalues; i++)
		made.arrays[i] = (Buffer) {.limit = SIZE_MAX / 4};
	batch->answers = collector_take(collector, MOST_AT_A_TIME, LARGEST_BATCH, add_values, &made, &batch->n);
	for (int i = 0; i < statement->nvalues; i++)
	{
		buffer_add_text(&made.arrays[i], made.arrays[i].length == 0 ? "{}" : "}");
		values[i] = buffer_text(&made.arrays[i]);
	}
	collector->is_busy = true;
	pool_run(statement, values, &access, applied, batch);
	for (int i = 0; i < statement->nvalues; i++)
		buffer_free(&made.arrays[i]);
}

/* An element of each array of the statement; how many bytes that were. */
static size_t
add_values(void *arg, const Collected *collected)
{
	Values	   *made = arg;
	Buffer	   *arrays = made->arrays;
	const Completion *answer = (const Completion *) collected;
	size_t		size = (answer->content != NULL ? strlen(answer->content) : 0) + (answer->text != NULL ? strlen(answer->text) : 0) +
		(answer->extra != NULL ? strlen(answer->extra) : 0);

	if (made->kind != WORK_TASK)
	{
		array_add(&arrays[0], answer->token);
		array_add(&arrays[1], answer->content);
		array_add(&arrays[2], answer->text);
		array_add(&arrays[3], answer->extra);
	}
	else if (answer->content == NULL)
	{
		array_add(&arrays[0], answer->token);
		array_add(&arrays[1], answer->text);
	}
	else
	{
		array_add(&arrays[2], answer->token);
		array_add(&arrays[3], answer->content);
	}
	return size;
}

static void
applied(const Outcome *outcome, void *arg)
{
	Batch	   *batch = arg;
	HubWork    *work = batch->work;
	Collector  *collector = &work->answers->collectors[batch->kind];
	WorkKind	kind = batch->kind;

	if (outcome->rows == NULL && batch->n > 1)
		collector_give_back(collector, batch->answers, true);
	else if (outcome->rows == NULL && is_refusal(kind, (Completion *) batch->answers, outcome))
	{
		refuse(kind, (Completion *) batch->answers, outcome);
		collector_give_back(collector, batch->answers, false);
	}
	else
	{
		if (outcome->rows != NULL)
			answers_stale += (uint64_t) (batch->n - atoi(PQgetvalue(outcome->rows, 0, 0)));
		for (Collected *next; batch->answers != NULL; batch->answers = next)
		{
			Completion *answer = (Completion *) batch->answers;

			next = batch->answers->next;
			if (kind == WORK_BATCH && outcome->rows == NULL)
				release(work, answer->token);
			finish(work, answer, outcome);
			work->answers->n--;
		}
	}
	collector->is_busy = false;
	free(batch);
	send_batches(work, kind);
}

/* Does the database refuse the answer itself? */
static bool
is_refusal(WorkKind kind, const Completion *answer, const Outcome *outcome)
{
	if (kind == WORK_BATCH)
		return false;			/* the worker is told, and the operations are handed out again */
	switch (rpc_status(outcome->sqlstate))
	{
		case GRPC_INVALID_ARGUMENT:
		case GRPC_UNIMPLEMENTED:
			return !answer->is_refused;
		case GRPC_RESOURCE_EXHAUSTED:
			return !answer->is_refused && strncmp(outcome->sqlstate, "53", 2) != 0;
		default:
			return false;
	}
}

static void
refuse(WorkKind kind, Completion *answer, const Outcome *outcome)
{
	Buffer		content = {.limit = SIZE_MAX / 4};
	Buffer		message = {.limit = SIZE_MAX / 4};

	buffer_add_text(&message, outcome->message);
	if (outcome->detail != NULL)
	{
		buffer_add_text(&message, ": ");
		buffer_add_text(&message, outcome->detail);
	}

	if (kind == WORK_TURN)
		buffer_add_text(&content, "[{\"type\":\"complete\",\"id\":0,\"status\":\"Failed\",\"failure\":");
	buffer_add_text(&content, "{\"type\":\"InvalidAnswer\",\"non_retriable\":true,\"message\":");
	json_add_text(&content, message.data, message.length);
	buffer_free(&message);
	buffer_add_text(&content, kind == WORK_TURN ? "}}]" : "}");
	buffer_text(&content);
	free(answer->content);
	free(answer->text);
	answer->content = content.data;
	answer->text = NULL;
	answer->is_refused = true;
}

/* Operations whose answer the database refuses are handed out again, as abandoned ones are. */
static void
release(HubWork *work, const char *token)
{
	const char *values[1] = {token};

	work_statement(work, &abandon_statement, values);
}

static void
finish(HubWork *work, Completion *answer, const Outcome *outcome)
{
	if (answer->instance_id != NULL)
		waits_hint(work->hub, answer->instance_id, strstr(answer->content, "\"complete\"") != NULL);
	if (outcome->rows == NULL)
		rpc_fail(answer->call, outcome);
	else
	{
		call_send(answer->call, "", 0);
		call_finish(answer->call, GRPC_OK, "%s", "");
	}
	call_release(answer->call);
	free(answer->token);
	free(answer->content);
	free(answer->text);
	free(answer->extra);
	free(answer->instance_id);
	free(answer);
}

/* --- abandoned work -------------------------------------------------------------------------------------------- */

void
work_abandon(Call *call, const Buffer *json)
{
	/* There is always a token, so the kind is not needed. */
	give_back_work(call, WORK_TURN, (JsonSpan) {json->data, json->length});
}

static void
give_back_work(Call *call, WorkKind kind, JsonSpan message)
{
	HubWork    *work = work_of(call->hub);
	char	   *token;
	WorkItem   *item = item_of(call, kind, message, &token);
	const char *values[1] = {token};
	Access		access = {NULL, call->hub->role, true};

	if (token == NULL)
		return;
	if (item != NULL)
		item_remove(work, item);
	call_keep(call);
	pool_run(&abandon_statement, values, &access, abandoned, call);
	free(token);
	work_pump(work);
}

static void
abandoned(const Outcome *outcome, void *arg)
{
	Call	   *call = arg;

	if (outcome->rows == NULL)
		rpc_fail(call, outcome);
	else
	{
		call_send(call, "", 0);
		call_finish(call, GRPC_OK, "%s", "");
	}
	call_release(call);
}
