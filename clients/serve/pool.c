/*
 * pool.c - connections to PostgreSQL, and the requests that go over them.
 *
 * Each connection of the pool answers one request at a time, in one pipeline: the role, and the
 * one call of durable.http.  What is between two synchronizations of a pipeline is one
 * transaction, which an error rolls back.  The role is a parameter of set_config, and is set
 * for the transaction, so nothing of it is left when the next request comes.  All
 * statements are fixed; what a client sends is only ever a parameter.
 *
 * One more connection listens, to the channels of the mounted functions.
 *
 * A request that only reads and whose connection is lost is sent once more; for any
 * other the client is told that we do not know.
 *
 * Owns: the connections, the queue of requests.
 * Called by: request.c, events.c, metrics.c.
 * Memory: a Job owns copies of its texts, and ends when its handler has been called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

#define EXIT_SETUP		3
#define EXIT_CONNECTION	4
#define LONGEST_QUEUE	1000
#define QUEUE_SECONDS	10
#define CONNECT_SECONDS	10
#define MAX_BACKOFF_MS	5000

/* Also says whether we may serve with this connection's rights. */
#define SETUP_SQL \
"SELECT pg_catalog.set_config('statement_timeout', '5s', false), pg_catalog.set_config('lock_timeout', '1s', false), " \
"pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', false), " \
"EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'durable' AND p.proname = 'http' " \
"AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')), " \
"EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE (r.rolsuper OR r.rolbypassrls) AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))"
#define MOUNTS_SQL "SELECT prefix, channel FROM durable.http_mounts() WHERE channel IS NOT NULL"
#define ROLE_SQL "SELECT pg_catalog.set_config('role', $1, true)"
#define TOKEN_SQL "SELECT pg_catalog.set_config('role', durable.http_token_role($1, $2, $3, $4), true)"
#define HTTP_SQL \
"SELECT r.status, r.body, (SELECT pg_catalog.string_agg(pg_catalog.translate(h.key || ': ' || h.value, E'\\r\\n', '  '), E'\\n') FROM pg_catalog.jsonb_each_text(r.headers) h) " \
"FROM durable.http($1, $2, $3, $4, $5) r"

typedef struct Job
{
	struct Job *next;
	char	   *method,
			   *path,
			   *query,
			   *body,
			   *headers,
			   *token_header,
			   *token_claims;
	bool		is_read;
	bool		sent_before;
	double		since;
	AnswerHandler handler;
	void	   *arg;
} Job;

typedef enum
{
	CONNECTING, SETTING_UP, PREPARING, MOUNTS, LISTENING, IDLE, BUSY, LOST
} State;

typedef struct Connection
{
	PGconn	   *pg;
	State		state;
	bool		listens;
	struct event *event;
	struct event *timer;		/* limit of connecting, or the time to try again */
	int			backoff;
	Job		   *job;
	PGresult   *answer;			/* of durable.http, or the first error */
	bool		failed;
	int			nlisten;		/* LISTENs without an answer */
} Connection;

static Connection *connections;
static int	nconnections;
static Job *queue,
		  **queue_end = &queue;
static int	nqueued;
static int	first_problem = -1;

static void connect_now(Connection *c);
static void watch(Connection *c, short events);
static void on_event(evutil_socket_t fd, short events, void *arg);
static void on_timer(evutil_socket_t fd, short events, void *arg);
static void connected(Connection *c);
static void take_results(Connection *c);
static void set_up(Connection *c, PGresult *res);
static void take_answer(Connection *c);
static void take_notifications(Connection *c);
static void lost(Connection *c, const char *why);
static void next_job(Connection *c);
static void send_job(Connection *c, Job *job);
static void finish(Job *job, int status, const char *message);
static void answer_job(Job *job, PGresult *res, bool failed);
static void free_job(Job *job);
static void expire(evutil_socket_t fd, short events, void *arg);

void
pool_start(void)
{
	struct timeval often = {1, 0};

	nconnections = options.pool + 1;
	connections = must_alloc((size_t) nconnections * sizeof(Connection));
	for (int i = 0; i < nconnections; i++)
	{
		connections[i].listens = i == options.pool;
		connections[i].timer = event_new(base, -1, 0, on_timer, &connections[i]);
		connect_now(&connections[i]);
	}
	event_add(event_new(base, -1, EV_PERSIST, expire, NULL), &often);
}

bool
pool_ready(void)
{
	for (int i = 0; i < options.pool; i++)
		if (connections[i].state == IDLE || connections[i].state == BUSY)
			return true;
	return false;
}

int
pool_busy(void)
{
	int			busy = 0;

	for (int i = 0; i < options.pool; i++)
		busy += connections[i].state == BUSY;
	return busy;
}

