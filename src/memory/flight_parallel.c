/*-------------------------------------------------------------------------
 *
 * flight_parallel.c
 *		Parallel workers of PostgreSQL, in the flight recorder.
 *
 * A query of an activity can run in parallel workers, and its functions can crash there.
 * The postmaster then sends SIGQUIT to the leader, which marks the leader's record like
 * those of all other processes.  So a parallel worker counts itself in the record of its
 * leader before it runs a query, and takes itself out when it ends or gets SIGQUIT, but
 * not when it crashes.  A marked record with a count is that of the leader whose
 * parallel worker has crashed.
 *
 * This covers parallel queries.  Parallel builds of an index run no query: code in the
 * expression of an index that crashes there is not counted.
 *
 * Owns:	the hook; the field parallel of records
 * Called by: PostgreSQL, through the hook; durable.c, which has it installed
 * Locks:	none: the field is atomic
 * Memory:	none
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "access/parallel.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"

#include "flight_file.h"

static ExecutorStart_hook_type next_executor_start = NULL;
static FlightRecord *leader = NULL; /* the record in which this process is counted */

static void before_query(QueryDesc *query, int flags);
static void join_leader(void);
static void leave_leader(void);
static void leave_at_exit(int code, Datum arg);
static void on_quit(int signo, siginfo_t *info, void *context);

void
durable_flight_install_hooks(void)
{
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = before_query;
}

static void
before_query(QueryDesc *query, int flags)
{
	if (IsParallelWorker() && leader == NULL)
		join_leader();
	if (next_executor_start)
		next_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/* SIGQUIT is blocked meanwhile, so that its handler finds the count and the pointer in agreement. */
static void
join_leader(void)
{
	FlightRecord *found;
	sigset_t	quit;
	sigset_t	before;

	if (durable_flight_file() == NULL || MyProc->lockGroupLeader == NULL)
		return;
	found = durable_flight_record_of(MyProc->lockGroupLeader->pid);
	if (found == NULL)
		return;
	before_shmem_exit(leave_at_exit, (Datum) 0);
	sigemptyset(&quit);
	sigaddset(&quit, SIGQUIT);
	sigprocmask(SIG_BLOCK, &quit, &before);
	durable_flight_set_handler(SIGQUIT, on_quit);
	leader = found;
	pg_atomic_fetch_add_u32(&leader->parallel, 1);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* The leader waits for the exit of its parallel workers, so the record is still the leader's. */
static void
leave_leader(void)
{
	FlightRecord *left = leader;

	leader = NULL;
	if (left != NULL)
		pg_atomic_fetch_sub_u32(&left->parallel, 1);
}

static void
leave_at_exit(int code, Datum arg)
{
	leave_leader();
}

/* A signal that the process has sent to itself is a crash. */
static void
on_quit(int signo, siginfo_t *info, void *context)
{
	if (info->si_pid != MyProcPid)
		leave_leader();
	_exit(2);
}
