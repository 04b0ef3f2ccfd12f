/*-------------------------------------------------------------------------
 *
 * blame.c
 *		Counts crashes of user code, which the flight recorder has reported; a part of the
 *		coordinator.
 *
 * A report says that an orchestration or an activity was running when its process
 * ended, or the whole server.  The count is the column "crashes" of the task, or of
 * the instance or entity for code that ran in a batch: FLIGHT_CRASH for the end of its
 * process, 1 for that of the server, when the cause is not known.  Units (unit.c,
 * task_unit.c) do not run reported instances and tasks before they have been counted,
 * run those with a count alone, and no longer run them when the count reaches
 * durable.max_crashes.
 *
 * All reports are counted in one transaction.  It does not wait for locks: a row that
 * is locked is counted in a later round.  Before its commit each report gets the
 * transaction's number.  When the server ends between the commit and the removal of
 * the report, the coordinator of the restarted server finds that it has been counted.
 * The commit is synchronous, whatever the configuration says: the code that is counted
 * may run at once, and crash the server before an asynchronous commit is flushed.
 *
 * A report of another timeline is ignored, because another server has continued this
 * work in the meantime.  Only the parent of the present timeline counts like the
 * present one: Patroni restarts a crashed primary as a standby and promotes it, if it
 * still has the leader's lock, and that makes a new timeline each time.
 *
 * Owns:	the counts "crashes" of tasks, instances and entities, together with the units
 * Called by: coordinator.c
 * Locks:	row locks of the tasks, instances and entities that are counted, never waited for
 * Memory:	the caller's context
 *
 *-------------------------------------------------------------------------
 */
#include "durable.h"
#include "process.h"

#include "access/timeline.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "clock.h"
#include "crashes.h"
#include "engine.h"
#include "failpoint.h"
#include "flight.h"
#include "guc.h"
#include "instance_table.h"
#include "slot.h"
#include "suspect.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wakeup.h"

/* A row that is locked is tried again after this time; ms. */
#define LOCKED_RETRY	100

/* Code that has ended its process twice and may still run waits for 1 s, then 2 s, up to 64 s. */
#define MAX_BACKOFF		6

typedef enum Verdict
{
	COUNTED,
	LOCKED,
	SAYS_NOTHING				/* counted before, of another timeline, or its row is gone */
}			Verdict;

static Verdict count(const FlightReport *report);
static Verdict count_task(const FlightReport *report);
static Verdict count_in_batch(const FlightReport *report);
static TimestampTz add_crash(BlamedRow *row, const FlightReport *report);
static bool is_of_this_timeline(const FlightReport *report);
static bool was_counted(const FlightReport *report);
static int64 backoff(int crashes, const FlightReport *report);
static void tell(const FlightReport *report, const char *what, const char *instance_id);

long
durable_blame_step(void)
{
	FlightReport reports[FLIGHT_MAX_REPORTS];
	int			n = durable_report_list(reports, FLIGHT_MAX_REPORTS);
	bool		done[FLIGHT_MAX_REPORTS];
	bool		counted[FLIGHT_MAX_REPORTS];
	MemoryContext context = CurrentMemoryContext;
	bool		all = true;
	bool		any = false;
	bool		any_counted = false;

	if (n == 0)
		return durable_recheck_interval;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!durable_engine_lock())
	{
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
		return durable_recheck_interval;
	}
	for (int i = 0; i < n; i++)
	{
		Verdict		verdict = count(&reports[i]);

		done[i] = verdict != LOCKED;
		counted[i] = verdict == COUNTED;
		all &= done[i];
		any |= done[i];
		any_counted |= counted[i];
	}
	if (any_counted)
	{
		/* A transaction id is not used again after a crash if a record with it has been flushed. */
		XLogFlush(XactLastRecEnd);
		for (int i = 0; i < n; i++)
			if (counted[i])
				durable_report_count_by(&reports[i], U64FromFullTransactionId(GetTopFullTransactionId()));
		durable_failpoint_pass(FAILPOINT_CRASH_COUNTED);

		/* Also with synchronous_commit = off: what is counted here may crash the server at once. */
		ForceSyncCommit();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	for (int i = 0; i < n; i++)
		if (done[i])
			durable_report_remove(&reports[i]);

	/* Until now units have skipped the reported rows and moved their positions past them. */
	if (any)
	{
		durable_slot_look_at_everything();
		durable_database_look();
	}
	return all ? durable_recheck_interval : LOCKED_RETRY;
}

