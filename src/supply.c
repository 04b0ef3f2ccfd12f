/*
 * supply.c
 *		Which owners need workers, and starting them; a part of the coordinator.
 *
 * Owns: the coordinator's list of owners, in its memory; reserving slots.
 * Called by: coordinator.c only.
 * Locks: the LWLock of shared memory inside the functions of slot.c, spinlocks.
 * Memory: the list of owners in TopMemoryContext; an owner that has nothing left
 * is dropped from it when the tables are looked at.
 *
 * An owner gets a worker when it has work and none of its workers can take it:
 * there is none, or all of them are in long activities.  It gets a further one
 * when its workers say that their batches are full.
 *
 * Work is known from two sources.  A committing session says so ("wanted") when
 * it finds no worker: that must be quick, and is believed.  And the tables are
 * looked at, when a worker has left, when something becomes due and at the slow
 * recheck: one probe of an index for each owner, however many rows there are.
 *
 * When all workers that durable.max_workers allows are taken, an idle one of
 * another owner is asked to leave, or a busy one that has had its time slice.
 * Workers ask nobody and hold nothing, so they leave within a batch, unless they
 * are in a long activity.
 *
 * A worker that could not start, or failed, is replaced ever more slowly.
 */
#include "durable.h"
#include "worker.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "guc.h"
#include "postmaster/bgworker.h"
#include "shared.h"
#include "sql.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* Microseconds. */
#define TIME_SLICE			(200 * 1000)	/* a worker of a busy owner, when others wait */
#define PEER_INTERVAL		(50 * 1000)		/* between two further workers of an owner */
#define STUCK_BATCH			(100 * 1000)
#define ROLE_RETRY			(60 * USECS_PER_SEC)

/* Milliseconds. */
#define SHORTAGE_POLL		50
#define NO_PROCESS_DELAY	2000

/* Due tasks of an owner are counted up to here. */
#define TASKS_COUNTED		(DURABLE_MAX_SLOTS + 1)

typedef enum Need
{
	NEEDS_NOTHING,
	NEEDS_PEER,					/* a further worker, if there is room */
	NEEDS_WORKER				/* one; somebody else has to go if need be */
}			Need;

typedef struct Owner
{
	Oid			owner;			/* hash key */
	Need		need;			/* in this round */
	bool		wanted;			/* a session or a worker said so */
	bool		has_messages;	/* as of the last look at the tables */
	int			tasks_due;
	TimestampTz timer_due;		/* virtual time */
	TimestampTz task_due;
	bool		solo;			/* the last worker was lost in a unit */
	int			failures;		/* in a row */
	int			useless;		/* workers in a row that found nothing to do */
	TimestampTz not_before;		/* real time, as are the others */
	TimestampTz waits_since;	/* for a slot; 0: does not */
	TimestampTz started_at;		/* the last worker */
	bool		problem_logged;
	NameData	name;			/* of the role, when a worker was started last */
}			Owner;

/* The workers of one owner, counted from the slots. */
typedef struct Workforce
{
	int			coming;			/* idle or starting */
	int			busy;			/* in a batch */
	int			away;			/* in a task or a stuck batch */
	int			tasks;			/* in a task */
	int			total;
}			Workforce;

/* Workers that were registered and have not attached yet. */
typedef struct Start
{
	BackgroundWorkerHandle *handle;
	uint32		generation;
}			Start;

static HTAB *owners = NULL;
static Start starts[DURABLE_MAX_SLOTS];
static bool no_process_logged = false;

static Owner *get_owner(Oid owner);
static void take_requests(void);
static void take_exit(WorkerExitReport report);
static void reap(void);
static void dismiss(bool all);
static void look_at_messages(void);
static void look_at_timers(void);
static void look_at_tasks(void);
static void forget_owners(void);
static int	by_need(const void *a, const void *b);
static Workforce count_workers(Oid owner);
static Need what_it_needs(Owner *owner, long *ms);
static bool role_can_work(Owner *owner);
static bool start_worker(Owner *owner, Need need, long *ms);
static void make_room(Oid owner);
static int	count_all_workers(Oid database, Oid owner);

