/*
 * pool_jobs.c - the queue of jobs that wait for a connection of the pool, and their ends.
 *
 * A job ends when its handler is called, once: with the result of its statement, or with an
 * error.  A job that has waited too long for a connection fails.
 *
 * Owns: the queue.
 * Called by: pool.c; metrics.c asks for its length.
 * Memory: a Job owns copies of its texts, and is freed when its handler has returned.
 */
#include <stdlib.h>

#include "pool_jobs.h"
#include "serve.h"

#define LONGEST_QUEUE	1000
#define QUEUE_SECONDS	10

static Job *queue,
		  **queue_end = &queue;
static int	nqueued;

static void free_job(Job *job);
static void expire(evutil_socket_t fd, short events, void *arg);

void
jobs_start(void)
{
	struct timeval often = {1, 0};

	event_add(event_new(base, -1, EV_PERSIST, expire, NULL), &often);
}

int
pool_queued(void)
{
	return nqueued;
}

bool
jobs_put(const Statement *statement, const char *const *values, const Access *access, OutcomeHandler handler, void *arg)
{
	Job		   *job;

	job = must_alloc(sizeof(Job));
	job->statement = statement;
	job->is_read = access->is_read;
	job->handler = handler;
	job->arg = arg;
	job->since = now_seconds();
	if (nqueued >= LONGEST_QUEUE)
	{
		job_fail(job, POOL_FULL, "Too many requests are waiting.");
		return false;
	}
	for (int i = 0; i < statement->nvalues; i++)
		job->values[i] = must_copy(values[i]);
	job->role = must_copy(access->role);
	if (access->token != NULL)
	{
		job->token_header = must_copy(access->token->header);
		job->token_claims = must_copy(access->token->claims);
	}
	*queue_end = job;
	queue_end = &job->next;
	nqueued++;
	return true;
}

void
jobs_put_back(Job *job)
{
	job->sent_before = true;
	job->next = queue;
	if (queue == NULL)
		queue_end = &job->next;
	queue = job;
	nqueued++;
}

Job *
jobs_take(void)
{
	Job		   *job = queue;

	if (job == NULL)
		return NULL;
	queue = job->next;
	if (queue == NULL)
		queue_end = &queue;
	job->next = NULL;
	nqueued--;
	return job;
}

void
job_answer(Job *job, PGresult *res, bool failed)
{
	Outcome		outcome = {.rows = res};

	if (failed || res == NULL)
	{
		const char *state = res != NULL ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

		outcome.rows = NULL;
		outcome.sqlstate = state != NULL ? state : "XX000";
		outcome.message = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
		if (outcome.message == NULL)
			outcome.message = "no result";
		outcome.hint = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_HINT) : NULL;
		outcome.detail = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL) : NULL;
	}
	job->handler(&outcome, job->arg);
	free_job(job);
}

void
job_fail(Job *job, const char *sqlstate, const char *message)
{
	Outcome		outcome = {NULL, sqlstate, message, NULL};

	job->handler(&outcome, job->arg);
	free_job(job);
}

static void
free_job(Job *job)
{
	for (int i = 0; i < STATEMENT_MOST_VALUES; i++)
		free(job->values[i]);
	free(job->role);
	free(job->token_header);
	free(job->token_claims);
	free(job);
}

/* The limit of the time in the queue. The queue is ordered by time, except for repeated requests. */
static void
expire(evutil_socket_t fd, short events, void *arg)
{
	double		now = now_seconds();

	(void) fd;
	(void) events;
	(void) arg;
	while (queue != NULL && now - queue->since > QUEUE_SECONDS)
		job_fail(jobs_take(), POOL_NOT_CONNECTED, "There is no connection to the database.");
}
