/*
 * registration_api.c
 *		durable.register_orchestration(), register_activity(), register_entity(), and the
 *		functions that remove registrations.
 *
 * A registration gives a function a name and options.  It belongs to the role that made
 * it, and a further registration of the same name replaces it.  An orchestration may have
 * several versions, each with a registration of its own.  The newest version is the one
 * whose first registration is the latest.  registry.c, which reads registrations, decides
 * to which other roles a registration applies.
 *
 * Owns:		writing of durable.orchestration and durable.activity
 * Called by:	SQL
 * Locks:		the row of the registration, until the end of the transaction
 * Memory:		the caller's
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "activity.h"
#include "arguments.h"
#include "client.h"
#include "clock.h"
#include "durable.h"
#include "entity_code.h"
#include "entity_id.h"
#include "entity_table.h"
#include "fmgr.h"
#include "handler.h"
#include "miscadmin.h"
#include "queue_api.h"
#include "registry.h"
#include "retry.h"
#include "sql.h"
#include "suggest.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* The longest time for which ended instances are kept, unless they are never deleted. */
#define LONGEST_RETENTION_YEARS	1000
#define LONGEST_RETENTION_US	(LONGEST_RETENTION_YEARS * 366 * USECS_PER_DAY)

static Handler *handler_argument(FunctionCallInfo fcinfo, const char *kind);
static void check_handler_is_given(FunctionCallInfo fcinfo, const char *name, bool is_external);
static char *queue_argument(FunctionCallInfo fcinfo, const char *name, const char *execution);
static char *external_queue_argument(FunctionCallInfo fcinfo, int argno, const char *kind, const char *name,
									 const char *example);
static void check_execution(const char *word);
static void check_retention(FunctionCallInfo fcinfo, int argno);
static Datum text_or_null(const char *value, char *null);
static void run(DurableSql *sql, Datum *values, const char *nulls);
static void unregister(FunctionCallInfo fcinfo, const char *kind, const char *version, DurableSql *sql);
pg_noreturn_compat static void not_registered(const char *name, const char *kind, const char *version);

#define OWNER_IS_GONE	"NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles AS r WHERE r.oid = owner)"

static DurableSql upsert_orchestration = {
	.text = "INSERT INTO durable.orchestration AS o (owner, name, handler, version, retention, description, queue, registered_at) "
	"SELECT $1, $2, $3, $4, $5, $6, $7, coalesce(pg_catalog.max(registered_at) FILTER (WHERE version = $4), "
	"greatest(clock_timestamp(), pg_catalog.max(registered_at) + '1 microsecond')) "
	"FROM durable.orchestration WHERE name = $2 AND owner = $1 "
	"ON CONFLICT (name, owner, version) DO UPDATE SET handler = excluded.handler, "
	"retention = excluded.retention, description = excluded.description, queue = excluded.queue",
	.nargs = 7,
	.argtypes = {REGROLEOID, TEXTOID, TEXTOID, TEXTOID, INTERVALOID, TEXTOID, TEXTOID}
};
static DurableSql upsert_activity = {
	.text = "INSERT INTO durable.activity AS a (owner, name, handler, execution, retry, timeout, description, queue, priority, share) "
	"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
	"ON CONFLICT (name, owner) DO UPDATE SET handler = excluded.handler, execution = excluded.execution, "
	"retry = excluded.retry, timeout = excluded.timeout, description = excluded.description, "
	"queue = excluded.queue, priority = excluded.priority, share = excluded.share",
	.nargs = 10,
	.argtypes = {REGROLEOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INTERVALOID, TEXTOID, TEXTOID, INT4OID, TEXTOID}
};
static DurableSql delete_orchestration = {
	.text = "DELETE FROM durable.orchestration WHERE name = $2 AND (owner = $1 OR $3 AND " OWNER_IS_GONE ")"
	" AND (version = $4 OR $4 IS NULL)",
	.nargs = 4,
	.argtypes = {REGROLEOID, TEXTOID, BOOLOID, TEXTOID}
};
static DurableSql delete_activity = {
	.text = "DELETE FROM durable.activity WHERE name = $2 AND (owner = $1 OR $3 AND " OWNER_IS_GONE ")",
	.nargs = 3,
	.argtypes = {REGROLEOID, TEXTOID, BOOLOID}
};