static DurableSql owners_with_messages = {
	.text = "WITH RECURSIVE o (owner) AS ("
	" (SELECT owner FROM durable.inbox ORDER BY owner LIMIT 1)"
	" UNION ALL"
	" SELECT n.owner FROM o, LATERAL (SELECT i.owner FROM durable.inbox i"
	"  WHERE i.owner > o.owner ORDER BY i.owner LIMIT 1) n)"
	" SELECT owner FROM o",
};

static DurableSql owners_with_timers = {
	.text = "WITH RECURSIVE o (owner, due) AS ("
	" (SELECT owner, due_at FROM durable.timer ORDER BY owner, due_at LIMIT 1)"
	" UNION ALL"
	" SELECT n.owner, n.due_at FROM o, LATERAL (SELECT t.owner, t.due_at FROM durable.timer t"
	"  WHERE t.owner > o.owner ORDER BY t.owner, t.due_at LIMIT 1) n)"
	" SELECT owner, due FROM o",
};

static DurableSql owners_with_tasks = {
	.text = "WITH RECURSIVE o (owner, due) AS ("
	" (SELECT owner, run_at FROM durable.task_queue ORDER BY owner, run_at LIMIT 1)"
	" UNION ALL"
	" SELECT n.owner, n.run_at FROM o, LATERAL (SELECT t.owner, t.run_at FROM durable.task_queue t"
	"  WHERE t.owner > o.owner ORDER BY t.owner, t.run_at LIMIT 1) n)"
	" SELECT o.owner, o.due, c.n, f.due FROM o,"
	" LATERAL (SELECT count(*)::int4 FROM (SELECT 1 FROM durable.task_queue t"
	"  WHERE t.owner = o.owner AND t.run_at <= $1 LIMIT $2) d) c (n)"
	" LEFT JOIN LATERAL (SELECT t.run_at FROM durable.task_queue t WHERE t.owner = o.owner"
	"  AND t.run_at > $1 ORDER BY t.run_at LIMIT 1) f (due) ON true",
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, INT8OID},
};

