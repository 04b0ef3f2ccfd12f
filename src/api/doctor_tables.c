/*-------------------------------------------------------------------------
 *
 * doctor_tables.c
 *		The checks of durable.doctor for the engine's tables that do not look at each
 *		instance: triggers and other objects that users have added, and due work.
 *
 * Owns:	nothing
 * Called by: doctor.c
 * Locks:	those of reading
 * Memory:	the context of the check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "batch.h"
#include "client.h"
#include "clock.h"
#include "doctor.h"
#include "guc.h"
#include "shmem.h"
#include "slot.h"
#include "sql.h"

/* The number of failures that are counted for each role, the latest first. */
#define FAILURES_COUNTED	2000

/* Work that is due for longer than this is stuck. */
#define LATE_SECONDS	60

static void check_writes(Doctor *doctor);
static void check_queue(Doctor *doctor);
static ArrayType *running_tasks(void);
static void check_watched(Doctor *doctor);
static void check_compensations(Doctor *doctor);
static void check_failed(Doctor *doctor);
static void check_writable(void *arg);

void
durable_doctor_check_tables(Doctor *doctor)
{
	check_writes(doctor);
	check_queue(doctor);
	check_watched(doctor);
	check_compensations(doctor);
	check_failed(doctor);
}

/* --- objects that users have added ---------------------------------------------------- */

static void
check_writes(Doctor *doctor)
{
	ErrorData  *error = durable_doctor_attempt(check_writable, NULL);

	durable_doctor_say(doctor, "tables", error == NULL,
					   error ? error->message : "the engine can write to all of its tables",
					   error && error->hint ? error->hint : "Only the engine may use these tables.");
}

static void
check_writable(void *arg)
{
	durable_client_check_tables();
	durable_batch_check_tables();
}

/* --- due work ------------------------------------------------------------------------- */

