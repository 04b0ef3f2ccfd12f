/*-------------------------------------------------------------------------
 *
 * quota_api.c
 *		durable.set_quota: limits of an owner.
 *
 * Owns:	writing of durable.quota; registry.c reads it, and quota.c has the counters
 * Called by: administrators
 * Locks:	the row of the quota, until the caller's transaction ends
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "client.h"
#include "registry.h"
#include "retry.h"
#include "sql.h"

#define LONGEST_PER_US	(366 * USECS_PER_DAY)

static DurableSql upsert_quota = {
	.text = "INSERT INTO durable.quota (owner, max_live, start_rate, per) VALUES ($1, $2, $3, $4) "
	"ON CONFLICT (owner) DO UPDATE SET max_live = excluded.max_live, start_rate = excluded.start_rate, per = excluded.per",
	.nargs = 4,
	.argtypes = {REGROLEOID, INT4OID, INT4OID, INTERVALOID}
};

static DurableSql delete_quota = {
	.text = "DELETE FROM durable.quota WHERE owner = $1",
	.nargs = 1,
	.argtypes = {REGROLEOID}
};

static void check_role(FunctionCallInfo fcinfo);
static void check_number(FunctionCallInfo fcinfo, int argno, const char *name);
static void check_per(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(durable_set_quota);

Datum
durable_set_quota(PG_FUNCTION_ARGS)
{
	Datum		values[4];
	char		nulls[] = "    ";

	durable_client_enter("set_quota", "Call it from an activity.");
	check_role(fcinfo);
	check_number(fcinfo, 1, "max_live");
	check_number(fcinfo, 2, "start_rate");
	check_per(fcinfo);

	for (int i = 0; i < 4; i++)
	{
		values[i] = PG_GETARG_DATUM(i);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
	}
	durable_sql_connect();
	durable_sql_run(PG_ARGISNULL(1) && PG_ARGISNULL(2) ? &delete_quota : &upsert_quota, values, nulls, false, 0);
	durable_sql_finish();
	durable_registry_changed();
	PG_RETURN_VOID();
}

static void
check_role(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("role must not be null")));
	/* The quota of a dropped role can still be deleted. */
	if (!(PG_ARGISNULL(1) && PG_ARGISNULL(2)) &&
		!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(PG_GETARG_OID(0))))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", PG_GETARG_OID(0))));
}

static void
check_number(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (!PG_ARGISNULL(argno) && PG_GETARG_INT32(argno) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero", name),
				 errdetail("It is %d.", PG_GETARG_INT32(argno)),
				 errhint("NULL sets no limit. REVOKE EXECUTE ON FUNCTION durable.start keeps a role from starting instances at all.")));
}

static void
check_per(FunctionCallInfo fcinfo)
{
	int64		us = PG_ARGISNULL(3) ? 0 : durable_retry_interval_us(PG_GETARG_INTERVAL_P(3));

	if (us < USECS_PER_SEC / 1000 || us > LONGEST_PER_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("per must be from 1 ms to 366 days"),
				 errhint("It is the time in which start_rate instances may be started, such as '1 minute'.")));
}
