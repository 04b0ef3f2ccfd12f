/*-------------------------------------------------------------------------
 *
 * admission.c
 *		Starts activities in SQL that wait in queues.
 *
 * An activity in SQL with a queue waits in durable.queued_task.  The coordinator
 * leases it without an end of the lease, and inserts a row into durable.task_queue, which
 * the owner's workers run like any other task.  The worker that has run it deletes both
 * rows and requests the next step from the coordinator.  The row of durable.queued_task
 * counts towards the limits.  This file deletes it if its task was deleted with its instance.
 *
 * This file also ends leases and timeouts of external activities, so that their end
 * does not depend on a worker that fetches, and leases of turns whose sessions have ended.
 *
 * Called by: coordinator.c, testing_api.c
 * Locks:	rows of durable.queue and durable.queued_task, with SKIP LOCKED
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "admission.h"
#include "answer_table.h"
#include "clock.h"
#include "lease.h"
#include "sql.h"

/* The largest number of tasks of one queue that one step starts. */
#define STEP_LIMIT		1000

/* A worker may repeat an answer within this time. */
#define REMEMBERED_US	(5 * USECS_PER_MINUTE)
#define FORGET_LIMIT	5000

/* Time until the next try when another process has the queue locked. */
#define BUSY_US			(10 * 1000)

static DurableSql queues = {
	"SELECT q.name, EXISTS (SELECT FROM durable.queued_task t WHERE t.queue = q.name AND t.kind = 's') "
	"FROM durable.queue q",
	0
};

/* Deletes rows that count towards the limits but whose tasks were deleted with their instances. */
static DurableSql delete_left = {
	"DELETE FROM durable.queued_task t USING (SELECT q.key, q.id FROM durable.queue w JOIN durable.queued_task q "
	"ON q.queue = w.name AND q.state = 'l' AND q.kind = 's' WHERE NOT EXISTS (SELECT FROM durable.task_queue k "
	"WHERE k.key = q.key AND k.queued_id = q.id) FOR UPDATE OF q SKIP LOCKED) d WHERE t.key = d.key AND t.id = d.id",
	0
};

static int	step(TimestampTz *next, bool *busy, bool *passed_over);
static int	admit(const char *queue, TimestampTz now, TimestampTz *next, bool *any_busy);
static void make_tasks(List *queued, TimestampTz now);

int
durable_admission_step(TimestampTz *next)
{
	bool		busy;
	bool		passed_over;

	return step(next, &busy, &passed_over);
}

void
durable_admission_clean(void)
{
	(void) durable_queued_end_sessions(durable_clock_now());
	durable_sql_connect();
	durable_sql_run(&delete_left, NULL, NULL, false, 0);
	durable_sql_finish();
}

UnitResult
durable_admission_unit(Oid owner, UnitScan *scan)
{
	TimestampTz next;
	bool		busy;
	int			begun;

	durable_admission_clean();
	begun = step(&next, &busy, &scan->passed_over);
	scan->passed_over |= durable_answer_any_before(durable_clock_now() - REMEMBERED_US);

	return busy ? UNIT_FULL : begun > 0 ? UNIT_SOME : UNIT_NOTHING;
}

/*
 * *busy: whether another process has a queue locked.  *passed_over: whether work that is due has been left, as a
 * rule because another process has locked it, to do the same.
 */
static int
step(TimestampTz *next, bool *busy, bool *passed_over)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = durable_clock_now();
	List	   *names = NIL;
	List	   *with_sql = NIL;
	ListCell   *cell;
	uint64		nrows;
	bool		isnull;
	int			begun = 0;

	*next = DT_NOEND;
	*busy = *passed_over = false;
	durable_sql_connect();
	nrows = durable_sql_run(&queues, NULL, NULL, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < nrows; i++)
	{
		char	   *name = durable_sql_text(i, 1);

		names = lappend(names, name);
		if (DatumGetBool(durable_sql_datum(i, 2, &isnull)))
			with_sql = lappend(with_sql, name);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	if (names == NIL)
		return 0;

	foreach(cell, names)
	{
		TimestampTz due;

		(void) durable_lease_expire(lfirst(cell), now);
		due = durable_queued_next(lfirst(cell));
		*passed_over |= due <= now;
		*next = Min(*next, Max(due, now + BUSY_US));
	}
	foreach(cell, with_sql)
		begun += admit(lfirst(cell), now, next, busy);
	if (durable_answer_forget(now - REMEMBERED_US, FORGET_LIMIT))
		*next = now + BUSY_US;
	return begun;
}

static int
admit(const char *queue, TimestampTz now, TimestampTz *next, bool *any_busy)
{
	QueuedWanted wanted = {
		.queue = queue,
		.kind = QUEUED_SQL,
		.limit = STEP_LIMIT,
		.now = now,
		.until = DT_NOEND
	};
	List	   *tasks;
	TimestampTz due;
	bool		busy;

	tasks = durable_lease_take(&wanted, &busy);
	*any_busy |= busy;
	make_tasks(tasks, now);
	wanted.limit = 1;
	if (busy || durable_lease_available(&wanted, &due))
		*next = Min(*next, now + BUSY_US);
	else
		*next = Min(*next, due);
	return list_length(tasks);
}

static void
make_tasks(List *queued, TimestampTz now)
{
	List	   *rows = NIL;
	Oid			owner = InvalidOid;
	ListCell   *cell;

	foreach(cell, queued)
	{
		QueuedTask *task = lfirst(cell);
		TaskRow    *row = palloc0(sizeof(TaskRow));

		if (task->owner != owner && rows != NIL)
		{
			durable_task_insert(owner, rows);
			rows = NIL;
		}
		owner = task->owner;
		row->key = task->key;
		row->execution = task->execution;
		row->task = task->task;
		row->attempt = task->attempt;
		row->run_at = now;
		row->scheduled_at = task->scheduled_at;
		row->name = task->name;
		row->handler = task->handler;
		row->input = task->input;
		row->retry = task->retry;
		row->timeout_us = task->timeout_us;
		row->last_failure = task->last_failure;
		row->crashes = task->crashes;
		row->queued_id = task->id;
		rows = lappend(rows, row);
	}
	if (rows != NIL)
		durable_task_insert(owner, rows);
}
