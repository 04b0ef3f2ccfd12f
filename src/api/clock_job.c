/*-------------------------------------------------------------------------
 *
 * clock_job.c
 *		Maintains the jobs of pg_cron that call schedules at their times.
 *
 * Each schedule has a job of the same owner, which calls durable.tick_schedule at all
 * times that may be times of the schedule.  durable.tick_schedule decides whether they are.
 * The name of the job is "durable " and the schedule's name.  In addition, each owner of
 * schedules has a job that calls durable.tick_schedules when the server has started, for
 * runs that became due while it was down.
 *
 * In pg_cron only superusers can create jobs of other roles, so the calls are the engine's
 * own SQL, which runs as the owner of the extension.  This is safe if schema cron is that
 * of pg_cron, which is checked first.
 *
 * Owns:	the jobs of cron.job whose names begin with "durable "
 * Called by: schedule_api.c, doctor_schedules.c
 * Locks:	those of inserts into cron.job
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "clock.h"
#include "cron.h"
#include "schedule.h"
#include "sql.h"

#define JOB_PREFIX	"durable "

/* The name is empty, and no schedule has an empty name. */
#define AT_START	""

static DurableSql find_job = {
	.text = "SELECT jobid, schedule, active FROM cron.job "
	"WHERE jobname::text = $1 AND username = $2 AND database = $3",
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID}
};

static DurableSql make_job = {
	.text = "SELECT cron.schedule_in_database($1, $2, $3, $4, $5, $6)",
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID}
};

static DurableSql delete_job = {
	.text = "SELECT cron.unschedule($1::bigint)",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static DurableSql has_schedules = {
	.text = "SELECT 1 FROM durable.schedule WHERE owner = $1",
	.nargs = 1,
	.argtypes = {OIDOID}
};

static bool is_loaded(void);
static bool is_installed(void);
static char *database(void);
static char *job_name(const char *schedule);
static char *expression(const ScheduleRow *row);
static bool look_up(Oid owner, const char *name, int64 *id, char **schedule, bool *active);
static void ensure(Oid owner, const char *name, const char *schedule, const char *command, bool active);
static void drop(Oid owner, const char *name);

void
durable_clock_job_require(void)
{
	const char *setting;

	if (!is_loaded())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schedules require pg_cron, which is not loaded in this server"),
				 errhint("Install the package postgresql-%d-cron (Debian) or pg_cron_%d (RPM), put \"shared_preload_libraries = '%s, pg_cron'\" and \"cron.database_name = '%s'\" into postgresql.conf, restart the server, and use CREATE EXTENSION pg_cron.",
						 PG_VERSION_NUM / 10000, PG_VERSION_NUM / 10000,
						 shared_preload_libraries_string, database())));
	setting = GetConfigOption("cron.database_name", true, false);
	if (setting == NULL || strcmp(setting, database()) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot create schedules in database \"%s\", because pg_cron runs in database \"%s\"",
						database(), setting ? setting : ""),
				 errdetail("A server runs the jobs of pg_cron in one database."),
				 errhint("Put \"cron.database_name = '%s'\" into postgresql.conf, restart the server, and use CREATE EXTENSION pg_cron.",
						 database())));
	if (!is_installed())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schedules require extension \"pg_cron\", which is not installed in database \"%s\"", database()),
				 errhint("Use CREATE EXTENSION pg_cron as a superuser.")));
}

void
durable_clock_job_set(const ScheduleRow *row)
{
	ensure(row->owner, row->name, expression(row),
		   psprintf("SELECT durable.tick_schedule(%s)", quote_literal_cstr(row->name)), !row->is_paused);
	ensure(row->owner, AT_START, "@reboot", "SELECT durable.tick_schedules()", true);
}

/* The rules of a time zone may have changed since the job was made. */
void
durable_clock_job_refresh(const ScheduleRow *row)
{
	int64		id;
	char	   *schedule;
	bool		active;

	if (is_loaded() && is_installed() &&
		look_up(row->owner, row->name, &id, &schedule, &active) &&
		strcmp(schedule, expression(row)) != 0)
		durable_clock_job_set(row);
}

/* The row of the schedule has been deleted. */
void
durable_clock_job_remove(Oid owner, const char *name)
{
	Datum		values[1] = {ObjectIdGetDatum(owner)};
	bool		others;

	if (!is_loaded() || !is_installed())
		return;
	drop(owner, name);
	durable_sql_connect();
	others = durable_sql_run(&has_schedules, values, NULL, false, 1) > 0;
	durable_sql_finish();
	if (!others)
		drop(owner, AT_START);
}

