/*
 * quota.h
 *		Limits of an owner: the number of unfinished instances, and the rate of starts.
 */
#ifndef DURABLE_QUOTA_H
#define DURABLE_QUOTA_H

#include "durable.h"

/* The limits that durable.set_quota has set for an owner. */
typedef struct DurableQuota
{
	Oid			owner;
	int32		max_live;		/* 0: no limit */
	int32		start_rate;		/* starts in per_us; 0: no limit */
	int64		per_us;
}			DurableQuota;

typedef enum QuotaAnswer
{
	QUOTA_ADMITTED,
	QUOTA_MUST_COUNT,			/* count the unfinished instances, and ask again */
	QUOTA_TOO_MANY,				/* *value: number of unfinished instances */
	QUOTA_TOO_FAST				/* *value: milliseconds until the next start is possible */
}			QuotaAnswer;

/* Asks for a start by a client.  An admitted start is given back if its (sub)transaction aborts. */
extern QuotaAnswer durable_quota_take(const DurableQuota *quota, int64 *value);

/*
 * Called before and after a count of the owner's unfinished instances.  The result of the
 * first call is an argument of the second one, live the number that was counted.
 */
extern int64 durable_quota_begin_count(Oid owner);
extern void durable_quota_counted(Oid owner, int64 begun, int64 live, TimestampTz began_at);

/* Changes the number of unfinished instances when the transaction commits. */
extern void durable_quota_change(Oid owner, int64 change);

#endif							/* DURABLE_QUOTA_H */
