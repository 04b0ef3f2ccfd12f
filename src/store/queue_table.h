/*
 * queue_table.h
 *		The table durable.queue: queues and their limits.
 */
#ifndef DURABLE_QUEUE_TABLE_H
#define DURABLE_QUEUE_TABLE_H

#include "durable.h"

/* The period of a rate is counted in so many parts, and the one that is running. */
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

/* Reads it; false: there is none. */
extern bool durable_queue_read(const char *name, QueueRow *queue);

/* The same, locked until the end of the transaction; false: another transaction has it locked, or it is gone. */
extern bool durable_queue_lock(const char *name, QueueRow *queue);

/* Does anything hold for all workers together, so that taking work needs the lock? */
extern bool durable_queue_is_limited(const QueueRow *queue);

/* How many may begin now; if none, *next is when that may change. */
extern int	durable_queue_starts_left(QueueRow *queue, TimestampTz now, TimestampTz *next);

/* Writes down that so many begin now.  The caller has it locked. */
extern void durable_queue_count_starts(QueueRow *queue, TimestampTz now, int n);

/* Sessions that wait for work of that kind (queued_table.h) wait for that key (waiter.c); no instance has it. */
extern int64 durable_queue_waiter_key(const char *name, char kind);

/* At commit: wakes those sessions; those that wait for work of any kind. */
extern void durable_queue_wake_kind(const char *name, char kind);
extern void durable_queue_wake(const char *name);

#endif							/* DURABLE_QUEUE_TABLE_H */