void
durable_supply_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Owner), .hcxt = TopMemoryContext};

	owners = hash_create("durable owners", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * One round.  running: false when the engine is paused, held or switched off.
 */
long
durable_supply_workers(bool running)
{
	long		next = durable_recheck_interval;
	int			n = 0;
	bool		shortage = false;
	Owner	  **needing;
	Owner	   *owner;
	HASH_SEQ_STATUS scan;

	take_requests();
	reap();
	if (durable_slot_press_cancels(durable_my_database()))
		next = Min(next, 1000);
	if (!running || durable_max_workers == 0)
	{
		dismiss(true);
		hash_seq_init(&scan, owners);
		while ((owner = hash_seq_search(&scan)) != NULL)
			owner->wanted = false;
		return next;
	}
	dismiss(false);

	/* Who has waited longest comes first. */
	needing = palloc(hash_get_num_entries(owners) * sizeof(Owner *) + 1);
	hash_seq_init(&scan, owners);
	while ((owner = hash_seq_search(&scan)) != NULL)
	{
		long		ms = next;

		owner->need = what_it_needs(owner, &ms);
		if (owner->need != NEEDS_NOTHING)
			needing[n++] = owner;
		if (owner->need != NEEDS_WORKER)
			owner->waits_since = 0;
		next = Min(next, ms);
	}
	qsort(needing, n, sizeof(Owner *), by_need);
	for (int i = 0; i < n; i++)
	{
		long		ms = next;

		owner = needing[i];
		shortage |= owner->need == NEEDS_WORKER;
		if (!start_worker(owner, owner->need, &ms) && owner->need == NEEDS_WORKER)
			make_room(owner->owner);
		next = Min(next, ms);
	}
	if (!shortage)
		durable_slot_no_shortage();
	return next;
}

static int
by_need(const void *a, const void *b)
{
	const Owner *owner_a = *(Owner *const *) a;
	const Owner *owner_b = *(Owner *const *) b;

	/* 0 has not waited yet */
	TimestampTz since_a = owner_a->waits_since ? owner_a->waits_since : DT_NOEND;
	TimestampTz since_b = owner_b->waits_since ? owner_b->waits_since : DT_NOEND;

	if (owner_a->need != owner_b->need)
		return owner_a->need > owner_b->need ? -1 : 1;
	return since_a < since_b ? -1 : since_a > since_b;
}

/* --- what is known of the owners ------------------------------------------------------ */

static Owner *
get_owner(Oid oid)
{
	bool		found;
	Owner	   *owner = hash_search(owners, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(owner, 0, sizeof(*owner));
		owner->owner = oid;
		owner->timer_due = owner->task_due = DT_NOEND;
	}
	return owner;
}

static void
take_requests(void)
{
	DurableDatabase *db = durable_my_database();
	Oid			wanted[DURABLE_MAX_WANTED];
	WorkerExitReport exits[MAX_EXITS];
	int			nwanted;
	int			nexits;

	SpinLockAcquire(&db->mutex);
	nwanted = db->nwanted;
	memcpy(wanted, db->wanted, nwanted * sizeof(Oid));
	db->nwanted = 0;
	nexits = db->nexits;
	memcpy(exits, db->exits, nexits * sizeof(WorkerExitReport));
	db->nexits = 0;
	SpinLockRelease(&db->mutex);

	for (int i = 0; i < nexits; i++)
		take_exit(exits[i]);
	for (int i = 0; i < nwanted; i++)
	{
		Owner	   *owner = get_owner(wanted[i]);

		/* There is news: what workers found before does not matter any more. */
		owner->wanted = true;
		owner->useless = 0;
		if (owner->failures == 0)
			owner->not_before = 0;
	}
}

static void
take_exit(WorkerExitReport report)
{
	Owner	   *owner = get_owner(report.owner);
	TimestampTz now = GetCurrentTimestamp();
	int64		delay = 0;

	switch (report.how)
	{
		case EXIT_CLEAN:
			owner->failures = 0;
			owner->useless = 0;
			return;
		case EXIT_USELESS:
			/* Rows that nobody can do anything about: look less often. */
			owner->failures = 0;
			owner->useless++;
			delay = USECS_PER_SEC << Min(owner->useless, 6);
			break;
		case EXIT_LOST:
			owner->solo = true;
			owner->failures++;
			/* Solo mode backs off for each suspect by itself. */
			delay = owner->failures < 3 ? 0 : (250 * 1000) << Min(owner->failures - 3, 7);
			break;
		case EXIT_NOT_STARTED:
		case EXIT_FAILED:
			owner->failures++;
			delay = USECS_PER_SEC << Min(owner->failures - 1, 6);
			break;
	}
	owner->not_before = now + Min(delay, 60 * USECS_PER_SEC);
	elog(DEBUG1, "worker of role %u ended (%d), next one in " INT64_FORMAT " ms",
		 report.owner, (int) report.how, delay / 1000);
}

/* A process that never came to life cannot release its slot. */
static void
reap(void)
{
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		pid_t		pid;

		if (starts[i].handle == NULL)
			continue;
		switch (GetBackgroundWorkerPid(starts[i].handle, &pid))
		{
			case BGWH_NOT_YET_STARTED:
				break;
			case BGWH_STARTED:
				/* It attaches, or ends. */
				if (durable_shared->slots[i].generation == starts[i].generation &&
					durable_shared->slots[i].state == SLOT_STARTING)
					break;
				pfree(starts[i].handle);
				starts[i].handle = NULL;
				break;
			case BGWH_STOPPED:
			case BGWH_POSTMASTER_DIED:
				durable_slot_release(i, starts[i].generation, EXIT_NOT_STARTED);
				pfree(starts[i].handle);
				starts[i].handle = NULL;
				break;
		}
	}
}

