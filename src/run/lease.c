/*-------------------------------------------------------------------------
 *
 * lease.c
 *		Takes work from queues, and ends leases.
 *
 * A lease is a committed state of a row, so no lock is held while work is leased.  The
 * end of a lease makes the task ready again for another worker, as the same attempt.
 * A task that has lost three leases, perhaps because it ends its workers, waits
 * longer before each further one.  The end of an activity's timeout is a failure of
 * the attempt.
 *
 * A transaction that takes work from a queue with limits locks the queue until the
 * commit, so that limits are exact.  That transaction belongs to a user.  Therefore no
 * function in this file waits for the lock, and the caller tries again.
 *
 * Called by: admission.c, work_*.c, turn_api.c, entity_work_api.c
 * Locks:	rows of durable.queue and durable.queued_task, with SKIP LOCKED
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "answer_table.h"
#include "inbox_table.h"
#include "instance_table.h"
#include "json.h"
#include "lease.h"
#include "retry.h"
#include "sql.h"

/* Expired leases are processed in groups of this size. */
#define EXPIRED_LIMIT	200

/* After this number of leases without an answer a task waits between 2 s and a minute. */
#define LOST_WITHOUT_DELAY	3
#define LONGEST_LOST_US		(60 * USECS_PER_SEC)

/* For a task of an instance that is being suspended or resumed. */
#define UNDECIDED_US	(100 * 1000)

static bool is_wanted(QueuedTask * task, TimestampTz now);
static void end_lease(QueuedTask * task, TimestampTz now);
static int	room(QueueRow *queue, int limit, TimestampTz now, TimestampTz *next);

List *
durable_lease_take(QueuedWanted * wanted, bool *busy)
{
	QueueRow	queue;
	List	   *taken = NIL;
	TimestampTz next;
	bool		is_limited;

	*busy = false;
	wanted->was_due = false;
	if (!durable_queue_read(wanted->queue, &queue) || queue.is_paused)
		return NIL;
	wanted->was_due = durable_lease_expire(wanted->queue, wanted->now);
	is_limited = durable_queue_is_limited(&queue);
	if (is_limited)
	{
		if (!durable_queue_lock(wanted->queue, &queue))
		{
			*busy = true;
			return NIL;
		}
		if (queue.is_paused)
			return NIL;
		wanted->limit = room(&queue, wanted->limit, wanted->now, &next);
		wanted->key_concurrency = queue.key_concurrency;
	}

	while (wanted->limit > 0)
	{
		List	   *tasks = durable_queued_lease(wanted);
		ListCell   *cell;

		CHECK_FOR_INTERRUPTS();
		if (tasks == NIL)
			break;
		foreach(cell, tasks)
			if (is_wanted(lfirst(cell), wanted->now))
			{
				taken = lappend(taken, lfirst(cell));
				wanted->limit--;
			}
	}
	if (is_limited)
		durable_queue_count_starts(&queue, wanted->now, list_length(taken));
	return taken;
}

/*
 * Returns the number of tasks that the limits allow to take now.  The counts are in variables
 * because Min() evaluates its arguments twice.
 */
static int
room(QueueRow *queue, int limit, TimestampTz now, TimestampTz *next)
{
	int			starts_left = durable_queue_starts_left(queue, now, next);

	limit = Min(limit, starts_left);
	if (queue->concurrency > 0 && limit > 0)
	{
		int			leased = durable_queued_count_leased(queue->name, now);

		limit = Min(limit, queue->concurrency - leased);
	}
	return Max(limit, 0);
}

