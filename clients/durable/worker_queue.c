/*
 * worker_queue.c - gets tasks from the queue, and keeps them.
 *
 * Owns: the connection that waits, the times of the next fetch and the next extension.
 * Called by: worker.c, worker_report.c.
 * Locks: none.
 * Memory: the jobs, which worker.c frees.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "worker.h"

#define WAIT_SECONDS	"30 seconds"	/* of one wait_for_work */
#define SHORT_PAUSE		50		/* ms after a fetch that found nothing although something was there */

static bool extend_one(Worker *w, Job *job, bool *is_good);
static bool begin(Worker *w, const PGresult *res, int row);
static const char *command_for(const Worker *w, const char *name);

/* All leases at once; if one is lost, one by one, to find out which. */
void
worker_extend(Worker *w)
{
	int64_t		now = conn_now();
	char	   *tokens = NULL;
	char		lease[32];
	size_t		size;
	FILE	   *out;
	PGresult   *res;
	bool		all;
	const char *values[2];

	if (w->njobs == 0 || now < w->next_extension)
		return;
	out = open_memstream(&tokens, &size);
	if (out == NULL)
		abort();
	fputc('[', out);
	for (int i = 0; i < w->njobs; i++)
	{
		fputs(i > 0 ? ", " : "", out);
		print_json_string(out, w->jobs[i].token);
	}
	fputc(']', out);
	fclose(out);
	snprintf(lease, sizeof(lease), "%ld seconds", w->lease);
	values[0] = tokens;
	values[1] = lease;
	res = worker_say(w, "SELECT durable.extend_lease(ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb)), "
			  "$2::pg_catalog.interval)", 2, values);
	free(tokens);
	if (res == NULL)
		return;
	if (!conn_ok(res))
	{
		conn_report(res);
		PQclear(res);
		w->next_extension = now + PAUSE;
		return;
	}
	all = atoi(PQgetvalue(res, 0, 0)) == w->njobs;
	PQclear(res);
	for (int i = 0; i < w->njobs && !all; i++)
	{
		Job		   *job = &w->jobs[i];
		bool		is_good;

		if (!extend_one(w, job, &is_good))
			return;
		if (is_good || job->is_lost)
			continue;
		job->is_lost = true;
		job_tell(job);
		print_note("The lease of %s of %s is lost: the command is stopped.", job->name, job->instance_id);
	}
	w->next_extension = now + w->lease * 1000 / 3;
}

static bool
extend_one(Worker *w, Job *job, bool *is_good)
{
	char		lease[32];
	const char *values[] = {job->token, lease};
	PGresult   *res;

	snprintf(lease, sizeof(lease), "%ld seconds", w->lease);
	res = worker_say(w, "SELECT durable.extend_lease(ARRAY[$1], $2::pg_catalog.interval)", 2, values);
	if (res == NULL)
		return false;
	*is_good = !conn_ok(res) || strcmp(PQgetvalue(res, 0, 0), "1") == 0;
	PQclear(res);
	return true;
}

void
worker_fetch(Worker *w)
{
	char		room[32];
	char		lease[32];
	const char *values[] = {w->queue, w->name, room, lease, w->names};
	int64_t		now = conn_now();
	bool		were_none = w->njobs == 0;
	PGresult   *res;
	int			n;

	if (w->stopping_since != 0 || !w->may_be_more || w->njobs == w->max_jobs || now < w->next_fetch)
		return;
	snprintf(room, sizeof(room), "%ld", w->max_jobs - w->njobs);
	snprintf(lease, sizeof(lease), "%ld seconds", w->lease);
	res = worker_say(w, "SELECT w.token, w.name, w.input, w.instance_id, w.attempt, w.idempotency_key "
			  "FROM durable.fetch_work($1, $2, $3::pg_catalog.int4, $4::pg_catalog.interval, $5::pg_catalog.text[]) w", 5, values);
	if (res == NULL)
		return;
	if (!conn_ok(res))
	{
		static bool ever = false;

		/* An error at the start is permanent. */
		w->next_fetch = now + PAUSE;
		if (!ever && (strncmp(conn_sqlstate(res), "42", 2) == 0 || strncmp(conn_sqlstate(res), "22", 2) == 0 ||
					  strcmp(conn_sqlstate(res), "3F000") == 0))
			w->code = client_report(w->c, res);
		else
			conn_report(res);
		ever = true;
		PQclear(res);
		return;
	}
	n = PQntuples(res);
	w->is_empty = n == 0;
	w->may_be_more = n == w->max_jobs - w->njobs;
	for (int i = 0; i < n; i++)
	{
		if (!begin(w, res, i))
			w->next_fetch = now + PAUSE;
	}
	PQclear(res);
	if (were_none)
		w->next_extension = now + w->lease * 1000 / 3;
}

