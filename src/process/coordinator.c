/*
 * coordinator.c
 *		The process that starts workers and does the maintenance for a database.
 *
 * Owns: the times at which the tables are looked at; the states UNKNOWN, ACTIVE
 * and ABSENT of its database.
 * Called by: the postmaster, at the launcher's request.
 * Locks: in a look AccessShareLock on the extension; no lock while it waits.
 * Memory: a context that is reset in each round.
 *
 * It is connected as the bootstrap superuser and runs only the engine's own SQL.
 * owners.c decides which owners need workers, worker_supply.c starts them, retention.c
 * deletes instances, fold.c adds up counts, and watching.c requests a run of the
 * queries whose tables have changed.
 *
 * In each round it reads the tables if there is a reason to (a request, or the slow
 * recheck), starts activities that wait in queues, starts and dismisses workers, deletes
 * a few old instances, and sleeps until the next of these or until work is due.  A process
 * with a request puts it into shared memory and sets the coordinator's latch.  Before the
 * coordinator sleeps, it checks for requests once more, under the spinlock under which it
 * records the time of its waking.  While it is awake no time is recorded, so a session that
 * commits a row that will become due requests a look.
 */
#include "durable.h"
#include "process.h"

#include <sys/resource.h>

#include "access/xact.h"
#include "admission.h"
#include "clock.h"
#include "engine.h"
#include "guc.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "session.h"
#include "shared.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "worker_supply.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "watch.h"
#include "watching.h"

/* Milliseconds. */
#define REPORT_INTERVAL		1000

/* Between two changes of watched tables; milliseconds. */
#define WATCH_INTERVAL		5

/* An idle coordinator may exit after this time to make room for another database's; ms. */
#define QUIET_FOR			1000

/*
 * A look at the tables may take this part of the time.  It takes long where an old
 * snapshot keeps a million dead messages.
 */
#define LOOK_SHARE			20

/*
 * A step that starts activities of queues may take this part of the processor time.  It does not wait
 * for the next look, because a queue with a limit makes no progress between two steps.
 */
#define ADMIT_SHARE			3

/* When the coordinator has to wake, and whether its process could make room until then. */
typedef struct Round
{
	long		ms;
	bool		is_quiet;
	TimestampTz next_due;
}			Round;

static CoordinatorStart start;
static MemoryContext round_context;
static bool allowed = false;	/* not paused, not held */
static HeldReason reported_held = HELD_NOT;
static TimestampTz delete_at = 0;	/* the next step of the retention */
static TimestampTz admit_not_before = 0;

static void start_up(void);
static void detach(int code, Datum arg);
static bool reason_to_look(DurableDatabase *db, TimestampTz looked_at, TimestampTz not_before);
static void look(DurableDatabase *db, TimestampTz *queues_due);
static long admit(DurableDatabase *db, TimestampTz *queues_due, long ms);
static void maintain(Round * round, TimestampTz judged_at, TimestampTz queues_due, long admission_ms);
static void wake_in(Round * round, long ms);
static int64 processor_time(void);
static void leave_without_extension(DurableDatabase *db);
static void report_held(HeldReason held);
static bool go_to_sleep(DurableDatabase *db, TimestampTz until, bool is_quiet, bool *asks_to_admit);
static void make_room(DurableDatabase *db, bool is_quiet, TimestampTz next_due);
static long wake_watching(void);
static void report_statistics(void);
static void describe_error(void *arg);

