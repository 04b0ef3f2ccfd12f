/*
 * launcher.c
 *		Keeps one coordinator for each database that has the extension.
 *
 * Owns: which databases have entries in shared memory.
 * Called by: the postmaster, after recovery; so never on a standby, and at once
 * after a promotion.
 * Locks: those of a scan of pg_database; the LWLock of shared memory.
 * Memory: a context that is reset in each round; what must last is in
 * TopMemoryContext.
 *
 * The launcher is connected to no database and looks at pg_database only.
 * Whether a database has the extension is found out by a coordinator that is
 * started for it and leaves when there is none.  New databases are noticed in
 * the next round; CREATE EXTENSION says so through shared memory when it
 * commits.
 *
 * Coordinators that die are started again, ever more slowly if they keep dying.
 * When they were started last is in shared memory, so a launcher that dies does
 * not make that quicker.
 */
#include "durable.h"
#include "process.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "clock.h"
#include "guc.h"
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

/* Coordinators that look for the extension, at the same time. */
#define MAX_EXPLORERS			2

/* Databases without an entry are looked at again after so long. */
#define REEXAMINE_INTERVAL		(10 * 60 * 1000)

/* A database that had no extension and whose entry was needed for another one. */
typedef struct AbsentDatabase
{
	Oid			database;
	TimestampTz seen;
}			AbsentDatabase;

/* What we know of the coordinators we registered. */
typedef struct Started
{
	BackgroundWorkerHandle *handle;
	TimestampTz started;
}			Started;

static MemoryContext round_context;
static HTAB *absent = NULL;
static Started started[DURABLE_MAX_DATABASES];
static bool no_room_logged = false;
static bool no_process_logged = false;

static void attach(void);
static void detach(int code, Datum arg);
static bool asked_to_rescan(void);
static void scan_databases(void);
static List *read_databases(void);
static void remember_absent(void);
static long supervise(void);
static void reap(int n);
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
	pqsignal(SIGINT, SIG_IGN);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	ProcessConfigFile(PGC_SIGHUP);	/* a reload between fork and pqsignal */
	SetConfigOption("application_name", "durable launcher", PGC_SUSET, PGC_S_OVERRIDE);
	attach();
	round_context = AllocSetContextCreate(TopMemoryContext, "durable launcher round",
										  ALLOCSET_DEFAULT_SIZES);

	/* Never leaves by itself: returning would be for good. */
	for (;;)
	{
		long		ms;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
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

	SpinLockAcquire(&durable_shared->launcher_mutex);
	durable_shared->launcher_pid = MyProcPid;
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

	/* An entry that is made after the scan may be one of a database made after it. */
	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
		known[i] = durable_shared->databases[i].database;
	databases = read_databases();

	/* Gone, or not for us any more. */
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
						 errdetail("There is room for %d; workflows of further ones do not run.",
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

/* Starts what should run and does not; returns when to look again, in ms. */
static long
supervise(void)
{
	long		next = RESCAN_INTERVAL;
	int			explorers = 0;

	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		reap(i);
		if (durable_shared->databases[i].state == DATABASE_UNKNOWN &&
			durable_shared->databases[i].coordinator != COORDINATOR_NONE)
			explorers++;
	}

	for (int i = 0; i < DURABLE_MAX_DATABASES; i++)
	{
		DurableDatabase *db = &durable_shared->databases[i];
		bool		examine;
		long		ms;

		/* A wish that comes while somebody is looking stays until it is known what he has seen. */
		SpinLockAcquire(&db->mutex);
		examine = db->examine && db->state == DATABASE_ABSENT;
		if (examine)
			db->examine = false;
		SpinLockRelease(&db->mutex);
		if (examine)
			durable_database_set_state(db, DATABASE_UNKNOWN);

		if (db->coordinator != COORDINATOR_NONE ||
			(db->state != DATABASE_UNKNOWN && db->state != DATABASE_ACTIVE))
			continue;
		if (durable_database_stopping(db))
		{
			/* Whoever stopped it wakes us; or the mark runs out. */
			next = Min(next, 1000);
			continue;
		}
		ms = throttle_ms(db);
		if (ms > 0)
		{
			next = Min(next, ms);
			continue;
		}
		if (db->state == DATABASE_UNKNOWN && explorers >= MAX_EXPLORERS)
			continue;			/* the end of one of them wakes us */
		if (!start_coordinator(i))
		{
			next = Min(next, NO_PROCESS_DELAY);
			break;
		}
		explorers += db->state == DATABASE_UNKNOWN;
	}
	return next;
}

/* A coordinator that never came to life cannot say so. */
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

/* False when the server has no process to spare. */
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
		pfree(started[n].handle);	/* it has released its place, and is about to be gone */
	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &started[n].handle);
	MemoryContextSwitchTo(old);
	started[n].started = start.started;

	if (!registered)
	{
		started[n].handle = NULL;
		durable_coordinator_release(db, start.started, false);
		if (!no_process_logged)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no process left for a durable coordinator"),
					 errhint("Increase max_worker_processes.")));
	}
	no_process_logged = !registered;
	return registered;
}
