/*-------------------------------------------------------------------------
 *
 * task_unit.c
 *		The other unit of work: one activity in a transaction of its own.
 *
 * The row of durable.task_queue stays locked while the activity runs; a worker that is
 * lost unlocks it by that.  The activity's effects, the deletion of the row and
 * the message to its instance are one commit.  Attempts are counted in the row
 * and are no part of the history.
 *
 * Called by: worker.c, testing_api.c
 * Locks:	the task's row
 * Memory:	a context of its own in the caller's, deleted at the end
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/itemptr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "batch.h"
#include "clock.h"
#include "crash.h"
#include "failpoint.h"
#include "guc.h"
#include "handler.h"
#include "json.h"
#include "retry.h"
#include "shmem.h"
#include "slot.h"
#include "sql.h"
#include "suspect.h"
#include "unit.h"
#include "usercall.h"
#include "wakeup.h"

/*
 * After a deadlock and the like it is tried again: soon at first, then after a
 * quarter of the time that it has been due.
 */
#define TRY_AGAIN_MIN_US	(100 * INT64CONST(1000))
#define TRY_AGAIN_MAX_US	(60 * USECS_PER_SEC)

/* While another suspect is running. */
#define SUSPECT_WAIT_US	(100 * INT64CONST(1000))

typedef struct Task
{
	ItemPointerData tid;
	int64		key;
	int32		execution;
	int32		task;
	int32		attempt;
	char	   *name;
	char	   *handler;
	Jsonb	   *input;
	Jsonb	   *retry;
	int64		timeout_us;
	TimestampTz run_at;
	TimestampTz scheduled_at;
	int64		id;
	int			crashes;
}			Task;

static UnitResult end_batch(Batch * batch, const Task *task, MemoryContext old);
static Task *claim_task(Oid owner, UnitScan *scan, TimestampTz now, TimestampTz after);
static Task *read_task(MemoryContext context);
static bool is_wanted(const Task *task);
static bool is_suspect(const Task *task);
static int	weight(const Task *task);
static void mark_task(const Task *task, UnitScan *scan);
static void give_up(Batch * batch, const Task *task);
static void run_task(Batch * batch, Task *task, UnitScan *scan);
static TimestampTz later(const Task *task, TimestampTz now);
static bool keep_effects(void *arg);
static Oid	function_of(const char *handler);
static Jsonb *function_body(void *arg);
static void delete_task(const Task *task);
static void postpone_task(Oid owner, const Task *task, TimestampTz run_at, int attempt,
						  const Jsonb *failure);

#define TASK_COLUMNS \
	"ctid, key, execution, task, attempt, name, handler, input, retry, timeout, " \
	"run_at, scheduled_at, id, crashes"

