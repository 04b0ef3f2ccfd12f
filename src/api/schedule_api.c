/*-------------------------------------------------------------------------
 *
 * schedule_api.c
 *		durable.schedule and the other functions that make, change and run schedules.
 *
 * A schedule belongs to the role that made it, and so do its instances.  Roles that have
 * the privileges of that role may change and run it.
 *
 * Owns:	nothing; the table is schedule_table.c's, the jobs are clock_job.c's
 * Called by: clients; jobs of pg_cron
 * Locks:	the row of durable.schedule, until the end of the transaction
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "clock.h"
#include "cron.h"
#include "engine.h"
#include "json.h"
#include "retry.h"
#include "schedule.h"

#define MAX_BACKFILL	10000
#define MAX_TIMES		10000
#define LONGEST_YEARS	10

static const char *const overlap_words[] = {
	[OVERLAP_SKIP] = "skip",
	[OVERLAP_BUFFER_ONE] = "buffer_one",
	[OVERLAP_ALLOW] = "allow",
	[OVERLAP_CANCEL_OTHER] = "cancel_other",
	[OVERLAP_TERMINATE_OTHER] = "terminate_other"
};

static char *schedule_name(FunctionCallInfo fcinfo, int argno);
static void check_words(const ScheduleRow *row);
static void check_interval(const Interval *interval, const char *parameter);
static void check_orchestration(ScheduleRow *row);
static TimestampTz first_time(const ScheduleRow *row);
static Datum next_time(const ScheduleRow *row, FunctionCallInfo fcinfo);
static void set_paused(FunctionCallInfo fcinfo, const char *function, bool paused);
static bool is_held(void);
static int	tick(ScheduleRow *row);

PG_FUNCTION_INFO_V1(durable_schedule);
PG_FUNCTION_INFO_V1(durable_alter_schedule);
PG_FUNCTION_INFO_V1(durable_unschedule);
PG_FUNCTION_INFO_V1(durable_pause_schedule);
PG_FUNCTION_INFO_V1(durable_unpause_schedule);
PG_FUNCTION_INFO_V1(durable_trigger_schedule);
PG_FUNCTION_INFO_V1(durable_backfill);
PG_FUNCTION_INFO_V1(durable_tick_schedule);
PG_FUNCTION_INFO_V1(durable_tick_schedules);
PG_FUNCTION_INFO_V1(durable_schedule_times);

/* schedule(schedule_name, cron, orchestration, input, timezone, overlap, catch_up, jitter, starts_at, ends_at) */
Datum
durable_schedule(PG_FUNCTION_ARGS)
{
	ScheduleRow row = {0};

	durable_client_enter("schedule", "Call it from an activity.");
	row.owner = GetUserId();
	row.name = schedule_name(fcinfo, 0);
	row.cron = durable_client_name(fcinfo, 1, "cron expression");
	row.orchestration = durable_client_name(fcinfo, 2, "name of an orchestration");
	row.input = durable_json_from_any(fcinfo, 3, "input");
	row.timezone = durable_client_name(fcinfo, 4, "timezone");
	row.overlap = durable_client_name(fcinfo, 5, "overlap");
	if (PG_ARGISNULL(6))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("catch_up must not be null"),
				 errhint("Use '0' to skip times that were missed.")));
	row.catch_up = PG_GETARG_INTERVAL_P(6);
	row.jitter = PG_ARGISNULL(7) ? NULL : PG_GETARG_INTERVAL_P(7);
	row.starts_at = PG_ARGISNULL(8) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(8);
	row.ends_at = PG_ARGISNULL(9) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(9);
	row.last_time = DT_NOBEGIN;
	row.seen_until = durable_clock_now();

	check_words(&row);
	check_orchestration(&row);
	durable_clock_job_require();
	durable_client_seed_engine();

	if (!durable_schedule_insert(&row))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("schedule \"%s\" already exists", row.name),
				 errhint("Use durable.alter_schedule() to change it, durable.unschedule() to remove it.")));
	durable_clock_job_set(&row);
	return next_time(&row, fcinfo);
}

