/*-------------------------------------------------------------------------
 *
 * doctor.c
 *		durable.doctor: checks the engine of this database, and gives advice for each
 *		finding.  This file checks the settings and the processes, doctor_server.c
 *		replication and VACUUM, doctor_tables.c due work, and doctor_walk.c the instances
 *		(doctor_findings.c describes the findings).
 *
 * It must work when the engine does not: if the library is not preloaded, while the
 * engine is held, and on a standby.  So each check reports missing objects as a finding,
 * and only reads.
 *
 * The result does not contain names and ids of instances that the caller may not see.
 * Its counts are those of the whole database.
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	those of reading
 * Memory:	one context, reset after each check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "clock.h"
#include "columns.h"
#include "doctor.h"
#include "guc.h"
#include "shmem.h"
#include "sql.h"
#include "suspect.h"

/* A coordinator that waits for its turn for longer than this is a finding; in ms. */
#define LONG_AWAITED_MS		10000

/* Time for which a recent lack of processes is reported; in ms. */
#define REFUSED_LATELY_MS	60000

static void check_preloaded(Doctor *doctor);
static bool version_is_right(Doctor *doctor);
static void check_enabled(Doctor *doctor);
static void check_processes(Doctor *doctor);
static void check_workers(Doctor *doctor, const DurableDatabaseInfo *info);
static void check_worker_slots(Doctor *doctor, const DurableDatabaseInfo *info);
static void check_identity(Doctor *doctor);
static void check_held_back(Doctor *doctor);
static void check_test_clock(Doctor *doctor);
static void run(Doctor *doctor, void (*check) (Doctor *doctor));
static char *ago(TimestampTz since);
static int64 time_limit(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(durable_doctor);

Datum
durable_doctor(PG_FUNCTION_ARGS)
{
	Doctor		doctor;

	durable_client_refuse_in_turn("doctor", "Call it from an activity.");
	INSTR_TIME_SET_CURRENT(doctor.began);
	doctor.limit_us = PG_NARGS() > 0 ? time_limit(fcinfo) : 0;	/* in 0.1 it had no parameter */
	InitMaterializedSRF(fcinfo, 0);
	doctor.result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* All checks use one snapshot. */
	durable_sql_connect();
	doctor.context = AllocSetContextCreate(CurrentMemoryContext, "durable doctor",
										   ALLOCSET_DEFAULT_SIZES);

	run(&doctor, check_preloaded);
	/* Tables of another version may lack columns that the other checks read. */
	if (!version_is_right(&doctor))
	{
		durable_sql_finish();
		return (Datum) 0;
	}
	if (durable_shmem_available())
	{
		run(&doctor, check_enabled);
		run(&doctor, check_processes);
		run(&doctor, check_held_back);
	}
	run(&doctor, durable_doctor_check_standby);
	run(&doctor, check_identity);
	run(&doctor, durable_doctor_check_tables);
	run(&doctor, durable_doctor_check_queues);
	run(&doctor, durable_doctor_check_entities);
	run(&doctor, durable_doctor_check_schedules);
	run(&doctor, durable_doctor_walk);
	run(&doctor, durable_doctor_check_oldest_snapshot);
	run(&doctor, durable_doctor_check_autovacuum);
	if (durable_shmem_available())
		run(&doctor, check_test_clock);

	durable_sql_finish();
	return (Datum) 0;
}

/* --- tools ---------------------------------------------------------------------------- */

static void
run(Doctor *doctor, void (*check) (Doctor *doctor))
{
	MemoryContext old = MemoryContextSwitchTo(doctor->context);

	CHECK_FOR_INTERRUPTS();
	check(doctor);
	MemoryContextSwitchTo(old);
	MemoryContextReset(doctor->context);
}

void
durable_doctor_say(Doctor *doctor, const char *check, bool ok, const char *detail, const char *hint)
{
	Datum		values[4];
	bool		nulls[4] = {0};

	nulls[3] = ok || hint == NULL;
	values[0] = CStringGetTextDatum(check);
	values[1] = BoolGetDatum(ok);
	values[2] = CStringGetTextDatum(detail);
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(hint);
	tuplestore_putvalues(doctor->result->setResult, doctor->result->setDesc, values, nulls);
}

uint64
durable_doctor_query(const char *text, int nargs, const Oid *types, const Datum *values)
{
	DurableRole role;
	int			result;

	durable_role_enter(&role);
	result = SPI_execute_with_args(text, nargs, unconstify(Oid *, types),
								   unconstify(Datum *, values), NULL, true, 0);
	durable_role_leave(&role);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "%s in statement \"%s\"", SPI_result_code_string(result), text);
	return SPI_processed;
}

