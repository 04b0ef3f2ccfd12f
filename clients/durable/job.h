/*
 * job.h - one command that works on one task.
 */
#ifndef CLIENTS_JOB_H
#define CLIENTS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_TAIL 4096			/* of its standard error, for the message of a failure */

typedef struct Job
{
	/* the task */
	char	   *token;
	char	   *name;
	char	   *instance_id;
	char	   *attempt;
	char	   *key;			/* idempotency */
	char	   *queue;

	/* the process */
	pid_t		pid;			/* of its process group too; 0: has been reaped */
	int			status;			/* of waitpid */
	int			in;				/* pipes, -1 when closed */
	int			out;
	int			err;
	int64_t		started;		/* conn_now() */
	int64_t		reaped;			/* 0: runs */
	int64_t		told;			/* when SIGTERM was sent; 0: it was not */
	bool		is_killed;		/* it did not end after SIGTERM */
	bool		is_lost;		/* the lease is lost, nothing is reported */

	/* what it reads and writes */
	char	   *input;
	size_t		input_length;
	size_t		input_written;
	char	   *output;
	size_t		output_length;
	size_t		output_size;
	bool		output_is_too_long;
	char		tail[JOB_TAIL + 1];
	size_t		tail_length;
} Job;

/* Starts the command with the input that is set; false: errno says why not. */
extern bool job_start(Job *job, const char *command);

/* Reads and writes what can be without waiting. */
extern void job_exchange(Job *job);

/* Has it ended, and has everything been read? */
extern bool job_is_over(Job *job);

/* SIGTERM to its process group; SIGKILL ten seconds later, see job_is_overdue. */
extern void job_tell(Job *job);
extern bool job_is_overdue(const Job *job);
extern void job_kill(Job *job);

/* Frees what is in it. */
extern void job_free(Job *job);

#endif
