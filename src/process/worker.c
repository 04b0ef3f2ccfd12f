/*
 * worker.c
 *		The process that runs the workflows of one owner in one database.
 *
 * Owns: the transactions around units of work.
 * Called by: the postmaster, at a coordinator's request.
 * Locks: AccessShareLock on the extension for each unit; the locks of the unit.
 *			None while it waits.
 * Memory: a context that is reset for each unit, and the contexts of the transaction.
 *
 * The worker connects as the owner, so session user, settings, row security and RESET
 * ROLE are the owner's, and user code can run as no other role.  The engine's own
 * statements run as the extension's owner for just that statement (sql.c).
 *
 * An error that a unit raises is not the workflow's but the engine's or the server's:
 * the process exits, its transaction rolls back, and the coordinator starts another
 * worker, which runs one instance at a time (solo).
 *
 * Order of looking and sleeping: the worker takes the hints, follows them, and sleeps
 * only if durable_slot_sleep finds no new ones; see slot.c.
 */
#include "durable.h"
#include "process.h"

#include "access/xact.h"
#include "clock.h"
#include "engine.h"
#include "failpoint.h"
#include "guc.h"
#include "sweep.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "registry.h"
#include "session.h"
#include "shared.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "suspect.h"
#include "tcop/tcopprot.h"
#include "unit.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Statistics are reported at least this often, and before sleeping; ms, like the next ones. */
#define REPORT_INTERVAL		500

/* An idle worker does not exit shortly before work is due. */
#define STAYS_FOR_MS		100
#define LONGEST_IDLE_SLEEP	60000

/* Solo mode ends when no work is left, or after this number of units. */
#define SOLO_UNITS			1000

/* A worker that gives way to others takes one batch in this time; less than STUCK_BATCH. */
#define STEP_ASIDE_MS		50

/* While a suspect waits for another one that runs, the worker looks again after this time. */
#define SUSPECT_WAIT_MS		20

/* The kinds of units. */
typedef UnitResult (*Unit) (Oid owner, UnitScan *scan);

static WorkerStart start;
static MemoryContext unit_context;
static UnitScan scan;			/* its positions are those of the present batch */
static int64 units = 0;
static bool leaving = false;
static bool task_refused = false;
static TimestampTz everything_at = 0;	/* last time that the positions were reset */
static int	fruitless = 0;			/* rounds in a row that found nothing and did not sleep */

static void terminate(SIGNAL_ARGS);
static void start_up(void);
static void check_identity(void);
static void look_everywhere(TimestampTz now);
static void take_hints(void);
static UnitResult run_batch(void);
static bool may_stay(void);
static UnitResult run(Unit unit, UnitScan *where);
static bool commit_task(void);
static bool run_suspect(void);
static bool run_task(void);
static long sleep_time(TimestampTz idle_since);
static void report_statistics(bool now);
static void describe_error(void *arg);

void
durable_worker_main(Datum arg)
{
	ErrorContextCallback callback = {.callback = describe_error};
	TimestampTz idle_since;

	start_up();
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	idle_since = GetCurrentTimestamp();

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		UnitResult	result;
		long		ms;

		idle_since = Min(idle_since, now);	/* the clock may have been set back */
		ResetLatch(MyLatch);
		QueryCancelPending = false; /* one that came between two units */
		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);		/* a busy worker does not wait, so no wait reports it */
		if (ConfigReloadPending)
		{
			/* The successor has the new settings, those of its role included. */
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			leaving = true;
		}
		MemoryContextReset(unit_context);
		MemoryContextSwitchTo(unit_context);

		look_everywhere(now);
		take_hints();
		if (!may_stay())
			break;

		result = run_batch();
		if (scan.suspect_key != 0 && run_suspect())
			result = Max(result, UNIT_SOME);
		if (result == UNIT_FULL)
			durable_slot_want_peer();
		if (run_task() || result != UNIT_NOTHING)
		{
			idle_since = GetCurrentTimestamp();
			fruitless = 0;
		}
		if (result == UNIT_FULL)
		{
			if (durable_slot_is_surplus())
				durable_clock_wait(STEP_ASIDE_MS);
			continue;
		}
		if (result == UNIT_SOME)
			durable_slot_was_light();

		ms = sleep_time(idle_since);
		if (ms < 0)
		{
			durable_slot_note_idle_end();
			break;
		}
		if (ms > 0 && durable_slot_sleep(durable_clock_now() + ms * INT64CONST(1000)))
		{
			report_statistics(true);
			durable_clock_wait(ms);
		}
	}
	durable_slot_set_state(SLOT_IDLE);	/* a process that ends within a unit failed in it */
	report_statistics(true);
	proc_exit(0);
}

