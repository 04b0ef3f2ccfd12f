/*
 * owners.c
 *		The coordinator's list of owners: which have work, and which need a worker.
 *
 * Owns: the list of owners, in the coordinator's memory.
 * Called by: coordinator.c, worker_supply.c.
 * Locks: spinlocks of shared memory, one at a time.
 * Memory: the list in TopMemoryContext; an owner without work is dropped from it
 *			when the tables are looked at.
 *
 * An owner needs a worker when it has work and none of its workers can take it:
 * there is none, or all of them are in long activities.  It can use a further one
 * when its workers say that their batches are full.
 *
 * Work is known from two sources.  A committing session reports it ("wanted") when it
 * finds no worker; this must be quick, and is not checked.  In addition the tables are
 * looked at when a worker has left and at the slow recheck: one probe of an index for
 * each owner, however many rows there are.
 *
 * An owner whose workers cannot start, or fail, or find no work although the
 * tables show some, gets the next one at increasing intervals.
 */
#include "durable.h"
#include "worker_supply.h"

#include "catalog/pg_type.h"
#include "clock.h"
#include "shared.h"
#include "sql.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Milliseconds. */
#define PEER_INTERVAL		50		/* between two further workers of an owner */

/* Microseconds. */
#define SLOW_BATCH			(100 * 1000)
#define STUCK_BATCH			USECS_PER_SEC
#define LONGEST_DELAY		(60 * USECS_PER_SEC)

/* Due tasks of an owner are counted up to here. */
#define TASKS_COUNTED		(DURABLE_MAX_SLOTS + 1)

static HTAB *owners = NULL;

static Owner *get_owner(Oid owner);
static void take_exit(WorkerExitReport report);
static void look_at_messages(void);
static void look_at_timers(void);
static void look_at_tasks(void);
static void forget_owners(void);
static Workforce count_workers(Oid owner);

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
durable_owners_init(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(Owner), .hcxt = TopMemoryContext};

	owners = hash_create("durable owners", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

long
durable_owners_count(void)
{
	return hash_get_num_entries(owners);
}

void
durable_owners_scan(HASH_SEQ_STATUS *scan)
{
	hash_seq_init(scan, owners);
}

/* --- news ------------------------------------------------------------------------------ */

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

void
durable_owners_take_requests(void)
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

		/* There is news, so the results of earlier workers do not count any more. */
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
			/* Rows that no worker can process: look less often. */
			owner->failures = 0;
			owner->useless++;
			delay = USECS_PER_SEC << Min(owner->useless, 6);
			break;
		case EXIT_BY_CODE:
			/* The cause is known and is held back alone, so others need not wait. */
			owner->failures = 0;
			owner->useless = 0;
			return;
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
	owner->not_before = now + Min(delay, LONGEST_DELAY);
	elog(DEBUG1, "worker of role %u exited (%d), starting the next worker in " INT64_FORMAT " ms",
		 report.owner, (int) report.how, delay / 1000);
}

/* --- the tables ------------------------------------------------------------------------ */

void
durable_owners_look(void)
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
 * For owners without an available worker; workers know their own due times.  Work that
 * was due at judged_at, right before durable_supply_workers judged the owners, is no
 * reason to wake.  Work that has become due since then is: the judgement may have come
 * too early for it, and with the present time as the bound it would wait for the recheck.
 */
TimestampTz
durable_owners_next_due(TimestampTz judged_at)
{
	TimestampTz next = DT_NOEND;
	HASH_SEQ_STATUS scan;
	Owner	   *owner;

	hash_seq_init(&scan, owners);
	while ((owner = hash_seq_search(&scan)) != NULL)
	{
		Workforce	force = count_workers(owner->owner);

		if (force.coming + force.busy > 0)
			continue;
		if (owner->timer_due > judged_at)
			next = Min(next, owner->timer_due);
		if (owner->task_due > judged_at)
			next = Min(next, owner->task_due);
	}
	return next;
}

bool
durable_owners_are_busy(void)
{
	HASH_SEQ_STATUS scan;
	Owner	   *owner;
	bool		busy = false;

	hash_seq_init(&scan, owners);
	while ((owner = hash_seq_search(&scan)) != NULL)
	{
		Workforce	force = count_workers(owner->owner);

		busy |= owner->wanted || force.busy + force.slow + force.starting > 0;
	}
	return busy;
}

/* --- the need for workers -------------------------------------------------------------- */

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
		{
			force.coming++;
			force.starting += slot->state == SLOT_STARTING;
		}
		else if (slot->state == SLOT_BATCH && now - slot->state_since > STUCK_BATCH)
			force.away++;
		else if (slot->state == SLOT_BATCH && now - slot->state_since > SLOW_BATCH)
			force.slow++;
		else
			force.busy++;
		SpinLockRelease(&slot->mutex);
	}
	return force;
}

Need
durable_owner_need(Owner *owner, long *ms)
{
	Workforce	force = count_workers(owner->owner);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = durable_clock_now();
	bool		has_work;
	Need		need = NEEDS_NOTHING;

	has_work = owner->has_messages || owner->timer_due <= due || owner->task_due <= due ||
		owner->tasks_due > force.tasks;

	/*
	 * Where processors are short all batches are slow.  If other owners' workers had to
	 * exit because of that, starting them again would use still more processor time.
	 */
	if (force.coming > 0)
		need = NEEDS_NOTHING;
	else if (force.busy + force.slow == 0)
	{
		if (owner->wanted || has_work)
			need = NEEDS_WORKER;
	}
	else if (owner->wanted || (force.busy == 0 && has_work))
	{
		/* Its workers ask for another one.  One at a time, as a burst would start all of them. */
		if (!durable_clock_passed(owner->started_at, now, PEER_INTERVAL))
		{
			*ms = Min(*ms, PEER_INTERVAL);
			return NEEDS_NOTHING;
		}
		need = NEEDS_PEER;
	}

	if (need != NEEDS_WORKER)
		owner->wanted = false;	/* they will ask again */

	owner->not_before = Min(owner->not_before, now + LONGEST_DELAY);	/* the clock was set back */
	if (need != NEEDS_NOTHING && owner->not_before > now)
	{
		*ms = Min(*ms, (owner->not_before - now) / 1000 + 1);
		return NEEDS_NOTHING;
	}
	return need;
}
