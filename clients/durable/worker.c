/*
 * worker.c - "durable worker": runs commands for the external activities of a queue.
 *
 * One process, one loop.  A task is fetched with a lease, a command is run for it
 * (job.c), the lease is extended while it runs, and its end is reported.  Two connections:
 * one waits in durable.wait_for_work, which blocks; everything else goes over the other.
 *
 * The life of a task here:
 *
 *   fetched -> runs -> ended -> reported
 *                |       |
 *                |       +-- no connection: kept, and reported when the server is back
 *                +-- the lease is lost: stopped, nothing is reported
 *
 * A report may be repeated: the engine answers a repeated completion as it answered the
 * first.  When this process is killed, the leases end and others get the tasks.  A lease
 * is lost when the instance has been terminated, when the timeout of the activity is
 * over, or when this process slept longer than the lease and another worker has the task.
 *
 * SIGTERM and SIGINT: nothing more is fetched, and what runs is finished.  The second one,
 * or the end of --grace, stops the commands and gives their tasks back.
 *
 * Owns: the jobs, the second connection, the dispositions of SIGTERM, SIGINT, SIGCHLD.
 * Called by: main.c.
 * Locks: none.  Leases are not locks.
 * Memory: the jobs, with input and output.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "exits.h"
#include "job.h"
#include "print.h"

#define WAIT_SECONDS	"30 seconds"	/* of one wait_for_work */
#define PAUSE			1000	/* ms after an error of the server */
#define SHORT_PAUSE		50		/* ms after a fetch that found nothing although something was there */
#define EXIT_FINAL		100		/* exit code of a command whose failure must not be tried again */

enum
{
	OPT_QUEUE, OPT_EXEC, OPT_ACTIVITY, OPT_JOBS, OPT_LEASE, OPT_WORKER, OPT_TEXT, OPT_GRACE, OPT_UNTIL_EMPTY
};

static const CommandOption worker_options[] = {
	[OPT_QUEUE] = {"queue", 'Q', "QUEUE", "the queue to fetch from"},
	[OPT_EXEC] = {"exec", 'x', "CMD", "the command for all activities without a command of their own"},
	[OPT_ACTIVITY] = {"activity", 'a', "NAME=CMD", "the command for one activity; may be repeated"},
	[OPT_JOBS] = {"jobs", 'j', "N", "how many commands run at a time (1)"},
	[OPT_LEASE] = {"lease", 0, "SECONDS", "length of a lease; it is extended while the command runs (30)"},
	[OPT_WORKER] = {"worker", 0, "NAME", "name in durable.leases (host:pid)"},
	[OPT_TEXT] = {"text", 0, NULL, "the output is text and not JSON"},
	[OPT_GRACE] = {"grace", 0, "SECONDS", "after SIGTERM, give the tasks back that still run then"},
	[OPT_UNTIL_EMPTY] = {"until-empty", 0, NULL, "exit when nothing is left to fetch"},
	{0}
};

typedef struct Worker
{
	Client	   *c;
	const Args *args;
	const char *queue;
	char	   *name;
	char	   *names;			/* array of the activities to fetch, as a literal; NULL: all */
	long		max_jobs;
	long		lease;			/* seconds */
	long		grace;			/* seconds, -1: none */
	bool		text;
	Job		   *jobs;
	int			njobs;

	ConnOptions waiter_options;
	Conn		waiter;
	bool		waiter_asks;	/* a wait_for_work is under way */

	bool		may_be_more;	/* a fetch could find something */
	bool		is_empty;		/* the last fetch has found nothing */
	int64_t		next_fetch;		/* conn_now(), after an error or a fetch in vain */
	int64_t		next_extension;
	int64_t		stopping_since; /* 0: not stopping */
	int			code;
} Worker;

