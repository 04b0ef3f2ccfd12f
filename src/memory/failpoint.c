/*
 * failpoint.c
 *		Named places where a test can have the process killed or held; they exist only if
 *		the library is built with DURABLE_TESTING.
 *
 * Every process that passes a place counts it in shared memory.  A test arms one of
 * the places: from then on the n-th process that passes it kills itself, as if by
 * kill -9.  The server restarts with new shared memory, in which no place is armed.
 *
 * In some of the places the process can be held instead: a test takes an advisory lock and
 * sets its key for the place, and each process that passes the place waits for the lock
 * (and releases it).  Only a process that runs a statement of a client passes these places.
 *
 * The extension has no SQL function for this.  A test creates its own functions, which
 * only a superuser can do.
 *
 * Owns: the counters in shared memory.
 * Called by: the engine at these places; test/t/230_chaos_commits.pl and other tests.
 * Locks: none.
 * Memory: none.
 */
#include "durable.h"
#include "failpoint.h"

#ifdef DURABLE_TESTING

#include <signal.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "shared.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

static const char *const names[FAILPOINT_COUNT] = {
	[FAILPOINT_BATCH_CLAIMED] = "batch-claimed",
	[FAILPOINT_TURN_DONE] = "turn-done",
	[FAILPOINT_ACTIVITY_DONE] = "activity-done",
	[FAILPOINT_HISTORY_WRITTEN] = "history-written",
	[FAILPOINT_BATCH_WRITTEN] = "batch-written",
	[FAILPOINT_TASK_BEFORE] = "task-before",
	[FAILPOINT_TASK_AFTER] = "task-after",
	[FAILPOINT_BEFORE_COMMIT] = "before-commit",
	[FAILPOINT_COMMITTED] = "committed",
	[FAILPOINT_AFTER_COMMIT] = "after-commit",
	[FAILPOINT_START_INSERTED] = "start-inserted",
	[FAILPOINT_CRASH_COUNTED] = "crash-counted",
	[FAILPOINT_START_SETTLED] = "start-settled",
	[FAILPOINT_WAIT_LOOKED] = "wait-looked",
	[FAILPOINT_END_SEEN] = "end-seen"
};

static Failpoint find_point(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(durable_failpoint_arm);
PG_FUNCTION_INFO_V1(durable_failpoint_hold);
PG_FUNCTION_INFO_V1(durable_failpoint_passed);
PG_FUNCTION_INFO_V1(durable_failpoint_names);

void
durable_failpoint_pass(Failpoint point)
{
	int64		key;

	if (durable_shared == NULL)
		return;
	pg_atomic_fetch_add_u64(&durable_shared->failpoint_passed[point], 1);
	key = (int64) pg_atomic_read_u64(&durable_shared->failpoint_holds[point]);
	if (key != 0)
	{
		DirectFunctionCall1(pg_advisory_lock_int8, Int64GetDatum(key));
		DirectFunctionCall1(pg_advisory_unlock_int8, Int64GetDatum(key));
	}
	if (pg_atomic_read_u64(&durable_shared->failpoint_left[point]) > 0 &&
		pg_atomic_fetch_sub_u64(&durable_shared->failpoint_left[point], 1) == 1)
		kill(MyProcPid, SIGKILL);
}

/* (name text, n bigint) returns void: 0 disarms the place */
Datum
durable_failpoint_arm(PG_FUNCTION_ARGS)
{
	durable_shmem_require();
	pg_atomic_write_u64(&durable_shared->failpoint_left[find_point(fcinfo)], PG_GETARG_INT64(1));
	PG_RETURN_VOID();
}

/* (name text, key bigint) returns void: the process waits for this advisory lock; 0: for none */
Datum
durable_failpoint_hold(PG_FUNCTION_ARGS)
{
	durable_shmem_require();
	pg_atomic_write_u64(&durable_shared->failpoint_holds[find_point(fcinfo)], (uint64) PG_GETARG_INT64(1));
	PG_RETURN_VOID();
}

/* (name text) returns bigint: the number of passes since the server started or restarted */
Datum
durable_failpoint_passed(PG_FUNCTION_ARGS)
{
	durable_shmem_require();
	PG_RETURN_INT64(pg_atomic_read_u64(&durable_shared->failpoint_passed[find_point(fcinfo)]));
}

/* () returns text: the names of all places */
Datum
durable_failpoint_names(PG_FUNCTION_ARGS)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < FAILPOINT_COUNT; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? " " : "", names[i]);
	PG_RETURN_TEXT_P(cstring_to_text(list.data));
}

static Failpoint
find_point(FunctionCallInfo fcinfo)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	for (int i = 0; i < FAILPOINT_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("failpoint \"%s\" does not exist", name)));
}

#endif