/* alter_schedule() has the same arguments; those that are NULL leave the schedule's value unchanged. */
Datum
durable_alter_schedule(PG_FUNCTION_ARGS)
{
	ScheduleRow row;
	bool		new_times = !PG_ARGISNULL(1) || !PG_ARGISNULL(4) || !PG_ARGISNULL(8) || !PG_ARGISNULL(9);

	durable_client_enter("alter_schedule", "Call it from an activity.");
	durable_schedule_require(schedule_name(fcinfo, 0), &row);
	if (!PG_ARGISNULL(1))
		row.cron = durable_client_name(fcinfo, 1, "cron expression");
	if (!PG_ARGISNULL(2))
		row.orchestration = durable_client_name(fcinfo, 2, "name of an orchestration");
	if (!PG_ARGISNULL(3))
		row.input = durable_json_from_any(fcinfo, 3, "input");
	if (!PG_ARGISNULL(4))
		row.timezone = durable_client_name(fcinfo, 4, "timezone");
	if (!PG_ARGISNULL(5))
		row.overlap = durable_client_name(fcinfo, 5, "overlap");
	if (!PG_ARGISNULL(6))
		row.catch_up = PG_GETARG_INTERVAL_P(6);
	if (!PG_ARGISNULL(7))
		row.jitter = PG_GETARG_INTERVAL_P(7);
	if (!PG_ARGISNULL(8))
		row.starts_at = PG_GETARG_TIMESTAMPTZ(8);
	if (!PG_ARGISNULL(9))
		row.ends_at = PG_GETARG_TIMESTAMPTZ(9);
	/* Times before the change were not times of the new schedule. */
	if (new_times)
		row.seen_until = durable_clock_now();

	check_words(&row);
	if (!PG_ARGISNULL(2) || !PG_ARGISNULL(3))
		check_orchestration(&row);
	durable_clock_job_require();
	durable_schedule_update(&row);
	durable_clock_job_set(&row);
	return next_time(&row, fcinfo);
}

/* Instances that have been started continue. */
Datum
durable_unschedule(PG_FUNCTION_ARGS)
{
	ScheduleRow row;

	durable_client_enter("unschedule", "Call it from an activity.");
	durable_schedule_require(schedule_name(fcinfo, 0), &row);
	durable_schedule_end_runner(&row);
	durable_schedule_delete(row.owner, row.name);
	durable_clock_job_remove(row.owner, row.name);
	PG_RETURN_VOID();
}

Datum
durable_pause_schedule(PG_FUNCTION_ARGS)
{
	set_paused(fcinfo, "pause_schedule", true);
	PG_RETURN_VOID();
}

Datum
durable_unpause_schedule(PG_FUNCTION_ARGS)
{
	set_paused(fcinfo, "unpause_schedule", false);
	PG_RETURN_VOID();
}

/* Starts an extra run; also for a paused schedule. */
Datum
durable_trigger_schedule(PG_FUNCTION_ARGS)
{
	ScheduleRow row;
	char	   *instance_id;

	durable_client_enter("trigger_schedule", "Call it from an activity.");
	durable_schedule_require(schedule_name(fcinfo, 0), &row);
	instance_id = durable_schedule_run(&row, durable_clock_now(), false);
	durable_schedule_update(&row);
	if (instance_id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(instance_id));
}

