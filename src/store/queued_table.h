/*
 * queued_table.h
 *		The table durable.queued_task: activities that wait in a queue, or that a worker
 *		has taken from it.
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
#define QUEUED_READY		'r'
#define QUEUED_DELAYED		'd'
#define QUEUED_LEASED		'l'
#define QUEUED_HELD			'h'
#define QUEUED_COMPLETED	'c'
#define QUEUED_FAILED		'f'

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
	int			lost;
	Jsonb	   *call;			/* of an activity of an external orchestration, else NULL */
	char	   *instance_id;	/* NULL: the instance is gone, or was not read */
	char		status;			/* of the instance; '\0': the same */
}			QueuedTask;

/* What a worker asks of a queue. */
typedef struct QueuedWanted
{
	const char *queue;
	char		kind;
	int			limit;
	int			key_concurrency;	/* 0: no limit */
	Datum		names;			/* text[] of activities; 0: any */
	const char *worker;			/* or NULL */
	int64		nonce;
	int64		session;		/* of turns: the session with which the lease ends; 0: none */
	TimestampTz now;
	TimestampTz until;			/* end of the lease; DT_NOEND: it has none */
}			QueuedWanted;

/* All of these connect to SPI themselves. */

/* TaskRow: writes them, and wakes the workers that wait for them at commit. */
extern void durable_queued_insert(Oid owner, List *tasks);

/*
 * Of these instances (a bigint[]), the rows that no transaction has locked: holds those that have not begun;
 * lets it go on; deletes it all.
 */
extern void durable_queued_hold(Datum keys);
extern void durable_queued_release(Datum keys);
extern void durable_queued_delete(Datum keys);

/* Of the tasks that are due now, makes those ready that no transaction has locked, 1000 at most. */
extern void durable_queued_promote(const char *queue, TimestampTz now);

/* Tasks whose leases are over (QueuedTask), locked; with their instances. */
extern List *durable_queued_expired(const char *queue, TimestampTz now, int limit);

/* Leases tasks (QueuedTask); with their instances.  With key_concurrency the caller has the queue locked. */
extern List *durable_queued_lease(const QueuedWanted * wanted);

/* Lets leases of turns end that were to end with a session which is gone.  Returns their number. */
extern uint64 durable_queued_end_sessions(TimestampTz now);

/* How many of the queue are leased. */
extern int	durable_queued_count_leased(const char *queue, TimestampTz now);

/* Is there a task that durable_queued_lease would take? */
extern bool durable_queued_is_ready(const QueuedWanted * wanted);

/* When the next one is due, or the next lease ends; DT_NOEND: never. */
extern TimestampTz durable_queued_next(const char *queue);

/*
 * Puts a task that the caller has locked or leased into that state until then.  keep_nonce: a
 * repetition of what the worker has said is told from a stale token by it.
 */
extern void durable_queued_put(const QueuedTask * task, char state, TimestampTz at, int attempt, int lost,
							   const Jsonb *failure, bool keep_nonce);

/* Deletes it if no transaction has locked it. */
extern void durable_queued_delete_one(int64 key, int64 id);

/* Deletes the batch of that entity, also one that is out; false: there is none, or another transaction has it locked. */
extern bool durable_queued_take_back_batch(int64 key, const char *entity_id);

/* An activity in SQL that is to be tried again gives up its place in the queue until then. */
extern void durable_queued_give_back(const TaskRow *task, char state, TimestampTz at, int attempt,
									 const Jsonb *failure);

#endif							/* DURABLE_QUEUED_TABLE_H */
