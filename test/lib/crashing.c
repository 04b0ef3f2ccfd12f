/*
 * crashing.c
 *		Functions that no server should have to run; see test/t/231_chaos_containment.pl,
 *		test/t/236_failed_commits.pl, test/t/238_flight_recorder.pl, test/t/239_worst_moments.pl
 *		and test/t/240_border.pl.
 */
#include "postgres.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(crashing_segfault);
PG_FUNCTION_INFO_V1(crashing_abort);
PG_FUNCTION_INFO_V1(crashing_oom);
PG_FUNCTION_INFO_V1(crashing_exit);
PG_FUNCTION_INFO_V1(crashing_fail_commit);
PG_FUNCTION_INFO_V1(crashing_raise_from);

Datum
crashing_segfault(PG_FUNCTION_ARGS)
{
	*(volatile int *) 8 = 1;
	PG_RETURN_INT32(0);
}

Datum
crashing_abort(PG_FUNCTION_ARGS)
{
	abort();
}

/* What the kernel does to who takes too much memory. */
Datum
crashing_oom(PG_FUNCTION_ARGS)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* A library that knows better than its caller when it is time to go. */
Datum
crashing_exit(PG_FUNCTION_ARGS)
{
	exit(PG_GETARG_INT32(0));
}

/* What a full queue of notifications does: all goes well until the commit. */
static bool commit_fails = false;

static void
end_of_transaction(XactEvent event, void *arg)
{
	bool		fails = commit_fails;

	commit_fails = false;
	if (event == XACT_EVENT_PRE_COMMIT && fails)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("there is no room for this commit")));
}

Datum
crashing_fail_commit(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(end_of_transaction, NULL);
	registered = true;
	commit_fails = true;
	PG_RETURN_VOID();
}

/* An error with that SQLSTATE, as if that source file of the server had raised it. */
Datum
crashing_raise_from(PG_FUNCTION_ARGS)
{
	const char *sqlstate = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *file = MemoryContextStrdup(TopMemoryContext, text_to_cstring(PG_GETARG_TEXT_PP(1)));

	errstart(ERROR, TEXTDOMAIN);
	errcode(MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]));
	errmsg("raised for a test");
	errfinish(file, 1, "crashing_raise_from");
	pg_unreachable();
}

/* What takes the whole server: the postmaster, and with it all others. */
PG_FUNCTION_INFO_V1(crashing_kill_postmaster);

Datum
crashing_kill_postmaster(PG_FUNCTION_ARGS)
{
	kill(getppid(), SIGKILL);
	sleep(1);
	_exit(1);
}

/* Is this process a companion? */
PG_FUNCTION_INFO_V1(crashing_is_companion);

Datum
crashing_is_companion(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(MyBgworkerEntry != NULL && strcmp(MyBgworkerEntry->bgw_type, "durable companion") == 0);
}

/* Returns its argument.  In a parallel worker it crashes. */
PG_FUNCTION_INFO_V1(crashing_in_parallel);

Datum
crashing_in_parallel(PG_FUNCTION_ARGS)
{
	if (IsParallelWorker())
		*(volatile int *) 8 = 1;
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/* The process stays for some time when it has given back all that it had in shared memory. */
PG_FUNCTION_INFO_V1(crashing_linger);

static void
linger(int code, Datum arg)
{
	for (int i = 0; i < 300; i++)
		usleep(100000);
}

Datum
crashing_linger(PG_FUNCTION_ARGS)
{
	on_proc_exit(linger, (Datum) 0);
	PG_RETURN_VOID();
}

/* When this process exits in a transaction, it stays for a second after the release of its locks. */
PG_FUNCTION_INFO_V1(crashing_slow_abort);

static void
after_release(ResourceReleasePhase phase, bool isCommit, bool isTopLevel, void *arg)
{
	if (phase == RESOURCE_RELEASE_AFTER_LOCKS && isTopLevel && !isCommit && proc_exit_inprogress)
		for (int i = 0; i < 10; i++)
			usleep(100000);
}

Datum
crashing_slow_abort(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	if (!registered)
		RegisterResourceReleaseCallback(after_release, NULL);
	registered = true;
	PG_RETURN_VOID();
}