/* A task is not handed out when its instance has ended or is suspended; it is deleted or held. */
static bool
is_wanted(QueuedTask * task, TimestampTz now)
{
	if (task->status == '\0' || task->status == STATUS_TERMINATED)
	{
		durable_queued_delete_one(task->key, task->id);
		return false;
	}
	if (task->status != STATUS_SUSPENDED)
		return true;

	/* The instance is locked, so that a resumption finds the task held. */
	if (durable_instance_lock_status(task->key) == STATUS_SUSPENDED)
		durable_queued_put(task, QUEUED_HELD, now, task->attempt, task->lost, task->last_failure, false);
	else
		durable_queued_put(task, QUEUED_DELAYED, now + UNDECIDED_US, task->attempt, task->lost,
						   task->last_failure, false);
	return false;
}

bool
durable_lease_available(QueuedWanted * wanted, TimestampTz *next)
{
	QueueRow	queue;
	TimestampTz due;

	*next = DT_NOEND;
	if (!durable_queue_read(wanted->queue, &queue) || queue.is_paused)
		return false;
	if (room(&queue, 1, wanted->now, next) == 0)
	{
		if (*next == DT_NOEND)
			*next = durable_queued_next(wanted->queue);
		return false;
	}
	wanted->key_concurrency = queue.key_concurrency;
	if (durable_queued_is_ready(wanted))
		return true;
	due = durable_queued_next(wanted->queue);
	*next = Min(*next, due);
	return due <= wanted->now;
}

/* --- the end of leases -------------------------------------------------------------------- */

bool
durable_lease_expire(const char *queue, TimestampTz now)
{
	List	   *tasks;
	ListCell   *cell;

	if (durable_queued_next(queue) > now)
		return false;
	durable_queued_promote(queue, now);
	tasks = durable_queued_expired(queue, now, EXPIRED_LIMIT);
	foreach(cell, tasks)
		end_lease(lfirst(cell), now);
	return true;
}

static void
end_lease(QueuedTask * task, TimestampTz now)
{
	int			lost = task->lost + 1;
	int64		delay = 0;

	if (task->status == '\0' || task->status == STATUS_TERMINATED)
	{
		durable_queued_delete_one(task->key, task->id);
		return;
	}
	if (task->timeout_us > 0 && task->leased_at != 0 && now - task->leased_at >= task->timeout_us)
	{
		ErrorData	error = {0};

		error.sqlerrcode = ERRCODE_DURABLE_LIMIT;
		error.message = psprintf("activity \"%s\" timed out after " INT64_FORMAT " ms", task->name,
								 task->timeout_us / 1000);
		durable_lease_fail(task, durable_json_failure(&error, task->name, task->attempt),
						   error.sqlerrcode, true, now);
		return;
	}
	if (lost >= LOST_WITHOUT_DELAY)
		delay = Min(USECS_PER_SEC << Min(lost - LOST_WITHOUT_DELAY + 1, 6), LONGEST_LOST_US);
	durable_queued_put(task, delay > 0 ? QUEUED_DELAYED : QUEUED_READY, now + delay, task->attempt, lost,
					   task->last_failure, true);
	durable_queue_wake(task->queue);
}

bool
durable_lease_fail(const QueuedTask * task, const Jsonb *failure, int sqlerrcode, bool retryable,
				   TimestampTz now)
{
	int64		delay;
	Message    *message;

	durable_queue_wake(task->queue);
	if (retryable && durable_retry_after(task->retry, task->attempt, task->scheduled_at, now, sqlerrcode, &delay))
	{
		durable_queued_put(task, QUEUED_DELAYED, now + delay, task->attempt + 1, 0, failure, true);
		return true;
	}
	durable_answer_fail(task->key, task->id, now);
	message = palloc0(sizeof(Message));
	message->owner = task->owner;
	message->key = task->key;
	message->kind = MESSAGE_FAILED;
	message->execution = task->execution;
	message->task = task->task;
	message->attempt = task->attempt;
	message->payload = unconstify(Jsonb *, failure);
	message->at = now;
	durable_lease_send(list_make1(message));
	return false;
}

void
durable_lease_send(List *messages)
{
	durable_sql_connect();
	durable_inbox_insert(messages);
	durable_sql_finish();
}
