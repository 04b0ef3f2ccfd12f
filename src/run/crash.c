/*-------------------------------------------------------------------------
 *
 * crash.c
 *		Finding out who crashes the server.
 *
 * User code can take the server down: a C function with a bug, an out-of-memory
 * kill.  Then everything that was running is tried again after the restart, and
 * the culprit crashes the server again, for ever.  Normally nothing on disk says
 * who was running, and it would cost a commit for each unit.
 *
 * So only after an unclean start the engine searches.  What is older than the
 * start may have been running.  Such instances are run one at a time (in the whole
 * cluster: there is a lock), with their activities as tasks, and such tasks, too,
 * are noted as running in a commit of their own before.  Whoever is found noted
 * durable.max_crashes times is not run again: the instance is suspended, the
 * activity has failed.  A unit that ends well takes the note back, unless the
 * instance goes on by itself: it may have crashed in a later step of what was one
 * unit then.  So an instance whose activities became tasks is under suspicion until
 * it waits for something else.  When all that is older has been through, or after
 * ten minutes, things are normal again.
 *
 * That an end was unclean is seen by the postmaster: shared memory is set up for
 * the second time, or the control file says so at the first.  In the first case one
 * of its processes has crashed, and that is hardly anybody's but the culprit's doing.
 * In the second all of the server went: somebody stopped it the hard way, or the
 * power failed, and whoever ran is innocent - or an out-of-memory killer takes whole
 * containers, and a supervisor starts them again and again.  So such an end counts
 * for a fifth of a crash: a note is worth 1 when it is written, and CRASH_WORTH when
 * a crash is what came of it.
 *
 * Nothing may have come of it: the process ended before the run or in it, and the
 * server goes on.  Shared memory knows the notes of this life (suspect.c), and one
 * that is found again there is not weighed, and written once more as it is.
 *
 * Owns:	instance.crashes (task_unit.c: task_queue.crashes)
 * Called by: durable.c, shmem.c; unit.c, task_unit.c
 * Locks:	a heavyweight lock for the session, see durable_crash_lock; mark: the row
 *			lock that the caller has
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_control.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "crash.h"
#include "guc.h"
#include "shmem.h"
#include "sql.h"
#include "suspect.h"

#define SEARCH_US	(10 * 60 * USECS_PER_SEC)

#define OUTWAIT_MS		3000
#define OUTWAIT_POLL_MS	5

/* What counts as one crash, in notes after which the whole server went; see above. */
#define CRASH_WORTH		5

/* instance.crashes: ran well under suspicion, and is to run under it again. */
#define WATCHED	(-1)

/* The older notes with what they have turned out to be worth, and a new one; 0: the last one is still new. */
static DurableSql mark = {
	"UPDATE durable.instance SET crashes = CASE WHEN crashes > 0 THEN crashes + $2 - 1 ELSE 0 END + 1 "
	"WHERE key = $1 RETURNING crashes, ctid",
	2, {INT8OID, INT2OID}
};

static DurableSql watch = {
	"UPDATE durable.instance SET crashes = " CppAsString2(WATCHED) " WHERE key = $1 AND status IN ('P', 'R')",
	1, {INT8OID}
};

static bool ended_uncleanly = false;
static int	starts = 0;
static bool locked[CRASH_LOCK_ACTIVITY + 1];
static bool borrowed = false;	/* the activity's, for a turn */
static bool releases_at_exit = false;

static bool outwait_activity(void);
static void release_at_exit(int code, Datum arg);

void
durable_crash_install(void)
{
	bool		crc_ok;
	ControlFileData *control = get_controlfile(DataDir, &crc_ok);

	ended_uncleanly = crc_ok &&
		control->state != DB_SHUTDOWNED && control->state != DB_SHUTDOWNED_IN_RECOVERY;
	pfree(control);
}

bool
durable_crash_preceded(bool *of_process)
{
	*of_process = starts++ > 0;
	return *of_process || ended_uncleanly;
}

/* What has come of the last note. */
static int
worth(CrashLock which, int64 id)
{
	if (durable_note_is_new(which, id))
		return 0;
	return durable_crash_of_process() ? CRASH_WORTH : 1;
}