const char *
durable_clock_job_problem(Oid owner, const char *name)
{
	const char *setting = GetConfigOption("cron.database_name", true, false);
	int64		id;
	char	   *schedule;
	bool		active;

	if (!is_loaded())
		return "this server has not loaded pg_cron";
	if (setting == NULL || strcmp(setting, database()) != 0)
		return "pg_cron runs in another database";
	if (!is_installed())
		return "the extension pg_cron is not installed in this database";
	if (!look_up(owner, name, &id, &schedule, &active))
		return "its job in cron.job is missing";
	return active ? NULL : "its job in cron.job is not active";
}

/* --- pg_cron ---------------------------------------------------------------------------- */

static bool
is_loaded(void)
{
	List	   *libraries;
	ListCell   *cell;

	if (shared_preload_libraries_string == NULL ||
		!SplitDirectoriesString(pstrdup(shared_preload_libraries_string), ',', &libraries))
		return false;
	foreach(cell, libraries)
	{
		const char *path = lfirst(cell);
		const char *slash = strrchr(path, '/');
		const char *name = slash ? slash + 1 : path;

		if (strcmp(name, "pg_cron") == 0 || strcmp(name, "pg_cron.so") == 0)
			return true;
	}
	return false;
}

static bool
is_installed(void)
{
	Oid			extension = get_extension_oid("pg_cron", true);
	Oid			namespace = get_namespace_oid("cron", true);

	return OidIsValid(extension) && OidIsValid(namespace) &&
		getExtensionOfObject(NamespaceRelationId, namespace) == extension;
}

static char *
database(void)
{
	return get_database_name(MyDatabaseId);
}

static char *
job_name(const char *schedule)
{
	return strcmp(schedule, AT_START) == 0 ? "durable" : psprintf(JOB_PREFIX "%s", schedule);
}

/* pg_cron uses UTC; since version 1.5 a setting can change that. */
static char *
expression(const ScheduleRow *row)
{
	const char *setting = GetConfigOption("cron.timezone", true, false);
	CronSpec	spec;

	durable_cron_parse(row->cron, &spec);
	return durable_cron_for_clock(&spec, durable_cron_zone(row->timezone),
								  durable_cron_zone(setting ? setting : "GMT"), durable_clock_now());
}

static bool
look_up(Oid owner, const char *name, int64 *id, char **schedule, bool *active)
{
	Datum		values[3];
	MemoryContext caller = CurrentMemoryContext;
	bool		found;
	bool		isnull;

	values[0] = CStringGetTextDatum(job_name(name));
	values[1] = CStringGetTextDatum(GetUserNameFromId(owner, false));
	values[2] = CStringGetTextDatum(database());
	durable_sql_connect();
	found = durable_sql_run(&find_job, values, NULL, false, 1) > 0;
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		*id = durable_sql_int8(0, 1);
		*schedule = durable_sql_text(0, 2);
		*active = DatumGetBool(durable_sql_datum(0, 3, &isnull));
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	return found;
}

/*
 * A job that differs is deleted and created again, because the functions that change a job
 * differ between versions of pg_cron.
 */
static void
ensure(Oid owner, const char *name, const char *schedule, const char *command, bool active)
{
	Datum		values[6];
	int64		id;
	char	   *old_schedule;
	bool		old_active;

	if (look_up(owner, name, &id, &old_schedule, &old_active))
	{
		if (strcmp(old_schedule, schedule) == 0 && old_active == active)
			return;
		drop(owner, name);
	}
	values[0] = CStringGetTextDatum(job_name(name));
	values[1] = CStringGetTextDatum(schedule);
	values[2] = CStringGetTextDatum(command);
	values[3] = CStringGetTextDatum(database());
	values[4] = CStringGetTextDatum(GetUserNameFromId(owner, false));
	values[5] = BoolGetDatum(active);
	durable_sql_connect();
	(void) durable_sql_run(&make_job, values, NULL, false, 0);
	durable_sql_finish();
}

static void
drop(Oid owner, const char *name)
{
	Datum		values[1];
	int64		id;
	char	   *schedule;
	bool		active;

	if (!look_up(owner, name, &id, &schedule, &active))
		return;
	values[0] = Int64GetDatum(id);
	durable_sql_connect();
	(void) durable_sql_run(&delete_job, values, NULL, false, 0);
	durable_sql_finish();
}