char *
durable_doctor_count(int64 n, const char *one, const char *many)
{
	if (n == 1)
		return psprintf("one %s", one);
	if (n > DOCTOR_COUNT_LIMIT)
		return psprintf("more than %d %s", DOCTOR_COUNT_LIMIT, many);
	return psprintf(INT64_FORMAT " %s", n, many);
}

char *
durable_doctor_count_exactly(int64 n, const char *one, const char *many)
{
	return n == 1 ? psprintf("one %s", one) : psprintf(INT64_FORMAT " %s", n, many);
}

/* Microseconds; 0 for NULL, which is no limit. */
static int64
time_limit(FunctionCallInfo fcinfo)
{
	Interval   *limit;
	double		us;

	if (PG_ARGISNULL(0))
		return 0;
	limit = PG_GETARG_INTERVAL_P(0);
	us = limit->time + (limit->day + limit->month * (double) DAYS_PER_MONTH) * USECS_PER_DAY;
	if (us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time_limit must be greater than zero"),
				 errhint("NULL sets no limit.")));
	return us < (double) PG_INT64_MAX / 2 ? (int64) us : 0;
}

bool
durable_doctor_time_is_over(Doctor *doctor)
{
	instr_time	elapsed;

	if (doctor->limit_us == 0)
		return false;
	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, doctor->began);
	return (int64) INSTR_TIME_GET_MICROSEC(elapsed) >= doctor->limit_us;
}

ErrorData *
durable_doctor_attempt(void (*body) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	return error;
}

/* Formats the time since then in seconds. */
static char *
ago(TimestampTz since)
{
	int64		seconds = Max(0, (GetCurrentTimestamp() - since) / USECS_PER_SEC);

	return psprintf(INT64_FORMAT " s ago", seconds);
}

/* Reports work that has ended its process or the server, and that waits to be counted or to run again. */
static void
check_held_back(Doctor *doctor)
{
	const char *visible =
		"SELECT i.instance_id FROM durable.instance i WHERE i.key = ANY ($1) "
		"AND pg_has_role($2, i.owner, 'USAGE') ORDER BY i.instance_id LIMIT 3";
	Oid			types[2] = {INT8ARRAYOID, OIDOID};
	Datum		values[2];
	int64		keys[DURABLE_MAX_HELD];
	Datum		elements[DURABLE_MAX_HELD];
	int			n = durable_held_back(keys, DURABLE_MAX_HELD);
	StringInfoData detail;
	uint64		rows;

	if (n == 0)
	{
		durable_doctor_say(doctor, "held_back", true, "nothing", NULL);
		return;
	}
	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(keys[i]);
	values[0] = durable_columns_array(elements, NULL, n, INT8OID);
	values[1] = ObjectIdGetDatum(GetUserId());
	rows = durable_doctor_query(visible, 2, types, values);
	initStringInfo(&detail);
	appendStringInfo(&detail, "%s back because its process or the server terminated while it ran",
					 durable_doctor_count(n, "instance is held", "instances are held"));
	for (uint64 row = 0; row < rows; row++)
		appendStringInfo(&detail, "%s \"%s\"", row == 0 ? ":" : ",", durable_sql_text(row, 1));
	durable_doctor_say(doctor, "held_back", false, detail.data,
					   "It runs again automatically until it has terminated its process durable.max_crashes times. See the server log.");
}

/* --- the server ----------------------------------------------------------------------- */

static void
check_preloaded(Doctor *doctor)
{
	const char *text =
		"SELECT setting, sourcefile, sourceline, "
		"  coalesce((SELECT f.setting ~ '\\mdurable\\M' FROM pg_file_settings f WHERE f.name = s.name "
		"            ORDER BY f.seqno DESC LIMIT 1), false) "
		"FROM pg_settings s WHERE name = 'shared_preload_libraries'";
	StringInfoData detail;
	char	   *file;
	bool		isnull;
	bool		in_file;

	durable_doctor_query(text, 0, NULL, NULL);
	initStringInfo(&detail);
	if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS))
	{
		appendStringInfo(&detail, "shared_preload_libraries = '%s'", durable_sql_text(0, 1));
		file = durable_sql_text(0, 2);
		if (file)
			appendStringInfo(&detail, " in %s:%d", file, durable_sql_int4(0, 3));
	}
	else
		appendStringInfoString(&detail, durable_shmem_available() ? "yes" : "no");
	in_file = DatumGetBool(durable_sql_datum(0, 4, &isnull));

	durable_doctor_say(doctor, "preloaded", durable_shmem_available(), detail.data,
					   in_file ? "The configuration file already contains the library. Restart the server." :
					   psprintf("No workflow can run. Put this line into postgresql.conf and restart the server: %s", durable_shmem_preload_line()));
}