/* Asks workers to leave: all of ours, or as many of them as there are too many. */
static void
dismiss(bool all)
{
	DurableDatabase *db = durable_my_database();
	uint64		slots = pg_atomic_read_u64(&db->slots);
	int			excess = durable_slots_used() - durable_max_workers;

	for (int i = 0; i < DURABLE_MAX_SLOTS && (all || excess > 0); i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if ((slots & SLOT_BIT(i)) == 0)
			continue;
		if (!slot->leave)
			durable_slot_ask_to_leave(i, slot->generation);
		excess--;
	}
}

/* --- the tables ------------------------------------------------------------------------ */

void
durable_supply_look(void)
{
	HASH_SEQ_STATUS scan;
	Owner	   *owner;

	hash_seq_init(&scan, owners);
	while ((owner = hash_seq_search(&scan)) != NULL)
	{
		owner->has_messages = false;
		owner->tasks_due = 0;
		owner->timer_due = owner->task_due = DT_NOEND;
	}
	durable_sql_connect();
	look_at_messages();
	look_at_timers();
	look_at_tasks();
	durable_sql_finish();
	forget_owners();
}

static void
look_at_messages(void)
{
	uint64		rows = durable_sql_run(&owners_with_messages, NULL, NULL, false, 0);

	for (uint64 row = 0; row < rows; row++)
		get_owner(durable_sql_oid(row, 1))->has_messages = true;
}

static void
look_at_timers(void)
{
	uint64		rows = durable_sql_run(&owners_with_timers, NULL, NULL, false, 0);
	bool		isnull;

	for (uint64 row = 0; row < rows; row++)
		get_owner(durable_sql_oid(row, 1))->timer_due = durable_sql_timestamptz(row, 2, &isnull);
}

static void
look_at_tasks(void)
{
	Datum		values[] = {TimestampTzGetDatum(durable_clock_now()), Int64GetDatum(TASKS_COUNTED)};
	uint64		rows = durable_sql_run(&owners_with_tasks, values, NULL, false, 0);

	for (uint64 row = 0; row < rows; row++)
	{
		Owner	   *owner = get_owner(durable_sql_oid(row, 1));
		bool		isnull;
		TimestampTz next = durable_sql_timestamptz(row, 4, &isnull);

		owner->tasks_due = durable_sql_int4(row, 3);
		owner->task_due = isnull ? DT_NOEND : next;
	}
}

static void
forget_owners(void)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS scan;
	Owner	   *owner;

	hash_seq_init(&scan, owners);
	while ((owner = hash_seq_search(&scan)) != NULL)
		if (!owner->wanted && !owner->has_messages && owner->tasks_due == 0 &&
			owner->timer_due == DT_NOEND && owner->task_due == DT_NOEND &&
			owner->not_before < now && count_workers(owner->owner).total == 0)
			hash_search(owners, &owner->owner, HASH_REMOVE, NULL);
}

/*
 * Of owners without a worker at hand: the others' workers know the time.  What is
 * due already is no reason to wake: needs_worker has seen it.
 */
TimestampTz
durable_supply_next_due(void)
{
	TimestampTz now = durable_clock_now();
	TimestampTz next = DT_NOEND;
	HASH_SEQ_STATUS scan;
	Owner	   *owner;

	hash_seq_init(&scan, owners);
	while ((owner = hash_seq_search(&scan)) != NULL)
	{
		Workforce	force = count_workers(owner->owner);

		if (force.coming + force.busy > 0)
			continue;
		if (owner->timer_due > now)
			next = Min(next, owner->timer_due);
		if (owner->task_due > now)
			next = Min(next, owner->task_due);
	}
	return next;
}

/* --- who needs one ---------------------------------------------------------------------- */

