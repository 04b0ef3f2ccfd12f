/*-------------------------------------------------------------------------
 *
 * queue_api.c
 *		durable.register_queue, unregister_queue, pause_queue, unpause_queue, grant_queue,
 *		revoke_queue.
 *
 * Names of queues are unique in the database.  A queue belongs to the role that has
 * registered it, or whose registration of an activity was the first to name it.  A role
 * that works for a queue reads inputs and writes results of the activities in it.
 * Therefore another role may register activities with this queue only if it has the
 * privileges of the queue's owner, or if that owner is a superuser or the owner of the
 * extension.
 *
 * Owns:	durable.queue, with queue_table.c; durable.queue_grant
 * Called by: clients; registration_api.c, start_api.c, entity_api.c, work_*.c
 * Locks:	the queue's row, until the caller's transaction ends; registrations that name the queue
 *			have it FOR KEY SHARE
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "client.h"
#include "queue_api.h"
#include "retry.h"
#include "sql.h"
#include "wakeup.h"

/* The period of a rate is divided into parts of at least this many microseconds. */
#define SHORTEST_PERIOD_US	(QUEUE_PARTS * 1000)
#define LONGEST_PERIOD_US	(366 * USECS_PER_DAY)

/* Both leave is_paused null; a trigger sets it, and treats a row with a value as that of a dump. */
static DurableSql insert_queue = {
	.text = "INSERT INTO durable.queue (name, owner) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql upsert_queue = {
	.text = "INSERT INTO durable.queue AS q (name, owner, concurrency, rate, per, key_concurrency, description) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET "
	"concurrency = excluded.concurrency, rate = excluded.rate, per = excluded.per, "
	"key_concurrency = excluded.key_concurrency, description = excluded.description, "
	"starts = CASE WHEN q.per = excluded.per THEN q.starts END "
	"WHERE pg_catalog.pg_has_role($2::oid, q.owner::oid, 'USAGE') RETURNING name",
	.nargs = 7,
	.argtypes = {TEXTOID, REGROLEOID, INT4OID, INT4OID, INTERVALOID, INT4OID, TEXTOID}
};

