/*
 * flight_report.c
 *		Keeps reports of code that has ended a process or the server, until the
 *		coordinator counts them.
 *
 * Owns: the reports in the flight recorder's file.
 * Called by: flight.c in the postmaster and in processes at their exit (add); units,
 *			suspect.c and task_table.c, because reported code does not run; the
 *			coordinator (blame.c), which counts reports.
 * Locks: a spinlock in shared memory; the postmaster adds when no other process runs.
 * Memory: a fixed table; when it is full, the oldest report is forgotten.
 *
 * The reports are in the file, so a report that has not been counted is counted in the
 * server's next life.  A report that is being counted has the id of the transaction that
 * counts it, so the commit status of this transaction tells after a crash whether the
 * report was counted.
 */
#include "durable.h"
#include "flight_file.h"
#include "shared.h"

static bool is_mine(const FlightReport *report);
static bool is_held(int64 id, bool is_task);
static FlightReport *find(const FlightReport *report);

void
durable_report_add(FlightFile *file, const FlightRecord *record, int weight)
{
	FlightReport *report = &file->reports[0];

	SpinLockAcquire(&durable_shared->report_mutex);
	for (int i = 0; i < FLIGHT_MAX_REPORTS; i++)
	{
		if (!OidIsValid(file->reports[i].database))
		{
			report = &file->reports[i];
			break;
		}
		if (file->reports[i].since < report->since)
			report = &file->reports[i];
	}
	report->timeline = record->timeline;
	report->since = record->since;
	report->run = record->run;
	report->weight = weight;
	report->counted_by = 0;
	pg_compiler_barrier();
	report->database = record->database;
	pg_atomic_write_u32(&durable_shared->has_reports, 1);
	SpinLockRelease(&durable_shared->report_mutex);
}

static bool
is_mine(const FlightReport *report)
{
	return OidIsValid(report->database) && report->database == MyDatabaseId;
}

/*
 * A report of a task holds its instance, too.  If the commit that added the task was
 * asynchronous and is lost, the crash counts for the instance, which would otherwise add
 * the task again without the count.
 */
bool
durable_report_holds_instance(int64 key)
{
	return is_held(key, false);
}

bool
durable_report_holds_task(int64 task_id)
{
	return is_held(task_id, true);
}

/* id: of the task, or the key of the instance or entity. */
static bool
is_held(int64 id, bool is_task)
{
	FlightFile *file = durable_flight_file();
	bool		held = false;

	if (durable_shared == NULL || pg_atomic_read_u32(&durable_shared->has_reports) == 0)
		return false;
	SpinLockAcquire(&durable_shared->report_mutex);
	for (int i = 0; i < FLIGHT_MAX_REPORTS && !held; i++)
	{
		const FlightReport *report = &file->reports[i];

		held = is_mine(report) &&
			(is_task ? report->run.kind == FLIGHT_TASK && report->run.task_id == id : report->run.key == id);
	}
	SpinLockRelease(&durable_shared->report_mutex);
	return held;
}

int
durable_report_held_tasks(int64 *task_ids, int max)
{
	FlightFile *file = durable_flight_file();
	int			n = 0;

	if (durable_shared == NULL || pg_atomic_read_u32(&durable_shared->has_reports) == 0)
		return 0;
	SpinLockAcquire(&durable_shared->report_mutex);
	for (int i = 0; i < FLIGHT_MAX_REPORTS && n < max; i++)
		if (is_mine(&file->reports[i]) && file->reports[i].run.kind == FLIGHT_TASK)
			task_ids[n++] = file->reports[i].run.task_id;
	SpinLockRelease(&durable_shared->report_mutex);
	return n;
}

int
durable_report_list(FlightReport *reports, int max)
{
	FlightFile *file = durable_flight_file();
	int			n = 0;
	bool		any = false;

	if (durable_shared == NULL || pg_atomic_read_u32(&durable_shared->has_reports) == 0)
		return 0;
	SpinLockAcquire(&durable_shared->report_mutex);
	for (int i = 0; i < FLIGHT_MAX_REPORTS; i++)
	{
		any |= OidIsValid(file->reports[i].database);
		if (is_mine(&file->reports[i]) && n < max)
			reports[n++] = file->reports[i];
	}
	if (!any)
		pg_atomic_write_u32(&durable_shared->has_reports, 0);
	SpinLockRelease(&durable_shared->report_mutex);
	return n;
}

void
durable_report_count_by(const FlightReport *report, uint64 transaction)
{
	FlightReport *found;

	SpinLockAcquire(&durable_shared->report_mutex);
	found = find(report);
	if (found)
		found->counted_by = transaction;
	SpinLockRelease(&durable_shared->report_mutex);
}

void
durable_report_remove(const FlightReport *report)
{
	FlightReport *found;

	SpinLockAcquire(&durable_shared->report_mutex);
	found = find(report);
	if (found)
		found->database = InvalidOid;
	SpinLockRelease(&durable_shared->report_mutex);
}

/* Under the spinlock: the entry of that copy, unless another report has taken its place. */
static FlightReport *
find(const FlightReport *report)
{
	FlightFile *file = durable_flight_file();

	for (int i = 0; i < FLIGHT_MAX_REPORTS; i++)
	{
		FlightReport *other = &file->reports[i];

		if (is_mine(other) && other->since == report->since && other->run.kind == report->run.kind &&
			other->run.key == report->run.key && other->run.task_id == report->run.task_id)
			return other;
	}
	return NULL;
}
