/*
 * session.c - a connection to PostgreSQL of its own, with a role, for one statement at a time.
 *
 * Workers need sessions that wait for work, in a procedure that ends its transaction while it
 * waits, and sessions that fetch it without waiting for requests of clients.  Each statement is prepared
 * when it is executed for the first time, and is a transaction of its own.
 *
 * Owns: its connection.
 * Called by: work.c.
 * Memory: a Session lives as long as the program.
 */
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define MAX_BACKOFF_MS	5000
#define CONNECT_SECONDS	10
#define MOST_PREPARED	4		/* further statements are not prepared */
#define MOST_VALUES		8

#define ROLE_SQL "SELECT pg_catalog.set_config('role', COALESCE($1, 'none'), false), pg_catalog.set_config('statement_timeout', '0', false), " \
	"pg_catalog.set_config('lock_timeout', '5s', false), pg_catalog.set_config('idle_in_transaction_session_timeout', '10s', false), " \
	"CASE WHEN $2::pg_catalog.bool THEN pg_catalog.set_config('synchronous_commit', 'off', false) END"

typedef enum SessionState
{
	SESSION_LOST, SESSION_CONNECTING, SESSION_SETTING_UP, SESSION_IDLE, SESSION_BUSY
} SessionState;

struct Session
{
	PGconn	   *pg;
	SessionState state;
	char	   *role;
	bool		may_forget;
	struct event *event;
	struct event *timer;
	int			backoff;
	PGresult   *rows;
	const Statement *prepared[MOST_PREPARED];
	int			nprepared;
	const Statement *preparing; /* to be executed when it is prepared, with these values */
	char	   *values[MOST_VALUES];
	OutcomeHandler handler;
	void	   *handler_arg;
	void		(*changed) (void *arg, bool is_ready);
	void	   *arg;
};

static void connect_now(Session *session);
static void watch(Session *session, short events);
static void on_event(evutil_socket_t fd, short events, void *arg);
static void on_timer(evutil_socket_t fd, short events, void *arg);
static void set_up(Session *session);
static void execute(Session *session, const Statement *statement, const char *const *values);
static bool is_prepared(const Session *session, const Statement *statement);
static void execute_prepared(Session *session);
static void free_values(Session *session);
static void flush(Session *session);
static void take_results(Session *session);
static void finished(Session *session);
static void lost(Session *session);

Session *
session_new(const char *role, bool may_forget, void (*changed) (void *arg, bool is_ready), void *arg)
{
	Session    *session = must_alloc(sizeof(Session));

	session->role = must_copy(role);
	session->may_forget = may_forget;
	session->changed = changed;
	session->arg = arg;
	session->timer = event_new(base, -1, 0, on_timer, session);
	connect_now(session);
	return session;
}

bool
session_is_idle(const Session *session)
{
	return session->state == SESSION_IDLE;
}

void
session_run(Session *session, const Statement *statement, const char *const *values, OutcomeHandler handler, void *arg)
{
	session->handler = handler;
	session->handler_arg = arg;
	session->state = SESSION_BUSY;
	if (is_prepared(session, statement) || session->nprepared == MOST_PREPARED || statement->nvalues > MOST_VALUES)
	{
		execute(session, statement, values);
		return;
	}
	session->preparing = statement;
	for (int i = 0; i < statement->nvalues; i++)
		session->values[i] = values[i] != NULL ? must_copy(values[i]) : NULL;
	if (PQsendPrepare(session->pg, statement->name, statement->sql, 0, NULL))
		flush(session);
	else
		lost(session);
}

static bool
is_prepared(const Session *session, const Statement *statement)
{
	for (int i = 0; i < session->nprepared; i++)
		if (session->prepared[i] == statement)
			return true;
	return false;
}

static void
execute(Session *session, const Statement *statement, const char *const *values)
{
	int			sent = is_prepared(session, statement) ?
		PQsendQueryPrepared(session->pg, statement->name, statement->nvalues, values, NULL, NULL, 0) :
		PQsendQueryParams(session->pg, statement->sql, statement->nvalues, NULL, values, NULL, NULL, 0);

	if (sent)
		flush(session);
	else
		lost(session);
}

static void
execute_prepared(Session *session)
{
	const Statement *statement = session->preparing;

	session->preparing = NULL;
	session->prepared[session->nprepared++] = statement;
	execute(session, statement, (const char *const *) session->values);
	free_values(session);
}

static void
free_values(Session *session)
{
	for (int i = 0; i < MOST_VALUES; i++)
	{
		free(session->values[i]);
		session->values[i] = NULL;
	}
}

static void
connect_now(Session *session)
{
	struct timeval limit = {CONNECT_SECONDS, 0};

	session->state = SESSION_CONNECTING;
	session->pg = PQconnectStartParams(options.keywords, options.values, 1);
	if (session->pg == NULL || PQstatus(session->pg) == CONNECTION_BAD)
	{
		lost(session);
		return;
	}
	event_add(session->timer, &limit);
	watch(session, EV_WRITE);
}