static DurableSql users_of_queue = {
	.text = "SELECT (SELECT count(*) FROM durable.activity WHERE queue = $1) + "
	"(SELECT count(*) FROM durable.orchestration WHERE queue = $1) + "
	"(SELECT count(*) FROM durable.entity_type WHERE queue = $1), "
	"(SELECT count(*) FROM durable.queued_task WHERE queue = $1 AND state = 'r') + "
	"(SELECT count(*) FROM durable.queued_task WHERE queue = $1 AND state = 'd') + "
	"(SELECT count(*) FROM durable.queued_task WHERE queue = $1 AND state = 'l')",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static DurableSql keep_queue = {
	.text = "SELECT FROM durable.queue WHERE name = $1 AND owner = $2 FOR KEY SHARE",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql delete_queue = {
	.text = "DELETE FROM durable.queue WHERE name = $1 AND owner = $2",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql delete_grants = {
	.text = "DELETE FROM durable.queue_grant WHERE queue = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

/* Without a value for is_paused it only writes the row, and so locks it. */
static DurableSql change_queue = {
	.text = "UPDATE durable.queue SET is_paused = coalesce($3, is_paused) WHERE name = $1 AND owner = $2",
	.nargs = 3,
	.argtypes = {TEXTOID, REGROLEOID, BOOLOID}
};

static DurableSql insert_grant = {
	.text = "INSERT INTO durable.queue_grant (queue, role) VALUES ($1, $2) ON CONFLICT DO NOTHING",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql delete_grant = {
	.text = "DELETE FROM durable.queue_grant WHERE queue = $1 AND role = $2",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql grantees = {
	.text = "SELECT role FROM durable.queue_grant WHERE queue = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static int64 run(DurableSql *sql, Datum *values, const char *nulls);
pg_noreturn_compat static void no_queue(const char *name);
static void require_owner(const char *name, QueueRow *queue);
static void change(const char *name, const bool *paused);
static void change_paused(FunctionCallInfo fcinfo, bool paused);
static void check_limit(FunctionCallInfo fcinfo, int argno, const char *what);
static void check_period(FunctionCallInfo fcinfo, int argno);
static Oid	role_argument(FunctionCallInfo fcinfo, int argno);
static void grant_functions(Oid role);

PG_FUNCTION_INFO_V1(durable_register_queue);
PG_FUNCTION_INFO_V1(durable_unregister_queue);
PG_FUNCTION_INFO_V1(durable_pause_queue);
PG_FUNCTION_INFO_V1(durable_unpause_queue);
PG_FUNCTION_INFO_V1(durable_grant_queue);
PG_FUNCTION_INFO_V1(durable_revoke_queue);

/* --- privileges ------------------------------------------------------------------------------ */

void
durable_queue_require_or_make(const char *name, bool keeps)
{
	Oid			owner = InvalidOid;

	do
	{
		Datum		values[2] = {CStringGetTextDatum(name), ObjectIdGetDatum(GetUserId())};
		QueueRow	queue;

		CHECK_FOR_INTERRUPTS();
		if (!durable_queue_read(name, &queue))
		{
			/* Waits for a transaction that is making or removing the queue. */
			run(&insert_queue, values, NULL);
			if (!durable_queue_read(name, &queue))
				continue;
		}
		owner = queue.owner;
		values[1] = ObjectIdGetDatum(owner);
		if (keeps && run(&keep_queue, values, NULL) == 0)
			owner = InvalidOid; /* it was removed after it had been read */
	} while (!OidIsValid(owner));

	/* A superuser has the privileges of every role, so it is not protected by them from a role that took the name first. */
	if (owner == GetUserId() || superuser_arg(owner) ||
		owner == durable_extension_owner() ||
		(!superuser() && durable_client_may_act_for(owner)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("queue \"%s\" belongs to another role", name),
			 errdetail("Workers of that role would read inputs and write results of the activity."),
			 errhint("Use another name, or let a role of which both are members register the queue.")));
}

bool
durable_queue_require_work(const char *name)
{
	Datum		values[1] = {CStringGetTextDatum(name)};
	QueueRow	queue;
	bool		allowed;
	int64		nrows;

	if (!durable_queue_read(name, &queue))
		no_queue(name);
	allowed = durable_client_may_act_for(queue.owner);
	if (allowed)
		return durable_queue_is_limited(&queue);
	durable_sql_connect();
	nrows = durable_sql_run(&grantees, values, NULL, false, 0);
	for (int64 i = 0; i < nrows && !allowed; i++)
		allowed = durable_client_may_act_for(durable_sql_oid(i, 1));
	durable_sql_finish();
	if (!allowed)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for queue \"%s\"", durable_client_shown(name)),
				 errhint("Its owner can use durable.grant_queue().")));
	return durable_queue_is_limited(&queue);
}

static void
require_owner(const char *name, QueueRow *queue)
{
	if (!durable_queue_read(name, queue))
		no_queue(name);
	if (!durable_client_may_act_for(queue->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must have the privileges of the owner of queue \"%s\"", durable_client_shown(name))));
}

static void
no_queue(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("queue \"%s\" does not exist", durable_client_shown(name)),
			 errhint("Use durable.register_queue(), or register an activity with that queue.")));
}

/* --- queues ------------------------------------------------------------------------------- */

/* register_queue(name, concurrency, rate, per, key_concurrency, description) */
Datum
durable_register_queue(PG_FUNCTION_ARGS)
{
	char	   *name;
	Datum		values[7];
	char		nulls[] = "       ";
	QueueRow	queue;

	durable_client_enter("register_queue", "Call it from an activity.");
	name = durable_client_name(fcinfo, 0, "queue name");
	check_limit(fcinfo, 1, "concurrency");
	check_limit(fcinfo, 2, "rate");
	check_period(fcinfo, 3);
	check_limit(fcinfo, 4, "key_concurrency");
	if (durable_queue_read(name, &queue))
		require_owner(name, &queue);

	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(GetUserId());
	for (int i = 1; i < 6; i++)
	{
		values[i + 1] = PG_GETARG_DATUM(i);
		nulls[i + 1] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	if (run(&upsert_queue, values, nulls) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("queue \"%s\" belongs to another role", name),
				 errdetail("Another session has registered it at the same time."),
				 errhint("Use another name.")));
	durable_queue_wake(name);
	durable_wakeup_engine();
	PG_RETURN_VOID();
}

static void
check_limit(FunctionCallInfo fcinfo, int argno, const char *what)
{
	if (!PG_ARGISNULL(argno) && PG_GETARG_INT32(argno) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s of a queue must be at least 1", what),
				 errhint("Use NULL for no limit, or durable.pause_queue().")));
}

static void
check_period(FunctionCallInfo fcinfo, int argno)
{
	int64		us;

	if (PG_ARGISNULL(argno))
		return;
	us = durable_retry_interval_us(PG_GETARG_INTERVAL_P(argno));
	if (us < SHORTEST_PERIOD_US || us > LONGEST_PERIOD_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("per of a queue must be between %d ms and a year", SHORTEST_PERIOD_US / 1000)));
}