int
pool_queued(void)
{
	return nqueued;
}

int
pool_first_problem(void)
{
	return first_problem;
}

/* --- connecting ----------------------------------------------------------------------------- */

static void
connect_now(Connection *c)
{
	struct timeval limit = {CONNECT_SECONDS, 0};

	c->pg = PQconnectStartParams(options.keywords, options.values, 1);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD)
	{
		lost(c, c->pg == NULL ? "out of memory" : PQerrorMessage(c->pg));
		return;
	}
	c->state = CONNECTING;
	event_add(c->timer, &limit);
	watch(c, EV_WRITE);
}

static void
watch(Connection *c, short events)
{
	if (c->event != NULL)
		event_free(c->event);
	c->event = event_new(base, PQsocket(c->pg), events | EV_PERSIST, on_event, c);
	event_add(c->event, NULL);
}

static void
on_event(evutil_socket_t fd, short events, void *arg)
{
	Connection *c = arg;

	(void) fd;
	if (c->state == CONNECTING)
	{
		switch (PQconnectPoll(c->pg))
		{
			case PGRES_POLLING_READING:
				watch(c, EV_READ);
				return;
			case PGRES_POLLING_WRITING:
				watch(c, EV_WRITE);
				return;
			case PGRES_POLLING_OK:
				connected(c);
				return;
			default:
				lost(c, PQerrorMessage(c->pg));
				return;
		}
	}
	if (events & EV_READ)
	{
		if (!PQconsumeInput(c->pg))
		{
			lost(c, PQerrorMessage(c->pg));
			return;
		}
		take_results(c);
		if (c->state == LOST)
			return;
	}
	if (events & EV_WRITE)
	{
		int			flushed = PQflush(c->pg);

		if (flushed < 0)
			lost(c, PQerrorMessage(c->pg));
		else if (flushed == 0)
			watch(c, EV_READ);
	}
}

static void
on_timer(evutil_socket_t fd, short events, void *arg)
{
	Connection *c = arg;

	(void) fd;
	(void) events;
	if (c->state == LOST)
		connect_now(c);
	else
		lost(c, "no connection within ten seconds");
}

static void
connected(Connection *c)
{
	PQsetnonblocking(c->pg, 1);
	PQsetClientEncoding(c->pg, "UTF8");
	c->state = SETTING_UP;
	if (!PQsendQueryParams(c->pg, SETUP_SQL, 0, NULL, NULL, NULL, NULL, 0))
	{
		lost(c, PQerrorMessage(c->pg));
		return;
	}
	watch(c, EV_READ | EV_WRITE);
}

/* The user is told once, and the program ends only if there has never been a connection. */
static void
lost(Connection *c, const char *why)
{
	struct timeval wait;
	Job		   *job = c->job;

	if (first_problem < 0 && c->state != LOST)
	{
		complain("could not connect: %s", why);
		first_problem = EXIT_CONNECTION;
	}
	if (c->event != NULL)
		event_free(c->event);
	c->event = NULL;
	PQclear(c->answer);
	c->answer = NULL;
	c->job = NULL;
	PQfinish(c->pg);
	c->pg = NULL;
	c->state = LOST;
	c->backoff = c->backoff == 0 ? 100 : c->backoff * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : c->backoff * 2;
	wait.tv_sec = c->backoff / 1000;
	wait.tv_usec = c->backoff % 1000 * 1000;
	event_add(c->timer, &wait);
	if (job == NULL)
		return;
	if (job->is_read && !job->sent_before)
	{
		job->sent_before = true;
		job->next = queue;
		if (queue == NULL)
			queue_end = &job->next;
		queue = job;
		nqueued++;
		for (int i = 0; i < options.pool; i++)
			if (connections[i].state == IDLE)
				next_job(&connections[i]);
	}
	else
		finish(job, 503, "The connection to the database was lost. It is not known whether the request was done.");
}

/* --- results ---------------------------------------------------------------------------------- */

static void
take_results(Connection *c)
{
	PGresult   *res;

	while (c->state != LOST && !PQisBusy(c->pg))
	{
		res = PQgetResult(c->pg);
		if (res == NULL)
		{
			/* In a pipeline NULL only ends the results of one statement. */
			if (c->state != BUSY)
				break;
			continue;
		}
		if (c->state == BUSY)
		{
			ExecStatusType status = PQresultStatus(res);

			if (status == PGRES_PIPELINE_SYNC)
			{
				PQclear(res);
				take_answer(c);
				break;
			}
			if (status == PGRES_FATAL_ERROR && !c->failed)
			{
				PQclear(c->answer);
				c->answer = res;
				c->failed = true;
			}
			else if (status == PGRES_TUPLES_OK && !c->failed && PQnfields(res) == 3)
			{
				PQclear(c->answer);
				c->answer = res;
			}
			else
				PQclear(res);
			continue;
		}
		set_up(c, res);
	}
	if (c->state != LOST && PQstatus(c->pg) == CONNECTION_BAD)
		lost(c, PQerrorMessage(c->pg));
	else if (c->state != LOST)
		take_notifications(c);
}

