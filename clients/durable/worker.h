/*
 * worker.h - what the parts of "durable worker" share: worker.c has the loop, worker_queue.c
 * gets tasks and keeps them, worker_report.c reports their end.
 */
#ifndef CLIENTS_WORKER_H
#define CLIENTS_WORKER_H

#include "commands.h"
#include "job.h"

#define PAUSE	1000			/* ms after an error of the server */

enum
{
	OPT_QUEUE, OPT_EXEC, OPT_ACTIVITY, OPT_JOBS, OPT_LEASE, OPT_WORKER, OPT_TEXT, OPT_GRACE, OPT_UNTIL_EMPTY
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

/* One statement; NULL: the connection is lost. */
extern PGresult *worker_say(Worker *w, const char *sql, int n, const char *const *values);

/* worker_queue.c: what is due of fetching, and of extending leases. */
extern void worker_fetch(Worker *w);
extern void worker_extend(Worker *w);

/* Keeps a wait_for_work under way while there is room, and takes its answer. */
extern void worker_attend_waiter(Worker *w);
extern void worker_stop_waiting(Worker *w);

/* worker_report.c.  True: nothing is left to be done for it.  False: there is no connection, or an error that may go away. */
extern bool worker_report(Worker *w, Job *job);

#endif