/* Runs the times from one to another, both included.  These are past, so overlap does not apply. */
Datum
durable_backfill(PG_FUNCTION_ARGS)
{
	ScheduleRow row;
	CronSpec	spec;
	pg_tz	   *zone;
	TimestampTz from;
	TimestampTz to;
	TimestampTz time;
	List	   *times = NIL;
	ListCell   *cell;
	int			started = 0;

	durable_client_enter("backfill", "Call it from an activity.");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(1)) ||
		TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_time and to_time must be finite times")));
	from = PG_GETARG_TIMESTAMPTZ(1);
	to = PG_GETARG_TIMESTAMPTZ(2);
	if (from > to)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_time must not be later than to_time")));
	if (to > durable_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("to_time must not be in the future"),
				 errhint("The schedule itself will run at these times.")));

	durable_schedule_require(schedule_name(fcinfo, 0), &row);
	durable_cron_parse(row.cron, &spec);
	zone = durable_cron_zone(row.timezone);
	for (time = durable_cron_next(&spec, zone, from - 1); time <= to; time = durable_cron_next(&spec, zone, time))
	{
		TimestampTz *copy = palloc(sizeof(TimestampTz));

		*copy = time;
		times = lappend(times, copy);
		if (list_length(times) > MAX_BACKFILL)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many times to be backfilled at once"),
					 errdetail("Schedule \"%s\" has more than %d times from %s on.", row.name, MAX_BACKFILL,
							   timestamptz_to_str(from)),
					 errhint("Call durable.backfill() for shorter periods.")));
	}
	foreach(cell, times)
	{
		StartRequest request = {
			.name = row.orchestration,
			.input = row.input,
			.instance_id = durable_schedule_instance_id(row.name, *(TimestampTz *) lfirst(cell)),
			.start_at = DT_NOBEGIN,
			.on_conflict = "return"
		};
		bool		is_new;

		CHECK_FOR_INTERRUPTS();
		(void) durable_client_start_as(row.owner, &request, &is_new);
		started += is_new;
	}
	PG_RETURN_INT32(started);
}

/* Called by the schedule's job. */
Datum
durable_tick_schedule(PG_FUNCTION_ARGS)
{
	ScheduleRow row;

	durable_client_enter("tick_schedule", "Call it from an activity.");
	if (is_held())
		PG_RETURN_INT32(0);
	durable_schedule_require(schedule_name(fcinfo, 0), &row);
	PG_RETURN_INT32(tick(&row));
}

/* Called by the owner's job when the server has started. */
Datum
durable_tick_schedules(PG_FUNCTION_ARGS)
{
	List	   *names;
	ListCell   *cell;
	int			started = 0;

	durable_client_enter("tick_schedules", "Call it from an activity.");
	if (is_held())
		PG_RETURN_INT32(0);
	names = durable_schedule_names(GetUserId());
	foreach(cell, names)
	{
		ScheduleRow row;

		if (durable_schedule_lock(GetUserId(), lfirst(cell), &row))
			started += tick(&row);
	}
	PG_RETURN_INT32(started);
}

/* schedule_times(cron, timezone, from_time, count) */
Datum
durable_schedule_times(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	CronSpec	spec;
	pg_tz	   *zone;
	TimestampTz time;
	int32		count;

	durable_cron_parse(durable_client_name(fcinfo, 0, "cron expression"), &spec);
	zone = durable_cron_zone(durable_client_name(fcinfo, 1, "timezone"));
	time = PG_ARGISNULL(2) ? durable_clock_now() : PG_GETARG_TIMESTAMPTZ(2);
	count = PG_ARGISNULL(3) ? -1 : PG_GETARG_INT32(3);
	if (count < 0 || count > MAX_TIMES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("count must be between 0 and %d", MAX_TIMES)));
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("from_time must be finite")));

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	time--;
	while (count-- > 0)
	{
		Datum		value;
		bool		isnull = false;

		time = durable_cron_next(&spec, zone, time);
		if (TIMESTAMP_IS_NOEND(time))
			break;
		value = TimestampTzGetDatum(time);
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &isnull);
	}
	return (Datum) 0;
}

ScheduleOverlap
durable_schedule_overlap(const char *word)
{
	for (int i = 0; i < lengthof(overlap_words); i++)
		if (strcmp(word, overlap_words[i]) == 0)
			return (ScheduleOverlap) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"overlap\": \"%s\"", durable_client_shown(word)),
			 errhint("Valid values are \"skip\", \"buffer_one\", \"allow\", \"cancel_other\", and \"terminate_other\".")));
}

/* --- arguments ------------------------------------------------------------------------------ */

