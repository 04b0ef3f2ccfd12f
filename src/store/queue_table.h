/*
 * queue_table.h
 *		The table durable.queue: queues and their limits.
 */
#ifndef DURABLE_QUEUE_TABLE_H
#define DURABLE_QUEUE_TABLE_H

#include "durable.h"

/* Starts are counted in this many parts of the rate's period, and in the current part. */
#define QUEUE_PARTS		20

typedef struct QueueRow
{
	char	   *name;
	Oid			owner;
	int			concurrency;	/* 0: no limit */
	int			rate;			/* 0: no limit */
	int64		per_us;			/* period of the rate */
	int			key_concurrency;	/* 0: no limit */
	bool		is_paused;
	int			starts[QUEUE_PARTS + 1];	/* in each part, the newest last */
	int64		newest_part;	/* number of the newest, since the epoch of timestamps */
}			QueueRow;

/* Reads the queue; false: it does not exist. */
extern bool durable_queue_read(const char *name, QueueRow *queue);

/* The same, locked until the end of the transaction; false: another transaction has it locked, or it does not exist. */
extern bool durable_queue_lock(const char *name, QueueRow *queue);

/* Has it a limit for all workers together?  Then the caller locks the queue to take work. */
extern bool durable_queue_is_limited(const QueueRow *queue);

/* How many tasks may begin now; if none, *next is when that may change. */
extern int	durable_queue_starts_left(QueueRow *queue, TimestampTz now, TimestampTz *next);

/* Stores that n tasks begin now.  The caller has locked the queue. */
extern void durable_queue_count_starts(QueueRow *queue, TimestampTz now, int n);

/*
 * The key for which sessions wait (waiter.c) that want work of that kind (queued_table.h).  No
 * instance has this key.
 */
extern int64 durable_queue_waiter_key(const char *name, char kind);

/* Wake at commit the sessions that wait for work of that kind, or of any kind. */
extern void durable_queue_wake_kind(const char *name, char kind);
extern void durable_queue_wake(const char *name);

#endif							/* DURABLE_QUEUE_TABLE_H */
