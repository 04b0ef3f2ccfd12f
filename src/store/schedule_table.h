/*
 * schedule_table.h
 *		durable.schedule: which orchestrations are started at which times.
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
	TimestampTz seen_until;		/* times up to this one are done with */
	TimestampTz last_time;		/* DT_NOBEGIN: none yet */
	char	   *last_instance;	/* or NULL */
	int64		missed;
	int64		skipped;
	List	   *running;		/* ids of instances that had not ended when it was looked */
}			ScheduleRow;

/* False if there is one of that owner and name. */
extern bool durable_schedule_insert(const ScheduleRow *row);

/* The row, locked; false if there is none.  It waits for whoever else has it locked. */
extern bool durable_schedule_lock(Oid owner, const char *name, ScheduleRow *row);

/* All columns of a row that is locked. */
extern void durable_schedule_update(const ScheduleRow *row);

extern void durable_schedule_delete(Oid owner, const char *name);

/* Names of the schedules of that owner that are not paused, as a list of strings. */
extern List *durable_schedule_names(Oid owner);

/*
 * Owners of schedules of that name whose privileges the role has: itself first.  No
 * more than two.
 */
extern List *durable_schedule_owners(Oid role, const char *name);

#endif							/* DURABLE_SCHEDULE_TABLE_H */
