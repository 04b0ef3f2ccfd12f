/*-------------------------------------------------------------------------
 *
 * doctor.c
 *		durable.doctor: is the engine of this database well, and what to do if not.
 *		This file looks at the server and the processes, doctor_tables.c at the
 *		instances.
 *
 * It must work when nothing else does: without the library being preloaded, while
 * the engine is held, on a standby.  So each check takes what is missing for an
 * answer, and only reads.
 *
 * Names and ids of instances that the caller may not see do not appear; counts
 * are of the whole database.
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	those of reading
 * Memory:	one context, reset after each check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "doctor.h"
#include "guc.h"
#include "shmem.h"
#include "sql.h"

/* A snapshot older than this keeps VACUUM from doing its work. */
#define OLD_SNAPSHOT	"10 minutes"

static void check_preloaded(Doctor *doctor);
static void check_version(Doctor *doctor);
static void check_enabled(Doctor *doctor);
static void check_processes(Doctor *doctor);
static void check_workers(Doctor *doctor, const DurableDatabaseInfo *info);
static void check_worker_slots(Doctor *doctor, const DurableDatabaseInfo *info);
static void check_identity(Doctor *doctor);
static void check_oldest_snapshot(Doctor *doctor);
static void check_autovacuum(Doctor *doctor);
static void check_test_clock(Doctor *doctor);
static void run(Doctor *doctor, void (*check) (Doctor *doctor));
static char *ago(TimestampTz since);

PG_FUNCTION_INFO_V1(durable_doctor);

Datum
durable_doctor(PG_FUNCTION_ARGS)
{
	Doctor		doctor;

	durable_client_refuse_in_turn("doctor", "Call it from an activity.");
	InitMaterializedSRF(fcinfo, 0);
	doctor.result = (ReturnSetInfo *) fcinfo->resultinfo;

	/* One snapshot for all checks. */
	durable_sql_connect();
	doctor.context = AllocSetContextCreate(CurrentMemoryContext, "durable doctor",
										   ALLOCSET_DEFAULT_SIZES);

	run(&doctor, check_preloaded);
	run(&doctor, check_version);
	if (durable_shmem_available())
	{
		run(&doctor, check_enabled);
		run(&doctor, check_processes);
	}
	run(&doctor, check_identity);
	run(&doctor, durable_doctor_check_tables);
	run(&doctor, check_oldest_snapshot);
	run(&doctor, check_autovacuum);
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

/* Seconds are enough. */
static char *
ago(TimestampTz since)
{
	int64		seconds = Max(0, (GetCurrentTimestamp() - since) / USECS_PER_SEC);

	return psprintf(INT64_FORMAT " s ago", seconds);
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
					   in_file ? "The configuration file names it by now: restart the server." :
					   psprintf("Put this line there and restart the server: %s", durable_shmem_preload_line()));
}

static void
check_version(Doctor *doctor)
{
	char	   *installed;

	durable_doctor_query("SELECT extversion FROM pg_extension WHERE extname = 'durable'", 0, NULL, NULL);
	installed = durable_sql_text(0, 1);
	durable_doctor_say(doctor, "version", strcmp(installed, DURABLE_VERSION) == 0,
					   psprintf("library %s, extension %s", DURABLE_VERSION, installed),
					   "Use ALTER EXTENSION durable UPDATE, and restart the server if the library is the older one.");
}

static void
check_enabled(Doctor *doctor)
{
	durable_doctor_say(doctor, "enabled", durable_enabled,
					   psprintf("durable.enabled is %s", durable_enabled ? "on" : "off"),
					   "Set durable.enabled = on and reload the configuration.");
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
					   "It is restarted within seconds; if it is not, the server's log says why.");

	if (info.stopping)
		durable_doctor_say(doctor, "coordinator", false, "stopped for a DROP or ALTER DATABASE",
						   "It comes back when that command has failed.");
	else
		durable_doctor_say(doctor, "coordinator", info.coordinator_pid != 0 || standby,
						   info.coordinator_pid == 0 ?
						   (standby ? "not running: this server is a standby" :
							known ? "not running" : "not running: the launcher has not seen this database yet") :
						   info.looked_at == 0 ?
						   psprintf("pid %d", info.coordinator_pid) :
						   psprintf("pid %d, looked at the tables %s", info.coordinator_pid, ago(info.looked_at)),
						   "The launcher starts it within seconds; if it does not, the server's log says why.");

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
						   "No workers may run: set durable.max_workers and reload the configuration.");
	else
		durable_doctor_say(doctor, "workers", info->short_since == 0,
						   info->short_since == 0 ? detail :
						   psprintf("%s; a role has waited for one since %s", detail, ago(info->short_since)),
						   "All workers are busy for other roles: raise durable.max_workers and reload the configuration.");
}

