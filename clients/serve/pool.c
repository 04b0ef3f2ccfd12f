/*
 * pool.c - connections to PostgreSQL, which execute the jobs of the queue (pool_jobs.c).
 *
 * Each connection of the pool executes one job at a time, in one pipeline: the role, unless
 * the statement sets it itself (pool_http.c), and one statement.  The statements between two
 * synchronizations of a pipeline are one transaction, which an error rolls back.  The role is
 * a parameter, and is set for the transaction only, so the next job does not run with it.
 * All statements are fixed, and data of clients is passed only as parameters.
 *
 * One more connection listens, to the channels of the mounted functions.
 *
 * If a connection is lost, a job that only reads is sent once more.  For any other job the
 * client is told that the outcome is not known.
 *
 * Owns: the connections.
 * Called by: pool_http.c, metrics.c, and the gRPC listener.
 * Memory: a connection owns the job that it executes, and the result of that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool_jobs.h"
#include "serve.h"

#define EXIT_SETUP		3
#define EXIT_CONNECTION	4
#define CONNECT_SECONDS	10
#define MAX_BACKOFF_MS	5000

/* Also returns whether the privileges of this connection are acceptable. */
#define SETUP_SQL \
"SELECT pg_catalog.set_config('statement_timeout', '5s', false), pg_catalog.set_config('lock_timeout', '1s', false), " \
"pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', false), " \
"EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'durable' AND p.proname = 'http' " \
"AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')), " \
"EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE (r.rolsuper OR r.rolbypassrls) AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER'))"
#define MOUNTS_SQL "SELECT prefix, channel FROM durable.http_mounts() WHERE channel IS NOT NULL"

static const Statement set_role = {"role", "SELECT pg_catalog.set_config('role', $1, true)", 1};
static const Statement set_role_of_token = {
	"token", "SELECT pg_catalog.set_config('role', durable.http_token_role($1, $2, $3, $4), true)", 4
};

typedef enum
{
	CONNECTING, SETTING_UP, MOUNTS, LISTENING, IDLE, BUSY, LOST
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
	PGresult   *answer;			/* of the statement, or the first error */
	bool		failed;
	short		watched;		/* the events that "event" waits for */
	const Statement *prepared[STATEMENT_MOST];	/* on this connection, and behind them those without a result yet */
	int			nprepared,
				npreparing;
} Connection;

static Connection *connections;
static int	nconnections;
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
static bool prepare(Connection *c, const Statement *statement);

void
pool_start(void)
{
	nconnections = options.pool + 1;
	connections = must_alloc((size_t) nconnections * sizeof(Connection));
	for (int i = 0; i < nconnections; i++)
	{
		connections[i].listens = i == options.pool;
		connections[i].timer = event_new(base, -1, 0, on_timer, &connections[i]);
		connect_now(&connections[i]);
	}
	jobs_start();
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
	/* The socket of a connection changes only while it is being established. */
	if (c->event != NULL && c->state != CONNECTING && c->watched == events)
		return;
	if (c->event != NULL)
		event_free(c->event);
	c->watched = events;
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

/* The error is printed once, and the program ends only if there has never been a connection. */
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
	c->nprepared = c->npreparing = 0;
	c->backoff = c->backoff == 0 ? 100 : c->backoff * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : c->backoff * 2;
	wait.tv_sec = c->backoff / 1000;
	wait.tv_usec = c->backoff % 1000 * 1000;
	event_add(c->timer, &wait);
	if (job == NULL)
		return;
	if (job->is_read && !job->sent_before)
	{
		jobs_put_back(job);
		for (int i = 0; i < options.pool; i++)
			if (connections[i].state == IDLE)
				next_job(&connections[i]);
	}
	else
		job_fail(job, POOL_LOST, "The connection to the database was lost. It is not known whether the request was done.");
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
			/* The results of preparing come first, and in the same order. */
			if (c->npreparing > 0 && status == PGRES_COMMAND_OK)
			{
				c->nprepared++;
				c->npreparing--;
			}
			else
				c->npreparing = 0;
			if (status == PGRES_FATAL_ERROR && !c->failed)
			{
				PQclear(c->answer);
				c->answer = res;
				c->failed = true;
			}
			else if (status == PGRES_TUPLES_OK && !c->failed)
			{
				/* The last one is that of the statement. */
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
				c->state = MOUNTS;
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
				sent = PQenterPipelineMode(c->pg);
				c->state = IDLE;
				if (first_problem < 0)
					first_problem = 0;
			}
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
	job_answer(job, res, failed);
	PQclear(res);
}

/* --- requests --------------------------------------------------------------------------------- */

void
pool_run(const Statement *statement, const char *const *values, const Access *access, OutcomeHandler handler, void *arg)
{
	if (!jobs_put(statement, values, access, handler, arg))
		return;
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
	Job		   *job = jobs_take();

	if (job == NULL)
		watch(c, EV_READ);
	else
		send_job(c, job);
}

static void
send_job(Connection *c, Job *job)
{
	const char *token[4] = {job->token_header, job->token_claims, token_algorithm(), options.audience};
	const char *role[1] = {job->role};
	const char *const *role_values = job->token_claims != NULL ? token : role;
	const Statement *role_statement = job->token_claims != NULL ? &set_role_of_token : job->role != NULL ? &set_role : NULL;
	bool		sent;

	c->job = job;
	c->state = BUSY;
	c->failed = false;
	c->npreparing = 0;
	sent = (role_statement == NULL || prepare(c, role_statement)) && prepare(c, job->statement);
	if (sent && role_statement != NULL)
		sent = PQsendQueryPrepared(c->pg, role_statement->name, role_statement->nvalues, role_values, NULL, NULL, 0);
	sent = sent && PQsendQueryPrepared(c->pg, job->statement->name, job->statement->nvalues, (const char *const *) job->values, NULL, NULL, 0);
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

/* At the beginning of the pipeline in which a connection executes a statement for the first time. */
static bool
prepare(Connection *c, const Statement *statement)
{
	for (int i = 0; i < c->nprepared; i++)
		if (c->prepared[i] == statement)
			return true;
	if (c->nprepared + c->npreparing == STATEMENT_MOST)
		return false;
	c->prepared[c->nprepared + c->npreparing++] = statement;
	return PQsendPrepare(c->pg, statement->name, statement->sql, 0, NULL);
}