int
durable_crash_weigh(CrashLock which, int64 id, int notes)
{
	return notes > 0 ? notes + worth(which, id) - 1 : 0;
}

bool
durable_crash_convicts(int weight)
{
	return weight >= durable_max_crashes * CRASH_WORTH;
}

char *
durable_crash_times(int weight, int unnoted)
{
	if (!durable_crash_of_process())
		return pstrdup("again and again");
	return psprintf("%d times", weight / CRASH_WORTH + unnoted);
}

bool
durable_crash_suspects(TimestampTz sent_at)
{
	return durable_crash_search_is_on() && sent_at <= durable_crash_time();
}

bool
durable_crash_search_is_on(void)
{
	TimestampTz crashed = durable_crash_time();

	return crashed != 0 && GetCurrentTimestamp() - crashed < SEARCH_US;
}

/* Extensions have no sub-objects, so nobody else uses this tag. */
static LOCKTAG
suspects_tag(CrashLock which)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, ExtensionRelationId, which, 1);
	return tag;
}

bool
durable_crash_lock(CrashLock which)
{
	LOCKTAG		tag = suspects_tag(which);

	if (!releases_at_exit)
		before_shmem_exit(release_at_exit, (Datum) 0);
	releases_at_exit = true;
	if (!locked[which])
		locked[which] = LockAcquire(&tag, ExclusiveLock, true, which == CRASH_LOCK_ACTIVITY) !=
			LOCKACQUIRE_NOT_AVAIL;
	if (which == CRASH_LOCK_TURN && !locked[CRASH_LOCK_ACTIVITY])
		borrowed = outwait_activity();
	return locked[which];
}

void
durable_crash_unlock(CrashLock which)
{
	LOCKTAG		tag = suspects_tag(which);

	if (which == CRASH_LOCK_TURN && borrowed)
		durable_crash_unlock(CRASH_LOCK_ACTIVITY);
	if (which == CRASH_LOCK_TURN)
		borrowed = false;
	if (locked[which])
		(void) LockRelease(&tag, ExclusiveLock, true);
	locked[which] = false;
}

/*
 * A turn under suspicion and an activity under suspicion, side by side, would both
 * be blamed for what one of them does.  So the turn takes the activity's lock as
 * well.  An activity that has been running for so long that it will hardly crash
 * any more, or that takes hours, is not waited for.
 */
static bool
outwait_activity(void)
{
	static bool in_vain = false;
	long		waited = 0;

	while (!durable_crash_lock(CRASH_LOCK_ACTIVITY))
	{
		if (in_vain || waited >= OUTWAIT_MS)
		{
			in_vain = true;
			return false;
		}
		durable_clock_pause(OUTWAIT_POLL_MS);
		CHECK_FOR_INTERRUPTS();
		waited += OUTWAIT_POLL_MS;
	}
	in_vain = false;
	return true;
}

/*
 * A process that ends between two transactions, after the note and before the run,
 * would leave its locks to whoever gets its place among the processes.
 */
static void
release_at_exit(int code, Datum arg)
{
	AbortOutOfAnyTransaction();
	LockReleaseAll(DEFAULT_LOCKMETHOD, true);
}

int
durable_crash_mark(Instance *instance)
{
	Datum		values[2] = {Int64GetDatum(instance->key), Int16GetDatum(worth(CRASH_LOCK_TURN, instance->key))};
	int			crashes;
	bool		isnull;

	durable_sql_connect();
	if (durable_sql_run(&mark, values, NULL, false, 0) != 1)
		elog(ERROR, "could not mark instance " INT64_FORMAT, instance->key);
	crashes = DatumGetInt16(durable_sql_datum(0, 1, &isnull));
	instance->ctid = *(ItemPointer) DatumGetPointer(durable_sql_datum(0, 2, &isnull));
	durable_sql_finish();
	durable_note_written(CRASH_LOCK_TURN, instance->key);
	return crashes - 1;
}

void
durable_crash_watch(const Instance *instance)
{
	Datum		values[1] = {Int64GetDatum(instance->key)};

	durable_sql_connect();
	durable_sql_run(&watch, values, NULL, false, 0);
	durable_sql_finish();
}

bool
durable_crash_watches(const Instance *instance)
{
	return instance->crashes != 0 && durable_crash_search_is_on();
}