void
durable_coordinator_main(Datum arg)
{
	DurableDatabase *db;
	TimestampTz looked_at = 0;
	TimestampTz look_not_before = 0;
	TimestampTz queues_due = DT_NOEND;
	ErrorContextCallback callback = {.callback = describe_error};

	start_up();
	db = durable_my_database();
	durable_owners_init();
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	for (;;)
	{
		Round		round = {.next_due = DT_NOEND};
		bool		running;
		bool		asked;
		bool		asks_to_admit;
		TimestampTz judged_at;
		TimestampTz next_look;
		long		admission_ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			looked_at = 0;		/* start workers for the work that may run now */
			delete_at = 0;
		}
		MemoryContextReset(round_context);
		MemoryContextSwitchTo(round_context);
		if (durable_database_stopping(db))
			proc_exit(0);

		/* It looks before it exits: a timer that is due after its next look was reported to no process. */
		asked = durable_coordinator_is_asked(db);
		if (asked)
			looked_at = look_not_before = 0;
		if (reason_to_look(db, looked_at, look_not_before))
		{
			TimestampTz began = GetCurrentTimestamp();

			look(db, &queues_due);
			looked_at = GetCurrentTimestamp();
			look_not_before = looked_at + LOOK_SHARE * Max(looked_at - began, 0);
		}
		admission_ms = admit(db, &queues_due, durable_recheck_interval);
		running = allowed && durable_enabled && !durable_database_paused();
		judged_at = durable_clock_now();
		round.ms = durable_supply_workers(running);
		round.is_quiet = round.ms >= Min(QUIET_FOR, durable_recheck_interval) && !durable_owners_are_busy();
		if (round.ms < durable_recheck_interval)
			round.next_due = durable_clock_now() + round.ms * INT64CONST(1000);
		wake_in(&round, durable_recheck_interval);
		if (running)
			maintain(&round, judged_at, queues_due, admission_ms);
		report_statistics();

		/* Other events may end the sleep earlier, but only a look finds rows committed meanwhile. */
		next_look = looked_at + durable_recheck_interval * INT64CONST(1000) + durable_clock_offset();
		wake_in(&round, durable_clock_ms_until(next_look, round.ms));
		if (asked)
			make_room(db, round.is_quiet, round.next_due);
		if (go_to_sleep(db, next_look, round.is_quiet, &asks_to_admit))
			durable_clock_wait(asks_to_admit && running ?
							   durable_clock_ms_until(admit_not_before + durable_clock_offset(), round.ms) : round.ms);
		else
			durable_clock_wait(durable_clock_ms_until(look_not_before + durable_clock_offset(), round.ms));
	}
}

static void
start_up(void)
{
	DurableDatabase *db;

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	db = &durable_shared->databases[start.entry];

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, PG_SIG_IGN);	/* the engine's statements are not cancelled */
	durable_flight_watch_quit();
	if (!durable_coordinator_attach(db, start.database, start.started))
		proc_exit(0);
	before_shmem_exit(detach, (Datum) 0);
	if (durable_database_stopping(db))
		proc_exit(0);

	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(start.database, InvalidOid, 0);
	ProcessConfigFile(PGC_SIGHUP);

	durable_process_settings("durable coordinator");
	round_context = AllocSetContextCreate(TopMemoryContext, "durable coordinator round",
										  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round_context);
}

static void
detach(int code, Datum arg)
{
	DurableDatabase *db = &durable_shared->databases[start.entry];

	durable_coordinator_release(db, start.started, code != 0 && !durable_database_stopping(db));
}

/* --- looking at the tables -------------------------------------------------------------- */

static bool
reason_to_look(DurableDatabase *db, TimestampTz looked_at, TimestampTz not_before)
{
	TimestampTz now = GetCurrentTimestamp();

	/* A request stays until it has been served; the clock may have been set back. */
	bool		too_soon = now < not_before && now >= looked_at;
	bool		granted;

	SpinLockAcquire(&db->mutex);
	db->coordinator_sleeps_until = DT_NOEND;
	granted = !too_soon &&
		(db->look || durable_clock_passed(looked_at, now, durable_recheck_interval));
	if (granted)
		db->look = db->admit = db->examine = false;
	SpinLockRelease(&db->mutex);
	return granted;
}