static DurableSql upsert_entity = {
	.text = "INSERT INTO durable.entity_type AS e (owner, name, handler, description, queue) VALUES ($1, $2, $3, $4, $5) "
	"ON CONFLICT (name, owner) DO UPDATE SET handler = excluded.handler, description = excluded.description, "
	"queue = excluded.queue",
	.nargs = 5,
	.argtypes = {REGROLEOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};
static DurableSql delete_entity = {
	.text = "DELETE FROM durable.entity_type WHERE name = lower($2 COLLATE \"C\") AND (owner = $1 OR $3 AND " OWNER_IS_GONE ")",
	.nargs = 3,
	.argtypes = {REGROLEOID, TEXTOID, BOOLOID}
};

/* register_orchestration(name, handler, version, retention, description, execution, queue) */
PG_FUNCTION_INFO_V1(durable_register_orchestration);

Datum
durable_register_orchestration(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *version;
	char	   *queue;
	Datum		values[7];
	char		nulls[] = "       ";

	durable_require_arguments(fcinfo, 7);
	durable_client_enter("register_orchestration", "Register the orchestration before you start it.");

	name = durable_client_name(fcinfo, 0, "orchestration name");
	queue = external_queue_argument(fcinfo, 5, "orchestration", name, "app.hello(jsonb)");
	version = durable_client_text(fcinfo, 2);
	if (version != NULL)
		durable_client_check_name(version, "orchestration version");
	check_retention(fcinfo, 3);

	values[0] = ObjectIdGetDatum(GetUserId());
	values[1] = CStringGetTextDatum(name);
	values[2] = text_or_null(queue ? NULL : handler_argument(fcinfo, "orchestration")->signature, &nulls[2]);
	values[3] = CStringGetTextDatum(version ? version : "");
	values[4] = PG_GETARG_DATUM(3);
	nulls[4] = PG_ARGISNULL(3) ? 'n' : ' ';
	values[5] = PG_GETARG_DATUM(4);
	nulls[5] = PG_ARGISNULL(4) ? 'n' : ' ';
	values[6] = text_or_null(queue, &nulls[6]);
	run(&upsert_orchestration, values, nulls);

	PG_RETURN_VOID();
}

/* register_activity(name, handler, execution, retry, timeout, description, queue, priority, key) */
PG_FUNCTION_INFO_V1(durable_register_activity);

Datum
durable_register_activity(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *execution;
	char	   *queue;
	char	   *share;
	bool		is_external;
	Datum		values[10];
	char		nulls[] = "          ";

	durable_require_arguments(fcinfo, 9);
	durable_client_enter("register_activity", "Register the activity before you start the orchestration.");

	name = durable_client_name(fcinfo, 0, "activity name");
	execution = durable_client_text(fcinfo, 2);
	if (execution == NULL)
		execution = "auto";
	check_execution(execution);
	is_external = strcmp(execution, "external") == 0;
	check_handler_is_given(fcinfo, name, is_external);
	queue = queue_argument(fcinfo, name, execution);
	share = durable_client_text(fcinfo, 8);
	if (share != NULL)
		durable_client_check_name(share, "activity key");
	if (!PG_ARGISNULL(3))
	{
		RetryPolicy policy;

		durable_retry_parse(PG_GETARG_JSONB_P(3), &policy);
	}
	if (!PG_ARGISNULL(4))
		(void) durable_activity_timeout_us(PG_GETARG_INTERVAL_P(4));

	values[0] = ObjectIdGetDatum(GetUserId());
	values[1] = CStringGetTextDatum(name);
	values[2] = text_or_null(is_external ? NULL : handler_argument(fcinfo, "activity")->signature, &nulls[2]);
	values[3] = CStringGetTextDatum(execution);
	for (int i = 4; i < 7; i++)
	{
		values[i] = PG_GETARG_DATUM(i - 1);
		nulls[i] = PG_ARGISNULL(i - 1) ? 'n' : ' ';
	}
	values[7] = text_or_null(queue, &nulls[7]);
	values[8] = Int32GetDatum(PG_ARGISNULL(7) ? 0 : PG_GETARG_INT32(7));
	values[9] = text_or_null(share, &nulls[9]);
	run(&upsert_activity, values, nulls);

	PG_RETURN_VOID();
}

/* register_entity(name, handler, description, execution, queue) */
PG_FUNCTION_INFO_V1(durable_register_entity);

Datum
durable_register_entity(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *queue;
	Handler    *handler = NULL;
	Datum		values[5];
	char		nulls[] = "     ";

	durable_require_arguments(fcinfo, 5);
	durable_client_enter("register_entity", "Register the entity before you start the orchestration.");

	name = durable_client_name(fcinfo, 0, "entity name");
	name = durable_entity_name(durable_entity_id(name, "key"));
	queue = external_queue_argument(fcinfo, 3, "entity", name, "app.counter(jsonb,text,jsonb)");
	if (queue == NULL)
	{
		handler = handler_argument(fcinfo, "entity");
		durable_entity_code_check(handler);
	}

	values[0] = ObjectIdGetDatum(GetUserId());
	values[1] = CStringGetTextDatum(name);
	values[2] = text_or_null(queue ? NULL : handler->signature, &nulls[2]);
	values[3] = PG_GETARG_DATUM(2);
	nulls[3] = PG_ARGISNULL(2) ? 'n' : ' ';
	values[4] = text_or_null(queue, &nulls[4]);
	run(&upsert_entity, values, nulls);
	durable_entity_recheck(name, durable_clock_now());

	PG_RETURN_VOID();
}

/* unregister_entity(name) */
PG_FUNCTION_INFO_V1(durable_unregister_entity);

Datum
durable_unregister_entity(PG_FUNCTION_ARGS)
{
	durable_client_enter("unregister_entity", "Call it from an activity.");
	unregister(fcinfo, "entity", NULL, &delete_entity);
	PG_RETURN_VOID();
}

/* unregister_orchestration(name, version): '' is the registration without a version, NULL all */
PG_FUNCTION_INFO_V1(durable_unregister_orchestration);

Datum
durable_unregister_orchestration(PG_FUNCTION_ARGS)
{
	durable_require_arguments(fcinfo, 2);
	durable_client_enter("unregister_orchestration", "Call it from an activity.");
	unregister(fcinfo, "orchestration", durable_client_text(fcinfo, 1), &delete_orchestration);
	PG_RETURN_VOID();
}

/* unregister_activity(name) */
PG_FUNCTION_INFO_V1(durable_unregister_activity);

Datum
durable_unregister_activity(PG_FUNCTION_ARGS)
{
	durable_client_enter("unregister_activity", "Call it from an activity.");
	unregister(fcinfo, "activity", NULL, &delete_activity);
	PG_RETURN_VOID();
}

static void
unregister(FunctionCallInfo fcinfo, const char *kind, const char *version, DurableSql *sql)
{
	char	   *name = durable_client_name(fcinfo, 0, psprintf("%s name", kind));
	Datum		values[4];
	char		nulls[] = "    ";
	uint64		deleted;

	values[0] = ObjectIdGetDatum(GetUserId());
	values[1] = CStringGetTextDatum(name);
	/* A dropped role cannot remove its registrations, so a superuser and the extension's owner can. */
	values[2] = BoolGetDatum(superuser() || GetUserId() == durable_extension_owner());
	values[3] = text_or_null(version, &nulls[3]);
	durable_sql_connect();
	deleted = durable_sql_run(sql, values, nulls, false, 0);
	durable_sql_finish();
	if (deleted == 0)
		not_registered(name, kind, version);

	durable_registry_changed();
}

static void
not_registered(const char *name, const char *kind, const char *version)
{
	const char *like;

	durable_registry_load(false);
	if (version != NULL)
	{
		const Registration *newest = durable_registry_orchestration(name, GetUserId());

		if (newest != NULL && newest->owner == GetUserId())
			durable_handler_no_version(newest->name, newest, version);
	}
	like = durable_suggest(name, durable_registry_names(kind, GetUserId()));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s \"%s\" is not registered by role \"%s\"", kind, name,
					GetUserNameFromId(GetUserId(), false)),
			 errdetail("Only the role that made a registration can remove it."),
			 like && strcmp(like, name) != 0 ? errhint("Did you mean \"%s\"?", like) : 0));
}