static void
start_up(void)
{
	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	if (!durable_slot_attach(start.slot, start.generation, terminate))
		proc_exit(0);

	BackgroundWorkerUnblockSignals();
	durable_session_connect(start.database, start.owner);
	durable_slot_connected();

	scan.solo = durable_my_slot()->solo;
	unit_context = AllocSetContextCreate(TopMemoryContext, "durable unit", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(unit_context);
	check_identity();
}

/*
 * The coordinator looks at the tables now and then, and the database may have
 * been restored since.  The answer goes to shared memory, where may_stay and the
 * coordinator see it.
 */
static void
check_identity(void)
{
	bool		paused;
	HeldReason	held;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (durable_engine_lock())
		(void) durable_engine_check(&paused, &held);
	CommitTransactionCommand();
	MemoryContextSwitchTo(unit_context);
}

/* Calls the stock handler, and records that the following exit is no failure. */
static void
terminate(SIGNAL_ARGS)
{
	durable_slot_note_terminated();
	die(DURABLE_PASS_SIGNAL);
}

/*
 * Resets the positions from time to time, and when an instance was skipped until now.  Dead
 * rows that an old snapshot keeps make the scans expensive, so they may take a twentieth of the
 * time.
 */
static void
look_everywhere(TimestampTz now)
{
	if ((durable_clock_passed(everything_at, now,
							  Max(durable_recheck_interval, 20 * scan.walked_us / 1000)) ||
		 (scan.look_again != 0 && scan.look_again <= durable_clock_now())) &&
		!durable_sweep_is_walking())
	{
		scan.walked_us = 0;
		scan.look_again = 0;
		durable_sweep_everywhere();
		scan.timer_due = scan.task_due = DT_NOBEGIN;
		everything_at = now;
	}
}

static void
take_hints(void)
{
	DurableHints hints;

	durable_slot_take_hints(&hints);
	durable_sweep_at(&hints);
	durable_unit_timers_from(&scan, hints.due, PG_INT64_MIN);
	scan.task_due = Min(scan.task_due, hints.task_due);
	leaving |= hints.leave;
	durable_slot_partition(&scan.part, &scan.nparts);
}

static UnitResult
run_batch(void)
{
	UnitResult	result;

	durable_sweep_begin(&scan);
	result = run(durable_unit_batch, &scan);
	durable_sweep_end(&scan);

	if (scan.solo && ((result == UNIT_NOTHING && durable_sweep_is_over()) || units > SOLO_UNITS))
		scan.solo = false;
	return result;
}

static bool
may_stay(void)
{
	return !leaving && durable_enabled && !durable_database_paused() &&
		units < durable_worker_max_units;
}

/*
 * Runs one unit in one transaction.  Errors end the process, except an error of the
 * commit of an activity with a transaction of its own: that activity is postponed.
 */
static UnitResult
run(Unit unit, UnitScan *where)
{
	UnitResult	result = UNIT_NOTHING;
	bool		present;
	bool		left_something;

	durable_slot_set_state(SLOT_BATCH);
	pgstat_report_activity(STATE_RUNNING, "durable unit of work");
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	present = durable_engine_lock() && durable_session_may_go_on();
	if (present && !durable_database_paused())
	{
		durable_registry_load(false);
		result = unit(start.owner, where);
		durable_session_before_commit();
		if (unit == durable_unit_batch && where->only_queued)
			durable_session_commit_later();
	}
	left_something = durable_session_left_something();
	if (result != UNIT_NOTHING)
		durable_failpoint_pass(FAILPOINT_BEFORE_COMMIT);
	if (unit == durable_unit_task && where->ran_task != 0)
	{
		bool		committed = commit_task();

		durable_session_after_commit();
		if (!committed)
			return run(durable_unit_put_off, where);
	}
	else
	{
		CommitTransactionCommand();
		durable_session_after_commit();
	}
	if (result != UNIT_NOTHING)
		durable_failpoint_pass(FAILPOINT_AFTER_COMMIT);
	MemoryContextSwitchTo(unit_context);

	/* A cancel that came too late must not hit the next unit. */
	QueryCancelPending = false;
	if (left_something)
		durable_session_reset();
	pgstat_report_activity(STATE_IDLE, NULL);
	report_statistics(false);

	units += result != UNIT_NOTHING;
	leaving |= !present;
	return result;
}

/* Returns false when the commit failed and the transaction was rolled back. */
static bool
commit_task(void)
{
	volatile bool committed = true;

	PG_TRY();
	{
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		committed = false;
		MemoryContextSwitchTo(unit_context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	return committed;
}

/*
 * Instances and tasks that have ended a process or the server run alone.  Returns false
 * when another suspect is running; the caller tries again soon.
 */
static bool
run_suspect(void)
{
	if (!durable_suspect_may_run())
		return false;
	(void) run(durable_unit_suspect, &scan);
	durable_suspect_ran();
	scan.suspect_key = 0;

	/* Other suspects have been skipped. */
	durable_sweep_everywhere();
	scan.timer_due = DT_NOBEGIN;
	return true;
}

/* Returns true when it ran one. */
static bool
run_task(void)
{
	UnitResult	result;

	task_refused = false;
	if (leaving || scan.task_due > durable_clock_now())
	{
		durable_task_not_due();
		return false;
	}
	if (!durable_task_may_start())
	{
		/* The process that ends a task sets our latch. */
		task_refused = true;
		return false;
	}
	result = run(durable_unit_task, &scan);
	durable_suspect_ran();
	durable_task_ended();
	return result != UNIT_NOTHING;
}

/* Returns ms; -1 when there is no reason to stay. */
static long
sleep_time(TimestampTz idle_since)
{
	TimestampTz due = task_refused ? scan.timer_due : Min(scan.timer_due, scan.task_due);
	TimestampTz due_again = scan.look_again != 0 ? Min(due, scan.look_again) : due;
	long		until_due = durable_clock_ms_until(due_again, LONGEST_IDLE_SLEEP);
	long		ms = Min(until_due, durable_recheck_interval);
	long		idle_ms = (long) (Max(GetCurrentTimestamp() - idle_since, 0) / 1000);
	long		left_ms = durable_worker_idle_timeout - idle_ms;

	if (!durable_sweep_is_over())
		ms = 0;
	if (scan.suspect_key != 0)
		ms = Min(ms, SUSPECT_WAIT_MS);

	/*
	 * Work is due and the unit cannot take it: another transaction has locked it, or
	 * only dead rows are there to look at.  That must not cause a busy loop.
	 */
	if (ms == 0)
		return ++fruitless < 10 ? 0 : 50;
	fruitless = 0;

	/* Work is due before the worker would exit: stay for it. */
	if (left_ms <= 0)
		return until_due > STAYS_FOR_MS ? -1 : ms;
	return Min(ms, left_ms);
}

static void
report_statistics(bool now)
{
	static TimestampTz reported_at = 0;
	TimestampTz time = GetCurrentTimestamp();

	if (!now && !durable_clock_passed(reported_at, time, REPORT_INTERVAL))
		return;
	pgstat_report_stat(true);
	reported_at = time;
}

static void
describe_error(void *arg)
{
	errcontext("%s", durable_session_context());
}
