/*
 * launcher.c
 *		Starts a coordinator for each database that has the extension when it needs one.
 *
 * Owns: the decision which databases have entries in shared memory.
 * Called by: the postmaster, when recovery has ended: never on a standby, and
 * immediately after a promotion.
 * Locks: those of a scan of pg_database; the LWLock of shared memory.
 * Memory: a context that is reset in each round; data that must last is in
 * TopMemoryContext.
 *
 * The launcher is connected to no database and looks at pg_database only.  A
 * coordinator that is started for a database finds out whether it has the extension,
 * and exits if not.  New databases are noticed in the next round; CREATE EXTENSION
 * notifies the launcher through shared memory when it commits.
 *
 * While there are more databases than coordinators may run (process_room.c), idle ones
 * exit, and are started again when work is due, when a commit asks for them through
 * shared memory, or after two minutes.
 *
 * Coordinators that die are started again, at increasing intervals if they keep dying.
 * The time of their last start is in shared memory, so a launcher that dies does not
 * make that quicker.
 */
#include "durable.h"
#include "process.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "clock.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "shared.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "xid_time.h"

/* Milliseconds. */
#define RESCAN_INTERVAL			10000	/* pg_database */
#define LONGEST_THROTTLE		60000
#define NO_PROCESS_DELAY		2000

/*
 * After a coordinator has exited, the tables are looked at again after this time, for
 * work that no session has reported and for retention.
 */
#define LEFT_RECHECK			(2 * 60 * 1000)
#define ROOM_POLL				200

/* Coordinators that look for the extension, at the same time. */
#define MAX_EXPLORERS			2

/* Databases without an entry are looked at again after this time. */
#define REEXAMINE_INTERVAL		(10 * 60 * 1000)

/* A database that had no extension and whose entry was needed for another database. */
typedef struct AbsentDatabase
{
	Oid			database;
	TimestampTz seen;
}			AbsentDatabase;

/* How urgently a database without a coordinator needs one. */
typedef enum Need
{
	NEED_NONE,
	NEED_WEAK,					/* nothing is known to be due */
	NEED_STRONG
}			Need;

typedef struct Candidate
{
	int			entry;
	Need		need;
	TimestampTz since;
}			Candidate;

/* The coordinators that this process has registered. */
typedef struct Started
{
	BackgroundWorkerHandle *handle;
	TimestampTz started;
}			Started;

static MemoryContext round_context;
static HTAB *absent = NULL;
static Started started[DURABLE_MAX_DATABASES];
static bool no_room_logged = false;

static void attach(void);
static void detach(int code, Datum arg);
static bool asked_to_rescan(void);
static void scan_databases(void);
static List *read_databases(void);
static void remember_absent(void);
static long supervise(void);
static Need need_of(DurableDatabase *db, bool there_is_room, long *ms);
static int	by_need(const void *a, const void *b);
static void reap(int n);
static void tell_left_coordinators(void);
static long throttle_ms(DurableDatabase *db);
static bool start_coordinator(int n);

void
durable_launcher_register(void)
{
	BackgroundWorker worker;

	/* pg_upgrade: nothing may write. */
	if (IsBinaryUpgrade)
		return;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "durable");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "durable_launcher_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "durable launcher");
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "durable launcher");
	RegisterBackgroundWorker(&worker);
}

void
durable_launcher_main(Datum arg)
{
	TimestampTz scanned_at = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, PG_SIG_IGN);
	durable_flight_watch_quit();
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	ProcessConfigFile(PGC_SIGHUP);	/* a reload between fork and pqsignal */
	SetConfigOption("application_name", "durable launcher", PGC_SUSET, PGC_S_OVERRIDE);
	attach();
	round_context = AllocSetContextCreate(TopMemoryContext, "durable launcher round",
										  ALLOCSET_DEFAULT_SIZES);

	/* The launcher never returns: the postmaster would not start it again. */
	for (;;)
	{
		long		ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			tell_left_coordinators();
		}
		MemoryContextReset(round_context);
		MemoryContextSwitchTo(round_context);

		if (asked_to_rescan() ||
			durable_clock_passed(scanned_at, GetCurrentTimestamp(), RESCAN_INTERVAL))
		{
			scan_databases();
			scanned_at = GetCurrentTimestamp();
		}
		durable_xid_time_sample();
		ms = supervise();
		durable_clock_wait(Min(ms, RESCAN_INTERVAL));
	}
}