/* An earlier coordinator, or an earlier round of this one, may have counted it. */
static bool
was_counted(const FlightReport *report)
{
	return report->counted_by != 0 &&
		TransactionIdDidCommit(XidFromFullTransactionId(FullTransactionIdFromU64(report->counted_by)));
}

static Verdict
count(const FlightReport *report)
{
	if (!is_of_this_timeline(report))
	{
		ereport(LOG,
				(errmsg("ignoring the record of work that ran when the server terminated, because it is from another timeline"),
				 errdetail("The timeline of the record is %u.", report->timeline)));
		return SAYS_NOTHING;
	}
	/* Checked after the timeline: the commit log may not know a transaction of another one. */
	if (was_counted(report))
		return SAYS_NOTHING;
	return report->run.kind == FLIGHT_TASK ? count_task(report) : count_in_batch(report);
}

static bool
is_of_this_timeline(const FlightReport *report)
{
	TimeLineID	present = GetWALInsertionTimeLine();
	List	   *history;

	if (report->timeline == present)
		return true;
	history = readTimeLineHistory(present);
	return list_length(history) > 1 &&
		((TimeLineHistoryEntry *) lsecond(history))->tli == report->timeline;
}

/*
 * The task may have been added by a commit that was lost, if the server commits
 * asynchronously.  Its instance will add it again, so the crash counts for the instance.
 */
static Verdict
count_task(const FlightReport *report)
{
	BlamedRow	row;

	if (!durable_crashes_lock(CRASHES_OF_TASK, report->run.key, report->run.task_id, &row))
	{
		if (row.exists)
			return LOCKED;
		return durable_instance_is_in(report->run.key, report->run.execution) ? count_in_batch(report) : SAYS_NOTHING;
	}
	durable_wakeup_task(row.owner, add_crash(&row, report));
	tell(report, psprintf("activity \"%s\"", row.name), row.id);
	return COUNTED;
}

/*
 * An orchestration, an activity or an operation that ran in a batch.  An operation that
 * ran in its caller's batch is counted for the caller.
 */
static Verdict
count_in_batch(const FlightReport *report)
{
	bool		is_entity = DURABLE_IS_ENTITY_KEY(report->run.key);
	BlamedRow	row;

	if (!durable_crashes_lock(is_entity ? CRASHES_OF_ENTITY : CRASHES_OF_INSTANCE, report->run.key, 0, &row))
		return row.exists ? LOCKED : SAYS_NOTHING;
	(void) add_crash(&row, report);
	durable_wakeup_inbox(row.owner, report->run.key);
	if (is_entity)
		tell(report, "operation", row.id);
	else if (report->run.kind == FLIGHT_TURN)
		tell(report, psprintf("orchestration \"%s\"", row.name), row.id);
	else
		tell(report, psprintf("activity %d of orchestration \"%s\"", report->run.task, row.name), row.id);
	return COUNTED;
}

/* Returns when a task may run again. */
static TimestampTz
add_crash(BlamedRow *row, const FlightReport *report)
{
	int64		delay;
	TimestampTz not_before;

	row->crashes = Min(row->crashes + report->weight, PG_INT16_MAX);
	delay = backoff(row->crashes, report);
	not_before = durable_clock_now() + delay;
	row->run_at = Max(row->run_at, not_before);
	durable_crashes_store(row);
	if (delay > 0)
		durable_suspect_hold(report->run.key, not_before);
	return row->run_at;
}

static int64
backoff(int crashes, const FlightReport *report)
{
	int			times = crashes / FLIGHT_CRASH;

	if (report->weight < FLIGHT_CRASH || times < 2 || times >= durable_max_crashes)
		return 0;
	return USECS_PER_SEC << Min(times - 2, MAX_BACKOFF);
}

static void
tell(const FlightReport *report, const char *what, const char *instance_id)
{
	const char *whose = DURABLE_IS_ENTITY_KEY(report->run.key) ? "entity" : "instance";

	if (report->weight >= FLIGHT_CRASH)
		ereport(LOG,
				(errmsg("%s of %s \"%s\" terminated its process", what, whose, instance_id),
				 errdetail("It now runs alone, and it is not run again after durable.max_crashes such terminations.")));
	else
		ereport(LOG,
				(errmsg("%s of %s \"%s\" was running when the server terminated", what, whose, instance_id),
				 errdetail("It is not known whether it terminated the server, so this counts as a fifth of a crash.")));
}