static bool
begin(Worker *w, const PGresult *res, int row)
{
	Job		   *job = &w->jobs[w->njobs];
	const char *input = PQgetvalue(res, row, 2);

	memset(job, 0, sizeof(*job));
	job->in = job->out = job->err = -1;
	job->token = strdup(PQgetvalue(res, row, 0));
	job->name = strdup(PQgetvalue(res, row, 1));
	job->instance_id = strdup(PQgetvalue(res, row, 3));
	job->attempt = strdup(PQgetvalue(res, row, 4));
	job->key = strdup(PQgetvalue(res, row, 5));
	job->queue = strdup(w->queue);
	job->input_length = (size_t) asprintf(&job->input, "%s\n", PQgetisnull(res, row, 2) ? "null" : input);
	if (job_start(job, command_for(w, job->name)))
	{
		w->njobs++;
		return true;
	}
	print_error("could not start a command: %s", strerror(errno));
	PQclear(worker_say(w, "SELECT durable.release_work(ARRAY[$1], NULL)", 1, (const char *const *) &job->token));
	job_free(job);
	return false;
}

static const char *
command_for(const Worker *w, const char *name)
{
	for (int i = w->args->ngiven - 1; i >= 0; i--)
	{
		const Given *given = &w->args->given[i];

		if (given->option == OPT_ACTIVITY && strncmp(given->value, name, strlen(name)) == 0 && given->value[strlen(name)] == '=')
			return given->value + strlen(name) + 1;
	}
	return args_value(w->args, OPT_EXEC);
}

void
worker_attend_waiter(Worker *w)
{
	Conn	   *conn = &w->waiter;
	const char *values[] = {w->queue, w->names};
	PGresult   *res;
	int			wait;

	if (w->waiter_asks && conn_alive(conn))
	{
		if (!PQconsumeInput(conn->pg) || PQisBusy(conn->pg))
			return;
		while ((res = PQgetResult(conn->pg)) != NULL)
		{
			if (PQresultStatus(res) == PGRES_TUPLES_OK && strcmp(PQgetvalue(res, 0, 0), "t") == 0)
			{
				/* Other workers may be faster each time. */
				if (w->is_empty)
					w->next_fetch = conn_now() + SHORT_PAUSE;
				w->may_be_more = true;
			}
			else if (!conn_ok(res))
			{
				if (PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL && strncmp(conn_sqlstate(res), "57", 2) != 0)
					conn_report(res);
				w->next_fetch = conn_now() + PAUSE;
				w->may_be_more = true;
			}
			PQclear(res);
		}
		w->waiter_asks = false;
		return;
	}
	w->waiter_asks = false;
	if (w->may_be_more || w->stopping_since != 0 || w->njobs == w->max_jobs)
		return;
	if (!conn_mend(conn, &wait))
		return;
	w->waiter_asks = PQsendQueryParams(conn->pg, "CALL durable.wait_for_work($1, '" WAIT_SECONDS "', NULL, $2::pg_catalog.text[])",
									   2, NULL, values, NULL, NULL, 0) == 1;
}

/* The server would notice the end of the connection only when the wait is over. */
void
worker_stop_waiting(Worker *w)
{
	PGcancel   *cancel;
	char		message[256];

	if (!w->waiter_asks || !conn_alive(&w->waiter) || (cancel = PQgetCancel(w->waiter.pg)) == NULL)
		return;
	PQcancel(cancel, message, sizeof(message));
	PQfreeCancel(cancel);
}

PGresult *
worker_say(Worker *w, const char *sql, int n, const char *const *values)
{
	PGresult   *res;

	if (!conn_alive(&w->c->conn))
		return NULL;
	client_echo(w->c, sql, n, values);
	res = conn_query(&w->c->conn, sql, n, values);
	if (conn_alive(&w->c->conn))
		return res;
	PQclear(res);
	return NULL;
}
