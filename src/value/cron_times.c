/*-------------------------------------------------------------------------
 *
 * cron_times.c
 *		Finds the times at which a cron expression matches in a time zone.
 *
 * There are two ways to find the next time.  If the hours are restricted, the search goes
 * through the local times, day by day, and converts each to the instant that AT TIME ZONE
 * gives.  Local times that the clock skips give the same instants as later ones, so the
 * order of the instants is not that of the local times.  Therefore the candidates of three
 * more hours are considered, which is further than any clock is put forward.  (Samoa
 * skipped a whole day once.  A time of such a day is found only from before that day.)
 *
 * If every hour matches, the search goes through the instants, hour by hour, and checks
 * their local times.
 *
 * Owns:	nothing
 * Called by: schedule_api.c, schedule_tick.c, clock_job.c
 * Locks:	none
 * Memory:	the result of durable_cron_for_clock is in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "cron.h"

#define EVERY_HOUR		0xffffff
#define EVERY_MONTH_DAY	0xfffffffeU
#define EVERY_WEEK_DAY	0x7f
#define MARGIN_MINUTES	(3 * MINS_PER_HOUR)
#define MINUTES_OF_DAY	(HOURS_PER_DAY * MINS_PER_HOUR)

/* The next 29th of February on a given day of the week may be further away than this. */
#define SEARCH_DAYS		(12 * 366)

static TimestampTz next_by_local_time(const CronSpec *spec, pg_tz *zone, TimestampTz after);
static TimestampTz next_by_elapsed_time(const CronSpec *spec, pg_tz *zone, TimestampTz after);
static bool day_matches(const CronSpec *spec, int year, int month, int day);
static bool local_time(TimestampTz at, pg_tz *zone, struct pg_tm *tm);
static TimestampTz instant(pg_tz *zone, int julian_day, int minute_of_day);
static int	collect_offsets(pg_tz *zone, pg_tz *clock_zone, TimestampTz from, int *offsets, int max);
static int	offset_minutes(TimestampTz at, pg_tz *zone);
static void append_field(StringInfo text, uint64 bits, int lowest, int highest);

pg_tz *
durable_cron_zone(const char *name)
{
	pg_tz	   *zone = pg_tzset(name);

	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errhint("The view pg_timezone_names lists the names of time zones.")));
	return zone;
}

TimestampTz
durable_cron_next(const CronSpec *spec, pg_tz *zone, TimestampTz after)
{
	if (TIMESTAMP_NOT_FINITE(after) || after > END_TIMESTAMP - SEARCH_DAYS * USECS_PER_DAY)
		return DT_NOEND;
	if (spec->hours == EVERY_HOUR)
		return next_by_elapsed_time(spec, zone, after);
	return next_by_local_time(spec, zone, after);
}

static TimestampTz
next_by_local_time(const CronSpec *spec, pg_tz *zone, TimestampTz after)
{
	TimestampTz best = DT_NOEND;
	struct pg_tm tm;
	int64		last = 0;
	int64		first;
	int			day;

	if (!local_time(after, zone, &tm))
		return DT_NOEND;
	day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday);
	/* the range of the search, in minutes of local time */
	first = (int64) day * MINUTES_OF_DAY + tm.tm_hour * MINS_PER_HOUR + tm.tm_min - MARGIN_MINUTES;
	last = (int64) (day + SEARCH_DAYS) * MINUTES_OF_DAY;

	for (day--; (int64) day * MINUTES_OF_DAY <= last; day++)
	{
		int			year;
		int			month;
		int			month_day;

		CHECK_FOR_INTERRUPTS();
		j2date(day, &year, &month, &month_day);
		if (!day_matches(spec, year, month, month_day))
			continue;
		for (int minute = 0; minute < MINUTES_OF_DAY; minute++)
		{
			int64		local = (int64) day * MINUTES_OF_DAY + minute;
			TimestampTz at;

			if (local < first || (spec->hours & (1 << minute / MINS_PER_HOUR)) == 0 ||
				(spec->minutes & (UINT64CONST(1) << minute % MINS_PER_HOUR)) == 0)
				continue;
			if (local > last)
				break;
			at = instant(zone, day, minute);
			if (at <= after || at >= best)
				continue;
			best = at;
			last = local + MARGIN_MINUTES;
		}
	}
	return best;
}

static TimestampTz
next_by_elapsed_time(const CronSpec *spec, pg_tz *zone, TimestampTz after)
{
	TimestampTz end = after + SEARCH_DAYS * USECS_PER_DAY;
	struct pg_tm tm;
	TimestampTz at;

	/* the next full minute, in local time */
	if (!local_time(after, zone, &tm))
		return DT_NOEND;
	at = after - after % USECS_PER_SEC - (after % USECS_PER_SEC < 0 ? USECS_PER_SEC : 0);
	at += (SECS_PER_MINUTE - tm.tm_sec) * USECS_PER_SEC;

	while (at < end)
	{
		int			minute;

		CHECK_FOR_INTERRUPTS();
		if (!local_time(at, zone, &tm))
			break;
		minute = tm.tm_min;
		if (day_matches(spec, tm.tm_year, tm.tm_mon, tm.tm_mday))
		{
			if (spec->minutes & (UINT64CONST(1) << minute))
				return at;
			while (minute < MINS_PER_HOUR && (spec->minutes & (UINT64CONST(1) << minute)) == 0)
				minute++;
		}
		else
			minute = MINS_PER_HOUR;
		/* A clock may be put forward in the middle of an hour, so the local time of the result is checked, too. */
		at += (minute - tm.tm_min) * USECS_PER_MINUTE;
	}
	return DT_NOEND;
}

