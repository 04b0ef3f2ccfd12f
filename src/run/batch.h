/*
 * batch.h
 *		A batch: the data that one unit of work has read and is going to write.
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

/* A sub-orchestration that is to be terminated, in any attempt. */
typedef struct ChildCancelRow
{
	int64		parent_key;
	int32		execution;
	int32		task;
	const Jsonb *payload;		/* NULL, or {"reason"} */
}			ChildCancelRow;

/* The code of an orchestration as it is used in this unit; see orchestration_code.c. */
typedef struct HandlerTarget
{
	const char *signature;
	int64		wanted;			/* hash of the code with which the instance has begun; 0: it begins now */
	Handler    *handler;		/* the function, or a copy of its replaced code; NULL: see problem */
	const char *copy;			/* signature of the copy; NULL: the function itself */
	const char *problem;		/* why handler is NULL */
	int64		code_hash;		/* of handler */
}			HandlerTarget;

typedef struct Batch
{
	MemoryContext context;
	Oid			owner;
	TimestampTz clock;			/* time of all events of the unit */
	List	   *targets;		/* ActivityTarget: names of activities resolved in this unit */
	List	   *handlers;		/* HandlerTarget: orchestrations resolved in this unit */
	bool		cautious;		/* its instance has ended a process or the server: activities become tasks */
	bool		closed;			/* it takes no further work, because an activity requires a commit */
	int			writes;			/* number of subtransactions that wrote */
	int64		user_us;		/* time spent in user code */
	int64		turns;
	int64		activities;

	List	   *consumed;		/* Message: rows to delete */
	List	   *changed;		/* Instance: rows to update */
	List	   *late;			/* Instance: finished ones that got events */
	List	   *outbox;			/* Message: rows to insert */
	List	   *new_timers;		/* TimerRow */
	List	   *gone_timers;	/* TimerRow: rows to delete */
	List	   *new_tasks;		/* TaskRow */
	List	   *new_queued;		/* TaskRow: those that go into a queue */
	List	   *gone_tasks;		/* Instance: terminated; its tasks are deleted, its children terminated */
	List	   *closed_parents;	/* Instance: finished; may have unfinished children */
	List	   *children;		/* NewInstance */
	List	   *sends;			/* SendRow */
	List	   *child_cancels;	/* ChildCancelRow */

	HTAB	   *entities;		/* BatchEntity by id: entities that this unit uses; NULL: none */
	List	   *parked;			/* Message: rows to insert into durable.entity_operation */
	List	   *unparked;		/* Message: rows to delete from it */
}			Batch;

extern Batch *durable_batch_create(Oid owner, TimestampTz clock);

/* Has the batch reached a limit, so that the transaction should end? */
extern bool durable_batch_exhausted(const Batch * batch);

/* The time that is left for user code in this batch, in microseconds; at least 0. */
extern int64 durable_batch_us_left(const Batch * batch);

/* Adds a message to an instance of the same owner. */
extern void durable_batch_send(Batch * batch, int64 key, char kind, int32 execution,
							   int32 task, int32 attempt, const char *name, const Jsonb *payload);

/* Message.attempt of the failure of a sub-orchestration that was not started because its id is taken. */
#define ATTEMPT_NEVER_STARTED	(-1)

/* Writes everything, one table after the other. */
extern void durable_batch_store(Batch * batch);

/* Raises 55000 if an object was added to one of the tables that prevents writing (table_write.h). */
extern void durable_batch_check_tables(void);

/*
 * Loads the histories of instances, from memory if this process has them (recall.c).  Stops at
 * a limit of their size: the other instances have replay.nevents != stored_events, and cannot
 * be run.
 */
extern void durable_batch_load_history(List *instances);

/* Parts of durable_batch_store that use SQL (batch_statements.c). */
extern void durable_batch_store_children(Batch * batch);
extern void durable_batch_terminate(Batch * batch);
extern void durable_batch_close(Batch * batch);

/* batch_children.c: is that row of durable.task_queue a postponed start?  Tries the start again. */
extern bool durable_batch_is_start(const char *handler);
extern void durable_batch_start_again(Batch * batch, const TaskRow *task);

extern void durable_batch_store_sends(Batch * batch);
extern void durable_batch_cancel_children(Batch * batch);
extern void durable_batch_store_tasks(Batch * batch);
extern void durable_batch_store_queued(Batch * batch);

/* Keys of instances, as a bigint[]. */
extern Datum durable_batch_keys(List *instances);

/* The reason of a sub-orchestration that was terminated because its parent failed; a rewind starts it again. */
#define REASON_PARENT_FAILED	"parent has failed"

#endif							/* DURABLE_BATCH_H */