/* One step after the other; each has one result. */
static void
set_up(Connection *c, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	int			sent = 1;

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		if (c->state != IDLE)
			lost(c, PQresultErrorMessage(res));
		PQclear(res);
		return;
	}
	switch (c->state)
	{
		case SETTING_UP:
			event_del(c->timer);
			if (strcmp(PQgetvalue(res, 0, 4), "t") == 0)
			{
				complain("the role of the connection is a superuser, ignores row security, or may become such a role\n"
						 "Connect as a role that was made for this: CREATE ROLE gateway LOGIN NOINHERIT; SELECT durable.grant_http('gateway');");
				first_problem = EXIT_SETUP;
				PQclear(res);
				event_base_loopbreak(base);
				return;
			}
			if (strcmp(PQgetvalue(res, 0, 3), "t") != 0)
			{
				complain("the extension durable is not installed in database \"%s\", or the role may not use it\n"
						 "As its owner: CREATE EXTENSION durable; SELECT durable.grant_http('%s');", PQdb(c->pg), PQuser(c->pg));
				if (first_problem != 0)
					first_problem = EXIT_SETUP;
				PQclear(res);
				c->state = PREPARING;
				lost(c, "not installed");
				return;
			}
			while (PQgetResult(c->pg) != NULL)
				;
			c->backoff = 0;
			if (c->listens)
			{
				c->state = MOUNTS;
				sent = PQsendQueryParams(c->pg, MOUNTS_SQL, 0, NULL, NULL, NULL, NULL, 0);
			}
			else
			{
				c->state = PREPARING;
				sent = PQsendPrepare(c->pg, "http", HTTP_SQL, 0, NULL);
			}
			break;
		case PREPARING:
			while (PQgetResult(c->pg) != NULL)
				;
			sent = PQenterPipelineMode(c->pg);
			c->state = IDLE;
			if (first_problem < 0)
				first_problem = 0;
			break;
		case MOUNTS:
			{
				char		sql[4096] = "";
				size_t		n = 0;

				while (PQgetResult(c->pg) != NULL)
					;
				/* Names of channels are identifiers, and those that the extension's owner has chosen. */
				for (int i = 0; i < PQntuples(res); i++)
				{
					char	   *channel = PQescapeIdentifier(c->pg, PQgetvalue(res, i, 1), strlen(PQgetvalue(res, i, 1)));

					if (channel != NULL && n + strlen(channel) + 10 < sizeof(sql))
						n += (size_t) snprintf(sql + n, sizeof(sql) - n, "LISTEN %s;", channel);
					PQfreemem(channel);
				}
				c->state = LISTENING;
				pool_listening(res);
				if (n > 0)
					sent = PQsendQuery(c->pg, sql);
				else
					c->state = IDLE;
				break;
			}
		case LISTENING:
			c->state = IDLE;
			pool_notified(NULL);
			break;
		default:
			break;
	}
	PQclear(res);
	if (!sent)
	{
		lost(c, PQerrorMessage(c->pg));
		return;
	}
	if (c->state == IDLE && !c->listens)
		next_job(c);
	else
		watch(c, EV_READ | EV_WRITE);
}

static void
take_notifications(Connection *c)
{
	PGnotify   *notification;

	while ((notification = PQnotifies(c->pg)) != NULL)
	{
		pool_notified(notification->relname);
		PQfreemem(notification);
	}
}

static void
take_answer(Connection *c)
{
	Job		   *job = c->job;
	PGresult   *res = c->answer;
	bool		failed = c->failed;

	c->job = NULL;
	c->answer = NULL;
	c->state = IDLE;
	next_job(c);
	answer_job(job, res, failed);
	PQclear(res);
}

/* --- requests --------------------------------------------------------------------------------- */

