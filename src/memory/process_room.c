/*
 * process_room.c
 *		Processes are short: which coordinators leave for others.
 *
 * Owns: the fields of databases[] that tell of a coordinator that has left, and the
 * cap on workers.
 * Called by: the launcher, the coordinators, durable.doctor.
 * Locks: the LWLock of shared memory, an entry's spinlock.
 * Memory: none.
 *
 * Launcher, coordinators and workers share max_worker_processes with parallel query
 * and logical replication.  If each database had a coordinator for ever, a server
 * with many databases would have no process left for a worker.  So no more
 * coordinators run at a time than durable_coordinator_limit says.  While there are
 * more databases than that, a coordinator is started when its database needs one, and
 * one that has nothing to do makes room; if none is idle, one that has had its time
 * slice does.  Its knowledge is in the tables, and its workers go on without it.
 *
 *		running --asked, or processes are short--> left (back_at)
 *		left --a wish, back_at, the slow recheck--> the launcher starts it
 *
 * Nothing is lost between a coordinator's last look and its end: a session or worker
 * that wants something puts it into the entry, and the launcher looks at the entry
 * after the coordinator's end, which wakes it.
 */
#include "durable.h"
#include "shared.h"

#include "clock.h"
#include "guc.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

/* Milliseconds. */
#define COORDINATOR_SLICE		1000	/* a busy one, when others wait */
#define COORDINATOR_LONG_SLICE	10000	/* one that waits for its first worker */
#define WORKER_CAP_FOR			1000
#define LOG_INTERVAL			(5 * 60 * 1000)

/*
 * Half of the processes, without the launcher and that of logical replication; more
 * where durable.max_workers leaves more.
 */
int
durable_coordinator_limit(void)
{
	int			processes = max_worker_processes - 2;

	return Max(1, Max(processes / 2, processes - durable_max_workers));
}

bool
durable_coordinator_is_asked(DurableDatabase *db)
{
	bool		asked;

	SpinLockAcquire(&db->mutex);
	asked = db->coordinator_asked;
	SpinLockRelease(&db->mutex);
	return asked;
}

/*
 * By the coordinator, right before it ends.  back_at: in virtual time, DT_NOEND when
 * nothing is due; DT_NOBEGIN: at once, when it is its turn again.
 */
void
durable_coordinator_leave(DurableDatabase *db, TimestampTz back_at)
{
	SpinLockAcquire(&db->mutex);
	db->coordinator_left = true;
	db->coordinator_latch = NULL;
	db->coordinator_sleeps_until = back_at;
	SpinLockRelease(&db->mutex);
}

/*
 * Asks a coordinator to leave for that database, or for a worker of it: the one that
 * has had nothing to do for longest, or in urgent cases the one that has run for
 * longest and for its time slice.  False if there is none.
 */
bool
durable_coordinator_make_room(const DurableDatabase *for_db, bool urgent)
{
	TimestampTz now = GetCurrentTimestamp();
	DurableDatabase *best = NULL;
	TimestampTz best_since = DT_NOEND;
	bool		best_is_quiet = false;
	Latch	   *latch = NULL;

	LWLockAcquire(durable_shared->lock, LW_SHARED);
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];
		TimestampTz since;
		bool		is_quiet;
		int64		slice;

		if (db == for_db || db->state != DATABASE_ACTIVE || db->coordinator != COORDINATOR_RUNNING)
			continue;
		SpinLockAcquire(&db->mutex);
		is_quiet = db->coordinator_quiet_since != 0;
		since = is_quiet ? db->coordinator_quiet_since : db->coordinator_started;
		if (db->coordinator_asked)
			since = DT_NOEND;
		slice = db->short_since != 0 ? COORDINATOR_LONG_SLICE : COORDINATOR_SLICE;
		SpinLockRelease(&db->mutex);
		if (since == DT_NOEND ||
			(!is_quiet && (!urgent || !durable_clock_passed(since, now, slice))))
			continue;
		if (best == NULL || (is_quiet && !best_is_quiet) || (is_quiet == best_is_quiet && since < best_since))
		{
			best = db;
			best_since = since;
			best_is_quiet = is_quiet;
		}
	}
	if (best)
	{
		SpinLockAcquire(&best->mutex);
		best->coordinator_asked = true;
		latch = best->coordinator_latch;
		SpinLockRelease(&best->mutex);
		if (latch)
			SetLatch(latch);
	}
	LWLockRelease(durable_shared->lock);
	return best != NULL;
}

/*
 * The server has no process to spare beside that many workers; -1: for a coordinator.
 * For a while no more workers are tried, so that owners and databases take turns with
 * those that there are, as they do with durable.max_workers.
 */
void
durable_process_refused(int workers)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		log;

	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	durable_shared->refused_at = now;
	if (workers >= 0 && now >= durable_shared->worker_cap_until)
	{
		durable_shared->worker_cap = workers;
		durable_shared->worker_cap_until = TimestampTzPlusMilliseconds(now, WORKER_CAP_FOR);
	}
	log = durable_clock_passed(durable_shared->refusal_logged_at, now, LOG_INTERVAL);
	if (log)
		durable_shared->refusal_logged_at = now;
	LWLockRelease(durable_shared->lock);

	if (log)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 workers >= 0 ? errmsg("out of background worker slots for durable workers") :
				 errmsg("out of background worker slots for durable coordinators"),
				 errhint("Increase max_worker_processes, or decrease durable.max_workers.")));
}