static bool
day_matches(const CronSpec *spec, int year, int month, int day)
{
	bool		month_day = (spec->month_days & (1U << day)) != 0;
	bool		week_day = (spec->week_days & (1 << j2day(date2j(year, month, day)))) != 0;

	if ((spec->months & (1 << month)) == 0)
		return false;
	if (spec->any_month_day || spec->any_week_day)
		return month_day && week_day;
	return month_day || week_day;
}

static bool
local_time(TimestampTz at, pg_tz *zone, struct pg_tm *tm)
{
	fsec_t		fraction;
	int			offset;

	return timestamp2tm(at, &offset, tm, &fraction, NULL, zone) == 0;
}

/* Converts in the same way as AT TIME ZONE. */
static TimestampTz
instant(pg_tz *zone, int julian_day, int minute_of_day)
{
	struct pg_tm tm = {0};
	TimestampTz result;
	int			offset;

	j2date(julian_day, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tm.tm_hour = minute_of_day / MINS_PER_HOUR;
	tm.tm_min = minute_of_day % MINS_PER_HOUR;
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &offset, &result) != 0)
		return DT_NOEND;
	return result;
}

/* --- the same for a clock in another time zone ------------------------------------------ */

char *
durable_cron_for_clock(const CronSpec *spec, pg_tz *zone, pg_tz *clock_zone, TimestampTz from)
{
	int			offsets[64];
	int			noffsets = collect_offsets(zone, clock_zone, from, offsets, lengthof(offsets));
	bool		same_days = noffsets == 1 && offsets[0] == 0;
	uint64		minutes = 0;
	uint64		hours = 0;
	StringInfoData text;

	for (int minute = 0; minute < MINUTES_OF_DAY; minute++)
	{
		if ((spec->hours & (1 << minute / MINS_PER_HOUR)) == 0 ||
			(spec->minutes & (UINT64CONST(1) << minute % MINS_PER_HOUR)) == 0)
			continue;
		for (int i = 0; i < noffsets; i++)
		{
			int			there = (minute - offsets[i] + 2 * MINUTES_OF_DAY) % MINUTES_OF_DAY;

			hours |= UINT64CONST(1) << there / MINS_PER_HOUR;
			minutes |= UINT64CONST(1) << there % MINS_PER_HOUR;
		}
	}

	initStringInfo(&text);
	append_field(&text, minutes, 0, 59);
	append_field(&text, hours, 0, 23);
	/*
	 * The day may be a different one in the other zone.  A day matches if it meets one of
	 * the two restrictions, so one that every day meets makes the other one ineffective; but
	 * it would be written as an asterisk.
	 */
	if (!same_days)
		appendStringInfoString(&text, "* * *");
	else
	{
		bool		any = spec->any_month_day || spec->any_week_day;
		bool		every_day = !any && ((spec->month_days & EVERY_MONTH_DAY) == EVERY_MONTH_DAY || spec->week_days == EVERY_WEEK_DAY);

		append_field(&text, spec->any_month_day || every_day ? EVERY_MONTH_DAY : spec->month_days, 1, 31);
		append_field(&text, spec->months, 1, 12);
		append_field(&text, spec->any_week_day || every_day ? EVERY_WEEK_DAY : spec->week_days, 0, 6);
	}
	while (text.len > 0 && text.data[text.len - 1] == ' ')
		text.data[--text.len] = '\0';
	return text.data;
}

/* Returns the differences in minutes between local times of the two zones, each of them once. */
static int
collect_offsets(pg_tz *zone, pg_tz *clock_zone, TimestampTz from, int *offsets, int max)
{
	int			count = 0;

	for (int day = -1; day < 2 * 366; day++)
	{
		TimestampTz at = from + day * USECS_PER_DAY;
		int			offset = offset_minutes(at, zone) - offset_minutes(at, clock_zone);
		int			i = 0;

		while (i < count && offsets[i] != offset)
			i++;
		if (i == count && count < max)
			offsets[count++] = offset;
	}
	return count;
}

/* East of Greenwich is positive. */
static int
offset_minutes(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fraction;
	int			offset;

	if (timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0)
		return 0;
	return -offset / SECS_PER_MINUTE;
}

static void
append_field(StringInfo text, uint64 bits, int lowest, int highest)
{
	const char *separator = "";
	uint64		all = 0;

	for (int value = lowest; value <= highest; value++)
		all |= UINT64CONST(1) << value;
	if ((bits & all) == all)
		appendStringInfoString(text, "*");
	else
		for (int value = lowest; value <= highest; value++)
			if (bits & (UINT64CONST(1) << value))
			{
				appendStringInfo(text, "%s%d", separator, value);
				separator = ",";
			}
	appendStringInfoChar(text, ' ');
}
