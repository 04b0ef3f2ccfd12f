/*
 * suspect.c
 *		Lists instances that may have ended a worker, and grants the right to run one.
 *
 * Owns: suspects in shared memory.
 * Called by: units; worker.c, testing_api.c; turn.c; blame.c (hold), doctor.c.
 * Locks: a spinlock.
 * Memory: a fixed table; when it is full, a new instance replaces the one that was quiet
 *			for the longest time.
 *
 * The table is empty after each start of the server.  The lasting count is in the
 * column "crashes" of the instance or the task (blame.c).
 *
 * Suspects run one at a time in the whole cluster, so that only one of them is running if
 * the whole server ends.  A process that ends loses the right to run one, and the others
 * do not wait for it longer than PROBATION, because an activity may take hours.
 */
#include "durable.h"
#include "shared.h"

#include "access/xact.h"
#include "clock.h"
#include "flight.h"
#include "guc.h"
#include "miscadmin.h"
#include "postmaster/walwriter.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

/* The others do not wait for a suspect that has run for this time; in ms. */
#define PROBATION	3000

static Suspect *note_suspect(int64 key, TimestampTz now);
static Suspect *find_suspect(int64 key);
static bool releases_at_exit = false;

static void release_at_exit(int code, Datum arg);

int
durable_suspect_enter(int64 key)
{
	TimestampTz now = durable_clock_now();
	int			entered;

	SpinLockAcquire(&durable_shared->suspect_mutex);
	entered = ++note_suspect(key, now)->entered;
	SpinLockRelease(&durable_shared->suspect_mutex);
	return entered;
}

/* Holds the instance until then, in real time.  The number of times it was entered does not change. */
void
durable_suspect_hold(int64 key, TimestampTz until)
{
	TimestampTz now = durable_clock_now();

	SpinLockAcquire(&durable_shared->suspect_mutex);
	note_suspect(key, now)->held_until = until;
	SpinLockRelease(&durable_shared->suspect_mutex);
}

void
durable_suspect_condemn(int64 key)
{
	TimestampTz now = durable_clock_now();

	SpinLockAcquire(&durable_shared->suspect_mutex);
	note_suspect(key, now)->condemned = true;
	SpinLockRelease(&durable_shared->suspect_mutex);
}

bool
durable_suspect_condemned(int64 key)
{
	Suspect    *entry;
	bool		condemned;

	if (pg_atomic_read_u32(&durable_shared->nsuspects) == 0)
		return false;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	entry = find_suspect(key);
	condemned = entry != NULL && entry->condemned;
	SpinLockRelease(&durable_shared->suspect_mutex);
	return condemned;
}

/*
 * Called under the spinlock.  Returns the entry of the instance, or a free one, or the one
 * that was quiet for the longest time.
 */
static Suspect *
note_suspect(int64 key, TimestampTz now)
{
	Suspect    *entry = find_suspect(key);

	if (entry == NULL)
	{
		entry = &durable_shared->suspects[0];
		for (int i = 0; i < MAX_SUSPECTS; i++)
		{
			Suspect    *other = &durable_shared->suspects[i];

			if (!OidIsValid(other->database))
			{
				entry = other;
				break;
			}
			if (other->last < entry->last)
				entry = other;
		}
		if (!OidIsValid(entry->database))
			pg_atomic_fetch_add_u32(&durable_shared->nsuspects, 1);
		entry->database = MyDatabaseId;
		entry->key = key;
		entry->entered = 0;
		entry->held_until = 0;
		entry->condemned = false;
	}
	entry->last = now;
	return entry;
}

void
durable_suspect_leave(int64 key)
{
	Suspect    *entry;

	if (pg_atomic_read_u32(&durable_shared->nsuspects) == 0)
		return;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	entry = find_suspect(key);
	if (entry)
	{
		entry->database = InvalidOid;
		pg_atomic_fetch_sub_u32(&durable_shared->nsuspects, 1);
	}
	SpinLockRelease(&durable_shared->suspect_mutex);
}