static void
watch(Session *session, short events)
{
	if (session->event != NULL)
		event_free(session->event);
	session->event = event_new(base, PQsocket(session->pg), events | EV_PERSIST, on_event, session);
	event_add(session->event, NULL);
}

static void
on_event(evutil_socket_t fd, short events, void *arg)
{
	Session    *session = arg;

	(void) fd;
	if (session->state == SESSION_CONNECTING)
	{
		switch (PQconnectPoll(session->pg))
		{
			case PGRES_POLLING_READING:
				watch(session, EV_READ);
				return;
			case PGRES_POLLING_WRITING:
				watch(session, EV_WRITE);
				return;
			case PGRES_POLLING_OK:
				set_up(session);
				return;
			default:
				lost(session);
				return;
		}
	}
	if ((events & EV_READ) && !PQconsumeInput(session->pg))
	{
		lost(session);
		return;
	}
	if (events & EV_READ)
		take_results(session);
	if ((events & EV_WRITE) && session->state != SESSION_LOST)
		flush(session);
}

static void
on_timer(evutil_socket_t fd, short events, void *arg)
{
	Session    *session = arg;

	(void) fd;
	(void) events;
	if (session->state == SESSION_LOST)
		connect_now(session);
	else
		lost(session);
}

static void
set_up(Session *session)
{
	const char *values[2] = {session->role, session->may_forget ? "t" : "f"};

	PQsetnonblocking(session->pg, 1);
	PQsetClientEncoding(session->pg, "UTF8");
	session->state = SESSION_SETTING_UP;
	if (PQsendQueryParams(session->pg, ROLE_SQL, 2, NULL, values, NULL, NULL, 0))
		flush(session);
	else
		lost(session);
}

static void
flush(Session *session)
{
	switch (PQflush(session->pg))
	{
		case 0:
			watch(session, EV_READ);
			break;
		case 1:
			watch(session, EV_READ | EV_WRITE);
			break;
		default:
			lost(session);
	}
}

static void
take_results(Session *session)
{
	while (session->state != SESSION_LOST && !PQisBusy(session->pg))
	{
		PGresult   *rows = PQgetResult(session->pg);

		if (rows != NULL)
		{
			PQclear(session->rows);
			session->rows = rows;
		}
		else if (PQstatus(session->pg) == CONNECTION_BAD)
			lost(session);
		else
		{
			if (session->rows != NULL)
				finished(session);
			break;
		}
	}
}

static void
finished(Session *session)
{
	PGresult   *rows = session->rows;
	ExecStatusType status = PQresultStatus(rows);
	bool		good = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
	Outcome		outcome = {good ? rows : NULL, NULL, NULL, NULL};

	session->rows = NULL;
	if (session->state == SESSION_SETTING_UP)
	{
		if (!good)
			complain("a session for workers: %s", PQresultErrorMessage(rows));
		PQclear(rows);
		if (!good)
		{
			lost(session);
			return;
		}
		event_del(session->timer);
		session->backoff = 0;
		session->state = SESSION_IDLE;
		session->changed(session->arg, true);
		return;
	}
	if (session->preparing != NULL && good)
	{
		PQclear(rows);
		execute_prepared(session);
		return;
	}
	session->preparing = NULL;
	free_values(session);
	session->state = SESSION_IDLE;
	if (!good)
	{
		outcome.sqlstate = PQresultErrorField(rows, PG_DIAG_SQLSTATE);
		if (outcome.sqlstate == NULL)
			outcome.sqlstate = "XX000";
		outcome.message = PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
	}
	if (session->handler != NULL)
	{
		OutcomeHandler handler = session->handler;

		session->handler = NULL;
		handler(&outcome, session->handler_arg);
	}
	PQclear(rows);
}

static void
lost(Session *session)
{
	struct timeval wait;
	OutcomeHandler handler = session->handler;
	Outcome		outcome = {NULL, POOL_LOST, "The connection to the database was lost.", NULL};
	bool		was_ready = session->state == SESSION_IDLE || session->state == SESSION_BUSY;

	if (session->event != NULL)
		event_free(session->event);
	session->event = NULL;
	PQclear(session->rows);
	session->rows = NULL;
	PQfinish(session->pg);
	session->pg = NULL;
	session->handler = NULL;
	session->preparing = NULL;
	session->nprepared = 0;
	free_values(session);
	session->state = SESSION_LOST;
	session->backoff = session->backoff == 0 ? 50 : session->backoff * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : session->backoff * 2;
	wait.tv_sec = session->backoff / 1000;
	wait.tv_usec = session->backoff % 1000 * 1000;
	event_add(session->timer, &wait);
	if (handler != NULL)
		handler(&outcome, session->handler_arg);
	if (was_ready)
		session->changed(session->arg, false);
}
