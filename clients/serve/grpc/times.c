/*
 * times.c - seconds since 1970 as text, and back.
 *
 * Owns, locks, memory: none.
 * Called by: proto.c, proto_out.c.
 */
#include <stdio.h>
#include <string.h>

#include "times.h"

#define DAY					86400
#define FIRST_SECOND		(-62135596800)	/* of year 1 */
#define LAST_SECOND			253402300799	/* of year 9999 */

static int64_t days_of(int year, int month, int day);
static bool digits(const char **at, const char *end, int n, int *value);

/* The arithmetic of both functions counts years from March: http://howardhinnant.github.io/date_algorithms.html */
bool
times_print(int64_t seconds, int64_t microseconds, char *text)
{
	int64_t		days,
				rest,
				era,
				day_of_era,
				year_of_era,
				day_of_year,
				month;

	if (microseconds >= 1000000)
	{
		seconds++;
		microseconds -= 1000000;
	}
	if (seconds < FIRST_SECOND || seconds > LAST_SECOND)
		return false;
	days = seconds / DAY;
	rest = seconds % DAY;
	if (rest < 0)
	{
		rest += DAY;
		days--;
	}
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	snprintf(text, TIMES_LENGTH, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
			 (int) (year_of_era + era * 400 + (month >= 10)), (int) (month < 10 ? month + 3 : month - 9),
			 (int) (day_of_year - (153 * month + 2) / 5 + 1),
			 (int) (rest / 3600), (int) (rest / 60 % 60), (int) (rest % 60), (int) microseconds);
	return true;
}

bool
times_parse(const char *text, size_t length, int64_t *seconds, int32_t *nanoseconds)
{
	const char *at = text;
	const char *end = text + length;
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				sign;
	int			offset[3] = {0, 0, 0};
	int32_t		scale = 100000000;

	*nanoseconds = 0;
	if (!digits(&at, end, 4, &year) || at == end || *at++ != '-' || !digits(&at, end, 2, &month) || at == end || *at++ != '-' ||
		!digits(&at, end, 2, &day) || at == end || (*at != 'T' && *at != ' ') || (at++, !digits(&at, end, 2, &hour)) ||
		at == end || *at++ != ':' || !digits(&at, end, 2, &minute) || at == end || *at++ != ':' || !digits(&at, end, 2, &second))
		return false;
	if (at < end && *at == '.')
		for (at++; at < end && *at >= '0' && *at <= '9'; at++)
		{
			*nanoseconds += (*at - '0') * scale;
			scale /= 10;
		}
	*seconds = days_of(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
	if (at < end && *at == 'Z')
		return at + 1 == end;
	if (at == end || (*at != '+' && *at != '-'))
		return false;
	sign = *at++ == '-' ? 1 : -1;
	for (int i = 0; i < 3; i++)
	{
		if (!digits(&at, end, 2, &offset[i]))
			return false;
		if (at == end)
			break;
		if (*at++ != ':')
			return false;
	}
	*seconds += sign * (offset[0] * 3600 + offset[1] * 60 + offset[2]);
	return at == end && *seconds >= FIRST_SECOND && *seconds <= LAST_SECOND;
}

static int64_t
days_of(int year, int month, int day)
{
	int64_t		y = year - (month <= 2);
	int64_t		era = (y >= 0 ? y : y - 399) / 400;
	int64_t		year_of_era = y - era * 400;
	int64_t		day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static bool
digits(const char **at, const char *end, int n, int *value)
{
	*value = 0;
	while (n-- > 0)
	{
		if (*at == end || **at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (*(*at)++ - '0');
	}
	return true;
}