/* Not before 1 s, 2 s, 4 s and up to 64 s after it was last entered and not left, nor while it is held. */
TimestampTz
durable_suspect_not_before(int64 key)
{
	TimestampTz not_before = DT_NOBEGIN;
	Suspect    *entry;

	if (pg_atomic_read_u32(&durable_shared->nsuspects) == 0)
		return not_before;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	entry = find_suspect(key);
	if (entry && entry->entered > 0)
		not_before = entry->last + ((int64) USECS_PER_SEC << Min(entry->entered - 1, 6));
	if (entry && entry->held_until > not_before)
		not_before = entry->held_until;
	SpinLockRelease(&durable_shared->suspect_mutex);
	return not_before;
}

/* Under the spinlock. */
static Suspect *
find_suspect(int64 key)
{
	for (int i = 0; i < MAX_SUSPECTS; i++)
	{
		Suspect    *entry = &durable_shared->suspects[i];

		if (entry->key == key && entry->database == MyDatabaseId)
			return entry;
	}
	return NULL;
}

int
durable_held_back(int64 *keys, int max)
{
	FlightReport *reports = palloc(FLIGHT_MAX_REPORTS * sizeof(FlightReport));
	int			nreports = durable_report_list(reports, FLIGHT_MAX_REPORTS);
	TimestampTz now = durable_clock_now();
	int			n = 0;

	for (int i = 0; i < nreports && n < max; i++)
		keys[n++] = reports[i].run.key;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	for (int i = 0; i < MAX_SUSPECTS && n < max; i++)
	{
		Suspect    *entry = &durable_shared->suspects[i];

		if (entry->database == MyDatabaseId && entry->held_until > now)
			keys[n++] = entry->key;
	}
	SpinLockRelease(&durable_shared->suspect_mutex);
	pfree(reports);
	return n;
}

/* --- one at a time ----------------------------------------------------------------- */

bool
durable_suspect_may_run(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		may_run;

	if (durable_shared == NULL)
		return true;
	if (!releases_at_exit)
		before_shmem_exit(release_at_exit, (Datum) 0);
	releases_at_exit = true;

	SpinLockAcquire(&durable_shared->suspect_mutex);
	may_run = durable_shared->suspect_runner == 0 || durable_shared->suspect_runner == MyProcPid ||
		durable_clock_passed(durable_shared->suspect_since, now, PROBATION);
	if (may_run)
	{
		durable_shared->suspect_runner = MyProcPid;
		durable_shared->suspect_since = now;
	}
	SpinLockRelease(&durable_shared->suspect_mutex);
	return may_run;
}

/* Read without the lock: durable_suspect_may_run checks it again under the lock. */
bool
durable_suspect_is_free(void)
{
	volatile int *runner = durable_shared ? &durable_shared->suspect_runner : NULL;

	return runner == NULL || *runner == 0 || *runner == MyProcPid ||
		durable_clock_passed(durable_shared->suspect_since, GetCurrentTimestamp(), PROBATION);
}

void
durable_suspect_ran(void)
{
	/* Without the exit callback, the process has never had the right to run a suspect. */
	if (durable_shared == NULL || !releases_at_exit)
		return;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	if (durable_shared->suspect_runner == MyProcPid)
		durable_shared->suspect_runner = 0;
	SpinLockRelease(&durable_shared->suspect_mutex);
}

static void
release_at_exit(int code, Datum arg)
{
	durable_suspect_ran();
}

/*
 * A crash takes back the commits of at most three delays of the WAL writer.  The work is assumed
 * to take as long as it took before, and a second more.
 */
bool
durable_suspect_may_repeat(void)
{
	TimestampTz began_at;

	if (synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
		return false;
	SpinLockAcquire(&durable_shared->launcher_mutex);
	began_at = durable_shared->began_at;
	SpinLockRelease(&durable_shared->launcher_mutex);
	return GetCurrentTimestamp() < TimestampTzPlusMilliseconds(began_at, 3 * WalWriterDelay + 1000);
}

bool
durable_suspect_convicts(int crashes)
{
	return crashes >= durable_max_crashes * FLIGHT_CRASH;
}