/* *queues_due: when work in queues is due next, whether or not a process has asked for it. */
static void
look(DurableDatabase *db, TimestampTz *queues_due)
{
	TimestampTz now;
	bool		paused;
	HeldReason	held;
	bool		present;

	pgstat_report_activity(STATE_RUNNING, "looking for work");
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	present = durable_engine_lock();
	if (present)
	{
		allowed = durable_engine_check(&paused, &held);
		*queues_due = DT_NOEND;
		if (allowed && !paused)
		{
			durable_admission_clean();
			durable_admission_step(queues_due);
		}
		if (allowed)
			durable_owners_look();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(round_context);
	pgstat_report_activity(STATE_IDLE, NULL);

	if (!present)
		leave_without_extension(db);
	if (db->state != DATABASE_ACTIVE)
	{
		durable_database_set_state(db, DATABASE_ACTIVE);
		/* The launcher lets only some coordinators explore at a time: now another one may. */
		durable_launcher_wake();
	}
	report_held(held);

	now = GetCurrentTimestamp();
	SpinLockAcquire(&db->mutex);
	db->looked_at = now;
	SpinLockRelease(&db->mutex);
}

/*
 * Starts activities that wait in queues if a process has asked for it, or if some are due.  Returns the
 * milliseconds until the next time, at most ms.
 */
static long
admit(DurableDatabase *db, TimestampTz *queues_due, long ms)
{
	static TimestampTz admitted_at = 0;
	TimestampTz now = GetCurrentTimestamp();
	bool		asked;
	bool		paused;
	HeldReason	held;
	int64		used;

	SpinLockAcquire(&db->mutex);
	asked = db->admit;
	SpinLockRelease(&db->mutex);
	if (!asked && durable_clock_now() < *queues_due)
		return durable_clock_ms_until(*queues_due, ms);
	if (!allowed)
		return ms;				/* the look that allows it also starts them */
	if (now < admit_not_before && now >= admitted_at)
		return durable_clock_ms_until(admit_not_before + durable_clock_offset(), ms);

	SpinLockAcquire(&db->mutex);
	db->admit = false;
	SpinLockRelease(&db->mutex);
	used = processor_time();
	*queues_due = DT_NOEND;
	pgstat_report_activity(STATE_RUNNING, "starting activities of queues");
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (durable_engine_lock() && durable_engine_check(&paused, &held))
		durable_admission_step(queues_due);
	CommitTransactionCommand();
	MemoryContextSwitchTo(round_context);
	pgstat_report_activity(STATE_IDLE, NULL);
	admitted_at = GetCurrentTimestamp();
	admit_not_before = admitted_at + ADMIT_SHARE * (processor_time() - used);
	return durable_clock_ms_until(Max(*queues_due, admit_not_before + durable_clock_offset()), ms);
}

/* Performs the steps of retention, blame, counts and watched tables, as far as they are due. */
static void
maintain(Round * round, TimestampTz judged_at, TimestampTz queues_due, long admission_ms)
{
	TimestampTz owners_due;
	long		blame_ms;

	/* A step rests for less than a minute.  A longer time means that the clock was set back. */
	if (GetCurrentTimestamp() >= delete_at ||
		delete_at - GetCurrentTimestamp() > 2 * USECS_PER_MINUTE)
	{
		int64		rest_ms = durable_retention_step();

		delete_at = GetCurrentTimestamp() + rest_ms * 1000; /* from the end of the step */
	}
	wake_in(round, Max(delete_at - GetCurrentTimestamp(), 0) / 1000 + 1);
	owners_due = durable_owners_next_due(judged_at);
	wake_in(round, durable_clock_ms_until(owners_due, round->ms));
	round->is_quiet &= delete_at - GetCurrentTimestamp() > QUIET_FOR * INT64CONST(1000);
	round->next_due = Min(round->next_due, Min(owners_due, queues_due));
	wake_in(round, admission_ms);
	round->is_quiet &= admission_ms >= Min(QUIET_FOR, durable_recheck_interval);
	blame_ms = durable_blame_step();
	wake_in(round, blame_ms);
	round->is_quiet &= blame_ms >= durable_recheck_interval;
	wake_in(round, durable_fold_step());
	wake_in(round, wake_watching());
}

/* A function, because Min() evaluates its arguments twice and steps must not run twice. */
static void
wake_in(Round * round, long ms)
{
	round->ms = Min(round->ms, ms);
}

/* In microseconds. */
static int64
processor_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * USECS_PER_SEC +
		usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/*
 * If the extension is being created, its commit requests a coordinator for the
 * database.  We cleared such requests before we looked.  The launcher sees a later
 * request together with the state ABSENT, and starts a coordinator again.
 */
static void
leave_without_extension(DurableDatabase *db)
{
	durable_database_set_state(db, DATABASE_ABSENT);
	proc_exit(0);
}

static void
report_held(HeldReason held)
{
	if (held == reported_held)
		return;
	reported_held = held;
	switch (held)
	{
		case HELD_NOT:
			ereport(LOG, (errmsg("workflows of this database are running again")));
			break;
		case HELD_OTHER_VERSION:
			ereport(WARNING,
					(errmsg("workflows of this database do not run because the version of extension \"durable\" is not %s, the version of the library",
							DURABLE_VERSION),
					 errhint("Use ALTER EXTENSION durable UPDATE. If the library is older than the extension, restart the server.")));
			break;
		case HELD_NO_IDENTITY:
		case HELD_OTHER_CLUSTER:
		case HELD_OTHER_DATABASE:
			ereport(WARNING,
					(errmsg("workflows of this database do not run because it is a copy"),
					 held == HELD_NO_IDENTITY ? errdetail("The database does not record where its instances were started.") :
					 held == HELD_OTHER_CLUSTER ? errdetail("Its instances were started in another database cluster.") :
					 errdetail("Its instances were started in another database of this cluster."),
					 errhint("If the instances do not run elsewhere, call durable.adopt() in this database to run them here.")));
			break;
	}
}

/* --- sleeping ------------------------------------------------------------------------------ */

/*
 * Returns false when a request arrived since this round began.  until: the next look
 * at the tables; a session that commits a row that is due earlier asks for a look.
 * *asks_to_admit: a process has asked for a start of activities of queues.  Its wake-up may have
 * been taken by a wait for a lock in this round.
 */
static bool
go_to_sleep(DurableDatabase *db, TimestampTz until, bool is_quiet, bool *asks_to_admit)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		nothing_new;

	SpinLockAcquire(&db->mutex);
	nothing_new = !db->look && db->nwanted == 0 && db->nexits == 0;
	*asks_to_admit = db->admit;
	db->coordinator_sleeps_until = until;
	if (!is_quiet || !nothing_new || db->admit)
		db->coordinator_quiet_since = 0;
	else if (db->coordinator_quiet_since == 0)
		db->coordinator_quiet_since = now;
	SpinLockRelease(&db->mutex);
	return nothing_new;
}