static int	worker_main(Client *c, const Args *args);
static bool configure(Worker *w);
static void collect_names(Worker *w);
static void catch_signals(void);
static void handle(int signal_number);
static void work(Worker *w);
static void look_at_signals(Worker *w);
static void reap(Worker *w);
static void stop_jobs(Worker *w);
static void settle(Worker *w);
static bool report(Worker *w, Job *job);
static bool report_success(Worker *w, Job *job);
static bool report_failure(Worker *w, Job *job, const char *message, const char *sqlstate, bool retryable);
static bool give_back(Worker *w, Job *job);
static void tell(Worker *w, const Job *job, const char *what, Style style);
static void extend(Worker *w);
static bool extend_one(Worker *w, Job *job, bool *is_good);
static void fetch(Worker *w);
static bool begin(Worker *w, const PGresult *res, int row);
static const char *command_for(const Worker *w, const char *name);
static void attend_waiter(Worker *w);
static void stop_waiting(Worker *w);
static void wait_for_something(Worker *w);
static PGresult *say(Worker *w, const char *sql, int n, const char *const *values);

static int	signal_pipe[2];
static volatile sig_atomic_t stop_signals = 0;

const Command command_worker = {
	.name = "worker",
	.arguments = "",
	.summary = "run commands for the external activities of a queue",
	.details = "Fetches tasks from a queue and runs a command for each. The command finds the input, as\n"
	"JSON, on its standard input. Its standard output is the result, also JSON (nothing: null).\n"
	"An exit code other than 0 is a failure, with standard error as its message; the retry\n"
	"policy decides about another attempt, but not after exit code 100. The environment has\n"
	"DURABLE_ACTIVITY, DURABLE_INSTANCE_ID, DURABLE_ATTEMPT, DURABLE_IDEMPOTENCY_KEY and\n"
	"DURABLE_QUEUE.\n"
	"\n"
	"  durable worker --queue mail --exec ./send_mail -j 4\n"
	"\n"
	"SIGTERM ends it when what runs is finished.\n",
	.least = 0,
	.most = 0,
	.options = worker_options,
	.run = worker_main
};

static int
worker_main(Client *c, const Args *args)
{
	Worker		w = {.c = c, .args = args, .max_jobs = 1, .lease = 30, .grace = -1, .may_be_more = true};

	if (!configure(&w))
		return EXIT_USAGE;
	c->patience = 0;
	if ((w.code = client_open(c)) == EXIT_OK)
	{
		w.waiter_options = c->connection;
		w.waiter_options.is_second = true;
		/* Its statement ends by itself. */
		w.waiter_options.statement_timeout = "0";
		conn_configure(&w.waiter, &w.waiter_options);
		catch_signals();
		work(&w);
		stop_waiting(&w);
		conn_close(&w.waiter);
	}
	free(w.jobs);
	free(w.name);
	free(w.names);
	return w.code;
}

static bool
configure(Worker *w)
{
	const Args *args = w->args;
	char		host[128] = "";

	w->queue = args_value(args, OPT_QUEUE);
	if (w->queue == NULL || (!args_has(args, OPT_EXEC) && !args_has(args, OPT_ACTIVITY)))
	{
		print_error("\"durable worker\" needs --queue, and --exec or --activity");
		print_hint("\"durable worker --help\" tells how it is used.");
		return false;
	}
	if (!args_number(&command_worker, args, OPT_JOBS, 1, 1000, &w->max_jobs) ||
		!args_number(&command_worker, args, OPT_LEASE, 1, 86400, &w->lease) ||
		!args_number(&command_worker, args, OPT_GRACE, 0, 1000000, &w->grace))
		return false;
	for (int i = 0; i < args->ngiven; i++)
	{
		if (args->given[i].option == OPT_ACTIVITY && strchr(args->given[i].value, '=') == NULL)
		{
			print_error("--activity takes NAME=CMD, not \"%s\"", args->given[i].value);
			return false;
		}
	}
	w->text = args_has(args, OPT_TEXT);
	gethostname(host, sizeof(host) - 1);
	if (args_value(args, OPT_WORKER) != NULL)
		w->name = strdup(args_value(args, OPT_WORKER));
	else if (asprintf(&w->name, "%s:%d", host, (int) getpid()) < 0)
		abort();
	w->jobs = calloc((size_t) w->max_jobs, sizeof(Job));
	if (w->jobs == NULL)
		abort();
	collect_names(w);
	return true;
}

