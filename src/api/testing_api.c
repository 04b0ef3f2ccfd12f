/*-------------------------------------------------------------------------
 *
 * testing_api.c
 *		Testing aids: units of work in this session, and a clock that can be moved.
 *
 * With durable.max_workers = 0 only drain runs units, so the results of a test are
 * reproducible, and advance_clock makes hours pass at once.
 *
 * Called by: SQL, with durable.testing = on
 * Locks:	those of the units
 * Memory:	that of the units; each unit's is freed after it
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "admission.h"
#include "clock.h"
#include "engine.h"
#include "guc.h"
#include "registry.h"
#include "shmem.h"
#include "suspect.h"
#include "time_after.h"
#include "turn.h"
#include "unit.h"
#include "watching.h"

static UnitResult run(UnitResult (*unit) (Oid owner, UnitScan *scan), Oid owner, UnitScan *scan);
static void require_testing(const char *function);

/* How long drain waits for another process that ends leases, or for a user's transaction; ms. */
#define LONGEST_WAIT_MS	250

/* The limit keeps times computed from it, such as the end of a retention, in range. */
#define CLOCK_YEARS		250000
#define LATEST_CLOCK	((TimestampTz) CLOCK_YEARS * 366 * USECS_PER_DAY)
#define EARLIEST_CLOCK	((TimestampTz) -2000 * 365 * USECS_PER_DAY)

PG_FUNCTION_INFO_V1(durable_drain);
PG_FUNCTION_INFO_V1(durable_advance_clock);

/*
 * Each unit is a transaction of its own, so it has to be called outside of a
 * transaction block, and not by a function.
 */
Datum
durable_drain(PG_FUNCTION_ARGS)
{
	CallContext *context = (CallContext *) fcinfo->context;
	UnitScan	scan = {0, 0, DT_NOBEGIN, DT_NOBEGIN, 0, 1, false};
	Oid			owner = GetUserId();
	TimestampTz deadline;
	HeldReason	held;
	bool		paused;
	bool		may_run;
	bool		look_again = true;
	int			waits = 0;

	require_testing("drain");
	PreventCommandDuringRecovery("durable.drain()");
	if (context == NULL || !IsA(context, CallContext) || context->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("durable.drain() cannot run inside a transaction block"),
				 errhint("Call it outside of a transaction block, because each unit of work is a separate transaction.")));
	deadline = PG_ARGISNULL(0) ? DT_NOEND :
		durable_time_after(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(0), "timeout");

	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");

	/* Rows that were committed before must be visible, even if the caller has an older snapshot. */
	SPI_commit();

	/* A paused engine, or that of a copy, runs no units here either. */
	may_run = durable_engine_check(&paused, &held);
	SPI_commit();
	while (may_run)
	{
		UnitResult	watching = run(durable_watching_unit, owner, &scan);
		UnitResult	result = run(durable_unit_batch, owner, &scan);
		bool		passed_over = scan.passed_over;

		/*
		 * A task runs between full batches, too: the durations learned from the first
		 * activities let the others run inline.
		 */
		if (result == UNIT_NOTHING || passed_over)
			result = run(durable_unit_task, owner, &scan);
		else if (result == UNIT_FULL)
			(void) run(durable_unit_task, owner, &scan);
		if (scan.suspect_key != 0 && durable_suspect_may_run())
		{
			(void) run(durable_unit_suspect, owner, &scan);
			scan.suspect_key = 0;
			look_again = true;
		}
		durable_suspect_ran();

		/* A unit may have sent messages to any instance, so all positions are reset at the end. */
		if (result != UNIT_NOTHING || watching != UNIT_NOTHING)
			look_again = true;
		else if (passed_over)
			;					/* continue behind the rows that other processes have locked */
		else if (look_again)
		{
			/*
			 * The coordinator also admits activities from queues and ends leases, so wait for its
			 * commit.  It may also be a user's transaction that has locked due work.
			 */
			look_again = run(durable_admission_unit, owner, &scan) == UNIT_FULL ||
				(scan.passed_over && ++waits <= LONGEST_WAIT_MS);
			if (look_again)
				pg_usleep(1000);
			else
				waits = 0;
			scan = (UnitScan) {0, 0, DT_NOBEGIN, DT_NOBEGIN, 0, 1, false};
		}
		else
			break;

		if (GetCurrentTimestamp() > deadline)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("durable.drain() timed out")));
	}
	SPI_finish();
	PG_RETURN_VOID();
}

/* Runs one unit in one transaction, as a worker does, independently of the session's defaults. */
static UnitResult
run(UnitResult (*unit) (Oid owner, UnitScan *scan), Oid owner, UnitScan *scan)
{
	UnitResult	result;

	CHECK_FOR_INTERRUPTS();
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	PushActiveSnapshot(GetTransactionSnapshot());
	durable_registry_load(false);
	result = unit(owner, scan);
	PopActiveSnapshot();
	SPI_commit();
	return result;
}

Datum
durable_advance_clock(PG_FUNCTION_ARGS)
{
	Interval   *step;
	TimestampTz now;
	TimestampTz moved;

	require_testing("advance_clock");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("step must not be null")));
	step = PG_GETARG_INTERVAL_P(0);

	/* Starts from the time that the clock shows, so that the new time is in range, too. */
	now = durable_clock_now();
	moved = durable_time_after(now, step, "step");
	if (moved > LATEST_CLOCK || moved < EARLIEST_CLOCK)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("step is out of range: \"%s\"",
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(step)))),
				 errdetail("The clock can be advanced by at most %d years.", CLOCK_YEARS)));
	durable_clock_advance(moved - now);
	PG_RETURN_TIMESTAMPTZ(durable_clock_now());
}

static void
require_testing(const char *function)
{
	durable_shmem_require();
	if (!durable_testing)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("durable.%s() is available only for testing", function),
				 errhint("Set durable.testing = on in postgresql.conf and restart the server.")));
	if (durable_turn_active())
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_NONDETERMINISTIC),
				 errmsg("durable.%s() cannot be called by an orchestration", function)));
}
