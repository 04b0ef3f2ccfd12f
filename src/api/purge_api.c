/*-------------------------------------------------------------------------
 *
 * purge_api.c
 *		durable.purge and durable.purge_history: delete finished instances.
 *
 * purge_history goes through the instances in the order of their keys, a batch at a
 * time, all in the caller's transaction.  Instances that another transaction has
 * locked are left for the next call.  Sub-orchestrations that have ended are deleted
 * with their parents (finished.c).
 *
 * Owns:	nothing; client.c purges a single instance
 * Called by: clients
 * Locks:	rows of finished instances, until the caller's transaction ends
 * Memory:	one batch
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "finished.h"
#include "sql.h"
#include "time_after.h"

/* The largest number of keys in one array. */
#define LARGEST_BATCH	100000

static DurableSql find_batch = {
	.text = "SELECT key FROM durable.instance "
	"WHERE key > $1 AND status = ANY ($2) AND completed_at < $3 "
	"AND ($4 IS NULL OR name = $4) AND pg_has_role($5, owner, 'USAGE') "
	"ORDER BY key LIMIT $6",
	.nargs = 6,
	.argtypes = {INT8OID, CHARARRAYOID, TIMESTAMPTZOID, TEXTOID, OIDOID, INT4OID}
};

static ArrayType *finished_statuses(FunctionCallInfo fcinfo, int argno);

static int64 purge(FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(durable_purge);
PG_FUNCTION_INFO_V1(durable_purge_family);
PG_FUNCTION_INFO_V1(durable_purge_history);

Datum
durable_purge(PG_FUNCTION_ARGS)
{
	durable_client_refuse_in_turn("purge", "Call it from an activity.");
	(void) purge(fcinfo);
	PG_RETURN_VOID();
}

/* purge_family(instance_id) -> number of deleted instances, including sub-orchestrations */
Datum
durable_purge_family(PG_FUNCTION_ARGS)
{
	durable_client_refuse_in_turn("purge_family", "Call it from an activity.");
	PG_RETURN_INT64(purge(fcinfo));
}

static int64
purge(FunctionCallInfo fcinfo)
{
	ClientInstance instance;
	char	   *instance_id;
	int64		purged;

	PreventCommandIfReadOnly("durable.purge()");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	durable_client_require(instance_id, &instance);

	if (!STATUS_IS_FINISHED(instance.status))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("instance \"%s\" is not finished", instance_id),
				 errdetail("Its status is %s.", durable_client_status_word(instance.status)),
				 errhint("SELECT durable.terminate(%s) ends it; purge it after that.",
						 quote_literal_cstr(instance_id))));

	purged = durable_client_purge(instance.key);
	if (purged == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("instance \"%s\" has changed since this transaction began", instance_id),
				 errhint("Try again in a new transaction.")));
	return purged;
}

Datum
durable_purge_history(PG_FUNCTION_ARGS)
{
	int32		batch = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	int64		purged = 0;
	int64		after = 0;
	int64	   *keys;
	Datum		values[6];
	char		nulls[7] = "      ";

	durable_client_refuse_in_turn("purge_history", "Call it from an activity.");
	PreventCommandIfReadOnly("durable.purge_history()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("older_than must not be null"),
				 errhint("Use '0' to purge all finished instances.")));
	if (batch < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be greater than zero")));

	values[1] = PointerGetDatum(finished_statuses(fcinfo, 1));
	values[2] = TimestampTzGetDatum(durable_time_before(durable_clock_now(), PG_GETARG_INTERVAL_P(0),
														"older_than"));
	if (DatumGetTimestampTz(values[2]) > durable_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("older_than must not be negative"),
				 errhint("Use '0' to purge all finished instances.")));
	values[3] = PG_ARGISNULL(2) ? (Datum) 0 : PG_GETARG_DATUM(2);
	if (PG_ARGISNULL(2))
		nulls[3] = 'n';
	values[4] = ObjectIdGetDatum(GetUserId());
	batch = Min(batch, LARGEST_BATCH);
	values[5] = Int32GetDatum(batch);
	keys = palloc(batch * sizeof(int64));

	for (;;)
	{
		uint64		found;

		CHECK_FOR_INTERRUPTS();
		values[0] = Int64GetDatum(after);
		durable_sql_connect();
		found = durable_sql_run(&find_batch, values, nulls, false, 0);
		for (uint64 i = 0; i < found; i++)
			keys[i] = durable_sql_int8(i, 1);
		if (found > 0)
		{
			after = keys[found - 1];
			purged += durable_finished_delete(keys, found, false, NULL);
		}
		durable_sql_finish();
		if (found < batch)
			break;
	}
	PG_RETURN_INT64(purged);
}

/* The words of an argument as "char"[]; all three when it is NULL. */
static ArrayType *
finished_statuses(FunctionCallInfo fcinfo, int argno)
{
	static const char finished[] = {STATUS_COMPLETED, STATUS_FAILED, STATUS_TERMINATED};
	Datum		chosen[lengthof(finished)];
	bool		is_chosen[lengthof(finished)] = {0};
	int			nchosen = 0;

	if (PG_ARGISNULL(argno))
		memset(is_chosen, true, sizeof(is_chosen));
	else
	{
		Datum	   *words;
		bool	   *nulls;
		int			nwords;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, -1, false, TYPALIGN_INT,
						  &words, &nulls, &nwords);
		for (int i = 0; i < nwords; i++)
		{
			char	   *word = nulls[i] ? "null" : TextDatumGetCString(words[i]);
			int			status = 0;

			while (status < lengthof(finished) &&
				   strcmp(word, durable_client_status_word(finished[status])) != 0)
				status++;
			if (status == lengthof(finished))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("\"%s\" is not the status of a finished instance", durable_client_shown(word)),
						 errhint("Valid statuses are Completed, Failed, and Terminated.")));
			is_chosen[status] = true;
		}
	}

	for (int i = 0; i < lengthof(finished); i++)
		if (is_chosen[i])
			chosen[nchosen++] = CharGetDatum(finished[i]);
	return construct_array(chosen, nchosen, CHAROID, 1, true, TYPALIGN_CHAR);
}
