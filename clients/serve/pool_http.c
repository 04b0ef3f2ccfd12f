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

static const Statement http = {
	"http",
	"SELECT r.status, r.body, (SELECT pg_catalog.string_agg(pg_catalog.translate(h.key || ': ' || h.value, E'\\r\\n', '  '), E'\\n') "
	"FROM pg_catalog.jsonb_each_text(r.headers) h) FROM durable.http($1, $2, $3, $4, $5) r",
	5
};

typedef struct Waiting
{
	AnswerHandler handler;
	void	   *arg;
} Waiting;

static void answered(const Outcome *outcome, void *arg);
static void refuse(Waiting *waiting, const Outcome *outcome);

void
pool_ask(const Query *query, AnswerHandler handler, void *arg)
{
	const char *values[5] = {query->method, query->path, query->query, query->body, query->headers};
	Access		access = {query->token, options.role, query->is_read};
	Waiting    *waiting = must_alloc(sizeof(Waiting));

	waiting->handler = handler;
	waiting->arg = arg;
	pool_run(&http, values, &access, answered, waiting);
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
		answer.status = atoi(PQgetvalue(outcome->rows, 0, 0));
		if (answer.status < 200 || answer.status > 599)
			answer.status = 500;
		answer.body = PQgetvalue(outcome->rows, 0, 1);
		answer.body_length = (size_t) PQgetlength(outcome->rows, 0, 1);
		answer.headers = PQgetvalue(outcome->rows, 0, 2);
		waiting->handler(&answer, waiting->arg);
	}
	free(waiting);
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
		message = "The database could not do the request in time.";
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