/* Without a command for everything, only the activities that have one are fetched. */
static void
collect_names(Worker *w)
{
	size_t		size;
	FILE	   *out;
	bool		first = true;

	if (args_has(w->args, OPT_EXEC))
		return;
	out = open_memstream(&w->names, &size);
	if (out == NULL)
		abort();
	fputc('{', out);
	for (int i = 0; i < w->args->ngiven; i++)
	{
		const Given *given = &w->args->given[i];

		if (given->option != OPT_ACTIVITY)
			continue;
		fputs(first ? "\"" : ",\"", out);
		for (const char *s = given->value; *s != '='; s++)
		{
			if (*s == '"' || *s == '\\')
				fputc('\\', out);
			fputc(*s, out);
		}
		fputc('"', out);
		first = false;
	}
	fputc('}', out);
	fclose(out);
}

static void
catch_signals(void)
{
	struct sigaction action = {.sa_handler = handle};

	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
		abort();
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_flags = SA_NOCLDSTOP | SA_RESTART;
	sigaction(SIGCHLD, &action, NULL);
}

static void
handle(int signal_number)
{
	int			save_errno = errno;

	if (signal_number != SIGCHLD)
		stop_signals++;
	/* A full pipe wakes poll as well. */
	if (write(signal_pipe[1], "x", 1) < 0)
		errno = save_errno;
	errno = save_errno;
}

static void
work(Worker *w)
{
	for (;;)
	{
		Conn	   *conn = &w->c->conn;
		int			wait = 0;

		look_at_signals(w);
		reap(w);
		if (w->njobs == 0 && w->stopping_since != 0)
			return;
		if (stop_signals > 1 && !conn_alive(conn))
		{
			/* Nobody is there to take the results; the leases will end. */
			print_error("there is no server to give %d tasks back to; they will be handed out again when their leases end", w->njobs);
			stop_jobs(w);
			for (int i = 0; i < w->njobs; i++)
				job_kill(&w->jobs[i]);
			w->code = EXIT_CONNECTION;
			return;
		}
		if (conn_mend(conn, &wait))
		{
			settle(w);
			extend(w);
			fetch(w);
			if (w->code != EXIT_OK)
			{
				stop_jobs(w);
				return;
			}
			if (w->is_empty && w->njobs == 0 && args_has(w->args, OPT_UNTIL_EMPTY))
				return;
			attend_waiter(w);
		}
		wait_for_something(w);
	}
}

static void
look_at_signals(Worker *w)
{
	char		buffer[64];

	while (read(signal_pipe[0], buffer, sizeof(buffer)) > 0)
		;
	if (stop_signals > 0 && w->stopping_since == 0)
	{
		w->stopping_since = conn_now();
		if (w->njobs > 0)
			print_note("%d tasks are being finished; another SIGTERM gives them back.", w->njobs);
	}
	if (stop_signals > 1 || (w->stopping_since != 0 && w->grace >= 0 && conn_now() >= w->stopping_since + w->grace * 1000))
		stop_jobs(w);
}

static void
reap(Worker *w)
{
	for (int i = 0; i < w->njobs; i++)
	{
		Job		   *job = &w->jobs[i];

		job_exchange(job);
		if (job->pid != 0 && waitpid(job->pid, &job->status, WNOHANG) == job->pid)
		{
			job->pid = 0;
			job->reaped = conn_now();
			job_exchange(job);
		}
		if (job_is_overdue(job))
			job_kill(job);
	}
}

static void
stop_jobs(Worker *w)
{
	for (int i = 0; i < w->njobs; i++)
		job_tell(&w->jobs[i]);
}

/* Reports what is over. */
static void
settle(Worker *w)
{
	for (int i = w->njobs - 1; i >= 0; i--)
	{
		Job		   *job = &w->jobs[i];

		if (!job_is_over(job))
			continue;
		if (!report(w, job))
			return;
		job_free(job);
		*job = w->jobs[--w->njobs];
		w->may_be_more = true;
	}
}

/* True: nothing is left to be done for it.  False: the connection is lost. */
static bool
report(Worker *w, Job *job)
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
	/* It was us who stopped it. */
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
	res = say(w, "SELECT durable.complete_tasks(ARRAY[$1], ARRAY[$2::pg_catalog.jsonb])", 2, values);
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
	res = say(w, "SELECT durable.fail_task($1, $2::pg_catalog.jsonb, $3::pg_catalog.bool)", 3, values);
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
	PGresult   *res = say(w, "SELECT durable.release_work(ARRAY[$1])", 1, (const char *const *) &job->token);

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

