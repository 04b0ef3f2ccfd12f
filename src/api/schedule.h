/*
 * schedule.h
 *		Functions that the files about schedules share.
 */
#ifndef DURABLE_SCHEDULE_H
#define DURABLE_SCHEDULE_H

#include "schedule_table.h"

/* The name is part of the name of a pg_cron job, which pg_cron 1.4 truncates to 63 bytes. */
#define MAX_SCHEDULE_NAME	55

typedef enum ScheduleOverlap
{
	OVERLAP_SKIP,
	OVERLAP_BUFFER_ONE,
	OVERLAP_ALLOW,
	OVERLAP_CANCEL_OTHER,
	OVERLAP_TERMINATE_OTHER
}			ScheduleOverlap;

/* Raises 22023 for any other word. */
extern ScheduleOverlap durable_schedule_overlap(const char *word);

/*
 * schedule_tick.c: locks the schedule of that name, the current user's own, or else the only one
 * whose owner's privileges the current user has.
 */
extern void durable_schedule_require(const char *name, ScheduleRow *row);

/* Handles the times that are due.  Returns the number of instances that were started or handed to the runner. */
extern int	durable_schedule_tick(ScheduleRow *row, TimestampTz now);

/*
 * Starts one run according to the schedule's overlap policy.  Returns the instance id; NULL: the
 * run was skipped.  The row is changed, but not stored.
 */
extern char *durable_schedule_run(ScheduleRow *row, TimestampTz time, bool is_scheduled);

/* Ends the instance that runs the schedule's instances one after the other, if there is one. */
extern void durable_schedule_end_runner(const ScheduleRow *row);

/* The id of an instance: the schedule's name, and the time in UTC. */
extern char *durable_schedule_instance_id(const char *name, TimestampTz time);

/*
 * clock_job.c: jobs of pg_cron.  require raises 55000 unless pg_cron runs jobs in this database.
 * set creates or updates the job of a schedule, refresh updates it if it exists, remove deletes
 * it if it exists.
 */
extern void durable_clock_job_require(void);
extern void durable_clock_job_set(const ScheduleRow *row);
extern void durable_clock_job_refresh(const ScheduleRow *row);
extern void durable_clock_job_remove(Oid owner, const char *name);

/* Why pg_cron does not call the schedule at its times; NULL: it does. */
extern const char *durable_clock_job_problem(Oid owner, const char *name);

#endif							/* DURABLE_SCHEDULE_H */
