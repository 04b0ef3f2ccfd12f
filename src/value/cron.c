/*-------------------------------------------------------------------------
 *
 * cron.c
 *		Reads cron expressions: five fields, or a word such as @daily.
 *
 * The fields are minute, hour, day of month, month and day of week.  A field is a
 * list of *, n, n-m, each with an optional /step.  Months and days of the week may be
 * written as the first three letters of their English names; Sunday is 0 or 7.
 *
 * Owns:	nothing
 * Called by: schedule_api.c, schedule_tick.c, clock_job.c
 * Locks:	none
 * Memory:	none
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/timestamp.h"

#include "cron.h"
#include "json.h"

typedef struct CronField
{
	const char *name;
	int			lowest;
	int			highest;
	const char *const *words;	/* of lowest, lowest + 1 ...; NULL: none */
}			CronField;

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug",
"sep", "oct", "nov", "dec", NULL};
static const char *const day_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const CronField fields[] = {
	{"minute", 0, 59, NULL},
	{"hour", 0, 23, NULL},
	{"day of month", 1, 31, NULL},
	{"month", 1, 12, month_words},
	{"day of week", 0, 7, day_words}
};

static const struct
{
	const char *word;
	const char *expression;
}			macros[] = {
	{"@hourly", "0 * * * *"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@weekly", "0 0 * * 0"},
	{"@monthly", "0 0 1 * *"},
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"}
};

static bool parse_field(const char **text, const CronField *field, uint64 *bits, bool *any);
static bool parse_item(const char **text, const CronField *field, uint64 *bits);
static bool parse_value(const char **text, const CronField *field, int *value);
static bool parse_number(const char **text, int *value);
pg_noreturn_compat static void invalid(const char *text, const char *detail);

void
durable_cron_parse(const char *text, CronSpec *spec)
{
	const char *rest = text;
	uint64		bits[lengthof(fields)];
	bool		any[lengthof(fields)];

	for (int i = 0; i < lengthof(macros); i++)
		if (pg_strcasecmp(text, macros[i].word) == 0)
			rest = macros[i].expression;

	for (int i = 0; i < lengthof(fields); i++)
	{
		while (*rest == ' ' || *rest == '\t')
			rest++;
		if (*rest == '\0')
			invalid(text, psprintf("The field \"%s\" is missing.", fields[i].name));
		if (!parse_field(&rest, &fields[i], &bits[i], &any[i]))
			invalid(text, psprintf("The field \"%s\" is a list of values from %d to %d, ranges and asterisks, each with an optional step.",
								   fields[i].name, fields[i].lowest, fields[i].highest));
	}
	while (*rest == ' ' || *rest == '\t')
		rest++;
	if (*rest != '\0')
		invalid(text, "There is text after the fifth field.");

	spec->minutes = bits[0];
	spec->hours = (uint32) bits[1];
	spec->month_days = (uint32) bits[2];
	spec->months = (uint16) bits[3];
	/* 7 also means Sunday */
	spec->week_days = (uint8) ((bits[4] | bits[4] >> 7) & 0x7f);
	spec->any_month_day = any[2];
	spec->any_week_day = any[4];
}

static bool
parse_field(const char **text, const CronField *field, uint64 *bits, bool *any)
{
	*bits = 0;
	*any = **text == '*';
	while (parse_item(text, field, bits))
	{
		if (**text == '\0' || **text == ' ' || **text == '\t')
			return true;
		if (**text != ',')
			return false;
		(*text)++;
	}
	return false;
}

static bool
parse_item(const char **text, const CronField *field, uint64 *bits)
{
	int			low;
	int			high;
	int			step = 1;

	if (**text == '*')
	{
		(*text)++;
		low = field->lowest;
		/* Sunday counts once */
		high = field->words == day_words ? 6 : field->highest;
	}
	else
	{
		if (!parse_value(text, field, &low))
			return false;
		high = low;
		if (**text == '-')
		{
			(*text)++;
			if (!parse_value(text, field, &high))
				return false;
			/* fri-sun */
			if (field->words == day_words && high == 0 && low > 0)
				high = 7;
		}
		else if (**text == '/')
			high = field->words == day_words ? 6 : field->highest;
	}
	if (**text == '/')
	{
		(*text)++;
		if (!parse_number(text, &step) || step < 1)
			return false;
	}
	if (low < field->lowest || high > field->highest || low > high)
		return false;
	for (int value = low; value <= high; value += step)
		*bits |= UINT64CONST(1) << value;
	return true;
}

static bool
parse_value(const char **text, const CronField *field, int *value)
{
	if (field->words)
		for (int i = 0; field->words[i] != NULL; i++)
			if (pg_strncasecmp(*text, field->words[i], 3) == 0)
			{
				*text += 3;
				*value = field->lowest + i;
				return true;
			}
	return parse_number(text, value);
}

/* No field has values of three digits. */
static bool
parse_number(const char **text, int *value)
{
	int			digits = 0;

	*value = 0;
	while (isdigit((unsigned char) **text) && digits++ < 3)
		*value = *value * 10 + *(*text)++ - '0';
	return digits > 0 && !isdigit((unsigned char) **text);
}

static void
invalid(const char *text, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid cron expression \"%s\"", durable_clip(text)),
			 errdetail("%s", detail),
			 errhint("A cron expression has five fields: minute, hour, day of month, month and day of week, as in '30 2 * * mon-fri'.")));
}