static void
attach(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(AbsentDatabase)};
	TimestampTz now = GetCurrentTimestamp();

	SpinLockAcquire(&durable_shared->launcher_mutex);
	durable_shared->launcher_pid = MyProcPid;
	if (durable_shared->began_at == 0)
		durable_shared->began_at = now;
	durable_shared->launcher_latch = MyLatch;
	SpinLockRelease(&durable_shared->launcher_mutex);
	before_shmem_exit(detach, (Datum) 0);

	ctl.hcxt = TopMemoryContext;
	absent = hash_create("durable databases without the extension", 64, &ctl,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	ereport(LOG, (errmsg("durable launcher started")));
}

static void
detach(int code, Datum arg)
{
	SpinLockAcquire(&durable_shared->launcher_mutex);
	if (durable_shared->launcher_pid == MyProcPid)
	{
		durable_shared->launcher_pid = 0;
		durable_shared->launcher_latch = NULL;
	}
	SpinLockRelease(&durable_shared->launcher_mutex);
}

/* --- databases -------------------------------------------------------------------- */

static bool
asked_to_rescan(void)
{
	bool		asked;

	SpinLockAcquire(&durable_shared->launcher_mutex);
	asked = durable_shared->rescan;
	durable_shared->rescan = false;
	SpinLockRelease(&durable_shared->launcher_mutex);
	return asked;
}

static void
scan_databases(void)
{
	Oid			known[DURABLE_MAX_DATABASES];
	List	   *databases;
	ListCell   *lc;

	remember_absent();

	/* An entry that is made after the scan may belong to a database created after it. */
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
		known[i] = durable_shared->databases[i].database;
	databases = read_databases();

	/* The database was dropped, or may not have workers any more. */
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];

		if (!OidIsValid(known[i]) || list_member_oid(databases, known[i]))
			continue;
		if (db->database == known[i] && durable_database_terminate(db, NULL) == 0)
		{
			durable_slot_release_lost(db);
			durable_database_forget(db, known[i]);
		}
		hash_search(absent, &known[i], HASH_REMOVE, NULL);
	}

	foreach(lc, databases)
	{
		Oid			database = lfirst_oid(lc);
		AbsentDatabase *entry;

		if (durable_database_find(database))
			continue;
		entry = hash_search(absent, &database, HASH_FIND, NULL);
		if (entry && !durable_clock_passed(entry->seen, GetCurrentTimestamp(), REEXAMINE_INTERVAL))
			continue;
		if (durable_database_add(database) == NULL)
		{
			if (!no_room_logged)
				ereport(LOG,
						(errmsg("too many databases use durable workflows"),
						 errdetail("The maximum is %d databases; workflows of further databases do not run.",
								   DURABLE_MAX_DATABASES)));
			no_room_logged = true;
			break;
		}
		no_room_logged = false;
	}
}

/*
 * OIDs of the databases that can have workers.  Templates are left out: a
 * connection to one would make CREATE DATABASE fail.
 */
static List *
read_databases(void)
{
	List	   *result = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		if (form->datistemplate || !form->datallowconn || durable_database_is_invalid(form))
			continue;
		old = MemoryContextSwitchTo(round_context);
		result = lappend_oid(result, form->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(round_context);
	return result;
}

/* Entries of databases without the extension may be taken for others at any time. */
static void
remember_absent(void)
{
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];
		Oid			database = db->database;
		AbsentDatabase *entry;

		if (db->state != DATABASE_ABSENT)
			continue;
		entry = hash_search(absent, &database, HASH_ENTER, NULL);
		entry->seen = GetCurrentTimestamp();
	}
}

