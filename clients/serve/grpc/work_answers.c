/*
 * work_answers.c - what workers answer: completions of turns and activities, and abandoned work.
 *
 * Answers are collected while a statement with earlier ones runs, and then go into one
 * statement together: one transaction for all of them.  If it fails, each of them is sent by
 * itself, so that an answer that cannot be applied spoils no other one.
 *
 * An answer that comes twice, or too late, is answered with OK and changes nothing, because SDKs repeat
 * answers that have failed.
 *
 * Owns: the answers of a hub that are not applied yet.
 * Called by: call.c.
 * Memory: an Answer until it is applied; it keeps its call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

#define MOST_AT_A_TIME	200
#define LARGEST_BATCH	(4 * 1024 * 1024)

typedef struct Completion
{
	struct Completion *next;
	Call	   *call;
	char	   *json;			/* the message, with the token in it */
	size_t		length;
	bool		alone;			/* it was in a batch that has failed */
} Completion;

typedef struct Answers
{
	Completion    *queue[WORK_KINDS];
	Completion   **end[WORK_KINDS];
	bool		is_busy[WORK_KINDS];
	int			n;
} Answers;

typedef struct Batch
{
	HubWork    *work;
	WorkKind	kind;
	Completion    *answers;
	int			n;
} Batch;

static const Statement complete_statement = {
	"complete", "SELECT durable.grpc_complete($1, $2, $3::pg_catalog.jsonb)", 3
};
static const Statement abandon_statement = {
	"abandon", "SELECT durable.grpc_abandon($1)", 1
};

uint64_t	answers_stale;

static void add(Call *call, WorkKind kind, char *json, size_t length);
static void send_batch(HubWork *work, WorkKind kind);
static void applied(const Outcome *outcome, void *arg);
static void abandoned(const Outcome *outcome, void *arg);
static WorkItem *item_of(Call *call, WorkKind kind, JsonSpan message, char **token);
static bool keep_part(Call *call, WorkItem *item, JsonSpan message);
static char *with_token(JsonSpan message, const char *token, const Buffer *parts, size_t *length);

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
	char	   *whole;
	size_t		length;

	if (token == NULL)
		return;
	if (json_member_true(message, "is_partial") || (item != NULL && item->parts.length > 0))
		if (!keep_part(call, item, message))
		{
			free(token);
			return;
		}
	whole = with_token(message, token, item != NULL ? &item->parts : NULL, &length);
	free(token);
	if (item != NULL)
		item_remove(work, item);
	add(call, WORK_TURN, whole, length);
	work_pump(work);
}