static char *
schedule_name(FunctionCallInfo fcinfo, int argno)
{
	char	   *name = durable_client_name(fcinfo, argno, "name of a schedule");

	if (strlen(name) > MAX_SCHEDULE_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a schedule is too long"),
				 errdetail("It has %zu bytes, but the limit is %d bytes.", strlen(name), MAX_SCHEDULE_NAME)));
	return name;
}

/* Reads all arguments except the orchestration and its input. */
static void
check_words(const ScheduleRow *row)
{
	CronSpec	spec;

	durable_cron_parse(row->cron, &spec);
	(void) durable_cron_zone(row->timezone);
	(void) durable_schedule_overlap(row->overlap);
	check_interval(row->catch_up, "catch_up");
	if (row->jitter)
		check_interval(row->jitter, "jitter");
	if (row->starts_at > row->ends_at)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("starts_at must not be later than ends_at")));
	if (TIMESTAMP_IS_NOEND(row->starts_at) || TIMESTAMP_IS_NOBEGIN(row->ends_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("starts_at and ends_at leave no time for the schedule")));
	if (TIMESTAMP_IS_NOEND(durable_cron_next(&spec, durable_cron_zone(row->timezone), durable_clock_now())))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron expression \"%s\" matches no time", row->cron),
				 errhint("durable.schedule_times() shows the times of an expression.")));
}

static void
check_interval(const Interval *interval, const char *parameter)
{
	int64		us = durable_retry_interval_us(interval);

	if (us < 0 || us > LONGEST_YEARS * 366 * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 0 and %d years", parameter, LONGEST_YEARS)));
}

/*
 * Checks the same as a start, so that an error is reported to the caller and not only to the
 * log of pg_cron.  On error the abort of the (sub)transaction restores the role.
 */
static void
check_orchestration(ScheduleRow *row)
{
	StartRequest request = {
		.name = row->orchestration,
		.input = row->input,
		.start_at = DT_NOBEGIN,
		.on_conflict = "return"
	};
	const Jsonb *input;
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	if (row->owner != user)
		SetUserIdAndSecContext(row->owner, context | SECURITY_LOCAL_USERID_CHANGE);
	row->orchestration = durable_client_check_start(&request, &input);
	SetUserIdAndSecContext(user, context);
	row->input = unconstify(Jsonb *, input);
}

/* --- times ---------------------------------------------------------------------------------- */

static TimestampTz
first_time(const ScheduleRow *row)
{
	CronSpec	spec;
	TimestampTz from = durable_clock_now();
	TimestampTz time;

	durable_cron_parse(row->cron, &spec);
	if (row->starts_at > from)
		from = row->starts_at - 1;
	time = durable_cron_next(&spec, durable_cron_zone(row->timezone), from);
	return time > row->ends_at ? DT_NOEND : time;
}

static Datum
next_time(const ScheduleRow *row, FunctionCallInfo fcinfo)
{
	TimestampTz time = row->is_paused ? DT_NOEND : first_time(row);

	if (TIMESTAMP_IS_NOEND(time))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(time);
}

static void
set_paused(FunctionCallInfo fcinfo, const char *function, bool paused)
{
	ScheduleRow row;

	durable_client_enter(function, "Call it from an activity.");
	durable_schedule_require(schedule_name(fcinfo, 0), &row);
	if (row.is_paused == paused)
		return;
	durable_clock_job_require();
	row.is_paused = paused;
	/* Times of the pause are neither run nor missed. */
	if (!paused)
		row.seen_until = durable_clock_now();
	durable_schedule_update(&row);
	durable_clock_job_set(&row);
}

/* A copy of a database must not run the schedules of the original. */
static bool
is_held(void)
{
	HeldReason	held;
	bool		paused;

	(void) durable_engine_check(&paused, &held);
	return held != HELD_NOT;
}

static int
tick(ScheduleRow *row)
{
	int			started;

	if (row->is_paused)
		return 0;
	started = durable_schedule_tick(row, durable_clock_now());
	durable_schedule_update(row);
	durable_clock_job_refresh(row);
	return started;
}
