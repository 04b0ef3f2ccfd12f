/*
 * batch.h
 *		What one unit of work has read and is going to write.
 */
#ifndef DURABLE_BATCH_H
#define DURABLE_BATCH_H

#include "durable.h"
#include "inbox_table.h"
#include "instance_insert.h"
#include "nodes/pg_list.h"
#include "task_table.h"
#include "timer_table.h"
#include "turn.h"
#include "utils/hsearch.h"

typedef struct SendRow
{
	const char *instance_id;
	const char *name;
	const Jsonb *payload;
	char		kind;			/* MESSAGE_EVENT or MESSAGE_TERMINATE */
	bool		is_text;		/* see verbatim.h */
}			SendRow;

/* A sub-orchestration that is to be terminated, whichever attempt it is. */
typedef struct ChildCancelRow
{
	int64		parent_key;
	int32		execution;
	int32		task;
	const Jsonb *payload;		/* NULL, or {"reason"} */
}			ChildCancelRow;

/* An orchestration's function as this unit knows it; see orchestration_code.c. */
typedef struct HandlerTarget
{
	const char *signature;
	int64		wanted;			/* hash of the code that the instance began with; 0: it begins */
	Handler    *handler;		/* the function, or a copy of what it was; NULL: it is gone */
	const char *copy;			/* to be looked up; NULL: the function itself */
	const char *problem;		/* why handler is NULL */
	int64		code_hash;		/* of handler */
}			HandlerTarget;

typedef struct Batch
{
	MemoryContext context;
	Oid			owner;
	TimestampTz clock;			/* one time for all events of the unit */
	List	   *targets;		/* ActivityTarget: names resolved in this unit */
	List	   *handlers;		/* HandlerTarget: orchestrations, same */
	bool		cautious;		/* of an instance that has ended a process or the server: activities become tasks */
	bool		closed;			/* an activity wants the transaction to end */
	int			writes;			/* subtransactions that wrote */
	int64		user_us;		/* time spent in user code */
	int64		turns;
	int64		activities;

	List	   *consumed;		/* Message: rows to delete */
	List	   *changed;		/* Instance: rows to update */
	List	   *late;			/* Instance: has ended before, and got events since */
	List	   *outbox;			/* Message: rows to insert */
	List	   *new_timers;		/* TimerRow */
	List	   *gone_timers;	/* TimerRow */
	List	   *new_tasks;		/* TaskRow */
	List	   *new_queued;		/* TaskRow: those that go into a queue */
	List	   *gone_tasks;		/* Instance: terminated, delete its tasks, stop its children */
	List	   *closed_parents;	/* Instance: ended, may have unfinished children */
	List	   *children;		/* NewInstance */
	List	   *sends;			/* SendRow */
	List	   *child_cancels;	/* ChildCancelRow */

	HTAB	   *entities;		/* BatchEntity: those that this unit has to do with, by id; NULL: none */
	List	   *parked;			/* Message: rows to insert into durable.entity_operation */
	List	   *unparked;		/* Message: rows to delete from it */
}			Batch;

extern Batch *durable_batch_create(Oid owner, TimestampTz clock);

/* Has it done enough for one transaction? */
extern bool durable_batch_exhausted(const Batch * batch);

/* How much of its time in user code is left; not less than 0. */
extern int64 durable_batch_us_left(const Batch * batch);

/* A message for an instance of the same owner. */
extern void durable_batch_send(Batch * batch, int64 key, char kind, int32 execution,
							   int32 task, int32 attempt, const char *name, const Jsonb *payload);

/* As the attempt of a failed sub-orchestration: its id is taken. */
#define ATTEMPT_NEVER_STARTED	(-1)

/* Writes everything, one table after the other. */
extern void durable_batch_store(Batch * batch);

/* Raises 55000 when somebody has added something to a table that keeps us from writing to it. */
extern void durable_batch_check_tables(void);

/*
 * Histories, from memory where this process has them (recall.c).  They are of any size,
 * so only the first ones may be read: the others have replay.nevents != stored_events,
 * and cannot be run.
 */
extern void durable_batch_load_history(List *instances);

/* Parts of it: what is written with statements (batch_statements.c). */
extern void durable_batch_store_children(Batch * batch);
extern void durable_batch_terminate(Batch * batch);
extern void durable_batch_close(Batch * batch);

/* batch_children.c: of a row of durable.task_queue, whether it is a start that was put off, and to try that again. */
extern bool durable_batch_is_start(const char *handler);
extern void durable_batch_start_again(Batch * batch, const TaskRow *task);

extern void durable_batch_store_sends(Batch * batch);
extern void durable_batch_cancel_children(Batch * batch);
extern void durable_batch_store_tasks(Batch * batch);
extern void durable_batch_store_queued(Batch * batch);

/* Keys of instances, as a bigint[]. */
extern Datum durable_batch_keys(List *instances);

/* Why a sub-orchestration was terminated whose parent failed; a rewind starts it again. */
#define REASON_PARENT_FAILED	"parent has failed"

#endif							/* DURABLE_BATCH_H */
