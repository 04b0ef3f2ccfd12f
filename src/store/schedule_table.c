/*-------------------------------------------------------------------------
 *
 * schedule_table.c
 *		Reading and writing durable.schedule.
 *
 * There are few rows, and each run of a schedule changes one, so this file uses SQL only.
 *
 * Owns:	durable.schedule
 * Called by: schedule_api.c, schedule_tick.c
 * Locks:	FOR UPDATE on rows of durable.schedule.  No unit of work uses the table.
 * Memory:	rows are copied into the caller's context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "schedule_table.h"
#include "sql.h"

#define NCOLUMNS	18

#define TYPES { \
	OIDOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, INTERVALOID, INTERVALOID, \
	TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT8OID, INT8OID, TEXTARRAYOID}

#define COLUMNS \
	"owner, name, cron, orchestration, input, timezone, overlap, catch_up, jitter, " \
	"starts_at, ends_at, is_paused, seen_until, last_time, last_instance, missed, skipped, running"

static DurableSql insert_schedule = {
	.text = "INSERT INTO durable.schedule (" COLUMNS ") "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) "
	"ON CONFLICT (owner, name) DO NOTHING",
	.nargs = NCOLUMNS,
	.argtypes = TYPES
};

static DurableSql lock_schedule = {
	.text = "SELECT owner::oid, " "name, cron, orchestration, input, timezone, overlap, catch_up, jitter, "
	"starts_at, ends_at, is_paused, seen_until, last_time, last_instance, missed, skipped, running "
	"FROM durable.schedule WHERE owner = $1 AND name = $2 FOR UPDATE",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

static DurableSql update_schedule = {
	.text = "UPDATE durable.schedule SET (" COLUMNS ") = "
	"($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) "
	"WHERE owner = $1 AND name = $2",
	.nargs = NCOLUMNS,
	.argtypes = TYPES
};

static DurableSql delete_schedule = {
	.text = "DELETE FROM durable.schedule WHERE owner = $1 AND name = $2",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

static DurableSql list_names = {
	.text = "SELECT name FROM durable.schedule WHERE owner = $1 AND NOT is_paused ORDER BY name",
	.nargs = 1,
	.argtypes = {OIDOID}
};

static DurableSql list_owners = {
	.text = "SELECT owner::oid FROM durable.schedule WHERE name = $2 AND pg_has_role($1, owner, 'USAGE') "
	"ORDER BY owner <> $1 LIMIT 2",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTOID}
};

static void to_values(const ScheduleRow *row, Datum *values, char *nulls);
static void from_row(ScheduleRow *row);
static Datum text_array(List *strings);
static List *string_list(Datum array);

bool
durable_schedule_insert(const ScheduleRow *row)
{
	Datum		values[NCOLUMNS];
	char		nulls[NCOLUMNS + 1];
	bool		inserted;

	to_values(row, values, nulls);
	durable_sql_connect();
	inserted = durable_sql_run(&insert_schedule, values, nulls, false, 0) > 0;
	durable_sql_finish();
	return inserted;
}

bool
durable_schedule_lock(Oid owner, const char *name, ScheduleRow *row)
{
	Datum		values[2] = {ObjectIdGetDatum(owner), CStringGetTextDatum(name)};
	MemoryContext caller = CurrentMemoryContext;
	bool		found;

	durable_sql_connect();
	found = durable_sql_run(&lock_schedule, values, NULL, false, 0) > 0;
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		from_row(row);
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	return found;
}

void
durable_schedule_update(const ScheduleRow *row)
{
	Datum		values[NCOLUMNS];
	char		nulls[NCOLUMNS + 1];

	to_values(row, values, nulls);
	durable_sql_connect();
	(void) durable_sql_run(&update_schedule, values, nulls, false, 0);
	durable_sql_finish();
}

void
durable_schedule_delete(Oid owner, const char *name)
{
	Datum		values[2] = {ObjectIdGetDatum(owner), CStringGetTextDatum(name)};

	durable_sql_connect();
	(void) durable_sql_run(&delete_schedule, values, NULL, false, 0);
	durable_sql_finish();
}

List *
durable_schedule_names(Oid owner)
{
	Datum		values[1] = {ObjectIdGetDatum(owner)};
	MemoryContext caller = CurrentMemoryContext;
	List	   *names = NIL;
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(&list_names, values, NULL, false, 0);
	for (uint64 row = 0; row < nrows; row++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		names = lappend(names, durable_sql_text(row, 1));
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	return names;
}

List *
durable_schedule_owners(Oid role, const char *name)
{
	Datum		values[2] = {ObjectIdGetDatum(role), CStringGetTextDatum(name)};
	MemoryContext caller = CurrentMemoryContext;
	List	   *owners = NIL;
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(&list_owners, values, NULL, false, 0);
	for (uint64 row = 0; row < nrows; row++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		owners = lappend_oid(owners, durable_sql_oid(row, 1));
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	return owners;
}

/* --- rows ------------------------------------------------------------------------------- */

