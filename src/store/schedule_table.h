/*
 * schedule_table.h
 *		The table durable.schedule: orchestrations that are started at certain times.
 */
#ifndef DURABLE_SCHEDULE_TABLE_H
#define DURABLE_SCHEDULE_TABLE_H

#include "durable.h"
#include "utils/array.h"
#include "utils/timestamp.h"

typedef struct ScheduleRow
{
	Oid			owner;
	char	   *name;
	char	   *cron;
	char	   *orchestration;	/* a registered name, or a function's signature */
	Jsonb	   *input;			/* or NULL */
	char	   *timezone;
	char	   *overlap;
	Interval   *catch_up;
	Interval   *jitter;			/* or NULL */
	TimestampTz starts_at;		/* DT_NOBEGIN: none */
	TimestampTz ends_at;		/* DT_NOEND: none */
	bool		is_paused;
	TimestampTz seen_until;		/* times up to this one have been handled */
	TimestampTz last_time;		/* DT_NOBEGIN: none yet */
	char	   *last_instance;	/* or NULL */
	int64		missed;
	int64		skipped;
	List	   *running;		/* ids of the instances that were unfinished at the last look */
}			ScheduleRow;

/* False if the owner has a schedule of that name. */
extern bool durable_schedule_insert(const ScheduleRow *row);

/* Reads and locks the row; false if it does not exist.  Waits for other transactions. */
extern bool durable_schedule_lock(Oid owner, const char *name, ScheduleRow *row);

/* Writes all columns of a row that is locked. */
extern void durable_schedule_update(const ScheduleRow *row);

extern void durable_schedule_delete(Oid owner, const char *name);

/* Names of the schedules of that owner that are not paused, as a list of strings. */
extern List *durable_schedule_names(Oid owner);

/*
 * Owners of schedules of that name whose privileges the role has, the role itself first.  At
 * most two: more are as ambiguous.
 */
extern List *durable_schedule_owners(Oid role, const char *name);

#endif							/* DURABLE_SCHEDULE_TABLE_H */
