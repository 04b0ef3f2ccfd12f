/*
 * pool_jobs.h - jobs of the pool: a statement each, with its parameters and its role.
 */
#ifndef CLIENTS_SERVE_POOL_JOBS_H
#define CLIENTS_SERVE_POOL_JOBS_H

#include "serve.h"

typedef struct Job
{
	struct Job *next;
	const Statement *statement;
	char	   *values[STATEMENT_MOST_VALUES];
	char	   *role;
	char	   *token_header,
			   *token_claims;
	bool		is_read;
	bool		sent_before;
	double		since;
	OutcomeHandler handler;
	void	   *arg;
} Job;

extern void jobs_start(void);

/* Puts a job at the end of the queue; false: the queue is full, and the handler has been told. */
extern bool jobs_put(const Statement *statement, const char *const *values, const Access *access, OutcomeHandler handler, void *arg);

/* Puts a job whose connection was lost at the head of the queue, to be sent a second and last time. */
extern void jobs_put_back(Job *job);

/* Takes the job at the head of the queue; NULL: there is none. */
extern Job *jobs_take(void);

/* Call the handler, and free the job.  res may be NULL. */
extern void job_answer(Job *job, PGresult *res, bool failed);
extern void job_fail(Job *job, const char *sqlstate, const char *message);

#endif