static DurableSql claim_one = {
	"SELECT " TASK_COLUMNS " FROM durable.task_queue "
	"WHERE owner = $1 AND run_at >= $2 AND run_at <= $3 "
	"AND ($4 = '-infinity' OR (scheduled_at > $4 AND crashes = 0)) "
	"ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
	4, {REGROLEOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static DurableSql claim_marked = {
	"SELECT " TASK_COLUMNS " FROM durable.task_queue WHERE ctid = $1 AND id = $2 FOR UPDATE",
	2, {TIDOID, INT8OID}
};

static DurableSql claim_again = {
	"SELECT " TASK_COLUMNS " FROM durable.task_queue "
	"WHERE owner = $1 AND run_at = $2 AND id = $3 FOR UPDATE SKIP LOCKED",
	3, {REGROLEOID, TIMESTAMPTZOID, INT8OID}
};

static DurableSql next_task = {
	"SELECT run_at FROM durable.task_queue WHERE owner = $1 AND run_at > $2 ORDER BY run_at LIMIT 1",
	2, {REGROLEOID, TIMESTAMPTZOID}
};

static DurableSql instance_state = {
	"SELECT status FROM durable.instance WHERE key = $1",
	1, {INT8OID}
};

static DurableSql delete_one = {
	"DELETE FROM durable.task_queue WHERE ctid = $1",
	1, {TIDOID}
};

static DurableSql postpone_one = {
	"UPDATE durable.task_queue SET run_at = $2, attempt = $3, last_failure = $4, crashes = 0 "
	"WHERE ctid = $1",
	4, {TIDOID, TIMESTAMPTZOID, INT4OID, JSONBOID}
};

static DurableSql mark_one = {
	"UPDATE durable.task_queue SET crashes = $2 + 1 WHERE ctid = $1 RETURNING ctid",
	2, {TIDOID, INT2OID}
};

UnitResult
durable_unit_task(Oid owner, UnitScan *scan)
{
	MemoryContext old = CurrentMemoryContext;
	Batch	   *batch;
	Task	   *task;
	TimestampTz now = durable_clock_now();

	if (scan->task_due > now)
		return UNIT_NOTHING;

	batch = durable_batch_create(owner, now);
	MemoryContextSwitchTo(batch->context);
	task = claim_task(owner, scan, now, DT_NOBEGIN);
	if (task != NULL && is_suspect(task) && !durable_crash_lock(CRASH_LOCK_ACTIVITY))
	{
		/* Another suspect is running, for hours perhaps: what is above suspicion goes on. */
		task = claim_task(owner, scan, now, durable_crash_time());
		scan->task_due = task ? DT_NOBEGIN : Min(scan->task_due, now + SUSPECT_WAIT_US);
	}
	scan->ran_task = 0;
	if (task != NULL)
	{
		if (!is_wanted(task))
			delete_task(task);
		else if (!is_suspect(task))
			run_task(batch, task, scan);
		else if (durable_crash_convicts(weight(task)))
			give_up(batch, task);
		else
			mark_task(task, scan);
		if (scan->marked_task == 0)
			durable_crash_unlock(CRASH_LOCK_ACTIVITY);
	}
	return end_batch(batch, task, old);
}

/*
 * That very task: a note on another one would stay behind as if that had been
 * running, too.  Who else has its row locked is mostly another worker that has
 * found it and may not run it.
 */
UnitResult
durable_unit_marked_task(Oid owner, UnitScan *scan)
{
	MemoryContext old = CurrentMemoryContext;
	Batch	   *batch = durable_batch_create(owner, durable_clock_now());
	Datum		values[2] = {PointerGetDatum(&scan->marked_tid), Int64GetDatum(scan->marked_task)};
	Task	   *task = NULL;

	MemoryContextSwitchTo(batch->context);
	scan->marked_task = 0;
	scan->ran_task = 0;
	durable_sql_connect();
	if (durable_sql_run(&claim_marked, values, NULL, false, 0) > 0)
		task = read_task(batch->context);
	durable_sql_finish();

	if (task != NULL)
		run_task(batch, task, scan);
	durable_crash_unlock(CRASH_LOCK_ACTIVITY);
	return end_batch(batch, task, old);
}

static UnitResult
end_batch(Batch * batch, const Task *task, MemoryContext old)
{
	UnitResult	result = task == NULL ? UNIT_NOTHING : UNIT_FULL;

	if (task != NULL)
	{
		durable_batch_store(batch);
		durable_slot_count(0, batch->activities);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch->context);
	return result;
}

/*
 * The oldest task that is due and that nobody runs, of those that were scheduled
 * after the given time; moves scan->task_due.
 */
static Task *
claim_task(Oid owner, UnitScan *scan, TimestampTz now, TimestampTz after)
{
	Datum		values[4] = {ObjectIdGetDatum(owner), TimestampTzGetDatum(scan->task_due),
	TimestampTzGetDatum(now), TimestampTzGetDatum(after)};
	MemoryContext context = CurrentMemoryContext;
	Task	   *task = NULL;
	bool		isnull;

	durable_sql_connect();
	if (durable_sql_run(&claim_one, values, NULL, false, 0) > 0)
	{
		task = read_task(context);

		/* Others may be due since the same moment. */
		scan->task_due = Min(task->run_at, now);
	}
	else
	{
		values[1] = TimestampTzGetDatum(now);
		scan->task_due = DT_NOEND;
		if (durable_sql_run(&next_task, values, NULL, false, 0) > 0)
			scan->task_due = durable_sql_timestamptz(0, 1, &isnull);
	}
	durable_sql_finish();
	return task;
}

/* TASK_COLUMNS of the first row. */
static Task *
read_task(MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	Task	   *task = palloc0(sizeof(Task));
	Datum		timeout;
	bool		isnull;

	task->tid = *(ItemPointer) DatumGetPointer(durable_sql_datum(0, 1, &isnull));
	task->key = durable_sql_int8(0, 2);
	task->execution = durable_sql_int4(0, 3);
	task->task = durable_sql_int4(0, 4);
	task->attempt = durable_sql_int4(0, 5);
	task->name = durable_sql_text(0, 6);
	task->handler = durable_sql_text(0, 7);
	task->input = durable_sql_jsonb(0, 8);
	task->retry = durable_sql_jsonb(0, 9);
	timeout = durable_sql_datum(0, 10, &isnull);
	task->timeout_us = isnull ? 0 : durable_activity_timeout_us(DatumGetIntervalP(timeout));
	task->run_at = durable_sql_timestamptz(0, 11, &isnull);
	task->scheduled_at = durable_sql_timestamptz(0, 12, &isnull);
	task->id = durable_sql_int8(0, 13);
	task->crashes = DatumGetInt16(durable_sql_datum(0, 14, &isnull));
	MemoryContextSwitchTo(spi);
	return task;
}

/* A terminated instance wants nothing any more; one that has ended otherwise let it go on. */
static bool
is_wanted(const Task *task)
{
	Datum		values[1] = {Int64GetDatum(task->key)};
	bool		wanted;

	durable_sql_connect();
	wanted = durable_sql_run(&instance_state, values, NULL, false, 0) > 0 &&
		durable_sql_char(0, 1) != STATUS_TERMINATED;
	durable_sql_finish();
	return wanted;
}

/* It may have been running when the server crashed; see crash.c. */
static bool
is_suspect(const Task *task)
{
	return durable_crash_search_is_on() &&
		(task->crashes != 0 || durable_crash_suspects(task->scheduled_at));
}

static int
weight(const Task *task)
{
	return durable_crash_weigh(CRASH_LOCK_ACTIVITY, task->id, task->crashes);
}

/* On disk, once this transaction commits: it is about to run, and durable_unit_marked_task runs it. */
static void
mark_task(const Task *task, UnitScan *scan)
{
	Datum		values[2] = {PointerGetDatum(&task->tid), Int16GetDatum(weight(task))};
	bool		isnull;

	durable_sql_connect();
	if (durable_sql_run(&mark_one, values, NULL, false, 0) != 1)
		elog(ERROR, "task of instance " INT64_FORMAT " has gone", task->key);
	scan->marked_tid = *(ItemPointer) DatumGetPointer(durable_sql_datum(0, 1, &isnull));
	scan->marked_task = task->id;
	durable_sql_finish();
	durable_note_written(CRASH_LOCK_ACTIVITY, task->id);
}

static void
give_up(Batch * batch, const Task *task)
{
	char	   *message = psprintf("activity \"%s\" was running when the server crashed, %s",
								   task->name, durable_crash_times(weight(task), 0));

	ereport(LOG,
			(errmsg("%s: it has failed", message)));
	delete_task(task);
	durable_batch_send(batch, task->key, MESSAGE_FAILED, task->execution, task->task, task->attempt, NULL,
					   durable_json_make_failure(ERRCODE_CRASH_SHUTDOWN, message));
}

static void
run_task(Batch * batch, Task *task, UnitScan *scan)
{
	ActivityRun run = {0};
	ActivityOutcome outcome;
	CancelReason reason;
	bool		wanted;
	int64		delay;

	scan->ran_task = task->id;
	scan->ran_task_at = task->run_at;
	run.name = task->name;
	run.handler = task->handler;
	run.function = function_of(task->handler);
	run.input = task->input;
	run.timeout_us = task->timeout_us;
	run.keep = keep_effects;
	run.attempt = task->attempt;

	durable_slot_begin_task(task->key, task->task);

	/* A termination that was committed since the first look found nobody to cancel. */
	HOLD_CANCEL_INTERRUPTS();
	wanted = is_wanted(task);
	RESUME_CANCEL_INTERRUPTS();
	if (!wanted)
	{
		(void) durable_slot_end_task();
		delete_task(task);
		return;
	}

	durable_failpoint_pass(FAILPOINT_TASK_BEFORE);
	outcome = durable_activity_run(&run);
	durable_failpoint_pass(FAILPOINT_TASK_AFTER);
	reason = durable_slot_end_task();
	batch->activities++;
	if (reason == CANCEL_TERMINATED)
		outcome = outcome == ACTIVITY_COMPLETED ? outcome : ACTIVITY_STOPPED;

	switch (outcome)
	{
		case ACTIVITY_COMPLETED:
			delete_task(task);
			durable_batch_send(batch, task->key, MESSAGE_COMPLETED, task->execution,
							   task->task, task->attempt, NULL, run.payload);
			break;

		case ACTIVITY_STOPPED:
			delete_task(task);
			break;

		case ACTIVITY_TRY_LATER:
			postpone_task(batch->owner, task, later(task, batch->clock), task->attempt,
						  run.payload);
			break;

		case ACTIVITY_FAILED:
			/* The delay counts from the end of the attempt. */
			if (durable_retry_after(task->retry, task->attempt, task->scheduled_at,
									durable_clock_now(), run.sqlerrcode, &delay))
			{
				postpone_task(batch->owner, task, durable_clock_now() + delay,
							  task->attempt + 1, run.payload);
				break;
			}
			delete_task(task);
			durable_batch_send(batch, task->key, MESSAGE_FAILED, task->execution,
							   task->task, task->attempt, NULL, run.payload);
			break;
	}
}

static TimestampTz
later(const Task *task, TimestampTz now)
{
	int64		delay = (now - task->scheduled_at) / 4;

	return now + Min(Max(delay, TRY_AGAIN_MIN_US), TRY_AGAIN_MAX_US);
}

/*
 * Something that the activity has left for the commit made that fail: there was no
 * room for its notification, for example.  Where it stands in the queue it would be
 * the next one again, and all others of its owner would wait behind it.
 */
UnitResult
durable_unit_put_off(Oid owner, UnitScan *scan)
{
	Datum		values[3] = {ObjectIdGetDatum(owner), TimestampTzGetDatum(scan->ran_task_at),
	Int64GetDatum(scan->ran_task)};
	MemoryContext context = CurrentMemoryContext;
	Task	   *task;

	durable_sql_connect();
	if (durable_sql_run(&claim_again, values, NULL, false, 0) > 0)
	{
		task = read_task(context);
		postpone_task(owner, task, later(task, durable_clock_now()), task->attempt, NULL);
	}
	durable_sql_finish();
	return UNIT_SOME;
}

/* Code may swallow the cancel and go on to its end: that is no completion. */
static bool
keep_effects(void *arg)
{
	return durable_slot_cancel_reason() == CANCEL_NONE;
}

/* For learning how long it takes; 0 when it is gone, which running it will tell. */
static Oid
function_of(const char *handler)
{
	UserCall	call = {0};
	struct
	{
		const char *handler;
		Oid			function;
	}			lookup = {handler, InvalidOid};

	if (strcmp(handler, ACTIVITY_CALL_SQL) == 0)
		return InvalidOid;
	call.body = function_body;
	call.arg = &lookup;
	call.read_only = true;
	durable_usercall_run(&call);
	return lookup.function;
}

static Jsonb *
function_body(void *arg)
{
	struct
	{
		const char *handler;
		Oid			function;
	}		   *lookup = arg;

	lookup->function = durable_handler_resolve(lookup->handler)->function;
	return NULL;
}

static void
delete_task(const Task *task)
{
	Datum		values[1] = {PointerGetDatum(&task->tid)};

	durable_sql_connect();
	if (durable_sql_run(&delete_one, values, NULL, false, 0) != 1)
		elog(ERROR, "task of instance " INT64_FORMAT " has gone", task->key);
	durable_sql_finish();
}

static void
postpone_task(Oid owner, const Task *task, TimestampTz run_at, int attempt, const Jsonb *failure)
{
	Datum		values[4] = {PointerGetDatum(&task->tid), TimestampTzGetDatum(run_at),
	Int32GetDatum(attempt), PointerGetDatum(failure)};

	durable_sql_connect();
	if (durable_sql_run(&postpone_one, values, failure ? NULL : "   n", false, 0) != 1)
		elog(ERROR, "task of instance " INT64_FORMAT " has gone", task->key);
	durable_sql_finish();
	durable_wakeup_task(owner, run_at);
}
