/*
 * task_table.h
 *		The table durable.task_queue: activities that run in a transaction of their own.
 */
#ifndef DURABLE_TASK_TABLE_H
#define DURABLE_TASK_TABLE_H

#include "columns.h"
#include "durable.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"

/*
 * Handler of a row that is no activity but the start of an orchestration, put off
 * (batch_children.c).  No function's signature looks like it.
 */
#define TASK_HANDLER_START	"-start"

typedef struct TaskRow
{
	ItemPointerData tid;
	int64		id;				/* given when it is written */
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
	const Jsonb *last_failure;	/* of the attempt before; NULL: none */
	int			crashes;		/* what it, or its instance before, is blamed for (blame.c) */
	int64		queued_id;		/* it came from a queue, as that row (queued_table.c); 0: it did not */

	/* only of those that go into a queue */
	const char *queue;			/* NULL: into none */
	const char *share;			/* its key there; NULL: the owner */
	const Jsonb *call;			/* of an external orchestration: what else it has said; NULL: none */
	int			priority;
}			TaskRow;

/* All of these connect to SPI themselves. */

/* TaskRow: writes them, and wakes the owner's workers when they are to run. */
extern void durable_task_insert(Oid owner, List *tasks);

/*
 * The values of a row that durable.task_queue and durable.queued_task both have, as the first
 * twelve columns: scheduled_at, run_at, key, execution, task, attempt, name, handler, input,
 * retry, timeout in microseconds, last_failure.
 */
extern void durable_task_set_columns(Columns *columns, int row, const TaskRow *task);

/* About how many bytes a statement needs for its values. */
extern Size durable_task_size(const TaskRow *task);

/*
 * The owner's oldest task that is due from that time to now and that nobody has
 * locked, locked now; NULL: there is none.  suspects: one that has ended its process
 * or the server before may be it.  One whose end has not been counted yet never is: who
 * counts it wakes the owner's workers.
 */
extern TaskRow *durable_task_claim(Oid owner, TimestampTz from, TimestampTz now, bool suspects);

/* That very task, unless it is locked. */
extern TaskRow *durable_task_claim_again(Oid owner, TimestampTz run_at, int64 id);

/* When the owner's next task after that time is to run; DT_NOEND: none is. */
extern TimestampTz durable_task_next(Oid owner, TimestampTz after);

/* The caller has it locked. */
extern void durable_task_delete(const TaskRow *task);
extern void durable_task_postpone(Oid owner, const TaskRow *task, TimestampTz run_at, int attempt,
								  const Jsonb *failure);

/*
 * The same for a look at data: at run_at, or when one of these tables changes, but then not
 * before rest_until.
 */
extern void durable_task_watch(Oid owner, const TaskRow *task, TimestampTz run_at, const Oid *relations,
							   int nrelations, TimestampTz rest_until);

/*
 * These tables have changed (n < 0: any may have): what looks at them is due, unless it is
 * running just now.  At most limit rows; returns their number.
 */
extern int	durable_task_wake_watching(const Oid *relations, int n, TimestampTz now, int limit);

/*
 * Suspended instances (a bigint[]): holds their tasks that no transaction has locked, and lets
 * them run again; the same for one task that the caller has locked.
 */
extern void durable_task_hold_idle(Datum keys);
extern void durable_task_release(Datum keys);
extern void durable_task_hold(const TaskRow *task);

/* Deletes the tasks of these instances (a bigint[]) that no transaction has locked. */
extern void durable_task_delete_idle(Datum keys);

#endif							/* DURABLE_TASK_TABLE_H */
