/*
 * schedule.h
 *		What the files about schedules have in common.
 */
#ifndef DURABLE_SCHEDULE_H
#define DURABLE_SCHEDULE_H

#include "schedule_table.h"

/* A name and a space fit into the name of a job, which pg_cron 1.4 cuts off after 63 bytes. */
#define MAX_SCHEDULE_NAME	55

typedef enum ScheduleOverlap
{
	OVERLAP_SKIP,
	OVERLAP_BUFFER_ONE,
	OVERLAP_ALLOW,
	OVERLAP_CANCEL_OTHER,
	OVERLAP_TERMINATE_OTHER
}			ScheduleOverlap;

/* Raises 22023 for a word that is none. */
extern ScheduleOverlap durable_schedule_overlap(const char *word);

/*
 * schedule_tick.c: the schedule of that name, locked: the current user's own, else the
 * only one whose owner's privileges it has.
 */
extern void durable_schedule_require(const char *name, ScheduleRow *row);

/* What is due: how many instances were started, or handed to the runner. */
extern int	durable_schedule_tick(ScheduleRow *row, TimestampTz now);

/* One run, by the schedule's way to treat overlaps; NULL when it was skipped.  The row is changed, but not stored. */
extern char *durable_schedule_run(ScheduleRow *row, TimestampTz time, bool is_scheduled);

/* Ends the instance that runs the schedule's instances one after the other, if there is one. */
extern void durable_schedule_end_runner(const ScheduleRow *row);

/* The id of an instance: the schedule's name, and the time in UTC. */
extern char *durable_schedule_instance_id(const char *name, TimestampTz time);

/*
 * clock_job.c: jobs of pg_cron.  require raises 55000 unless pg_cron ticks in this
 * database.  set makes the schedule's job as it must be; so does refresh, if there is a
 * job.  remove does nothing where there is none.
 */
extern void durable_clock_job_require(void);
extern void durable_clock_job_set(const ScheduleRow *row);
extern void durable_clock_job_refresh(const ScheduleRow *row);
extern void durable_clock_job_remove(Oid owner, const char *name);

/* Why no job of pg_cron calls the schedule at its times; NULL: one does. */
extern const char *durable_clock_job_problem(Oid owner, const char *name);

#endif							/* DURABLE_SCHEDULE_H */