Datum
durable_unregister_queue(PG_FUNCTION_ARGS)
{
	char	   *name;
	Datum		values[2];
	QueueRow	queue;
	int64		registrations;
	int64		tasks;

	durable_client_enter("unregister_queue", "Call it from an activity.");
	name = durable_client_name(fcinfo, 0, "queue name");
	values[0] = CStringGetTextDatum(name);

	/*
	 * The row is deleted first.  That waits for transactions that register an activity for the
	 * queue or grant it to a role, so the statements after it see all registrations and grants.
	 */
	do
	{
		CHECK_FOR_INTERRUPTS();
		require_owner(name, &queue);
		values[1] = ObjectIdGetDatum(queue.owner);
	} while (run(&delete_queue, values, NULL) == 0);
	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	durable_sql_run(&users_of_queue, values, NULL, true, 0);
	registrations = durable_sql_int8(0, 1);
	tasks = durable_sql_int8(0, 2);
	PopActiveSnapshot();
	durable_sql_finish();
	if (registrations > 0 || tasks > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("queue \"%s\" is in use", name),
				 errdetail("Registrations that name it: " INT64_FORMAT ", tasks in it: " INT64_FORMAT ".", registrations, tasks)));
	run(&delete_grants, values, NULL);
	PG_RETURN_VOID();
}

Datum
durable_pause_queue(PG_FUNCTION_ARGS)
{
	durable_client_enter("pause_queue", "Call it from an activity.");
	change_paused(fcinfo, true);
	PG_RETURN_VOID();
}

Datum
durable_unpause_queue(PG_FUNCTION_ARGS)
{
	durable_client_enter("unpause_queue", "Call it from an activity.");
	change_paused(fcinfo, false);
	PG_RETURN_VOID();
}

static void
change_paused(FunctionCallInfo fcinfo, bool paused)
{
	char	   *name = durable_client_name(fcinfo, 0, "queue name");

	change(name, &paused);
	if (!paused)
	{
		durable_queue_wake(name);
		durable_wakeup_engine();
	}
}

/*
 * Raises an error unless the queue belongs to a role whose privileges the current user has.
 * Writes its row, even if paused is NULL: until this transaction ends, no other transaction
 * can remove the queue, after which another role could take its name.
 */
static void
change(const char *name, const bool *paused)
{
	Datum		values[3] = {CStringGetTextDatum(name)};
	QueueRow	queue;

	if (paused != NULL)
		values[2] = BoolGetDatum(*paused);
	do
	{
		CHECK_FOR_INTERRUPTS();
		require_owner(name, &queue);
		values[1] = ObjectIdGetDatum(queue.owner);
	} while (run(&change_queue, values, paused ? NULL : "  n") == 0);
}

/* --- grants ------------------------------------------------------------------------------- */

Datum
durable_grant_queue(PG_FUNCTION_ARGS)
{
	char	   *name;
	Datum		values[2];

	durable_client_enter("grant_queue", "Call it from an activity.");
	name = durable_client_name(fcinfo, 0, "queue name");
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(role_argument(fcinfo, 1));
	change(name, NULL);
	run(&insert_grant, values, NULL);
	grant_functions(DatumGetObjectId(values[1]));
	PG_RETURN_VOID();
}

/* Does not revoke the privilege to call the functions, which have no effect without a queue. */
Datum
durable_revoke_queue(PG_FUNCTION_ARGS)
{
	char	   *name;
	Datum		values[2];

	durable_client_enter("revoke_queue", "Call it from an activity.");
	name = durable_client_name(fcinfo, 0, "queue name");
	values[0] = CStringGetTextDatum(name);
	values[1] = ObjectIdGetDatum(role_argument(fcinfo, 1));
	change(name, NULL);
	run(&delete_grant, values, NULL);
	PG_RETURN_VOID();
}

static Oid
role_argument(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("role must not be null")));
	/* Raises an error when the role does not exist. */
	(void) GetUserNameFromId(PG_GETARG_OID(argno), false);
	return PG_GETARG_OID(argno);
}

/* Grants the schema and a worker's functions, unless the role has these privileges already. */
static void
grant_functions(Oid role)
{
	DurableRole saved;
	const char *name = quote_identifier(GetUserNameFromId(role, false));
	uint64		nrows;
	List	   *commands = NIL;
	ListCell   *cell;
	Oid			types[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(role)};
	MemoryContext context = CurrentMemoryContext;

	durable_sql_connect();
	durable_role_enter(&saved);
	if (SPI_execute_with_args("SELECT format('GRANT EXECUTE ON ROUTINE %s TO ', f) FROM durable.worker_functions() f "
							  "WHERE NOT has_function_privilege($1, f, 'EXECUTE') "
							  "UNION ALL SELECT 'GRANT USAGE ON SCHEMA durable TO ' "
							  "WHERE NOT has_schema_privilege($1, 'durable', 'USAGE')",
							  1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not find the functions of workers");
	nrows = SPI_processed;
	for (uint64 i = 0; i < nrows; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		commands = lappend(commands, psprintf("%s%s", durable_sql_text(i, 1), name));
		MemoryContextSwitchTo(spi);
	}
	foreach(cell, commands)
		if (SPI_execute(lfirst(cell), false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not run \"%s\"", (char *) lfirst(cell));
	durable_role_leave(&saved);
	durable_sql_finish();
}

static int64
run(DurableSql *sql, Datum *values, const char *nulls)
{
	int64		n;

	durable_sql_connect();
	n = durable_sql_run(sql, values, nulls, false, 0);
	durable_sql_finish();
	return n;
}
