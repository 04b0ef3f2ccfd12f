/*
 * conn.c - finding the server, connecting, and connecting again.
 *
 * A connection is lost the moment libpq says so, in whatever call that happens;
 * nobody here retries a statement, because only its caller knows whether it may
 * have been committed.  The caller asks conn_alive, has the connection mended,
 * and decides.  Attempts back off from 0.1 to 2 seconds; the user hears once
 * that we wait and once that the server is back.
 *
 * Only the first connection may fail for good: a wrong password or database is
 * worth an exit code then, while later the same message may mean no more than a
 * server in the middle of a restart.
 *
 * Owns: the PGconn, the choice of the server.
 * Called by: feed.c, world.c, and the commands of the programs.
 * Memory: one conninfo string for the life of the process.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conn.h"
#include "interrupt.h"
#include "print.h"

#define FIRST_BACKOFF	100		/* ms */
#define LAST_BACKOFF	2000
#define START_TIMEOUT	60000	/* for a server that is starting up */

static bool environment_names_server(void);
static char *private_cluster(void);
static char *path_in(const char *directory, const char *file);
static char *first_line(const char *path);
static bool attempt(Conn *c);
static void receive_notice(void *arg, const PGresult *res);
static bool prepare_session(Conn *c);
static void collect_notifications(Conn *c);
static void forget_notifications(Conn *c);
static void print_connect_error(const Conn *c);
static void set_parameter(Conn *c, int *n, const char *keyword, const char *value);

void
conn_configure(Conn *c, const ConnOptions *options)
{
	int			n = 0;
	const char *dbname = options->dbname;

	memset(c, 0, sizeof(*c));
	c->backoff = FIRST_BACKOFF;
	c->options = options;

	if (options->host == NULL && options->port == NULL && options->user == NULL && dbname == NULL &&
		!(options->environment_first && environment_names_server()))
	{
		c->private_info = private_cluster();
		dbname = c->private_info;
	}

	/*
	 * The order is the precedence: a conninfo string or URI in dbname overrides the keywords
	 * before it, and does not override those that follow.
	 */
	set_parameter(c, &n, "connect_timeout", getenv("PGCONNECT_TIMEOUT") == NULL ? "5" : NULL);
	set_parameter(c, &n, "keepalives_idle", "30");
	set_parameter(c, &n, "host", options->host);
	set_parameter(c, &n, "port", options->port);
	set_parameter(c, &n, "user", options->user);
	set_parameter(c, &n, "dbname", dbname);
	set_parameter(c, &n, "fallback_application_name", options->program);
	set_parameter(c, &n, "client_encoding", "UTF8");
}

static void
set_parameter(Conn *c, int *n, const char *keyword, const char *value)
{
	if (value == NULL)
		return;
	c->keywords[*n] = keyword;
	c->values[*n] = value;
	(*n)++;
}

static bool
environment_names_server(void)
{
	static const char *const variables[] = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
	{
		if (getenv(variables[i]) != NULL)
			return true;
	}
	return false;
}

/*
 * The conninfo line that "make play" leaves beside its cluster, or NULL.  The
 * scripts look for the cluster in the same places.
 */
static char *
private_cluster(void)
{
	const char *chosen = getenv("DURABLE_DUNGEON_STATE");
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	char	   *path = NULL;
	char	   *line;

	if (chosen != NULL && chosen[0] != '\0')
		path = path_in(chosen, "connection");
	else if (geteuid() == 0)
		path = path_in("/var/lib/durable_dungeon", "connection");
	else if (state != NULL && state[0] != '\0')
		path = path_in(state, "durable_dungeon/connection");
	else if (home != NULL)
		path = path_in(home, ".local/state/durable_dungeon/connection");
	if (path == NULL)
		return NULL;
	line = first_line(path);
	free(path);
	return line;
}

static char *
path_in(const char *directory, const char *file)
{
	char	   *path;

	if (asprintf(&path, "%s/%s", directory, file) < 0)
		abort();
	return path;
}

static char *
first_line(const char *path)
{
	FILE	   *file = fopen(path, "r");
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		length;

	if (file == NULL)
		return NULL;
	length = getline(&line, &size, file);
	fclose(file);
	while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == ' '))
		line[--length] = '\0';
	if (length <= 0)
	{
		free(line);
		return NULL;
	}
	return line;
}

bool
conn_open(Conn *c)
{
	int64_t		deadline = conn_now() + START_TIMEOUT;

	while (!attempt(c))
	{
		/* libpq gives no SQLSTATE for a failed connection, but this tells "starting up" from the rest. */
		if (PQpingParams(c->keywords, c->values, 1) != PQPING_REJECT ||
			conn_now() > deadline || interrupt_pending())
		{
			print_connect_error(c);
			return false;
		}
		if (!c->outage_told)
			print_note("... waiting for the server");
		c->outage_told = true;
		poll(NULL, 0, c->backoff);
	}
	return true;
}

void
conn_close(Conn *c)
{
	PQfinish(c->pg);
	c->pg = NULL;
	forget_notifications(c);
	free(c->notified);
	c->notified = NULL;
	c->notified_size = 0;
	free(c->private_info);
	c->private_info = NULL;
}

bool
conn_alive(const Conn *c)
{
	return c->pg != NULL && PQstatus(c->pg) == CONNECTION_OK;
}

