/*
 * cron.h
 *		Cron expressions: parsing them, and finding the times that they denote.
 *
 * cron.c parses, cron_times.c finds the times.  Neither reads the database.
 */
#ifndef DURABLE_CRON_H
#define DURABLE_CRON_H

#include "durable.h"
#include "pgtime.h"

/*
 * One bit for each value.  A day matches if its month, its day of month and its day of week
 * match.  If both days are restricted, one match of the two is enough, as in cron.
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

/* Raises 22023 with the name of the wrong field. */
extern void durable_cron_parse(const char *text, CronSpec *spec);

/* Raises 22023 if there is no such time zone. */
extern pg_tz *durable_cron_zone(const char *name);

/*
 * The first matching time after the given one; DT_NOEND if there is none within twelve years.
 *
 * If the hours are restricted, each matching local time counts once, at the instant that
 * AT TIME ZONE yields.  A local time that is skipped when the clock is put forward is later
 * by the difference, and one that occurs twice counts at its second occurrence.  If the
 * expression matches every hour, elapsed time counts, without a gap or a repetition.
 */
extern TimestampTz durable_cron_next(const CronSpec *spec, pg_tz *zone, TimestampTz after);

/*
 * A cron expression for clock_zone.  It matches at least at all times at which the given one
 * matches in its own zone within two years after that time.
 */
extern char *durable_cron_for_clock(const CronSpec *spec, pg_tz *zone, pg_tz *clock_zone, TimestampTz from);

#endif							/* DURABLE_CRON_H */