void
work_complete_task(Call *call, const Buffer *json)
{
	JsonSpan	message = {json->data, json->length};
	HubWork    *work = work_of(call->hub);
	char	   *token;
	WorkItem   *item = item_of(call, WORK_TASK, message, &token);
	char	   *whole;
	size_t		length;

	if (token == NULL)
		return;
	whole = with_token(message, token, NULL, &length);
	free(token);
	if (item != NULL)
		item_remove(work, item);
	add(call, WORK_TASK, whole, length);
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
		if (strlen(*token) <= 200 && (*token)[strspn(*token, "0123456789abcdefABCDEF-:._")] == '\0')
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

/* Adds the actions of a part; true: it was the last one, and the whole is to be applied. */
static bool
keep_part(Call *call, WorkItem *item, JsonSpan message)
{
	JsonSpan	actions;
	JsonSpan	action;

	if (item == NULL)
	{
		answers_stale++;
		call_send(call, "", 0);
		call_finish(call, GRPC_OK, "%s", "");
		return false;
	}
	if (json_member(message, "actions", &actions))
		while (json_element(&actions, &action))
		{
			if (item->parts.length > 0)
				buffer_add_byte(&item->parts, ',');
			buffer_add(&item->parts, action.at, action.length);
		}
	if (item->parts.is_full)
	{
		call_finish(call, GRPC_RESOURCE_EXHAUSTED, "The parts of the answer are larger than %d MB.", grpc_options.max_message);
		return false;
	}
	if (!json_member_true(message, "is_partial"))
		return true;
	call_send(call, "", 0);
	call_finish(call, GRPC_OK, "%s", "");
	return false;
}

/* A later member of the same name counts in jsonb. */
static char *
with_token(JsonSpan message, const char *token, const Buffer *parts, size_t *length)
{
	Buffer		whole = {.limit = SIZE_MAX / 4};

	buffer_add(&whole, message.at, message.length - 1);
	buffer_add_text(&whole, message.length > 2 ? ",\"token\":\"" : "\"token\":\"");
	buffer_add_text(&whole, token);
	buffer_add_byte(&whole, '"');
	if (parts != NULL && parts->length > 0)
	{
		buffer_add_text(&whole, ",\"actions\":[");
		buffer_add(&whole, parts->data, parts->length);
		buffer_add_byte(&whole, ']');
	}
	buffer_add_byte(&whole, '}');
	buffer_text(&whole);
	*length = whole.length;
	return whole.data;
}

/* --- batches -------------------------------------------------------------------------------------------------- */

static void
add(Call *call, WorkKind kind, char *json, size_t length)
{
	HubWork    *work = work_of(call->hub);
	Completion    *answer = must_alloc(sizeof(Completion));

	if (work->answers == NULL)
	{
		work->answers = must_alloc(sizeof(Answers));
		for (int i = 0; i < WORK_KINDS; i++)
			work->answers->end[i] = &work->answers->queue[i];
	}
	answer->call = call;
	answer->json = json;
	answer->length = length;
	call_keep(call);
	*work->answers->end[kind] = answer;
	work->answers->end[kind] = &answer->next;
	work->answers->n++;
	send_batch(work, kind);
}

static void
send_batch(HubWork *work, WorkKind kind)
{
	Answers    *answers = work->answers;
	Buffer		array = {.limit = SIZE_MAX / 4};
	const char *values[3] = {work->hub->queue, kind == WORK_TURN ? "turns" : "activities"};
	/* What is repeated after a lost connection is found to have been applied. */
	Access		access = {NULL, work->hub->role, true};
	Batch	   *batch;
	Completion   **end;

	if (answers->is_busy[kind] || answers->queue[kind] == NULL)
		return;
	batch = must_alloc(sizeof(Batch));
	batch->work = work;
	batch->kind = kind;
	end = &batch->answers;
	while (answers->queue[kind] != NULL && batch->n < MOST_AT_A_TIME && array.length < LARGEST_BATCH)
	{
		Completion    *answer = answers->queue[kind];

		if (answer->alone && batch->n > 0)
			break;
		answers->queue[kind] = answer->next;
		if (answers->queue[kind] == NULL)
			answers->end[kind] = &answers->queue[kind];
		answer->next = NULL;
		*end = answer;
		end = &answer->next;
		buffer_add_byte(&array, batch->n++ == 0 ? '[' : ',');
		buffer_add(&array, answer->json, answer->length);
		if (answer->alone)
			break;
	}
	buffer_add_byte(&array, ']');
	values[2] = buffer_text(&array);
	answers->is_busy[kind] = true;
	pool_run(&complete_statement, values, &access, applied, batch);
	buffer_free(&array);
}

static void
applied(const Outcome *outcome, void *arg)
{
	Batch	   *batch = arg;
	HubWork    *work = batch->work;
	Answers    *answers = work->answers;
	WorkKind	kind = batch->kind;

	if (outcome->rows == NULL && batch->n > 1)
	{
		/* Back to the front of the queue, in their order. */
		Completion    *last = NULL;

		for (Completion *answer = batch->answers; answer != NULL; answer = answer->next)
		{
			answer->alone = true;
			last = answer;
		}
		last->next = answers->queue[kind];
		if (answers->queue[kind] == NULL)
			answers->end[kind] = &last->next;
		answers->queue[kind] = batch->answers;
	}
	else
	{
		if (outcome->rows != NULL)
			answers_stale += (uint64_t) (batch->n - atoi(PQgetvalue(outcome->rows, 0, 0)));
		for (Completion *answer = batch->answers, *next; answer != NULL; answer = next)
		{
			next = answer->next;
			if (outcome->rows == NULL)
				rpc_fail(answer->call, outcome);
			else
			{
				call_send(answer->call, "", 0);
				call_finish(answer->call, GRPC_OK, "%s", "");
			}
			call_release(answer->call);
			free(answer->json);
			free(answer);
			answers->n--;
		}
	}
	answers->is_busy[kind] = false;
	free(batch);
	send_batch(work, kind);
	if (kind == WORK_TURN)
		waits_look(work->hub);
}

/* --- abandoned work -------------------------------------------------------------------------------------------- */

void
work_abandon(Call *call, const Buffer *json)
{
	JsonSpan	message = {json->data, json->length};
	HubWork    *work = work_of(call->hub);
	char	   *token;
	WorkItem   *item = item_of(call, WORK_TURN, message, &token);
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