/* --- coordinators ----------------------------------------------------------------- */

/* Starts the coordinators that should run and do not; returns when to look again, in ms. */
static long
supervise(void)
{
	Candidate	candidates[DURABLE_MAX_DATABASES];
	int			limit = durable_coordinator_limit();
	int			ncandidates = 0;
	int			nactive = 0;
	int			running = 0;
	int			leaving = 0;
	int			waiting = 0;
	int			explorers = 0;
	long		next = RESCAN_INTERVAL;
	TimestampTz refused_at;
	bool		is_short;

	/* A process that a coordinator has released for a worker must not become a coordinator again. */
	LWLockAcquire(durable_shared->lock, LW_SHARED);
	refused_at = durable_shared->refused_at;
	LWLockRelease(durable_shared->lock);
	is_short = refused_at != 0 && !durable_clock_passed(refused_at, GetCurrentTimestamp(), NO_PROCESS_DELAY);
	if (is_short)
		next = Min(next, NO_PROCESS_DELAY);

	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];

		reap(i);
		nactive += db->state == DATABASE_ACTIVE;
		if (db->coordinator == COORDINATOR_NONE)
			continue;
		running++;
		explorers += db->state == DATABASE_UNKNOWN;
		leaving += durable_coordinator_is_asked(db);
	}

	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];
		Need		need = need_of(db, nactive <= limit && !is_short, &next);
		TimestampTz now = GetCurrentTimestamp();

		SpinLockAcquire(&db->mutex);
		if (need != NEED_STRONG)
			db->coordinator_awaited_since = 0;
		else if (db->coordinator_awaited_since == 0)
			db->coordinator_awaited_since = now;
		if (need != NEED_NONE)
			candidates[ncandidates++] = (Candidate) {i, need, need == NEED_STRONG ? db->coordinator_awaited_since : db->looked_at};
		SpinLockRelease(&db->mutex);
	}
	qsort(candidates, ncandidates, sizeof(Candidate), by_need);

	for (int i = 0; i < ncandidates; i++)
	{
		DurableDatabase *db = &durable_shared->databases[candidates[i].entry];
		bool		is_urgent = candidates[i].need == NEED_STRONG;

		if (db->state == DATABASE_UNKNOWN && explorers >= MAX_EXPLORERS)
			continue;			/* the end of one of them wakes us */
		if (running >= limit)
		{
			/* No more coordinators have to exit than databases wait; each exit wakes us. */
			if (++waiting > leaving && durable_coordinator_make_room(db, is_urgent))
				leaving++;
			next = Min(next, ROOM_POLL);
			continue;
		}
		if (!start_coordinator(candidates[i].entry))
		{
			(void) durable_coordinator_make_room(db, is_urgent);
			next = Min(next, NO_PROCESS_DELAY);
			break;
		}
		running++;
		explorers += db->state == DATABASE_UNKNOWN;
	}
	return next;
}

