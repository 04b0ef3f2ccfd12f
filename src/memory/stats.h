/*
 * stats.h
 *		Statistics of orchestrations and activities.
 */
#ifndef DURABLE_STATS_H
#define DURABLE_STATS_H

#include "durable.h"

#define STATS_NAME_SIZE		160
#define STATS_ERROR_SIZE	200

typedef enum StatsKind
{
	STATS_ACTIVITY,
	STATS_ORCHESTRATION
}			StatsKind;

typedef struct StatsKey
{
	Oid			database;
	Oid			owner;
	int32		kind;			/* StatsKind */
	char		name[STATS_NAME_SIZE];	/* truncated, and padded with zeros */
}			StatsKey;

/* Times in microseconds. */
typedef struct StatsCounters
{
	int64		calls;			/* runs of an activity; instances of an orchestration that have ended */
	int64		failures;
	int64		retries;		/* activities: runs after the first one */
	int64		terminated;		/* orchestrations */
	int64		turns;			/* orchestrations */
	int64		compute_us;		/* orchestrations: time in turns and inline activities */
	int64		total_us;
	int64		max_us;
	TimestampTz failed_at;		/* 0: never */
	char		error[STATS_ERROR_SIZE];	/* message of the last failure, truncated */
}			StatsCounters;

typedef struct StatsEntry
{
	StatsKey	key;			/* hash key */
	TimestampTz used_at;
	StatsCounters counters;
}			StatsEntry;

/* Stores the message of a failure; NULL: there is none. */
extern void durable_stats_set_error(StatsCounters * counters, const char *message);

/* Adds the counters when the transaction commits. */
extern void durable_stats_add(StatsKind kind, Oid owner, const char *name, const StatsCounters * counters);

/* Entries of this database, in CurrentMemoryContext. */
extern StatsEntry *durable_stats_read(int *n);

/* Removes the entries of that owner in this database; InvalidOid: of all owners. */
extern int64 durable_stats_reset(Oid owner);

/* For shmem.c. */
extern void durable_stats_request(void);
extern void durable_stats_set_up(void);

#endif							/* DURABLE_STATS_H */
