/*
 * batch.h
 *		What one unit of work has read and is going to write.
 */
#ifndef DURABLE_BATCH_H
#define DURABLE_BATCH_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "turn.h"

/* inbox.kind of our own: go on where the last batch had to stop. */
#define MESSAGE_CONTINUE	'k'
/* In memory only: a timer that is due. */
#define MESSAGE_TIMER		'T'

typedef struct Message
{
	ItemPointerData tid;		/* of the row in durable.inbox or durable.timer */
	int64		id;				/* inbox only */
	int64		key;
	char		kind;
	int32		execution;
	int32		task;
	char	   *name;
	Jsonb	   *payload;
	TimestampTz at;				/* sent, or due */
	bool		live;			/* still there after the instance was locked */
}			Message;

/* Rows to be written.  A timer that is only to be deleted has no payload. */
typedef struct TimerRow
{
	int64		key;
	int32		execution;
	int32		task;
	TimestampTz due;
}			TimerRow;

/* task_queue.crashes: not blamed for any, but run under suspicion all the same. */
#define TASK_CAUTIOUS	(-1)

typedef struct TaskRow
{
	int64		key;
	int32		execution;
	int32		task;
	int32		attempt;
	TimestampTz run_at;
	const char *name;
	const char *handler;
	const Jsonb *input;
	const Jsonb *retry;
	int64		timeout_us;
	const Jsonb *last_failure;
}			TaskRow;

typedef struct SendRow
{
	const char *instance_id;
	const char *name;
	const Jsonb *payload;
}			SendRow;

typedef struct ChildRow
{
	int64		key;			/* given when it is written */
	const char *instance_id;
	const char *name;
	const char *handler;
	const char *version;
	const Jsonb *input;
	int64		parent_key;		/* 0: detached */
	int32		parent_execution;
	int32		parent_task;
	int32		parent_attempt;
	TimestampTz start_at;		/* 0: at once */
	bool		created;		/* no other instance has the id */
}			ChildRow;

/* An orchestration's function as this unit knows it. */
typedef struct HandlerTarget
{
	const char *signature;
	Handler    *handler;		/* NULL: it is gone */
	const char *problem;		/* then why */
	int64		code_hash;
}			HandlerTarget;

typedef struct Batch
{
	MemoryContext context;
	Oid			owner;
	TimestampTz clock;			/* one time for all events of the unit */
	List	   *targets;		/* ActivityTarget: names resolved in this unit */
	List	   *handlers;		/* HandlerTarget: orchestrations, same */
	bool		cautious;		/* run under suspicion: activities become tasks (crash.c) */
	bool		closed;			/* an activity wants the transaction to end */
	int			writes;			/* subtransactions that wrote */
	int64		user_us;		/* time spent in user code */
	int64		turns;
	int64		activities;

	List	   *consumed;		/* Message: rows to delete */
	List	   *changed;		/* Instance: rows to update */
	List	   *outbox;			/* Message: rows to insert */
	List	   *new_timers;		/* TimerRow */
	List	   *gone_timers;	/* TimerRow */
	List	   *new_tasks;		/* TaskRow */
	List	   *gone_tasks;		/* Instance: terminated, delete its tasks, stop its children */
	List	   *children;		/* ChildRow */
	List	   *sends;			/* SendRow */
}			Batch;

extern Batch *durable_batch_create(Oid owner, TimestampTz clock);

/* Has it done enough for one transaction? */
extern bool durable_batch_exhausted(const Batch * batch);

/* How much of its time in user code is left; not less than 0. */
extern int64 durable_batch_us_left(const Batch * batch);

/* A message for an instance of the same owner. */
extern void durable_batch_send(Batch * batch, int64 key, char kind, int32 execution,
							   int32 task, const char *name, const Jsonb *payload);

/* Writes everything, one table after the other. */
extern void durable_batch_store(Batch * batch);

/* Raises 55000 when somebody has added something to a table that keeps us from writing to it. */
extern void durable_batch_check_tables(void);

/*
 * Reading.  All as the extension's owner, between user code.
 * inbox: messages for instances from *from on, at most limit, ordered by key and id;
 * *from becomes where the next ones may be, INT64_MAX: nowhere.  keys: for just these
 * instances, in the order of the keys.
 */
extern List *durable_batch_read_inbox(Batch * batch, int64 *from, int part, int nparts, int limit,
									  int64 remains_us);
extern List *durable_batch_read_keys(Batch * batch, const int64 *keys, int nkeys, int limit);
extern List *durable_batch_read_timers(Batch * batch, TimestampTz from, int64 from_key, int limit);
extern List *durable_batch_lock_instances(Batch * batch, int64 *keys, int nkeys);
extern void durable_batch_check_live(Batch * batch, List *messages);
extern void durable_batch_discard_orphans(Batch * batch, List *messages);
extern void durable_batch_load_history(Batch * batch, List *instances);

/* The next timer that is due after the given time; DT_NOEND: none. */
extern TimestampTz durable_batch_next_timer(Batch * batch, TimestampTz after);

/* Parts of it: what is written with statements (batch_statements.c). */
extern void durable_batch_store_children(Batch * batch);
extern void durable_batch_terminate(Batch * batch);
extern void durable_batch_store_sends(Batch * batch);
extern void durable_batch_store_gone_timers(Batch * batch);
extern void durable_batch_store_tasks(Batch * batch);

/* For the statements of both: keys of instances, and where messages' rows are. */
extern Datum durable_batch_keys(List *instances);
extern void durable_batch_tids(List *messages, Datum *tids[2], int ntids[2]);

#endif							/* DURABLE_BATCH_H */
