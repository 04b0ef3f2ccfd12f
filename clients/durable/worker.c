/*
 * worker.c - "durable worker": runs commands for the external activities of a queue.
 *
 * The program is one process with one loop.  It fetches a task with a lease, runs a command
 * for it (job.c), extends the lease while the command runs, and reports its end.  It has two
 * connections.  One waits in durable.wait_for_work, which blocks; the other executes all
 * other statements.
 *
 * The life of a task here:
 *
 *   fetched -> runs -> ended -> reported
 *                |       |
 *                |       +-- no connection: kept, and reported when the server is back
 *                +-- the lease is lost: stopped, nothing is reported
 *
 * A report may be repeated, because the engine gives the same answer to a repeated
 * completion.  When this process is killed, the leases end and other workers get the tasks.  A lease
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

#include "exits.h"
#include "print.h"
#include "worker.h"

static const CommandOption worker_options[] = {
	[OPT_QUEUE] = {"queue", 'Q', "QUEUE", "the queue to fetch from"},
	[OPT_EXEC] = {"exec", 'x', "CMD", "the command for all activities without a command of their own"},
	[OPT_ACTIVITY] = {"activity", 'a', "NAME=CMD", "the command for one activity; may be repeated"},
	[OPT_JOBS] = {"jobs", 'j', "N", "how many commands run at a time (1)"},
	[OPT_LEASE] = {"lease", 0, "SECONDS", "length of a lease; it is extended while the command runs (30)"},
	[OPT_WORKER] = {"worker", 0, "NAME", "name in durable.leases (host:pid)"},
	[OPT_TEXT] = {"text", 0, NULL, "the output is text and not JSON"},
	[OPT_GRACE] = {"grace", 0, "SECONDS", "after SIGTERM, time after which unfinished tasks are given back"},
	[OPT_UNTIL_EMPTY] = {"until-empty", 0, NULL, "exit when nothing is left to fetch"},
	{0}
};

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
static void wait_for_something(Worker *w);

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
	"After SIGTERM it finishes the running commands and exits.\n",
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
		worker_stop_waiting(&w);
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
		print_hint("\"durable worker --help\" shows the usage.");
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
			/* The results cannot be reported; the leases will end. */
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
			worker_extend(w);
			worker_fetch(w);
			if (w->code != EXIT_OK)
			{
				stop_jobs(w);
				return;
			}
			if (w->is_empty && w->njobs == 0 && args_has(w->args, OPT_UNTIL_EMPTY))
				return;
			worker_attend_waiter(w);
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

/* Reports commands that have ended. */
static void
settle(Worker *w)
{
	for (int i = w->njobs - 1; i >= 0; i--)
	{
		Job		   *job = &w->jobs[i];

		if (!job_is_over(job))
			continue;
		if (!worker_report(w, job))
			return;
		job_free(job);
		*job = w->jobs[--w->njobs];
		w->may_be_more = true;
	}
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
		/* Commands that have ended wait for their report, or for the end of their pipes. */
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
	/* A due lease must not cause a busy loop while the server is away. */
	poll(fds, (nfds_t) n, connected ? (int) (until - now) : (int) (until - now < 20 ? 20 : until - now));
	free(fds);
}
