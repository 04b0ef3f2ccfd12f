/*
 * pool_http.c - a request of HTTP as a job of the pool, and its answer.
 *
 * Owns: nothing.
 * Called by: request.c, events.c, metrics.c.
 * Memory: a Waiting until its handler has been called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

/* One statement for a request: durable.http_message sets the role. */
static const Statement message = {
	"message", "SELECT durable.http_message($1, $2, $3, $4, $5, $6)", 6
};
static const Statement message_of_token = {
	"token_message", "SELECT durable.http_message(durable.http_token_role($1, $2, $3, $4), $5, $6, $7, $8, $9)", 9
};

typedef struct Waiting
{
	AnswerHandler handler;
	void	   *arg;
} Waiting;

static void answered(const Outcome *outcome, void *arg);
static char *read_message(const char *text, size_t length, Answer *answer);
static void refuse(Waiting *waiting, const Outcome *outcome);

void
pool_ask(const Query *query, AnswerHandler handler, void *arg)
{
	const Token *token = query->token;
	const char *by_role[6] = {options.role, query->method, query->path, query->query, query->body, query->headers};
	const char *by_token[9] = {
		token != NULL ? token->header : NULL, token != NULL ? token->claims : NULL, token_algorithm(), options.audience,
		query->method, query->path, query->query, query->body, query->headers
	};
	Access		access = {.is_read = query->is_read};
	Waiting    *waiting = must_alloc(sizeof(Waiting));

	waiting->handler = handler;
	waiting->arg = arg;
	if (token != NULL)
		pool_run(&message_of_token, by_token, &access, answered, waiting);
	else
		pool_run(&message, by_role, &access, answered, waiting);
}

static void
answered(const Outcome *outcome, void *arg)
{
	Waiting    *waiting = arg;
	Answer		answer;

	if (outcome->rows == NULL || PQntuples(outcome->rows) != 1)
		refuse(waiting, outcome);
	else
	{
		const char *text = PQgetvalue(outcome->rows, 0, 0);
		size_t		length = (size_t) PQgetlength(outcome->rows, 0, 0);
		char	   *headers = read_message(text, length, &answer);

		waiting->handler(&answer, waiting->arg);
		free(headers);
	}
	free(waiting);
}

/* The status, a line for each header, an empty line, the body.  Returns the headers of the answer, which the caller frees. */
static char *
read_message(const char *text, size_t length, Answer *answer)
{
	const char *lines = strchr(text, '\n');
	const char *end = lines != NULL ? strstr(lines, "\n\n") : NULL;
	size_t		nheaders;
	char	   *headers;

	answer->status = atoi(text);
	if (end == NULL || answer->status < 200 || answer->status > 599)
		answer->status = 500;
	if (end == NULL)
		lines = end = text;
	nheaders = end > lines ? (size_t) (end - lines - 1) : 0;
	headers = must_alloc(nheaders + 1);
	memcpy(headers, lines + 1, nheaders);
	answer->headers = headers;
	answer->body = end > text ? end + 2 : "";
	answer->body_length = end > text ? length - (size_t) (answer->body - text) : 0;
	return headers;
}

static void
refuse(Waiting *waiting, const Outcome *outcome)
{
	const char *state = outcome->sqlstate != NULL ? outcome->sqlstate : "";
	const char *message;
	char		body[256];
	Answer		answer = {500, "Content-Type: application/json", body, 0};

	if (strncmp(state, "08", 2) == 0 || strcmp(state, POOL_FULL) == 0)
	{
		answer.status = 503;
		message = outcome->message;
	}
	else if (strcmp(state, "28000") == 0)
	{
		answer.status = 401;
		message = "The token is not valid.";
	}
	else if (strcmp(state, "42501") == 0 || strcmp(state, "22023") == 0)
	{
		answer.status = 403;
		message = "The role of the request may not be used.";
	}
	else if (strncmp(state, "22", 2) == 0)
	{
		answer.status = 400;
		message = "The request is not valid UTF-8.";
	}
	else if (strncmp(state, "57", 2) == 0 || strncmp(state, "53", 2) == 0 || strncmp(state, "40", 2) == 0 || strcmp(state, "55P03") == 0)
	{
		answer.status = 503;
		message = "The database did not answer the request in time.";
	}
	else
	{
		complain("a request failed: %s", outcome->message != NULL ? outcome->message : "no result");
		message = "Something went wrong while processing your request";
	}
	if (answer.status == 503)
		answer.headers = "Content-Type: application/json\nRetry-After: 1";
	snprintf(body, sizeof(body), "{\"Message\":\"%s\"}", message);
	answer.body_length = strlen(body);
	waiting->handler(&answer, waiting->arg);
}
