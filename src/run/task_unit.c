/*-------------------------------------------------------------------------
 *
 * task_unit.c
 *		The other unit of work: one activity in a transaction of its own.
 *
 * The row of durable.task_queue stays locked while the activity runs; the end of the
 * worker unlocks it.  The activity's effects, the deletion of the row and the message
 * to its instance are one commit.  Attempts are counted in the row and are not part of
 * the history.
 *
 * Called by: worker.c, testing_api.c
 * Locks:	the task's row
 * Memory:	a context of its own in the caller's, deleted at the end
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "batch.h"
#include "clock.h"
#include "failpoint.h"
#include "flight.h"
#include "handler.h"
#include "json.h"
#include "queued_table.h"
#include "retry.h"
#include "shmem.h"
#include "slot.h"
#include "suspect.h"
#include "unit.h"
#include "usercall.h"
#include "wakeup.h"
#include "watch.h"

/*
 * After a deadlock or a similar error a task is tried again after a quarter of the time
 * since it was scheduled, within these limits.
 */
#define TRY_AGAIN_MIN_US	(100 * INT64CONST(1000))
#define TRY_AGAIN_MAX_US	(60 * USECS_PER_SEC)

/* A query of wait_until() is not repeated before this many times its duration, however often the data changes. */
#define REST_AFTER_LOOK		10

/* Used without a recheck interval; infinity is for tasks of suspended instances. */
#define LOOK_LATEST_US		(100 * INT64CONST(365) * USECS_PER_DAY)

static UnitResult end_batch(Batch * batch, const TaskRow *task, MemoryContext old);
static TaskRow *claim_task(Oid owner, UnitScan *scan, TimestampTz now, bool suspects);
static bool is_wanted(char status);
static void end_task(const TaskRow *task);
static void try_again(Oid owner, const TaskRow *task, TimestampTz run_at, int attempt, const Jsonb *failure);
static void hold_task(Oid owner, const TaskRow *task, TimestampTz now);
static void start_again(Batch * batch, const TaskRow *task);
static void give_up(Batch * batch, const TaskRow *task);
static void run_task(Batch * batch, TaskRow *task, UnitScan *scan);
static void apply_outcome(Batch * batch, const TaskRow *task, ActivityOutcome outcome, ActivityRun *run);
static void wait_on(Batch * batch, const TaskRow *task, const ActivityRun *run);
static bool suspend_instance(Batch * batch, const TaskRow *task, const char *problem);
static TimestampTz later(const TaskRow *task, TimestampTz now);
static bool keep_effects(void *arg);
static Oid	function_of(const char *handler);
static Jsonb *function_body(void *arg);

UnitResult
durable_unit_task(Oid owner, UnitScan *scan)
{
	MemoryContext old = CurrentMemoryContext;
	Batch	   *batch;
	TaskRow    *task;
	TimestampTz now = durable_clock_now();

	if (scan->task_due > now)
		return UNIT_NOTHING;

	batch = durable_batch_create(owner, now);
	MemoryContextSwitchTo(batch->context);
	scan->ran_task = 0;
	if (durable_suspect_is_free())
		task = claim_task(owner, scan, now, true);
	else
	{
		/* A task that must wait is skipped without a lock, and stays due. */
		TimestampTz due = scan->task_due;

		task = claim_task(owner, scan, now, false);
		scan->task_due = Min(scan->task_due, due);
	}

	/*
	 * Another worker runs a suspect already, or the process that ran this task has
	 * reported it since the claim read the reports.  The next unit looks for other tasks.
	 */
	if (task != NULL && (durable_report_holds_task(task->id) || (task->crashes > 0 && !durable_suspect_may_run())))
	{
		end_batch(batch, NULL, old);
		return UNIT_FULL;
	}
	if (task != NULL)
	{
		char		status = durable_instance_status(task->key);

		if (durable_batch_is_start(task->handler))
			start_again(batch, task);
		else if (!is_wanted(status))
			end_task(task);
		else if (status == STATUS_SUSPENDED)
			hold_task(owner, task, now);
		else if (durable_suspect_convicts(task->crashes))
			give_up(batch, task);
		else
			run_task(batch, task, scan);
	}
	return end_batch(batch, task, old);
}

static UnitResult
end_batch(Batch * batch, const TaskRow *task, MemoryContext old)
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
 * Locks the oldest due task that no process runs; moves scan->task_due.  suspects:
 * whether a task that has ended its process before may be taken.
 */
static TaskRow *
claim_task(Oid owner, UnitScan *scan, TimestampTz now, bool suspects)
{
	TaskRow    *task = durable_task_claim(owner, scan->task_due, now, suspects);

	/* Other tasks may be due at the same time. */
	scan->task_due = task != NULL ? Min(task->run_at, now) : durable_task_next(owner, now);
	return task;
}