static void
check_queue(Doctor *doctor)
{
	/* One probe of an index for each owner, and at most $2 rows of each table. */
	static DurableSql due_work = {
		.text = "WITH RECURSIVE message AS (SELECT m.sent_at FROM durable.inbox m ORDER BY m.owner, m.key, m.id LIMIT $2), "
		"timer_owner (owner) AS ("
		" (SELECT owner FROM durable.timer ORDER BY owner, due_at LIMIT 1)"
		" UNION ALL SELECT n.owner FROM timer_owner o, LATERAL (SELECT t.owner FROM durable.timer t"
		"  WHERE t.owner > o.owner ORDER BY t.owner, t.due_at LIMIT 1) n), "
		"timer AS (SELECT d.due_at FROM timer_owner o, LATERAL (SELECT t.due_at FROM durable.timer t"
		"  WHERE t.owner = o.owner AND t.due_at <= $1 ORDER BY t.due_at LIMIT $2) d LIMIT $2), "
		"task_owner (owner) AS ("
		" (SELECT owner FROM durable.task_queue ORDER BY owner, run_at LIMIT 1)"
		" UNION ALL SELECT n.owner FROM task_owner o, LATERAL (SELECT t.owner FROM durable.task_queue t"
		"  WHERE t.owner > o.owner ORDER BY t.owner, t.run_at LIMIT 1) n), "
		"task AS (SELECT d.run_at FROM task_owner o, LATERAL (SELECT t.run_at FROM durable.task_queue t"
		"  WHERE t.owner = o.owner AND t.run_at <= $1 AND t.key <> ALL ($3) ORDER BY t.run_at LIMIT $2) d LIMIT $2) "
		"SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM timer), (SELECT count(*) FROM task), "
		"least((SELECT min(sent_at) FROM message), (SELECT min(due_at) FROM timer), (SELECT min(run_at) FROM task)), "
		"(SELECT min(n.due_at) FROM timer_owner o, LATERAL (SELECT t.due_at FROM durable.timer t"
		"  WHERE t.owner = o.owner AND t.due_at > $1 ORDER BY t.due_at LIMIT 1) n)",
		.nargs = 3,
		.argtypes = {TIMESTAMPTZOID, INT8OID, INT8ARRAYOID}
	};
	TimestampTz now = durable_clock_now();
	Datum		values[3] = {
		TimestampTzGetDatum(now),
		Int64GetDatum(DOCTOR_COUNT_LIMIT + 1),
		PointerGetDatum(running_tasks())
	};
	StringInfoData detail;
	TimestampTz oldest;
	TimestampTz next;
	int64		late = 0;
	bool		nothing;
	bool		never;
	bool		ok;

	durable_sql_run(&due_work, values, NULL, true, 0);
	oldest = durable_sql_timestamptz(0, 4, &nothing);
	next = durable_sql_timestamptz(0, 5, &never);
	if (!nothing)
		late = Max(0, (now - oldest) / USECS_PER_SEC);

	initStringInfo(&detail);
	appendStringInfo(&detail, "%s, %s and %s due",
					 durable_doctor_count(durable_sql_int8(0, 1), "message", "messages"),
					 durable_doctor_count(durable_sql_int8(0, 2), "timer", "timers"),
					 durable_doctor_count(durable_sql_int8(0, 3), "activity", "activities"));
	if (!nothing)
		appendStringInfo(&detail, ", the oldest for " INT64_FORMAT " s", late);
	if (!never && !TIMESTAMP_NOT_FINITE(next))
		appendStringInfo(&detail, "; the next timer in " INT64_FORMAT " s", (next - now) / USECS_PER_SEC);
	SPI_freetuptable(SPI_tuptable);

	/* A standby that lags behind does not know yet which work has been done. */
	ok = nothing || (durable_doctor_known_until() - oldest) / USECS_PER_SEC < LATE_SECONDS;
	durable_doctor_say(doctor, "queue", ok, detail.data,
					   RecoveryInProgress() ?
					   "According to this standby, work is overdue: no primary runs the workflows, or they are held there. "
					   "SELECT check_name, detail, hint FROM durable.doctor() WHERE NOT ok; on the primary shows the reason. If there is no primary, SELECT pg_promote(); allows this server to run them." :
					   "Work is overdue. The other checks may show the reason; SELECT * FROM durable.workers; shows the busy workers.");
}

