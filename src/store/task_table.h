/*
 * task_table.h
 *		The table durable.task_queue: activities that run in their own transaction.
 */
#ifndef DURABLE_TASK_TABLE_H
#define DURABLE_TASK_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"

/*
 * Handler of a row that is the postponed start of an orchestration (batch_children.c).  It
 * cannot be the signature of a function.
 */
#define TASK_HANDLER_START	"-start"

typedef struct TaskRow
{
	ItemPointerData tid;
	int64		id;				/* assigned when it is written */
	int64		key;
	int32		execution;
	int32		task;
	int32		attempt;
	TimestampTz run_at;
	TimestampTz scheduled_at;
	const char *name;
	const char *handler;		/* NULL: external */
	const Jsonb *input;
	const Jsonb *retry;			/* NULL: none */
	int64		timeout_us;		/* 0: none */
	const Jsonb *last_failure;	/* of the previous attempt; NULL: none */
	int			crashes;		/* of the task and its instance (blame.c), in fifths (flight.h) */
	int64		queued_id;		/* row of queued_task that it came from; 0: none */

	/* only for work that goes into a queue */
	const char *queue;			/* NULL: none */
	const char *share;			/* key in the queue; NULL: the owner */
	const Jsonb *call;			/* of an external orchestration: further members of the call; NULL: none */
	int			priority;
}			TaskRow;

/* All of these connect to SPI themselves. */

/* List of TaskRow: inserts them, and wakes the owner's workers at run_at. */
extern void durable_task_insert(Oid owner, List *tasks);

/* An estimate of the bytes that a statement needs for its values. */
extern Size durable_task_size(const TaskRow *task);

/*
 * Locks the owner's oldest task with run_at between "from" and now that no transaction has
 * locked; NULL: there is none.  suspects: also tasks that have ended their process or the
 * server before.  A task whose crash is not counted yet is skipped; blame.c wakes the owner's
 * workers after the count.
 */
extern TaskRow *durable_task_claim(Oid owner, TimestampTz from, TimestampTz now, bool suspects);

/* Locks that task; NULL: it does not exist, or another transaction has locked it. */
extern TaskRow *durable_task_claim_again(Oid owner, TimestampTz run_at, int64 id);

/* run_at of the owner's next task after that time; DT_NOEND: there is none. */
extern TimestampTz durable_task_next(Oid owner, TimestampTz after);

/* Does a task of that instance, or one that waits in a queue, have a count of crashes? */
extern bool durable_task_has_count(int64 key);

/* The caller has locked the task. */
extern void durable_task_delete(const TaskRow *task);

/* The task keeps its count of crashes: code that does not get to its end has not passed the point of its crash. */
extern void durable_task_postpone(Oid owner, const TaskRow *task, TimestampTz run_at, int attempt,
								  const Jsonb *failure);

/*
 * Postpones a task of wait_until(): until run_at, or until one of these tables changes, but then
 * at least until rest_until.
 */
extern void durable_task_watch(Oid owner, const TaskRow *task, TimestampTz run_at, const Oid *relations,
							   int nrelations, TimestampTz rest_until);

/*
 * These tables have changed (n < 0: any may have changed): makes tasks due that watch them,
 * except for those that are running, at most limit.  Returns their number.
 */
extern int	durable_task_wake_watching(const Oid *relations, int n, TimestampTz now, int limit);

/*
 * Suspended instances (a bigint[]).  hold_idle holds their tasks that no transaction has locked,
 * release lets them run again, hold holds one task that the caller has locked.
 */
extern void durable_task_hold_idle(Datum keys);
extern void durable_task_release(Datum keys);
extern void durable_task_hold(const TaskRow *task);

/* Deletes the tasks of these instances (a bigint[]) that no transaction has locked. */
extern void durable_task_delete_idle(Datum keys);

#endif							/* DURABLE_TASK_TABLE_H */