/*
 * The tasks of a terminated instance are not needed any more.  Those of an instance that has
 * completed or failed still run.
 */
static bool
is_wanted(char status)
{
	return status != '\0' && status != STATUS_TERMINATED;
}

/*
 * Holds a task that was running when its instance was suspended and is to be tried again.
 * The unit that resumes the instance must find the task held.  So the instance is locked
 * here, and the task is postponed while another unit has the instance locked.
 */
static void
hold_task(Oid owner, const TaskRow *task, TimestampTz now)
{
	if (durable_instance_lock_status(task->key) == STATUS_SUSPENDED)
	{
		if (task->queued_id == 0)
			durable_task_hold(task);
		else
		{
			durable_task_delete(task);
			durable_queued_give_back(task, QUEUED_HELD, now, task->attempt, task->last_failure);
		}
	}
	else
		durable_task_postpone(owner, task, now + TRY_AGAIN_MIN_US, task->attempt, task->last_failure);
}

/* The task is finished, and makes room for another one of its queue. */
static void
end_task(const TaskRow *task)
{
	durable_task_delete(task);
	if (task->queued_id == 0)
		return;
	durable_queued_delete_one(task->key, task->queued_id);
	durable_wakeup_admission();
}

/* While it waits for the next attempt it does not count towards its queue's limits. */
static void
try_again(Oid owner, const TaskRow *task, TimestampTz run_at, int attempt, const Jsonb *failure)
{
	if (task->queued_id == 0)
	{
		durable_task_postpone(owner, task, run_at, attempt, failure);
		return;
	}
	durable_task_delete(task);
	durable_queued_give_back(task, QUEUED_DELAYED, run_at, attempt, failure);
}

/* Runs a task that is the postponed start of an orchestration (batch_children.c). */
static void
start_again(Batch * batch, const TaskRow *task)
{
	end_task(task);
	durable_batch_start_again(batch, task);
}

static void
give_up(Batch * batch, const TaskRow *task)
{
	char	   *message = psprintf("activity \"%s\" was not run again because its process or the server repeatedly terminated while it ran",
								   task->name);

	ereport(LOG,
			(errmsg("%s", message),
			 errdetail("The activity has failed.")));
	end_task(task);
	durable_batch_send(batch, task->key, MESSAGE_FAILED, task->execution, task->task, task->attempt, NULL,
					   durable_json_make_failure(ERRCODE_CRASH_SHUTDOWN, message));
}

static void
run_task(Batch * batch, TaskRow *task, UnitScan *scan)
{
	ActivityRun run = {0};
	ActivityOutcome outcome;
	CancelReason reason;
	char	   *repeats;
	bool		wanted;

	scan->ran_task = task->id;
	scan->ran_task_at = task->run_at;
	run.name = task->name;
	run.handler = task->handler;
	run.function = function_of(task->handler);
	run.input = task->input;
	run.timeout_us = task->timeout_us;
	run.keep = keep_effects;
	run.attempt = task->attempt;
	run.flight = (FlightRun) {FLIGHT_TASK, task->execution, task->task, task->key, task->id};
	repeats = durable_json_get_text(task->last_failure, "repeats");
	run.repeats = repeats ? atoi(repeats) : 0;

	durable_slot_begin_task(task->key, task->task);

	/* A termination that was committed since the first look found no process to cancel. */
	HOLD_CANCEL_INTERRUPTS();
	wanted = is_wanted(durable_instance_status(task->key));
	RESUME_CANCEL_INTERRUPTS();
	if (!wanted)
	{
		(void) durable_slot_end_task();
		end_task(task);
		return;
	}

	durable_failpoint_pass(FAILPOINT_TASK_BEFORE);
	outcome = durable_activity_run(&run);
	durable_failpoint_pass(FAILPOINT_TASK_AFTER);
	reason = durable_slot_end_task();
	batch->activities++;
	if (reason == CANCEL_TERMINATED)
		outcome = outcome == ACTIVITY_COMPLETED ? outcome : ACTIVITY_STOPPED;

	if (outcome != ACTIVITY_NOT_YET)
		durable_watch_forget();
	apply_outcome(batch, task, outcome, &run);
}