/* All leases at once; if one is lost, one by one, to find out which. */
static void
extend(Worker *w)
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
	res = say(w, "SELECT durable.extend_lease(ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb)), "
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
	res = say(w, "SELECT durable.extend_lease(ARRAY[$1], $2::pg_catalog.interval)", 2, values);
	if (res == NULL)
		return false;
	*is_good = !conn_ok(res) || strcmp(PQgetvalue(res, 0, 0), "1") == 0;
	PQclear(res);
	return true;
}

static void
fetch(Worker *w)
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
	res = say(w, "SELECT w.token, w.name, w.input, w.instance_id, w.attempt, w.idempotency_key "
			  "FROM durable.fetch_work($1, $2, $3::pg_catalog.int4, $4::pg_catalog.interval, $5::pg_catalog.text[]) w", 5, values);
	if (res == NULL)
		return;
	if (!conn_ok(res))
	{
		static bool ever = false;

		/* What is wrong from the beginning is not going to be right by itself. */
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
	PQclear(say(w, "SELECT durable.release_work(ARRAY[$1], '1 second')", 1, (const char *const *) &job->token));
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

/* Keeps a wait_for_work under way while there is room, and takes its answer. */
static void
attend_waiter(Worker *w)
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
				/* Somebody else may be quicker again and again. */
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
static void
stop_waiting(Worker *w)
{
	PGcancel   *cancel;
	char		message[256];

	if (!w->waiter_asks || !conn_alive(&w->waiter) || (cancel = PQgetCancel(w->waiter.pg)) == NULL)
		return;
	PQcancel(cancel, message, sizeof(message));
	PQfreeCancel(cancel);
}

static void
wait_for_something(Worker *w)
{
	struct pollfd *fds = calloc((size_t) w->njobs * 3 + 2, sizeof(struct pollfd));
	int			n = 0;
	int64_t		now = conn_now();
	int64_t		until = now + 10000;
	bool		connected = conn_alive(&w->c->conn);

	if (fds == NULL)
		abort();
	fds[n++] = (struct pollfd) {.fd = signal_pipe[0], .events = POLLIN};
	if (w->waiter_asks && conn_alive(&w->waiter))
		fds[n++] = (struct pollfd) {.fd = PQsocket(w->waiter.pg), .events = POLLIN};
	for (int i = 0; i < w->njobs; i++)
	{
		Job		   *job = &w->jobs[i];

		if (job->in >= 0)
			fds[n++] = (struct pollfd) {.fd = job->in, .events = POLLOUT};
		if (job->out >= 0)
			fds[n++] = (struct pollfd) {.fd = job->out, .events = POLLIN};
		if (job->err >= 0)
			fds[n++] = (struct pollfd) {.fd = job->err, .events = POLLIN};
		/* What is over waits for its report, or for the end of its pipes. */
		if (job->reaped != 0 && until > now + 100)
			until = now + 100;
		if (job->told != 0 && job->told + 10000 < until)
			until = job->told + 10000;
	}
	if (w->njobs > 0 && w->next_extension < until)
		until = w->next_extension;
	if (!connected)
		until = until < now + 200 ? until : now + 200;
	else if (w->stopping_since == 0 && w->njobs < w->max_jobs)
	{
		if (w->may_be_more && w->next_fetch < until)
			until = w->next_fetch;
		else if (!w->waiter_asks && until > now + 200)
			until = now + 200;
	}
	if (w->stopping_since != 0 && w->grace >= 0 && stop_signals < 2 && w->stopping_since + w->grace * 1000 > now &&
		w->stopping_since + w->grace * 1000 < until)
		until = w->stopping_since + w->grace * 1000;
	if (until < now)
		until = now;
	/* A lease that is due must not make a loop without a pause while the server is away. */
	poll(fds, (nfds_t) n, connected ? (int) (until - now) : (int) (until - now < 20 ? 20 : until - now));
	free(fds);
}

/* One statement; NULL: the connection is lost. */
static PGresult *
say(Worker *w, const char *sql, int n, const char *const *values)
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