static Workforce
count_workers(Oid owner)
{
	uint64		slots = pg_atomic_read_u64(&durable_my_database()->slots);
	TimestampTz now = GetCurrentTimestamp();
	Workforce	force = {0};

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if ((slots & SLOT_BIT(i)) == 0 || slot->owner != owner)
			continue;
		SpinLockAcquire(&slot->mutex);
		force.total++;
		if (slot->state == SLOT_TASK)
		{
			force.tasks++;
			force.away++;
		}
		else if (slot->leave)
			force.away++;
		else if (slot->state == SLOT_IDLE || slot->state == SLOT_STARTING)
			force.coming++;
		else if (slot->state == SLOT_BATCH && now - slot->state_since > STUCK_BATCH)
			force.away++;
		else
			force.busy++;
		SpinLockRelease(&slot->mutex);
	}
	return force;
}

/*
 * ms is lowered to when the answer may change by the passing of time alone;
 * except for timers and tasks that become due, see durable_supply_next_due.
 */
static Need
what_it_needs(Owner *owner, long *ms)
{
	Workforce	force = count_workers(owner->owner);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = durable_clock_now();
	bool		has_work;
	Need		need = NEEDS_NOTHING;

	has_work = owner->has_messages || owner->timer_due <= due || owner->task_due <= due ||
		owner->tasks_due > force.tasks;

	if (force.coming > 0)
		need = NEEDS_NOTHING;
	else if (force.busy == 0)
	{
		if (owner->wanted || has_work)
			need = NEEDS_WORKER;
	}
	else if (owner->wanted)
	{
		/* They ask for help; one at a time, or a burst would start them all. */
		if (now - owner->started_at < PEER_INTERVAL)
		{
			*ms = Min(*ms, PEER_INTERVAL / 1000);
			return NEEDS_NOTHING;
		}
		need = NEEDS_PEER;
	}

	if (need != NEEDS_WORKER)
		owner->wanted = false;	/* they will ask again */

	if (need != NEEDS_NOTHING && owner->not_before > now)
	{
		*ms = Min(*ms, (owner->not_before - now) / 1000 + 1);
		return NEEDS_NOTHING;
	}
	return need;
}

/*
 * The role is gone, or a worker cannot connect as it: not a reason to try again
 * and again.  The instances stay as they are.
 */
static bool
role_can_work(Owner *owner)
{
	DurableDatabase *db = durable_my_database();
	MemoryContext context = CurrentMemoryContext;
	HeapTuple	tuple;
	bool		exists;
	bool		can_login = false;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner->owner));
	exists = HeapTupleIsValid(tuple);
	if (exists)
	{
		can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin || DURABLE_CAN_BYPASS_LOGIN;
		owner->name = ((Form_pg_authid) GETSTRUCT(tuple))->rolname;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	SpinLockAcquire(&db->mutex);
	if (exists && can_login)
	{
		if (db->problem_owner == owner->owner)
			db->problem_owner = InvalidOid;
	}
	else
		db->problem_owner = owner->owner;
	SpinLockRelease(&db->mutex);

	if (exists && can_login)
	{
		owner->problem_logged = false;
		return true;
	}
	if (!owner->problem_logged)
		ereport(WARNING,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 exists ? errmsg("workflows of role \"%s\" cannot run because the role has no LOGIN",
								 NameStr(owner->name))
				 : errmsg("workflows of role %u cannot run because the role does not exist", owner->owner),
				 errhint("Use durable.doctor() to see what waits.")));
	owner->problem_logged = true;
	owner->not_before = GetCurrentTimestamp() + ROLE_RETRY;
	owner->failures = Max(owner->failures, 1);	/* and no commit changes that */
	return false;
}

/* --- starting ----------------------------------------------------------------------------- */