/* --- arguments --------------------------------------------------------------------------------------------------------------- */

static Handler *
handler_argument(FunctionCallInfo fcinfo, const char *kind)
{
	Handler    *handler = durable_handler_from_oid(PG_GETARG_OID(1), kind);

	durable_handler_check_privilege(handler);
	return handler;
}

static void
check_execution(const char *word)
{
	ActivityExecution execution;

	if (!durable_registry_execution(word, &execution))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"execution\": \"%s\"", durable_client_shown(word)),
				 errhint("Valid values are \"auto\" (the engine measures how long the activity takes), \"inline\" (in the transaction of the turn), \"task\" (in its own transaction), and \"external\" (by a worker outside of the database).")));
}

/* An external activity must not have a function, and every other activity must have one. */
static void
check_handler_is_given(FunctionCallInfo fcinfo, const char *name, bool is_external)
{
	if (is_external && !PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("external activity \"%s\" must not have a handler", name),
				 errdetail("A worker outside of the database runs it."),
				 errhint("Omit the handler, or use execution \"task\" for a function.")));
	if (!is_external && PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("activity \"%s\" needs a handler", name),
				 errhint("Specify a function with its argument types, for example 'app.send_mail(jsonb)', or use execution => 'external' with a queue.")));
}

/* Returns the queue of an activity, or NULL.  A queue that does not exist yet is created, without limits. */
static char *
queue_argument(FunctionCallInfo fcinfo, const char *name, const char *execution)
{
	char	   *queue = durable_client_text(fcinfo, 6);

	if (queue == NULL && strcmp(execution, "external") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("external activity \"%s\" needs a queue", name),
				 errhint("Workers fetch from a queue by its name, as in queue => 'mail'.")));
	if (queue == NULL)
		return NULL;
	durable_client_check_name(queue, "queue name");
	if (strcmp(execution, "inline") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("inline activity \"%s\" must not have a queue", name),
				 errdetail("It runs at once, in the transaction of the turn."),
				 errhint("Use execution \"task\".")));
	durable_queue_require_or_make(queue, true);
	return queue;
}