static bool
version_is_right(Doctor *doctor)
{
	char	   *installed;

	durable_doctor_query("SELECT extversion FROM pg_extension WHERE extname = 'durable'", 0, NULL, NULL);
	installed = durable_sql_text(0, 1);
	durable_doctor_say(doctor, "version", strcmp(installed, DURABLE_VERSION) == 0,
					   psprintf("library %s, extension %s", DURABLE_VERSION, installed),
					   "Workflows of this database do not run until the versions match: ALTER EXTENSION durable UPDATE; updates the extension. If the library is older than the extension, restart the server.");
	return strcmp(installed, DURABLE_VERSION) == 0;
}

static void
check_enabled(Doctor *doctor)
{
	durable_doctor_say(doctor, "enabled", durable_enabled,
					   psprintf("durable.enabled is %s", durable_enabled ? "on" : "off"),
					   "No workflow runs on this server: ALTER SYSTEM SET durable.enabled = on; SELECT pg_reload_conf(); lets them run.");
}

/* --- processes ------------------------------------------------------------------------ */

static void
check_processes(Doctor *doctor)
{
	DurableDatabaseInfo info = {0};
	bool		known = durable_database_info(&info);
	bool		standby = RecoveryInProgress();

	durable_doctor_say(doctor, "launcher", info.launcher_pid != 0 || standby,
					   info.launcher_pid != 0 ? psprintf("pid %d", info.launcher_pid) :
					   standby ? "not running: this server is a standby" : "not running",
					   "No workflow runs without the launcher. The postmaster restarts it within a second. If it exits repeatedly, see the server log for the reason.");

	if (info.stopping)
		durable_doctor_say(doctor, "coordinator", false, "stopped for a DROP or ALTER DATABASE",
						   "Workflows of this database do not run until that command has ended; SELECT pid, query FROM pg_stat_activity WHERE query ~* 'database'; shows it.");
	else if (info.coordinator_pid == 0 && info.coordinator_awaited_since != 0)
		durable_doctor_say(doctor, "coordinator",
						   !durable_clock_passed(info.coordinator_awaited_since, GetCurrentTimestamp(), LONG_AWAITED_MS),
						   psprintf("not running: waiting for a process since %s; %d coordinators run for %d databases",
									ago(info.coordinator_awaited_since), info.coordinators, info.databases),
						   "The coordinators of other databases use all available processes. Increase max_worker_processes and restart the server.");
	else if (info.coordinator_left)
		durable_doctor_say(doctor, "coordinator", true,
						   psprintf("not running: no work is due%s; the launcher starts it when work is due",
									TIMESTAMP_NOT_FINITE(info.coordinator_back_at) ? "" :
									psprintf(" for " INT64_FORMAT " s", Max(0, (info.coordinator_back_at - durable_clock_now()) / USECS_PER_SEC))),
						   NULL);
	else
		durable_doctor_say(doctor, "coordinator", info.coordinator_pid != 0 || standby,
						   info.coordinator_pid == 0 ?
						   (standby ? "not running: this server is a standby" :
							known ? "not running" : "not running: the launcher has not seen this database yet") :
						   info.looked_at == 0 ?
						   psprintf("pid %d", info.coordinator_pid) :
						   psprintf("pid %d, last checked the tables %s", info.coordinator_pid, ago(info.looked_at)),
						   "The launcher starts it within seconds. If it does not start, see the server log for the reason.");

	check_workers(doctor, &info);
	check_worker_slots(doctor, &info);
}