/* False when there is no slot. */
static bool
start_worker(Owner *owner, Need need, long *ms)
{
	DurableDatabase *db = durable_my_database();
	WorkerStart start;
	BackgroundWorker worker;
	MemoryContext old;
	bool		registered;
	TimestampTz now = GetCurrentTimestamp();

	if (!role_can_work(owner))
		return true;

	memset(&start, 0, sizeof(start));
	start.database = MyDatabaseId;
	start.owner = owner->owner;
	start.slot = durable_slot_reserve(db, owner->owner, owner->solo, need == NEEDS_WORKER,
									  &start.generation);
	if (start.slot < 0)
	{
		if (need == NEEDS_WORKER)
		{
			if (owner->waits_since == 0)
				owner->waits_since = now;
			*ms = Min(*ms, SHORTAGE_POLL);
		}
		return false;
	}

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "durable");
	snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "durable_worker_main");
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "durable worker of %s", NameStr(owner->name));
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "durable worker");
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "WorkerStart is too large");
	memcpy(worker.bgw_extra, &start, sizeof(start));

	if (starts[start.slot].handle)
		pfree(starts[start.slot].handle);	/* of one that is long gone */
	old = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &starts[start.slot].handle);
	MemoryContextSwitchTo(old);
	starts[start.slot].generation = start.generation;

	SpinLockAcquire(&db->mutex);
	if (registered)
		db->no_process_since = 0;
	else if (db->no_process_since == 0)
		db->no_process_since = now;
	SpinLockRelease(&db->mutex);

	if (!registered)
	{
		starts[start.slot].handle = NULL;
		durable_slot_withdraw(start.slot, start.generation);
		if (!no_process_logged)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no process left for a durable worker"),
					 errhint("Increase max_worker_processes, or decrease durable.max_workers.")));
		owner->not_before = now + NO_PROCESS_DELAY * 1000;
		owner->failures = Max(owner->failures, 1);
		*ms = Min(*ms, NO_PROCESS_DELAY);
	}
	else
	{
		owner->wanted = false;
		owner->solo = false;
		owner->waits_since = 0;
		owner->started_at = now;
	}
	no_process_logged = !registered;
	return true;
}

/*
 * Somebody has to leave for that owner: an idle worker of another one, else a
 * busy one whose owner has more than one, else a busy one that has had its time
 * slice; of any database.  One at a time: the next round sees whether that was
 * enough.
 */
static void
make_room(Oid owner)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz best_since = DT_NOEND;
	int			best_rank = 0;
	int			best = -1;
	uint32		best_generation = 0;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];
		Oid			database;
		Oid			its_owner;
		SlotState	state;
		bool		leaving;
		TimestampTz started_at;
		TimestampTz since;
		uint32		generation;
		int			rank = 0;

		SpinLockAcquire(&slot->mutex);
		database = slot->database;
		its_owner = slot->owner;
		state = slot->state;
		leaving = slot->leave;
		started_at = slot->started_at;
		since = state == SLOT_IDLE ? slot->state_since : started_at;
		generation = slot->generation;
		SpinLockRelease(&slot->mutex);

		if (leaving && (state == SLOT_IDLE || state == SLOT_BATCH || state == SLOT_STARTING))
			return;
		if (database == MyDatabaseId && its_owner == owner)
			continue;
		if (state == SLOT_IDLE)
			rank = 3;
		else if (state == SLOT_BATCH && count_all_workers(database, its_owner) > 1)
			rank = 2;
		else if (state == SLOT_BATCH && now - started_at > TIME_SLICE)
			rank = 1;
		if (rank > best_rank || (rank == best_rank && rank > 0 && since < best_since))
		{
			best = i;
			best_rank = rank;
			best_since = since;
			best_generation = generation;
		}
	}
	if (best >= 0)
	{
		elog(DEBUG1, "role %u waits for the worker in slot %d", owner, best);
		durable_slot_ask_to_leave(best, best_generation);
	}
}

/* Unlocked: a wrong answer makes the choice a little less just. */
static int
count_all_workers(Oid database, Oid owner)
{
	int			n = 0;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
		if (durable_shared->slots[i].owner == owner && durable_shared->slots[i].database == database)
			n++;
	return n;
}