void
pool_ask(const Query *query, AnswerHandler handler, void *arg)
{
	Job		   *job;

	if (nqueued >= LONGEST_QUEUE)
	{
		Answer		answer = {503, "Content-Type: application/json\nRetry-After: 1", "{\"Message\":\"Too many requests are waiting.\"}", 44};

		answer.body_length = strlen(answer.body);
		handler(&answer, arg);
		return;
	}
	job = must_alloc(sizeof(Job));
	job->method = must_copy(query->method);
	job->path = must_copy(query->path);
	job->query = must_copy(query->query);
	job->body = must_copy(query->body);
	job->headers = must_copy(query->headers);
	if (query->token != NULL)
	{
		job->token_header = must_copy(query->token->header);
		job->token_claims = must_copy(query->token->claims);
	}
	job->is_read = query->is_read;
	job->handler = handler;
	job->arg = arg;
	job->since = now_seconds();
	*queue_end = job;
	queue_end = &job->next;
	nqueued++;
	for (int i = 0; i < options.pool; i++)
		if (connections[i].state == IDLE)
		{
			next_job(&connections[i]);
			break;
		}
}

static void
next_job(Connection *c)
{
	Job		   *job = queue;

	if (job == NULL)
	{
		watch(c, EV_READ);
		return;
	}
	queue = job->next;
	if (queue == NULL)
		queue_end = &queue;
	job->next = NULL;
	nqueued--;
	send_job(c, job);
}

static void
send_job(Connection *c, Job *job)
{
	const char *parameters[5] = {job->method, job->path, job->query, job->body, job->headers};
	const char *token[4] = {job->token_header, job->token_claims, token_algorithm(), options.audience};
	bool		sent = true;

	c->job = job;
	c->state = BUSY;
	c->failed = false;
	if (job->token_claims != NULL)
		sent = PQsendQueryParams(c->pg, TOKEN_SQL, 4, NULL, token, NULL, NULL, 0);
	else if (options.role != NULL)
		sent = PQsendQueryParams(c->pg, ROLE_SQL, 1, NULL, &options.role, NULL, NULL, 0);
	sent = sent && PQsendQueryPrepared(c->pg, "http", 5, parameters, NULL, NULL, 0);
	if (!sent || !PQpipelineSync(c->pg))
	{
		lost(c, PQerrorMessage(c->pg));
		return;
	}
	switch (PQflush(c->pg))
	{
		case 0:
			watch(c, EV_READ);
			break;
		case 1:
			watch(c, EV_READ | EV_WRITE);
			break;
		default:
			lost(c, PQerrorMessage(c->pg));
	}
}

static void
answer_job(Job *job, PGresult *res, bool failed)
{
	const char *state = failed ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
	Answer		answer;

	if (state != NULL || res == NULL || PQntuples(res) != 1)
	{
		if (state == NULL)
			state = "";
		if (strcmp(state, "28000") == 0)
			finish(job, 401, "The token is not valid.");
		else if (strcmp(state, "42501") == 0 || strcmp(state, "22023") == 0)
			finish(job, 403, "The role of the request may not be used.");
		else if (strncmp(state, "22", 2) == 0)
			finish(job, 400, "The request is not valid UTF-8.");
		else if (strncmp(state, "57", 2) == 0 || strncmp(state, "53", 2) == 0 || strncmp(state, "40", 2) == 0 || strcmp(state, "55P03") == 0)
			finish(job, 503, "The database could not do the request in time.");
		else
		{
			complain("a request failed: %s", res != NULL ? PQresultErrorMessage(res) : "no result");
			finish(job, 500, "Something went wrong while processing your request");
		}
		return;
	}
	answer.status = atoi(PQgetvalue(res, 0, 0));
	if (answer.status < 200 || answer.status > 599)
		answer.status = 500;
	answer.body = PQgetvalue(res, 0, 1);
	answer.body_length = (size_t) PQgetlength(res, 0, 1);
	answer.headers = PQgetvalue(res, 0, 2);
	job->handler(&answer, job->arg);
	free_job(job);
}

static void
finish(Job *job, int status, const char *message)
{
	char		body[256];
	Answer		answer = {status, status == 503 ? "Content-Type: application/json\nRetry-After: 1" : "Content-Type: application/json", body, 0};

	snprintf(body, sizeof(body), "{\"Message\":\"%s\"}", message);
	answer.body_length = strlen(body);
	job->handler(&answer, job->arg);
	free_job(job);
}

static void
free_job(Job *job)
{
	free(job->method);
	free(job->path);
	free(job->query);
	free(job->body);
	free(job->headers);
	free(job->token_header);
	free(job->token_claims);
	free(job);
}

/* Nobody waits longer than this for a connection; the queue is in order of time, but for repeated requests. */
static void
expire(evutil_socket_t fd, short events, void *arg)
{
	double		now = now_seconds();

	(void) fd;
	(void) events;
	(void) arg;
	while (queue != NULL && now - queue->since > QUEUE_SECONDS)
	{
		Job		   *job = queue;

		queue = job->next;
		if (queue == NULL)
			queue_end = &queue;
		nqueued--;
		finish(job, 503, "There is no connection to the database.");
	}
}