/* Ends the task with an answer to its instance, or leaves it for a later attempt. */
static void
apply_outcome(Batch * batch, const TaskRow *task, ActivityOutcome outcome, ActivityRun *run)
{
	int64		delay;

	switch (outcome)
	{
		case ACTIVITY_COMPLETED:
			end_task(task);
			durable_batch_send(batch, task->key, MESSAGE_COMPLETED, task->execution,
							   task->task, task->attempt, NULL, run->payload);
			break;

		case ACTIVITY_NOT_YET:
			wait_on(batch, task, run);
			break;

		case ACTIVITY_STOPPED:
			end_task(task);
			break;

		case ACTIVITY_TRY_LATER:
			durable_task_postpone(batch->owner, task, later(task, batch->clock), task->attempt,
								  run->payload);
			break;

		case ACTIVITY_UNBOUND:
			if (suspend_instance(batch, task, run->problem))
			{
				durable_task_postpone(batch->owner, task, later(task, batch->clock), task->attempt,
									  run->payload);
				break;
			}
			pg_fallthrough;

		case ACTIVITY_FAILED:
			/* The delay counts from the end of the attempt. */
			if (durable_retry_after(task->retry, task->attempt, task->scheduled_at,
									durable_clock_now(), run->sqlerrcode, &delay))
			{
				try_again(batch->owner, task, durable_clock_now() + delay, task->attempt + 1, run->payload);
				break;
			}
			end_task(task);
			durable_batch_send(batch, task->key, MESSAGE_FAILED, task->execution,
							   task->task, task->attempt, NULL, run->payload);
			break;
	}
}

/*
 * The condition of the orchestration is not met yet.  The task looks again when a table
 * that it watches changes, after the recheck interval, and for the last time at the end
 * of its timeout.
 */
static void
wait_on(Batch * batch, const TaskRow *task, const ActivityRun *run)
{
	const WaitUntil *wait = &run->wait;
	TimestampTz now = durable_clock_now();
	TimestampTz give_up_at = wait->timeout_us > 0 ?
		task->scheduled_at + Min(wait->timeout_us, LOOK_LATEST_US) : DT_NOEND;
	TimestampTz look_at = now + (wait->recheck_us > 0 ? Min(wait->recheck_us, LOOK_LATEST_US) : LOOK_LATEST_US);

	if (now >= give_up_at)
	{
		durable_watch_forget();
		end_task(task);
		durable_batch_send(batch, task->key, MESSAGE_COMPLETED, task->execution,
						   task->task, task->attempt, NULL, NULL);
		return;
	}
	durable_task_watch(batch->owner, task, Min(look_at, give_up_at), wait->relations, wait->nrelations,
					   now + run->elapsed_us * REST_AFTER_LOOK);
}

/*
 * The function of the task cannot be called.  Its instance is suspended until the problem
 * has been corrected, and the task is tried now and then.  Returns false when the instance
 * has ended.
 */
static bool
suspend_instance(Batch * batch, const TaskRow *task, const char *problem)
{
	char		status = durable_instance_status(task->key);
	JsonbParseState *state = NULL;

	if (status == '\0' || STATUS_IS_FINISHED(status))
		return false;
	if (status == STATUS_SUSPENDED)
		return true;
	ereport(LOG,
			(errmsg("instance " INT64_FORMAT " will be suspended: %s", task->key, problem)));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "reason", durable_json_text(problem));
	durable_batch_send(batch, task->key, MESSAGE_SUSPEND, task->execution, 0, 0, NULL,
					   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	return true;
}

static TimestampTz
later(const TaskRow *task, TimestampTz now)
{
	int64		delay = (now - task->scheduled_at) / 4;

	return now + Min(Max(delay, TRY_AGAIN_MIN_US), TRY_AGAIN_MAX_US);
}

/*
 * The commit failed because of work that the activity has left for it, for example
 * because there was no room for a notification.  The task is postponed, because
 * otherwise it would be the next one again, and all other tasks of its owner would wait.
 */
UnitResult
durable_unit_put_off(Oid owner, UnitScan *scan)
{
	TaskRow    *task = durable_task_claim_again(owner, scan->ran_task_at, scan->ran_task);

	if (task != NULL)
		durable_task_postpone(owner, task, later(task, durable_clock_now()), task->attempt, NULL);
	return UNIT_SOME;
}

/* Code that catches the cancel and runs to its end has not completed. */
static bool
keep_effects(void *arg)
{
	return durable_slot_cancel_reason() == CANCEL_NONE;
}

/* The function whose duration is recorded; 0 if it does not exist, which the call reports. */
static Oid
function_of(const char *handler)
{
	UserCall	call = {0};
	struct
	{
		const char *handler;
		Oid			function;
	}			lookup = {handler, InvalidOid};

	if (strcmp(handler, ACTIVITY_CALL_SQL) == 0 || strcmp(handler, ACTIVITY_WAIT_UNTIL) == 0)
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
