/*
 * queued_table.h
 *		The table durable.queued_task: work that waits in a queue, or that a worker has
 *		leased.
 */
#ifndef DURABLE_QUEUED_TABLE_H
#define DURABLE_QUEUED_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "queue_table.h"
#include "task_table.h"

/* queued_task.kind */
#define QUEUED_EXTERNAL		'e'		/* activity for a program outside of the database */
#define QUEUED_SQL			's'		/* activity in SQL */
#define QUEUED_TURN			'o'		/* turn of an external orchestration */
#define QUEUED_BATCH		'n'		/* operations of an external entity */

/* queued_task.state */
#define QUEUED_READY		'r' /* can be taken */
#define QUEUED_DELAYED		'd' /* not before "at" */
#define QUEUED_LEASED		'l' /* until "at" */
#define QUEUED_HELD			'h' /* its instance is suspended */

/* The first four parameters of a statement that takes tokens of leased work, and the rows that have them. */
#define WORK_TOKEN_TYPES	INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID
#define WORK_TOKENS \
	"unnest($1::int8[], $2::int8[], $3::int4[], $4::int8[]) WITH ORDINALITY AS u (key, id, attempt, nonce, n)"
#define WORK_OF_TOKEN	"t.key = u.key AND t.id = u.id AND t.attempt = u.attempt AND t.nonce = u.nonce"

/*
 * In such a statement, instead of t.state = 'l': the planner does not see that the index queued_task_leased or
 * queued_task_session has all such rows.  It would read all of them for each token.
 */
#define WORK_IS_LEASED	"CASE t.state WHEN 'l' THEN true ELSE false END"

/* The instance has not been terminated.  It is no EXISTS, because that may be planned as a join that begins with all instances. */
#define WORK_IS_WANTED	"(SELECT i.status <> 'T' FROM durable.instance i WHERE i.key = t.key)"

typedef struct QueuedTask
{
	int64		key;
	int64		id;
	int32		execution;
	int32		task;
	int32		attempt;
	Oid			owner;
	char	   *queue;
	char	   *name;
	char	   *handler;		/* NULL: external */
	Jsonb	   *input;
	Jsonb	   *retry;
	Jsonb	   *last_failure;
	int64		timeout_us;		/* 0: none */
	TimestampTz scheduled_at;
	TimestampTz leased_at;		/* 0: it is not leased */
	TimestampTz at;
	int			lost;			/* number of leases that have expired */
	int			crashes;		/* of an activity in SQL, see TaskRow */
	Jsonb	   *call;			/* of an activity of an external orchestration, else NULL */
	char	   *instance_id;	/* NULL: the instance does not exist, or was not read */
	char		status;			/* of the instance; '\0': the same */
}			QueuedTask;

/* A worker's request for work from a queue. */
typedef struct QueuedWanted
{
	const char *queue;
	char		kind;
	int			limit;
	int			key_concurrency;	/* 0: no limit */
	Datum		names;			/* text[] of activities; 0: any */
	const char *worker;			/* or NULL */
	int64		nonce;
	int64		session;		/* turns: the session with which the lease ends; 0: none */
	TimestampTz now;
	TimestampTz until;			/* end of the lease; DT_NOEND: it has none */
	bool		was_due;		/* result: leases had expired, or delayed tasks were due */
}			QueuedWanted;

/* All of these connect to SPI themselves. */

/* List of TaskRow: inserts them, and wakes waiting workers at commit. */
extern void durable_queued_insert(Oid owner, List *tasks);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_queued_check_table(void);

/*
 * These concern the rows of instances (a bigint[]) that no transaction has locked.  hold holds
 * those that are not leased, release makes held ones available, delete deletes all.
 */
extern void durable_queued_hold(Datum keys);
extern void durable_queued_release(Datum keys);
extern void durable_queued_delete(Datum keys);

/* Makes delayed tasks ready that are due and that no transaction has locked, 1000 at most. */
extern void durable_queued_promote(const char *queue, TimestampTz now);

/* Locks tasks whose leases have expired.  Returns QueuedTask, with id and status of their instances. */
extern List *durable_queued_expired(const char *queue, TimestampTz now, int limit);

/*
 * Leases tasks.  Returns QueuedTask, with id and status of their instances.  With
 * key_concurrency the caller has locked the queue.
 */
extern List *durable_queued_lease(const QueuedWanted * wanted);

/* Ends the leases of turns whose session has ended.  Returns their number. */
extern uint64 durable_queued_end_sessions(TimestampTz now);

/* The number of leased tasks of the queue. */
extern int	durable_queued_count_leased(const char *queue, TimestampTz now);

/* Is there a task that durable_queued_lease would take? */
extern bool durable_queued_is_ready(const QueuedWanted * wanted);

/* When the next task is due or the next lease expires; DT_NOEND: never. */
extern TimestampTz durable_queued_next(const char *queue);

/*
 * Sets the state of a task that the caller has locked or leased.  at: until when.  keep_nonce:
 * keep the lease's nonce, so that a repeated answer of the worker is not taken for a stale token.
 */
extern void durable_queued_put(const QueuedTask * task, char state, TimestampTz at, int attempt, int lost,
							   const Jsonb *failure, bool keep_nonce);

/* Deletes the task unless another transaction has locked it. */
extern void durable_queued_delete_one(int64 key, int64 id);

/*
 * Deletes the batch of operations of that entity, even if it is leased; false: there is none, or
 * another transaction has locked it.
 */
extern bool durable_queued_take_back_batch(int64 key, const char *entity_id);

/* An activity in SQL is to be tried again at "at", and gives up its place in the queue until then. */
extern void durable_queued_give_back(const TaskRow *task, char state, TimestampTz at, int attempt,
									 const Jsonb *failure);

#endif							/* DURABLE_QUEUED_TABLE_H */
