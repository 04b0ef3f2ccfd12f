/*
 * job.c - one command that works on one task: its process and its three pipes.
 *
 * The command is run by /bin/sh.  Data of a task is never part of a command line: the input
 * is on standard input, and the other values are in the environment.  The command has a
 * process group of its own, so that Ctrl-C at the terminal of the worker does not reach it,
 * and so that all its processes can be stopped.
 *
 * A command that has exited may have left processes that hold its pipes open.  The pipes are
 * read for one more second and then closed.
 *
 * Owns: the processes.
 * Called by: worker.c.
 * Memory: the output as it comes, at most MAX_OUTPUT; the end of standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "conn.h"
#include "job.h"

#define MAX_OUTPUT		((size_t) 256 * 1024 * 1024)
#define LEFT_OPEN		1000	/* ms */
#define PATIENCE		10000	/* ms between SIGTERM and SIGKILL */

static void run(const Job *job, const char *command, const int *in, const int *out, const int *err);
static void read_output(Job *job);
static void read_tail(Job *job);
static void write_input(Job *job);
static void close_one(int *fd);

bool
job_start(Job *job, const char *command)
{
	int			pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	pid_t		pid = -1;
	int			problem;

	if (pipe2(pipes[0], O_CLOEXEC) == 0 && pipe2(pipes[1], O_CLOEXEC) == 0 && pipe2(pipes[2], O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		run(job, command, pipes[0], pipes[1], pipes[2]);
	problem = errno;
	close_one(&pipes[0][0]);
	close_one(&pipes[1][1]);
	close_one(&pipes[2][1]);
	if (pid < 0)
	{
		close_one(&pipes[0][1]);
		close_one(&pipes[1][0]);
		close_one(&pipes[2][0]);
		errno = problem;
		return false;
	}
	/* The child does the same, and the order does not matter. */
	setpgid(pid, pid);
	job->pid = pid;
	job->in = pipes[0][1];
	job->out = pipes[1][0];
	job->err = pipes[2][0];
	fcntl(job->in, F_SETFL, O_NONBLOCK);
	fcntl(job->out, F_SETFL, O_NONBLOCK);
	fcntl(job->err, F_SETFL, O_NONBLOCK);
	job->started = conn_now();
	return true;
}

/* In the child. */
static void
run(const Job *job, const char *command, const int *in, const int *out, const int *err)
{
	setpgid(0, 0);
#ifdef __linux__
	/* If the worker is killed, its commands are killed, too. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
	signal(SIGPIPE, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0 || dup2(err[1], STDERR_FILENO) < 0)
		_exit(126);
	setenv("DURABLE_ACTIVITY", job->name, 1);
	setenv("DURABLE_QUEUE", job->queue, 1);
	setenv("DURABLE_INSTANCE_ID", job->instance_id, 1);
	setenv("DURABLE_ATTEMPT", job->attempt, 1);
	setenv("DURABLE_IDEMPOTENCY_KEY", job->key, 1);
	execl("/bin/sh", "sh", "-c", command, (char *) NULL);
	_exit(127);
}

void
job_exchange(Job *job)
{
	write_input(job);
	read_output(job);
	read_tail(job);
}

static void
write_input(Job *job)
{
	while (job->in >= 0)
	{
		ssize_t		n = 0;

		if (job->input_written < job->input_length)
			n = write(job->in, job->input + job->input_written, job->input_length - job->input_written);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* A command need not read its input (EPIPE). */
		if (n <= 0)
			close_one(&job->in);
		else
			job->input_written += (size_t) n;
	}
}

static void
read_output(Job *job)
{
	while (job->out >= 0)
	{
		ssize_t		n;

		if (job->output_size - job->output_length < 65536)
		{
			job->output_size = job->output_size * 2 + 65536;
			job->output = realloc(job->output, job->output_size + 1);
			if (job->output == NULL)
				abort();
		}
		n = read(job->out, job->output + job->output_length, job->output_size - job->output_length);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			close_one(&job->out);
		else
			job->output_length += (size_t) n;
		if (job->output_length > MAX_OUTPUT)
		{
			job->output_is_too_long = true;
			job->output_length = 0;
		}
	}
}

/* The end of the output usually has the reason of a failure. */
static void
read_tail(Job *job)
{
	while (job->err >= 0)
	{
		char		buffer[JOB_TAIL];
		ssize_t		n = read(job->err, buffer, sizeof(buffer));
		size_t		keep;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
		{
			close_one(&job->err);
			return;
		}
		keep = JOB_TAIL - (size_t) n < job->tail_length ? JOB_TAIL - (size_t) n : job->tail_length;
		memmove(job->tail, job->tail + job->tail_length - keep, keep);
		memcpy(job->tail + keep, buffer, (size_t) n);
		job->tail_length = keep + (size_t) n;
	}
}

bool
job_is_over(Job *job)
{
	if (job->reaped == 0)
		return false;
	if (conn_now() >= job->reaped + LEFT_OPEN)
	{
		close_one(&job->out);
		close_one(&job->err);
	}
	close_one(&job->in);
	return job->out < 0 && job->err < 0;
}

void
job_tell(Job *job)
{
	if (job->pid == 0 || job->told != 0)
		return;
	kill(-job->pid, SIGTERM);
	job->told = conn_now();
}

bool
job_is_overdue(const Job *job)
{
	return job->pid != 0 && job->told != 0 && !job->is_killed && conn_now() >= job->told + PATIENCE;
}

void
job_kill(Job *job)
{
	if (job->pid != 0)
		kill(-job->pid, SIGKILL);
	job->is_killed = true;
}

void
job_free(Job *job)
{
	close_one(&job->in);
	close_one(&job->out);
	close_one(&job->err);
	free(job->token);
	free(job->name);
	free(job->instance_id);
	free(job->attempt);
	free(job->key);
	free(job->queue);
	free(job->input);
	free(job->output);
}

static void
close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