/* Finds instances whose activity runs in a transaction of its own: their rows look due, but are being processed. */
static ArrayType *
running_tasks(void)
{
	Datum		keys[DURABLE_MAX_SLOTS];
	int			nkeys = 0;

	for (int i = 0; durable_shmem_available() && i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlotInfo slot;

		if (durable_slot_info(i, &slot) && slot.database == MyDatabaseId && slot.task_key != 0)
			keys[nkeys++] = Int64GetDatum(slot.task_key);
	}
	return construct_array(keys, nkeys, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/* --- waits for changes of tables ---------------------------------------------------------- */

/*
 * Changes are seen in the counts that PostgreSQL keeps for its statistics (watch.c).  A
 * superuser can switch them off for some sessions, or for all.
 */
static void
check_watched(Doctor *doctor)
{
	static DurableSql watching = {
		.text = "SELECT (SELECT count(*) FROM (SELECT FROM durable.task_queue WHERE watched IS NOT NULL LIMIT $1) w), "
		"(SELECT string_agg(concat_ws(' ', 'ALTER', CASE WHEN s.setrole <> 0 THEN 'ROLE ' || CASE WHEN r.rolname IS NULL THEN s.setrole::text ELSE quote_ident(r.rolname) END END,"
		" CASE WHEN s.setrole <> 0 AND s.setdatabase <> 0 THEN 'IN' END, CASE WHEN s.setdatabase <> 0 THEN 'DATABASE ' || quote_ident(current_database()) END,"
		" 'RESET track_counts;'), ' ')"
		" FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c"
		" WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
		" AND c ~ '^track_counts=' AND NOT split_part(c, '=', 2)::boolean), "
		"current_setting('track_counts')::boolean",
		.nargs = 1,
		.argtypes = {INT8OID}
	};
	Datum		values[1] = {Int64GetDatum(DOCTOR_COUNT_LIMIT + 1)};
	int64		n;
	char	   *resets;
	bool		isnull;
	bool		counts;
	StringInfoData hint;

	durable_sql_run(&watching, values, NULL, true, 0);
	n = durable_sql_int8(0, 1);
	resets = durable_sql_text(0, 2);
	counts = DatumGetBool(durable_sql_datum(0, 3, &isnull));
	SPI_freetuptable(SPI_tuptable);
	initStringInfo(&hint);
	if (!counts && resets == NULL)
		appendStringInfoString(&hint, "ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();");
	if (resets != NULL)
		appendStringInfoString(&hint, resets);
	durable_doctor_say(doctor, "watched", n == 0 || (counts && resets == NULL),
					   n == 0 ? "no orchestration waits for changes of a table" :
					   counts && resets == NULL ?
					   psprintf("%s for changes of tables", durable_doctor_count(n, "orchestration waits", "orchestrations wait")) :
					   psprintf("%s for changes of tables, but track_counts is off, so changes are found only after the recheck interval of the wait",
								durable_doctor_count(n, "orchestration waits", "orchestrations wait")),
					   hint.data);
}

/* --- compensations that have failed -------------------------------------------------------- */

static void
check_compensations(Doctor *doctor)
{
	static DurableSql failed = {
		.text = "SELECT coalesce((SELECT sum(t.n)::int8 FROM durable.tally t WHERE t.name = 'durable.run_compensations'"
		" AND t.status = 'F' AND " DOCTOR_VISIBLE("t.owner") "), 0)",
		.nargs = 2,
		.argtypes = {BOOLOID, OIDOID}
	};
	static DurableSql one = {
		.text = "SELECT i.instance_id, i.failure ->> 'message' FROM"
		" (SELECT DISTINCT t.owner FROM durable.tally t WHERE t.name = 'durable.run_compensations' AND t.status = 'F') o,"
		" LATERAL (SELECT f.key, f.owner, f.status FROM durable.finished f WHERE f.owner = o.owner AND f.name = 'durable.run_compensations'"
		"  ORDER BY f.completed_at DESC LIMIT $3) f, durable.instance i"
		" WHERE f.status = 'F' AND i.key = f.key AND i.status = 'F' AND " DOCTOR_VISIBLE("f.owner") " LIMIT 1",
		.nargs = 3,
		.argtypes = {BOOLOID, OIDOID, INT8OID}
	};
	Datum		values[3] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		Int64GetDatum(DOCTOR_COUNT_LIMIT)
	};
	int64		n;
	StringInfoData detail;
	char	   *id = NULL;

	durable_sql_run(&failed, values, NULL, true, 0);
	n = durable_sql_int8(0, 1);
	SPI_freetuptable(SPI_tuptable);
	initStringInfo(&detail);
	if (n <= 0)
		appendStringInfoString(&detail, "no compensation has failed");
	else
	{
		appendStringInfo(&detail, "%s not undone completely", durable_doctor_count(n, "instance is", "instances are"));
		if (durable_sql_run(&one, values, NULL, true, 0) > 0)
		{
			id = durable_sql_text(0, 1);
			appendStringInfo(&detail, "; instance \"%s\" has failed: %s", id, durable_sql_text(0, 2));
		}
		SPI_freetuptable(SPI_tuptable);
	}
	durable_doctor_say(doctor, "compensations", n <= 0, detail.data,
					   id == NULL ? "SELECT instance_id, failure FROM durable.query(name => 'durable.run_compensations', statuses => '{Failed}'); shows them." :
					   psprintf("Correct the cause. SELECT durable.rewind(%s); then continues with the compensation that has failed. "
								"SELECT durable.rewind_all('durable.run_compensations'); does so for all.", quote_literal_cstr(id)));
}

/* --- failures ---------------------------------------------------------------------------- */

/*
 * An instance that fails by the logic of its own code, such as RAISE EXCEPTION, has worked
 * as intended.  These failures are shown, and the check stays ok: otherwise it would never
 * be ok where some orders are refused every hour.  An error of class 42 (a missing name,
 * type or privilege) or XX is a fault of the code or the deployment.  When that has been
 * corrected, a rewind continues the instances.
 */
#define IS_FAULT_OF_CODE	"(i.failure ->> 'sqlstate') ~ '^(42|XX)'"

static void
check_failed(Doctor *doctor)
{
	static DurableSql failures = {
		.text = "WITH RECURSIVE o (owner) AS ("
		" (SELECT owner FROM durable.finished WHERE status = 'F' ORDER BY owner, completed_at LIMIT 1)"
		" UNION ALL SELECT n.owner FROM o, LATERAL (SELECT f.owner FROM durable.finished f"
		"  WHERE f.owner > o.owner AND f.status = 'F' ORDER BY f.owner, f.completed_at LIMIT 1) n), "
		"failed AS (SELECT f.key, f.name, f.completed_at FROM o, LATERAL (SELECT f.key, f.name, f.completed_at FROM durable.finished f"
		"  WHERE f.owner = o.owner AND f.status = 'F' AND f.completed_at > $3 - interval '1 day'"
		"  ORDER BY f.completed_at DESC LIMIT $4) f WHERE " DOCTOR_VISIBLE("o.owner") " LIMIT $4 * 10) "
		"SELECT f.name, coalesce(i.failure ->> 'sqlstate', 'no SQLSTATE'),"
		" count(*) FILTER (WHERE f.completed_at > $3 - interval '1 hour'), count(*),"
		" coalesce(bool_or(f.completed_at > $3 - interval '1 hour' AND " IS_FAULT_OF_CODE "), false)"
		" FROM failed f LEFT JOIN durable.instance i ON i.key = f.key GROUP BY 1, 2 ORDER BY 3 DESC, 4 DESC, 1, 2",
		.nargs = 4,
		.argtypes = {BOOLOID, OIDOID, TIMESTAMPTZOID, INT8OID}
	};
	Datum		values[4] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		TimestampTzGetDatum(durable_clock_now()),
		Int64GetDatum(FAILURES_COUNTED)
	};
	uint64		nrows = durable_sql_run(&failures, values, NULL, true, 0);
	bool		ok = true;
	int64		all = 0;
	StringInfoData detail;

	initStringInfo(&detail);
	for (uint64 i = 0; i < nrows; i++)
	{
		bool		isnull;

		if (DatumGetBool(durable_sql_datum(i, 5, &isnull)))
			ok = false;
		all += durable_sql_int8(i, 4);
		if (i < DOCTOR_LISTED)
			appendStringInfo(&detail, "%s%s of %s with %s in the last hour, " INT64_FORMAT " in the last day",
							 detail.len > 0 ? "; " : "",
							 durable_doctor_count_exactly(durable_sql_int8(i, 3), "instance", "instances"),
							 durable_sql_text(i, 1), durable_sql_text(i, 2), durable_sql_int8(i, 4));
	}
	if (nrows > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and others of %d kinds", (int) (nrows - DOCTOR_LISTED));
	if (all >= FAILURES_COUNTED)
		appendStringInfo(&detail, "; only the latest %d of each role were counted", FAILURES_COUNTED);
	SPI_freetuptable(SPI_tuptable);

	durable_doctor_say(doctor, "failed", ok,
					   detail.len == 0 ? "no instance has failed within a day" : detail.data,
					   "SELECT instance_id, name, failure FROM durable.instances WHERE runtime_status = 'Failed' ORDER BY completed_time DESC LIMIT 10; shows the causes. "
					   "An instance remains Failed after the cause is corrected: SELECT durable.rewind(instance_id); continues one instance, and SELECT durable.rewind_all(name, failed_since => now() - interval '1 hour'); continues all failed instances of an orchestration.");
}