/*
 * Returns the queue of an external orchestration or entity, or NULL for one in SQL.  Checks that the
 * handler is null for external ones only.  "execution" is the number of that argument; the next one
 * is the queue.
 */
static char *
external_queue_argument(FunctionCallInfo fcinfo, int argno, const char *kind, const char *name, const char *example)
{
	char	   *execution = durable_client_text(fcinfo, argno);
	char	   *queue = durable_client_text(fcinfo, argno + 1);
	bool		is_external = execution != NULL && strcmp(execution, "external") == 0;

	if (execution != NULL && !is_external && strcmp(execution, "sql") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"execution\": \"%s\"", durable_client_shown(execution)),
				 errhint("Valid values are \"sql\" (a function in the database) and \"external\" (a program outside of the database).")));
	if (!is_external && PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("handler of %s \"%s\" must not be null", kind, name),
				 errhint("Specify a function with its argument types, for example '%s', or use execution => 'external' with a queue.", example)));
	if (!is_external && queue != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s \"%s\" must not have a queue", kind, name),
				 errdetail("Only work for programs outside of the database waits in a queue."),
				 errhint("Use execution => 'external' without a handler, or omit the queue.")));
	if (is_external && !PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("external %s \"%s\" must not have a handler", kind, name),
				 errdetail("A worker outside of the database runs it."),
				 errhint("Omit the handler, or omit execution => 'external'.")));
	if (is_external && queue == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("external %s \"%s\" needs a queue", kind, name),
				 errhint("Workers fetch from a queue by its name, as in queue => 'app'.")));
	if (is_external)
	{
		durable_client_check_name(queue, "queue name");
		durable_queue_require_or_make(queue, true);
	}
	return queue;
}

/* Longer intervals would lead to times out of range. */
static void
check_retention(FunctionCallInfo fcinfo, int argno)
{
	int64		us = PG_ARGISNULL(argno) ? 0 : durable_retry_interval_us(PG_GETARG_INTERVAL_P(argno));

	if (us < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retention must not be negative")));
	if (us > LONGEST_RETENTION_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retention must not be longer than %d years", LONGEST_RETENTION_YEARS),
				 errhint("Omit this parameter to keep finished instances forever.")));
}

static Datum
text_or_null(const char *value, char *null)
{
	*null = value != NULL ? ' ' : 'n';
	return value != NULL ? CStringGetTextDatum(value) : (Datum) 0;
}

static void
run(DurableSql *sql, Datum *values, const char *nulls)
{
	durable_sql_connect();
	durable_sql_run(sql, values, nulls, false, 0);
	durable_sql_finish();

	durable_registry_changed();
}