static void
check_workers(Doctor *doctor, const DurableDatabaseInfo *info)
{
	char	   *detail = psprintf("%d in this database, %d in all, durable.max_workers is %d",
								  info->workers, info->workers_total, durable_max_workers);

	if (durable_max_workers == 0)
		durable_doctor_say(doctor, "workers", durable_testing, detail,
						   "No worker can run: ALTER SYSTEM SET durable.max_workers = 4; SELECT pg_reload_conf(); allows four.");
	else
		durable_doctor_say(doctor, "workers", info->short_since == 0,
						   info->short_since == 0 ? detail :
						   psprintf("%s; a role has waited for a worker since %s", detail, ago(info->short_since)),
						   psprintf("All workers that durable.max_workers allows are working for other roles: ALTER SYSTEM SET durable.max_workers = %d; SELECT pg_reload_conf(); allows more.",
									Min(durable_max_workers * 2, DURABLE_MAX_SLOTS)));
}

/*
 * The processes that count against max_worker_processes are those whose kind is not one of
 * the server's own.
 */
static void
check_worker_slots(Doctor *doctor, const DurableDatabaseInfo *info)
{
	const char *text =
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type <> ALL "
		"('{client backend,autovacuum launcher,autovacuum worker,background writer,checkpointer,"
		"startup,walreceiver,walsender,walwriter,archiver,logger,standalone backend,"
		"slotsync worker,walsummarizer,io worker}'::text[])";

	bool		ok = info->refused_at == 0 || durable_clock_passed(info->refused_at, GetCurrentTimestamp(), REFUSED_LATELY_MS);
	char	   *detail;

	durable_doctor_query(text, 0, NULL, NULL);
	detail = psprintf(INT64_FORMAT " of %d max_worker_processes used; %d %s with the extension, for which at most %d coordinators run at a time",
					  durable_sql_int8(0, 1), max_worker_processes,
					  info->databases, info->databases == 1 ? "database" : "databases", info->coordinator_limit);
	if (!ok)
		detail = psprintf("%s; no process was available for a durable worker or coordinator %s", detail, ago(info->refused_at));

	/* Two launchers (one is that of logical replication), the coordinators, and the workers. */
	durable_doctor_say(doctor, "worker_slots", ok, detail,
					   psprintf("Workflows have to wait for a process. Run ALTER SYSTEM SET max_worker_processes = %d; and restart the server.",
								Max(max_worker_processes + 4, 2 + info->databases + durable_max_workers)));
}

/*
 * Reads the state from the table and not from shared memory, because it must be correct
 * even if no coordinator has read the table.
 */
static void
check_identity(Doctor *doctor)
{
	const char *text =
		"SELECT count(*), count(*) FILTER (WHERE system_identifier <> $1), "
		"count(*) FILTER (WHERE database <> $2), coalesce(bool_or(paused), false), "
		"EXISTS (SELECT FROM durable.instance) FROM durable.engine";
	Oid			types[2] = {INT8OID, OIDOID};
	Datum		values[2] = {
		Int64GetDatum((int64) GetSystemIdentifier()),
		ObjectIdGetDatum(MyDatabaseId)
	};
	bool		isnull;
	bool		paused;
	const char *held = NULL;

	durable_doctor_query(text, 2, types, values);
	if (durable_sql_int8(0, 2) > 0)
		held = "held: the instances were started in another cluster";
	else if (durable_sql_int8(0, 3) > 0)
		held = "held: the instances were started in another database";
	else if (durable_sql_int8(0, 1) == 0 && DatumGetBool(durable_sql_datum(0, 5, &isnull)))
		held = "held: the database does not record where the instances were started";
	paused = DatumGetBool(durable_sql_datum(0, 4, &isnull));

	durable_doctor_say(doctor, "identity", held == NULL, held ? held : "the instances belong to this database",
					   "The instances are held, because their effects would occur twice if the instances also ran there. If they do not run elsewhere, SELECT durable.adopt(); allows them to run here.");
	durable_doctor_say(doctor, "paused", !paused, paused ? "the engine of this database is paused" : "no",
					   "No workflow of this database runs: SELECT durable.unpause(); ends the pause.");
}

static void
check_test_clock(Doctor *doctor)
{
	int64		offset = durable_clock_offset();

	durable_doctor_say(doctor, "test_clock", offset == 0,
					   offset == 0 ? "off" :
					   psprintf("%s s ahead of the server's clock",
								DatumGetCString(DirectFunctionCall1(int8out, Int64GetDatum(offset / USECS_PER_SEC)))),
					   "durable.advance_clock() was called in this database. A restart of the server resets the clock.");
}