/*
 * Makes room for another database's coordinator, or for a worker.  All that is known
 * here is in the tables, too, except how long failing owners wait for their next try.
 */
static void
make_room(DurableDatabase *db, bool is_quiet, TimestampTz next_due)
{
	durable_coordinator_leave(db, is_quiet ? next_due : DT_NOBEGIN);
	proc_exit(0);
}

/* Requests a run of the queries whose tables have changed (watching.c).  Returns ms until the next call. */
static long
wake_watching(void)
{
	static TimestampTz woken_at = 0;
	bool		more = false;

	if (!durable_watch_has_changes())
		return durable_recheck_interval;
	if (!durable_clock_passed(woken_at, GetCurrentTimestamp(), WATCH_INTERVAL))
		return WATCH_INTERVAL;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (durable_engine_lock())
		more = durable_watching_step();
	CommitTransactionCommand();
	MemoryContextSwitchTo(round_context);
	woken_at = GetCurrentTimestamp();
	return more ? WATCH_INTERVAL : durable_recheck_interval;
}

static void
report_statistics(void)
{
	static TimestampTz reported_at = 0;

	if (durable_clock_passed(reported_at, GetCurrentTimestamp(), REPORT_INTERVAL))
	{
		pgstat_report_stat(true);
		reported_at = GetCurrentTimestamp();
	}
}

static void
describe_error(void *arg)
{
	errcontext("durable coordinator of database \"%s\"", durable_session_database_name());
}
