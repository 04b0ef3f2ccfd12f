/*
 * cron.h
 *		Cron expressions: what they say, and at which times.
 *
 * cron.c parses them, cron_times.c finds the times.  Nothing here touches the
 * database.
 */
#ifndef DURABLE_CRON_H
#define DURABLE_CRON_H

#include "durable.h"
#include "pgtime.h"

/*
 * One bit for each value.  A day matches when its month does, and its day of month and
 * its day of week; where both of these are restricted, one of them is enough, as in
 * cron.
 */
typedef struct CronSpec
{
	uint64		minutes;		/* 0..59 */
	uint32		hours;			/* 0..23 */
	uint32		month_days;		/* 1..31 */
	uint16		months;			/* 1..12 */
	uint8		week_days;		/* 0..6, 0 is Sunday */
	bool		any_month_day;	/* the field begins with an asterisk */
	bool		any_week_day;
}			CronSpec;

/* Raises 22023, and says which field is wrong. */
extern void durable_cron_parse(const char *text, CronSpec *spec);

/* Raises 22023 when there is no such time zone. */
extern pg_tz *durable_cron_zone(const char *name);

/*
 * The first time after that one; DT_NOEND when there is none within twelve years.
 *
 * Where the hours are restricted, each local time happens once, at the instant that
 * AT TIME ZONE gives for it: one that a change of the clock skips as much later as the
 * clock was put forward, one that occurs twice at its second occurrence.  Where every
 * hour is meant, elapsed time counts: the schedule neither pauses nor doubles.
 */
extern TimestampTz durable_cron_next(const CronSpec *spec, pg_tz *zone, TimestampTz after);

/*
 * A cron expression in the time zone of a clock that matches whenever the given one may
 * match in its own zone in the two years after that time.
 */
extern char *durable_cron_for_clock(const CronSpec *spec, pg_tz *zone, pg_tz *clock_zone, TimestampTz from);

#endif							/* DURABLE_CRON_H */