static void
to_values(const ScheduleRow *row, Datum *values, char *nulls)
{
	memset(nulls, ' ', NCOLUMNS);
	nulls[NCOLUMNS] = '\0';
	values[0] = ObjectIdGetDatum(row->owner);
	values[1] = CStringGetTextDatum(row->name);
	values[2] = CStringGetTextDatum(row->cron);
	values[3] = CStringGetTextDatum(row->orchestration);
	values[4] = JsonbPGetDatum(row->input);
	nulls[4] = row->input ? ' ' : 'n';
	values[5] = CStringGetTextDatum(row->timezone);
	values[6] = CStringGetTextDatum(row->overlap);
	values[7] = IntervalPGetDatum(row->catch_up);
	values[8] = IntervalPGetDatum(row->jitter);
	nulls[8] = row->jitter ? ' ' : 'n';
	values[9] = TimestampTzGetDatum(row->starts_at);
	nulls[9] = TIMESTAMP_IS_NOBEGIN(row->starts_at) ? 'n' : ' ';
	values[10] = TimestampTzGetDatum(row->ends_at);
	nulls[10] = TIMESTAMP_IS_NOEND(row->ends_at) ? 'n' : ' ';
	values[11] = BoolGetDatum(row->is_paused);
	values[12] = TimestampTzGetDatum(row->seen_until);
	values[13] = TimestampTzGetDatum(row->last_time);
	nulls[13] = TIMESTAMP_IS_NOBEGIN(row->last_time) ? 'n' : ' ';
	values[14] = row->last_instance ? CStringGetTextDatum(row->last_instance) : (Datum) 0;
	nulls[14] = row->last_instance ? ' ' : 'n';
	values[15] = Int64GetDatum(row->missed);
	values[16] = Int64GetDatum(row->skipped);
	values[17] = text_array(row->running);
}

/* The first row of the result; the columns are in the order of COLUMNS. */
static void
from_row(ScheduleRow *row)
{
	Datum		value;
	bool		isnull;

	row->owner = durable_sql_oid(0, 1);
	row->name = durable_sql_text(0, 2);
	row->cron = durable_sql_text(0, 3);
	row->orchestration = durable_sql_text(0, 4);
	row->input = durable_sql_jsonb(0, 5);
	row->timezone = durable_sql_text(0, 6);
	row->overlap = durable_sql_text(0, 7);
	row->catch_up = palloc(sizeof(Interval));
	memcpy(row->catch_up, DatumGetIntervalP(durable_sql_datum(0, 8, &isnull)), sizeof(Interval));
	value = durable_sql_datum(0, 9, &isnull);
	row->jitter = NULL;
	if (!isnull)
	{
		row->jitter = palloc(sizeof(Interval));
		memcpy(row->jitter, DatumGetIntervalP(value), sizeof(Interval));
	}
	row->starts_at = durable_sql_timestamptz(0, 10, &isnull);
	if (isnull)
		row->starts_at = DT_NOBEGIN;
	row->ends_at = durable_sql_timestamptz(0, 11, &isnull);
	if (isnull)
		row->ends_at = DT_NOEND;
	row->is_paused = DatumGetBool(durable_sql_datum(0, 12, &isnull));
	row->seen_until = durable_sql_timestamptz(0, 13, &isnull);
	row->last_time = durable_sql_timestamptz(0, 14, &isnull);
	if (isnull)
		row->last_time = DT_NOBEGIN;
	row->last_instance = durable_sql_text(0, 15);
	row->missed = durable_sql_int8(0, 16);
	row->skipped = durable_sql_int8(0, 17);
	row->running = string_list(durable_sql_datum(0, 18, &isnull));
}

static Datum
text_array(List *strings)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(strings), 1));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, strings)
		elements[n++] = CStringGetTextDatum((char *) lfirst(cell));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static List *
string_list(Datum array)
{
	List	   *strings = NIL;
	Datum	   *elements;
	int			n;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &n);
	for (int i = 0; i < n; i++)
		strings = lappend(strings, TextDatumGetCString(elements[i]));
	return strings;
}
