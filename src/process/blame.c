/*-------------------------------------------------------------------------
 *
 * blame.c
 *		Counts the reports of the flight recorder; a part of the coordinator.
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
#include "engine.h"
#include "entity_table.h"
#include "flight.h"
#include "guc.h"
#include "instance_table.h"
#include "slot.h"
#include "suspect.h"
#include "task_table.h"
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
static Verdict count_instance(const FlightReport *report);
static Verdict count_entity(const FlightReport *report);
static bool is_of_this_timeline(const FlightReport *report);
static bool was_counted(const FlightReport *report);
static int	sum(int crashes, const FlightReport *report);
static int64 backoff(int crashes, const FlightReport *report);
static void tell(const FlightReport *report, const char *what, const char *instance_id);

long
durable_blame_step(void)
{
	FlightReport reports[FLIGHT_MAX_REPORTS];
	int			n = durable_report_list(reports, FLIGHT_MAX_REPORTS);
	bool		done[FLIGHT_MAX_REPORTS];
	MemoryContext context = CurrentMemoryContext;
	bool		all = true;
	bool		any = false;

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
		all &= done[i];
		any |= done[i];
		if (verdict == COUNTED)
			durable_report_count_by(&reports[i], U64FromFullTransactionId(GetTopFullTransactionId()));
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
	if (report->run.kind == FLIGHT_TASK)
		return count_task(report);
	return DURABLE_IS_ENTITY_KEY(report->run.key) ? count_entity(report) : count_instance(report);
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

static Verdict
count_task(const FlightReport *report)
{
	BlamedRow	row;
	int			crashes;
	TimestampTz run_at;

	if (!durable_task_lock_blamed(report->run.key, report->run.task_id, &row))
		return row.exists ? LOCKED : SAYS_NOTHING;
	crashes = sum(row.crashes, report);
	run_at = Max(row.run_at, durable_clock_now() + backoff(crashes, report));
	durable_task_set_crashes(&row, crashes, run_at);
	if (backoff(crashes, report) > 0)
		durable_suspect_hold(report->run.key, run_at);
	durable_wakeup_task(row.owner, run_at);
	tell(report, psprintf("activity \"%s\"", row.name), row.instance_id);
	return COUNTED;
}

static Verdict
count_instance(const FlightReport *report)
{
	BlamedRow	row;
	int			crashes;
	int64		delay;

	if (!durable_instance_lock_blamed(report->run.key, &row))
		return row.exists ? LOCKED : SAYS_NOTHING;
	crashes = sum(row.crashes, report);
	durable_instance_set_crashes(report->run.key, crashes);
	delay = backoff(crashes, report);
	if (delay > 0)
		durable_suspect_hold(report->run.key, durable_clock_now() + delay);
	durable_wakeup_inbox(row.owner, report->run.key);
	if (report->run.kind == FLIGHT_TURN)
		tell(report, psprintf("orchestration \"%s\"", row.name), row.instance_id);
	else
		tell(report, psprintf("activity %d of orchestration \"%s\"", report->run.task, row.name),
			 row.instance_id);
	return COUNTED;
}

/* An operation requested by a message.  One that ran in its caller's batch is counted for the caller. */
static Verdict
count_entity(const FlightReport *report)
{
	BlamedRow	row;
	int			crashes;
	int64		delay;

	if (!durable_entity_lock_blamed(report->run.key, &row))
		return row.exists ? LOCKED : SAYS_NOTHING;
	crashes = sum(row.crashes, report);
	durable_entity_set_crashes(report->run.key, crashes);
	delay = backoff(crashes, report);
	if (delay > 0)
		durable_suspect_hold(report->run.key, durable_clock_now() + delay);
	durable_wakeup_inbox(row.owner, report->run.key);
	tell(report, "operation", row.instance_id);
	return COUNTED;
}

static int
sum(int crashes, const FlightReport *report)
{
	return Min(crashes + report->weight, PG_INT16_MAX);
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
