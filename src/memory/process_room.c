/*
 * process_room.c
 *		Decides which coordinators leave when there are not enough processes.
 *
 * Owns: the fields of databases[] about a coordinator that has left, and the cap on
 * workers.
 * Called by: the launcher, the coordinators, database_state.c, worker_supply.c.
 * Locks: the LWLock of shared memory, an entry's spinlock.
 * Memory: none.
 *
 * Launcher, coordinators and workers share max_worker_processes with parallel query
 * and logical replication.  If each database had a coordinator all the time, a server
 * with many databases would have no process left for a worker.  So no more
 * coordinators run at a time than durable_coordinator_limit says.  While there are
 * more databases than that, a coordinator is started when its database needs one, and an
 * idle coordinator leaves; if none is idle, one whose time slice is over leaves.  All it
 * knows is in the tables, and its workers continue without it.
 *
 *		running --asked, or processes are short--> left (back_at)
 *		left --a request, back_at, the slow recheck--> the launcher starts it
 *
 * No request is lost between a coordinator's last look and its end: a session or worker
 * enters its request in the database's entry, and the end of the coordinator wakes the
 * launcher, which then looks at the entry.
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
 * Half of the processes, not counting the launcher and that of logical replication; more
 * if durable.max_workers leaves more.
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
 * The coordinator calls this right before it ends.  back_at is in virtual time; DT_NOEND
 * means that there is nothing due, and DT_NOBEGIN that it is to be started again as soon
 * as its turn comes.
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
 * Asks a coordinator to leave, so that this database gets a coordinator or a worker.  This
 * is the coordinator that has been idle for the longest time, or in urgent cases the one
 * that has run for the longest time, if its time slice is over.  Returns false if there is
 * none.
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
 * The server has no free process besides that many workers; -1: none for a coordinator.
 * For some time no further workers are started, so that owners and databases take turns
 * with the existing ones, as they do with durable.max_workers.
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
