/*
 * task_table.h
 *		The table durable.task_queue: activities that run in a transaction of their own.
 */
#ifndef DURABLE_TASK_TABLE_H
#define DURABLE_TASK_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"

/* task_queue.crashes: not blamed for any, but run under suspicion all the same. */
#define TASK_CAUTIOUS	(-1)

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
	const char *handler;
	const Jsonb *input;
	const Jsonb *retry;			/* NULL: none */
	int64		timeout_us;		/* 0: none */
	const Jsonb *last_failure;	/* of the attempt before; NULL: none */
	int			crashes;
}			TaskRow;

/* All of these connect to SPI themselves. */

/* TaskRow: writes them, and wakes the owner's workers when they are to run. */
extern void durable_task_insert(Oid owner, List *tasks);

/* About how many bytes a statement needs for its values. */
extern Size durable_task_size(const TaskRow *task);

/*
 * The owner's oldest task that is due from that time to now and that nobody has
 * locked, locked now; NULL: there is none.  after: only what was scheduled after that
 * time and is above suspicion; -infinity: any.
 */
extern TaskRow *durable_task_claim(Oid owner, TimestampTz from, TimestampTz now, TimestampTz after);

/* That very task: by its place, waiting for its lock; by its key, unless it is locked. */
extern TaskRow *durable_task_claim_at(ItemPointer tid, int64 id);
extern TaskRow *durable_task_claim_again(Oid owner, TimestampTz run_at, int64 id);

/* When the owner's next task after that time is to run; DT_NOEND: none is. */
extern TimestampTz durable_task_next(Oid owner, TimestampTz after);

/* The caller has it locked. */
extern void durable_task_delete(const TaskRow *task);
extern void durable_task_postpone(Oid owner, const TaskRow *task, TimestampTz run_at, int attempt,
								  const Jsonb *failure);

/* Sets crashes, and tid to the place of the new version. */
extern void durable_task_mark(TaskRow *task, int crashes);

/*
 * Suspended instances (a bigint[]): holds their tasks that nobody has locked, and lets
 * them run again; the same for one task that the caller has locked.
 */
extern void durable_task_hold_idle(Datum keys);
extern void durable_task_release(Datum keys);
extern void durable_task_hold(const TaskRow *task);

/* Deletes the tasks of these instances (a bigint[]) that nobody has locked. */
extern void durable_task_delete_idle(Datum keys);

#endif							/* DURABLE_TASK_TABLE_H */