/* Lowers ms to the time at which the answer may have changed. */
static Need
need_of(DurableDatabase *db, bool there_is_room, long *ms)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		examine;
	bool		left;
	bool		asked_for;
	TimestampTz back_at;
	TimestampTz looked_at;
	long		throttle;

	/* A request that arrives while a coordinator looks stays until its result is known. */
	SpinLockAcquire(&db->mutex);
	examine = db->examine && db->state == DATABASE_ABSENT;
	if (examine)
		db->examine = false;
	left = db->coordinator_left;
	asked_for = db->look || db->nwanted > 0 || db->nexits > 0;
	back_at = db->coordinator_sleeps_until;
	looked_at = db->looked_at;
	SpinLockRelease(&db->mutex);
	if (examine)
		durable_database_set_state(db, DATABASE_UNKNOWN);

	if (db->coordinator != COORDINATOR_NONE ||
		(db->state != DATABASE_UNKNOWN && db->state != DATABASE_ACTIVE))
		return NEED_NONE;
	if (durable_database_stopping(db))
	{
		/* The process that stopped it wakes us, or the mark expires. */
		*ms = Min(*ms, 1000);
		return NEED_NONE;
	}
	throttle = throttle_ms(db);
	if (throttle > 0)
	{
		*ms = Min(*ms, throttle);
		return NEED_NONE;
	}
	if (db->state == DATABASE_UNKNOWN || !left || asked_for)
		return NEED_STRONG;

	/* Of its virtual clock. */
	now += (int64) pg_atomic_read_u64(&db->clock_offset);
	if (back_at <= now)
		return NEED_STRONG;
	if (back_at < now + RESCAN_INTERVAL * INT64CONST(1000))
		*ms = Min(*ms, (back_at - now) / 1000 + 1);
	if (there_is_room || durable_clock_passed(looked_at, GetCurrentTimestamp(), LEFT_RECHECK))
		return NEED_WEAK;
	return NEED_NONE;
}

/* The greatest need first, and among equals the database that has waited for longest. */
static int
by_need(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->need != y->need)
		return x->need > y->need ? -1 : 1;
	return x->since < y->since ? -1 : x->since > y->since;
}

/* Changed settings may let other databases run. */
static void
tell_left_coordinators(void)
{
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];

		SpinLockAcquire(&db->mutex);
		if (db->coordinator_left && db->coordinator_latch == NULL)
			db->look = true;
		SpinLockRelease(&db->mutex);
	}
}

/* A coordinator that never attached cannot report that. */
static void
reap(int n)
{
	DurableDatabase *db = &durable_shared->databases[n];
	pid_t		pid;

	if (started[n].handle)
	{
		if (GetBackgroundWorkerPid(started[n].handle, &pid) != BGWH_STOPPED)
			return;
		pfree(started[n].handle);
		started[n].handle = NULL;
		if (db->coordinator == COORDINATOR_STARTING)
			durable_coordinator_release(db, started[n].started, true);
	}
	else if (db->coordinator == COORDINATOR_STARTING &&
			 durable_clock_passed(db->coordinator_started, GetCurrentTimestamp(), DURABLE_START_TIMEOUT))
		durable_coordinator_release(db, db->coordinator_started, true);	/* started by another launcher */
}

/* 0: may be started now.  The first failure in a row costs a second, each further one twice as much. */
static long
throttle_ms(DurableDatabase *db)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		wait_ms;

	if (db->coordinator_failures == 0)
		return 0;
	wait_ms = Min((int64) 500 << Min(db->coordinator_failures, 10), LONGEST_THROTTLE);
	if (durable_clock_passed(db->coordinator_started, now, wait_ms))
		return 0;
	return (long) (wait_ms - (now - db->coordinator_started) / 1000);
}

/* Returns false when the server has no free worker process. */
static bool
start_coordinator(int n)
{
	DurableDatabase *db = &durable_shared->databases[n];
	CoordinatorStart start;
	BackgroundWorker worker;
	MemoryContext old;
	bool		registered;

	memset(&start, 0, sizeof(start));
	start.database = db->database;
	start.entry = n;
	if (!durable_coordinator_reserve(db, &start.started))
		return true;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "durable");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "durable_coordinator_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "durable coordinator for database %u", start.database);
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "durable coordinator");
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "CoordinatorStart is too large");
	memcpy(worker.bgw_extra, &start, sizeof(start));

	if (started[n].handle)
		pfree(started[n].handle);	/* it has released its entry, and is about to exit */
	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &started[n].handle);
	MemoryContextSwitchTo(old);
	started[n].started = start.started;

	if (!registered)
	{
		started[n].handle = NULL;
		durable_coordinator_release(db, start.started, false);
		durable_process_refused(-1);
	}
	return registered;
}