/*
 * Processes that count against max_worker_processes are those of no kind that
 * the server has by itself.
 */
static void
check_worker_slots(Doctor *doctor, const DurableDatabaseInfo *info)
{
	const char *text =
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type <> ALL "
		"('{client backend,autovacuum launcher,autovacuum worker,background writer,checkpointer,"
		"startup,walreceiver,walsender,walwriter,archiver,logger,standalone backend,"
		"slotsync worker,walsummarizer,io worker}'::text[])";

	durable_doctor_query(text, 0, NULL, NULL);
	durable_doctor_say(doctor, "worker_slots", info->no_process_since == 0,
					   psprintf(INT64_FORMAT " of %d max_worker_processes used",
								durable_sql_int8(0, 1), max_worker_processes),
					   psprintf("There was none left %s; raise max_worker_processes and restart the server.",
								ago(info->no_process_since)));
}

/*
 * Read from the table and not from shared memory: this must tell the truth also
 * when there is no coordinator that would have looked.
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
		held = "held: it is not known where the instances were started";
	paused = DatumGetBool(durable_sql_datum(0, 4, &isnull));

	durable_doctor_say(doctor, "identity", held == NULL, held ? held : "the instances belong to this database",
					   "If they run nowhere else any more, SELECT durable.adopt() lets them run here.");
	durable_doctor_say(doctor, "paused", !paused, paused ? "the engine of this database is paused" : "no",
					   "SELECT durable.unpause();");
}

static void
check_test_clock(Doctor *doctor)
{
	int64		offset = durable_clock_offset();

	durable_doctor_say(doctor, "test_clock", offset == 0,
					   offset == 0 ? "off" :
					   psprintf("%s s ahead of the server's clock",
								DatumGetCString(DirectFunctionCall1(int8out, Int64GetDatum(offset / USECS_PER_SEC)))),
					   "durable.advance_clock() was used in this database; restarting the server sets the clock right.");
}

/* --- what keeps VACUUM from cleaning the queues ---------------------------------------- */

static void
check_oldest_snapshot(Doctor *doctor)
{
	const char *text =
		"SELECT holder, held_for FROM ("
		"  SELECT format('pid %s (%s%s)', pid, backend_type, ', ' || state), now() - xact_start "
		"  FROM pg_stat_activity "
		"  WHERE coalesce(backend_xid, backend_xmin) IS NOT NULL AND pid <> pg_backend_pid() "
		"    AND (datid = (SELECT oid FROM pg_database WHERE datname = current_database()) OR datid IS NULL) "
		"  UNION ALL "
		"  SELECT format('prepared transaction %L', gid), now() - prepared "
		"  FROM pg_prepared_xacts WHERE database = current_database()) AS h (holder, held_for) "
		"WHERE held_for > interval '" OLD_SNAPSHOT "' ORDER BY held_for DESC LIMIT 1";

	if (durable_doctor_query(text, 0, NULL, NULL) == 0)
	{
		durable_doctor_say(doctor, "oldest_snapshot", true, "none older than " OLD_SNAPSHOT, NULL);
		return;
	}
	{
		bool		isnull;
		Datum		held_for = durable_sql_datum(0, 2, &isnull);

		durable_doctor_say(doctor, "oldest_snapshot", false,
						   psprintf("%s has kept one for %s", durable_sql_text(0, 1),
									DatumGetCString(DirectFunctionCall1(interval_out, held_for))),
						   "VACUUM cannot remove what that transaction might still see, and the queues grow; end it if nobody needs it.");
	}
}

static void
check_autovacuum(Doctor *doctor)
{
	bool		on;

	on = strcmp(GetConfigOption("autovacuum", false, false), "on") == 0 &&
		strcmp(GetConfigOption("track_counts", false, false), "on") == 0;
	durable_doctor_say(doctor, "autovacuum", on, on ? "on" : "off",
					   "The queues need VACUUM all the time: set autovacuum and track_counts on.");
}
