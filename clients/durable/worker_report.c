/*
 * worker_report.c - reports the end of tasks.
 *
 * A completion or a failure may be repeated, because the engine gives the same answer to
 * the repetition.  So reports that could not be sent are kept and sent again.
 *
 * Owns, locks: none.
 * Called by: worker.c.
 * Memory: the text of a failure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "print.h"
#include "worker.h"

#define EXIT_FINAL		100		/* exit code of a command whose failure must not be tried again */

static bool report_success(Worker *w, Job *job);
static bool report_failure(Worker *w, Job *job, const char *message, const char *sqlstate, bool retryable);
static bool give_back(Worker *w, Job *job);
static void tell(Worker *w, const Job *job, const char *what, Style style);

bool
worker_report(Worker *w, Job *job)
{
	char		text[80];

	if (job->is_lost)
	{
		tell(w, job, "lost", STYLE_BAD);
		return true;
	}
	if (WIFEXITED(job->status) && WEXITSTATUS(job->status) == 0)
	{
		if (job->output_is_too_long)
			return report_failure(w, job, "the output of the command is too long", "54000", false);
		return report_success(w, job);
	}
	/* This program has stopped the command. */
	if (job->told != 0)
		return give_back(w, job);
	while (job->tail_length > 0 && (job->tail[job->tail_length - 1] == '\n' || job->tail[job->tail_length - 1] == '\r'))
		job->tail_length--;
	job->tail[job->tail_length] = '\0';
	if (WIFSIGNALED(job->status))
		snprintf(text, sizeof(text), "the command was ended by signal %d", WTERMSIG(job->status));
	else
		snprintf(text, sizeof(text), "the command ended with exit code %d", WEXITSTATUS(job->status));
	return report_failure(w, job, job->tail_length > 0 ? job->tail : text, NULL,
						  !WIFEXITED(job->status) || WEXITSTATUS(job->status) != EXIT_FINAL);
}

static bool
report_success(Worker *w, Job *job)
{
	char	   *result = NULL;
	size_t		size;
	const char *values[2] = {job->token, NULL};
	PGresult   *res;
	bool		ok;

	while (job->output_length > 0 && strchr(" \t\r\n", job->output[job->output_length - 1]) != NULL)
		job->output_length--;
	if (memchr(job->output != NULL ? job->output : "", '\0', job->output_length) != NULL)
		return report_failure(w, job, "the output of the command contains a zero byte", "22021", true);
	if (job->output != NULL)
		job->output[job->output_length] = '\0';
	if (w->text)
	{
		FILE	   *out = open_memstream(&result, &size);

		if (out == NULL)
			abort();
		print_json_string(out, job->output != NULL ? job->output : "");
		fclose(out);
		values[1] = result;
	}
	else
		values[1] = job->output_length > 0 ? job->output : NULL;
	res = worker_say(w, "SELECT durable.complete_tasks(ARRAY[$1], ARRAY[$2::pg_catalog.jsonb])", 2, values);
	free(result);
	if (res == NULL)
		return false;
	ok = conn_ok(res);
	if (ok)
		tell(w, job, "completed", STYLE_GOOD);
	else if (strcmp(conn_sqlstate(res), "WF008") == 0)
		tell(w, job, "lost", STYLE_BAD);
	else if (strncmp(conn_sqlstate(res), "22", 2) == 0 || strncmp(conn_sqlstate(res), "54", 2) == 0 ||
			 strcmp(conn_sqlstate(res), "WF006") == 0)
	{
		char	   *message;
		const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
		const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

		if (asprintf(&message, "the output of the command was refused: %s%s%s", primary, detail != NULL ? ": " : "",
					 detail != NULL ? detail : "") < 0)
			abort();
		ok = report_failure(w, job, message, conn_sqlstate(res), true);
		free(message);
		PQclear(res);
		return ok;
	}
	else
	{
		/* An error that may go away; the lease is extended meanwhile. */
		conn_report(res);
		PQclear(res);
		w->next_fetch = conn_now() + PAUSE;
		return false;
	}
	PQclear(res);
	return true;
}

static bool
report_failure(Worker *w, Job *job, const char *message, const char *sqlstate, bool retryable)
{
	char	   *failure = NULL;
	size_t		size;
	FILE	   *out = open_memstream(&failure, &size);
	const char *values[3] = {job->token, NULL, retryable ? "true" : "false"};
	PGresult   *res;
	bool		ok = true;

	if (out == NULL)
		abort();
	fputs("{\"message\": ", out);
	print_json_string(out, message);
	if (sqlstate != NULL)
		fprintf(out, ", \"sqlstate\": \"%.5s\"", sqlstate);
	if (WIFEXITED(job->status) && WEXITSTATUS(job->status) != 0)
		fprintf(out, ", \"detail\": \"exit code %d\"", WEXITSTATUS(job->status));
	fputc('}', out);
	fclose(out);
	values[1] = failure;
	res = worker_say(w, "SELECT durable.fail_task($1, $2::pg_catalog.jsonb, $3::pg_catalog.bool)", 3, values);
	free(failure);
	if (res == NULL)
		return false;
	if (conn_ok(res))
	{
		tell(w, job, "failed", STYLE_BAD);
		print_note("%s", message);
	}
	else if (strcmp(conn_sqlstate(res), "WF008") == 0)
		tell(w, job, "lost", STYLE_BAD);
	else
	{
		conn_report(res);
		w->next_fetch = conn_now() + PAUSE;
		ok = false;
	}
	PQclear(res);
	return ok;
}

static bool
give_back(Worker *w, Job *job)
{
	PGresult   *res = worker_say(w, "SELECT durable.release_work(ARRAY[$1])", 1, (const char *const *) &job->token);

	if (res == NULL)
		return false;
	tell(w, job, "given back", STYLE_DIM);
	PQclear(res);
	return true;
}

/* A line for each task. */
static void
tell(Worker *w, const Job *job, const char *what, Style style)
{
	double		seconds = (job->reaped - job->started) / 1000.0;

	if (w->c->quiet)
		return;
	print_open(stdout);
	if (w->c->json)
	{
		printf("{\"status\": \"%s\", \"name\": ", what);
		print_json_string(stdout, job->name);
		fputs(", \"instance_id\": ", stdout);
		print_json_string(stdout, job->instance_id);
		printf(", \"attempt\": %s, \"seconds\": %.3f}", job->attempt, seconds);
	}
	else
	{
		print_piece(stdout, style, "%-10s", what);
		print_piece(stdout, STYLE_PLAIN, " %s of %s, attempt %s, %.3f s", job->name, job->instance_id, job->attempt, seconds);
	}
	print_close(stdout);
}