bool
conn_mend(Conn *c, int *wait)
{
	int64_t		now = conn_now();

	*wait = 0;
	if (conn_alive(c))
		return true;
	if (!c->outage_told)
	{
		c->outage_told = true;
		c->backoff = FIRST_BACKOFF;
		c->next_attempt = now;
		if (!c->options->is_second)
			print_note("... waiting for the server");
	}
	if (now >= c->next_attempt)
	{
		if (attempt(c))
		{
			if (!c->options->is_second)
				print_note("... the server is back");
			c->outage_told = false;
			return true;
		}
		now = conn_now();
		c->next_attempt = now + c->backoff;
		c->backoff = c->backoff * 2 < LAST_BACKOFF ? c->backoff * 2 : LAST_BACKOFF;
	}
	*wait = (int) (c->next_attempt - now);
	return false;
}

bool
conn_restore(Conn *c, int64_t deadline)
{
	int			wait;

	while (!conn_mend(c, &wait))
	{
		if (interrupt_pending())
			return false;
		if (deadline != 0 && conn_now() >= deadline)
		{
			print_connect_error(c);
			return false;
		}
		poll(NULL, 0, wait);
	}
	return true;
}

static bool
attempt(Conn *c)
{
	PQfinish(c->pg);
	forget_notifications(c);
	c->pg = PQconnectdbParams(c->keywords, c->values, 1);
	PQsetNoticeReceiver(c->pg, receive_notice, c);
	if (!conn_alive(c))
		return false;
	if (!prepare_session(c))
	{
		/* A session whose settings have failed must not be used. */
		if (conn_alive(c))
		{
			PQfinish(c->pg);
			c->pg = NULL;
		}
		return false;
	}
	c->generation++;
	c->backoff = FIRST_BACKOFF;
	return true;
}

/* libpq would write notices to stderr, over the prompt. No notice is meant for a player. */
static void
receive_notice(void *arg, const PGresult *res)
{
	const Conn *c = arg;
	const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (c->options->tell_warnings && severity != NULL && strcmp(severity, "WARNING") == 0 && primary != NULL)
		print_note("warning: %s", primary);
}

/*
 * search_path is empty unless the caller wants it, no statement waits longer than half a minute
 * for a lock, and JIT is off, because calls of set-returning functions are costed as if they
 * returned thousands of rows. The role is set last, because the other settings are made with the
 * privileges of the session.
 */
static bool
prepare_session(Conn *c)
{
	const ConnOptions *options = c->options;
	const char *values[] = {
		options->keep_search_path ? NULL : "",
		options->statement_timeout != NULL ? options->statement_timeout : "30s",
		options->role
	};
	PGresult   *res = conn_query(c, "SELECT pg_catalog.set_config('search_path', $1, false) WHERE $1 IS NOT NULL "
								 "UNION ALL SELECT pg_catalog.set_config('statement_timeout', $2, false) "
								 "UNION ALL SELECT pg_catalog.set_config('jit', 'off', false) "
								 "UNION ALL SELECT pg_catalog.set_config('role', $3, false) WHERE $3 IS NOT NULL",
								 3, values);
	bool		ok = conn_ok(res);

	if (!ok && conn_alive(c))
		conn_report(res);
	PQclear(res);
	return ok;
}

static void
print_connect_error(const Conn *c)
{
	char	   *message;
	char	   *end;

	/* attempt has printed the error of the session. */
	if (c->pg == NULL)
		return;
	message = strdup(PQerrorMessage(c->pg));

	/* libpq's messages have several lines when there are several addresses. */
	for (char *line = strtok_r(message, "\n", &end); line != NULL; line = strtok_r(NULL, "\n", &end))
	{
		if (line[0] == '\t')
			print_hint("%s", line + 1);
		else
			print_error("%s", line);
	}
	free(message);
	if (c->private_info != NULL)
		print_hint("The game has a server of its own; \"make play\" starts it.");
}

PGresult *
conn_query(Conn *c, const char *sql, int nparams, const char *const *values)
{
	PGresult   *res;

	interrupt_cancels(c->pg);
	res = PQexecParams(c->pg, sql, nparams, NULL, values, NULL, NULL, 0);
	interrupt_cancels(NULL);
	collect_notifications(c);
	return res;
}

static void
collect_notifications(Conn *c)
{
	PGnotify   *notification;

	while ((notification = PQnotifies(c->pg)) != NULL)
	{
		if (c->nnotified == c->notified_size)
		{
			c->notified_size = c->notified_size == 0 ? 64 : c->notified_size * 2;
			c->notified = realloc(c->notified, c->notified_size * sizeof(PGnotify *));
			if (c->notified == NULL)
				abort();
		}
		c->notified[c->nnotified++] = notification;
	}
}

PGnotify *
conn_notification(Conn *c)
{
	collect_notifications(c);
	return c->nnotified > 0 ? c->notified[--c->nnotified] : NULL;
}

static void
forget_notifications(Conn *c)
{
	while (c->nnotified > 0)
		PQfreemem(c->notified[--c->nnotified]);
}

bool
conn_ok(const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

const char *
conn_sqlstate(const PGresult *res)
{
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	return sqlstate != NULL ? sqlstate : "";
}

void
conn_report(const PGresult *res)
{
	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);

	if (primary == NULL)
		print_error("%s", PQresultErrorMessage(res));
	else
		print_error("%s (%s)", primary, conn_sqlstate(res));
	if (detail != NULL)
		print_hint("%s", detail);
	if (hint != NULL)
		print_hint("%s", hint);
}

bool
conn_wait(const Conn *c, int fd, short events, int timeout)
{
	struct pollfd fds[2] = {
		{.fd = fd, .events = events},
		{.fd = conn_alive(c) ? PQsocket(c->pg) : -1, .events = POLLIN}
	};
	int			n = poll(fds, 2, c->nnotified > 0 ? 0 : timeout);

	return n > 0 && fds[0].revents != 0;
}

int64_t
conn_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
