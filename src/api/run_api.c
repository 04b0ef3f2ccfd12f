/*-------------------------------------------------------------------------
 *
 * run_api.c
 *		durable.run, durable.wait_for and durable.wait_for_any: procedures that wait for
 *		the end of an instance and hold no snapshot or lock meanwhile.
 *
 * They commit before each sleep, so there is no transaction, snapshot or lock while
 * they wait.  So they delay neither VACUUM nor, on a standby, replay.  This requires a
 * procedure that is called outside of a transaction block.
 *
 * A session waits as in durable.wait (wait_api.c).  On a standby no process signals
 * the end, so the session polls every tenth of a second.
 *
 * Owns:	nothing
 * Called by: clients; work_wait.c
 * Locks:	none while sleeping
 * Memory:	results in the context of the call
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

#include "client.h"
#include "failpoint.h"
#include "json.h"
#include "shmem.h"
#include "sql.h"
#include "wait_api.h"
#include "waiter.h"

/* The last column: a rewind that the failed instance has not taken yet. */
static DurableSql result_row = {
	.text = "SELECT status, output, failure, suspend_reason, status = 'F' AND EXISTS (SELECT FROM durable.inbox m "
	"WHERE m.owner = i.owner AND m.key = i.key AND m.kind = 'w') FROM durable.instance i WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

/* How a run ended. */
typedef struct RunResult
{
	char		status;
	bool		is_over;		/* finished, and not about to be rewound */
	Jsonb	   *output;
	Jsonb	   *failure;
	char	   *suspend_reason;
}			RunResult;

static void result_columns(const RunResult *result, Oid owner, Datum *values, bool *nulls);
static void wait_until_finished(int64 key, const char *instance_id, TimestampTz deadline, bool is_new,
								RunResult *result);
static bool wait_until_any_ended(char **ids, int nids, TimestampTz deadline, ClientInstance *ended);
static void read_result(int64 key, const char *instance_id, RunResult *result);
static void raise_unless_completed(const char *instance_id, const RunResult *result);

PG_FUNCTION_INFO_V1(durable_run);
PG_FUNCTION_INFO_V1(durable_wait_for);
PG_FUNCTION_INFO_V1(durable_wait_for_any);

Datum
durable_run(PG_FUNCTION_ARGS)
{
	StartRequest request = {0};
	RunResult	result = {0};
	TimestampTz deadline;
	TupleDesc	desc;
	Datum		values[1];
	bool		nulls[1];
	char	   *instance_id;
	int64		key;

	desc = durable_wait_procedure(fcinfo, "run", "Use durable.call_sub_orchestrator().",
								  "The procedure commits the start of the instance before it waits for the instance.",
								  "Use durable.start(), commit, and then use durable.wait().");
	durable_client_enter("run", "Use durable.call_sub_orchestrator().");

	request.name = durable_client_name(fcinfo, 0, "orchestration name");
	request.input = durable_client_json(fcinfo, 1, "input", &request.is_json_text);
	request.start_at = DT_NOBEGIN;
	request.on_conflict = "error";
	deadline = durable_wait_deadline(fcinfo, 2);

	instance_id = durable_client_start(&request, &key);
	wait_until_finished(key, instance_id, deadline, true, &result);
	raise_unless_completed(instance_id, &result);

	nulls[0] = result.output == NULL;
	values[0] = JsonbPGetDatum(result.output);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
durable_wait_for(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	RunResult	result = {0};
	TimestampTz deadline;
	TupleDesc	desc;
	Datum		values[3] = {0};
	bool		nulls[3] = {false, true, true};
	char	   *instance_id;

	desc = durable_wait_procedure(fcinfo, "wait_for", "Use durable.call_sub_orchestrator().",
								  "The procedure ends the transaction before it waits, so that it holds no snapshot.",
								  "Use durable.wait().");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	deadline = durable_wait_deadline(fcinfo, 1);

	durable_client_require_visible(instance_id, &instance);
	read_result(instance.key, instance_id, &result);
	durable_failpoint_pass(FAILPOINT_WAIT_LOOKED);
	if (!result.is_over && durable_wait_ms(deadline) > 0)
		wait_until_finished(instance.key, instance_id, deadline, false, &result);

	result_columns(&result, instance.owner, values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* wait_for_any(instance_ids, timeout, instance_id, runtime_status, output, failure) */
Datum
durable_wait_for_any(PG_FUNCTION_ARGS)
{
	ClientInstance ended;
	RunResult	result = {0};
	TimestampTz deadline;
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {true, true, true, true};
	char	  **ids;
	int			nids;

	desc = durable_wait_procedure(fcinfo, "wait_for_any", "Use durable.when_any() with durable.schedule_sub_orchestrator().",
								  "The procedure ends the transaction before it waits, so that it holds no snapshot.",
								  "Use durable.wait_any().");
	ids = durable_wait_ids(fcinfo, 0, &nids);
	deadline = durable_wait_deadline(fcinfo, 1);

	/* An instance that has failed may be rewound before its result is read. */
	while (!result.is_over && wait_until_any_ended(ids, nids, deadline, &ended))
	{
		durable_failpoint_pass(FAILPOINT_END_SEEN);
		read_result(ended.key, ended.instance_id, &result);
	}
	if (result.is_over)
	{
		nulls[0] = false;
		values[0] = CStringGetTextDatum(ended.instance_id);
		result_columns(&result, ended.owner, values + 1, nulls + 1);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* Status, output and failure. As in durable.instances, only roles that may act for the owner see payloads. */
static void
result_columns(const RunResult *result, Oid owner, Datum *values, bool *nulls)
{
	bool		shows = durable_client_may_act_for(owner);

	values[0] = CStringGetTextDatum(durable_client_status_word(result->status));
	nulls[0] = false;
	values[1] = JsonbPGetDatum(result->output);
	nulls[1] = !shows || result->output == NULL;
	values[2] = JsonbPGetDatum(result->failure);
	nulls[2] = !shows || result->failure == NULL;
}

TupleDesc
durable_wait_procedure(FunctionCallInfo fcinfo, const char *function, const char *in_turn, const char *detail,
					   const char *hint)
{
	TupleDesc	desc;

	durable_client_refuse_in_turn(function, in_turn);
	durable_shmem_require();
	durable_wait_refuse_in_activity(function);
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("durable.%s() cannot be called inside a transaction block or a function", function),
				 errdetail_internal("%s", detail),
				 errhint("%s", hint)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return desc;
}

/*
 * Looks, commits, and sleeps.  The slot is taken before the first look, so an end after
 * that look is signaled.  is_new: this transaction has started the instance, which cannot
 * end before the first commit, so the first look is omitted.
 */
static void
wait_until_finished(int64 key, const char *instance_id, TimestampTz deadline, bool is_new, RunResult *result)
{
	MemoryContext caller = CurrentMemoryContext;
	int			waiter = durable_waiter_begin(key);

	PG_TRY();
	{
		bool		looks = !is_new;

		if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect_ext failed");
		for (;;)
		{
			long		ms = durable_wait_ms(deadline);

			if (looks)
			{
				MemoryContextSwitchTo(caller);
				read_result(key, instance_id, result);
				if (result->is_over || ms <= 0)
					break;
			}
			looks = true;
			SPI_commit();
			if (ms > 0)
				durable_waiter_wait(waiter, ms);
			CHECK_FOR_INTERRUPTS();
			AcceptInvalidationMessages();
		}
		SPI_finish();
	}
	PG_FINALLY();
	{
		durable_waiter_end(waiter);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/*
 * Like wait_until_finished, but with a slot for each instance, so that the end of any of them
 * wakes the session.  Returns false if the timeout expires.
 */
static bool
wait_until_any_ended(char **ids, int nids, TimestampTz deadline, ClientInstance *ended)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	int64	   *keys = palloc(nids * sizeof(int64));
	int		   *waiters = palloc(nids * sizeof(int));
	volatile int nwaiters = 0;
	volatile bool found = durable_wait_any_ended(ids, nids, false, keys, ended);

	durable_failpoint_pass(FAILPOINT_WAIT_LOOKED);
	if (found || durable_wait_ms(deadline) <= 0)
		return found;
	context = AllocSetContextCreate(caller, "durable wait", ALLOCSET_SMALL_SIZES);
	PG_TRY();
	{
		for (; nwaiters < nids; nwaiters++)
			waiters[nwaiters] = durable_waiter_begin(keys[nwaiters]);
		if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect_ext failed");
		for (;;)
		{
			long		ms = durable_wait_ms(deadline);

			MemoryContextReset(context);
			MemoryContextSwitchTo(context);
			found = durable_wait_any_ended(ids, nids, false, keys, ended);
			if (found || ms <= 0)
				break;
			SPI_commit();
			durable_waiter_wait(waiters[0], ms);
			CHECK_FOR_INTERRUPTS();
			AcceptInvalidationMessages();
		}
		SPI_finish();
	}
	PG_FINALLY();
	{
		while (nwaiters > 0)
			durable_waiter_end(waiters[--nwaiters]);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return found;
}

/* Reads the result into the current memory context. */
static void
read_result(int64 key, const char *instance_id, RunResult *result)
{
	Datum		values[1] = {Int64GetDatum(key)};
	MemoryContext context = CurrentMemoryContext;
	bool		found;
	bool		isnull;

	durable_sql_connect();
	found = durable_sql_run(&result_row, values, NULL, false, 1) > 0;
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(context);

		result->status = durable_sql_char(0, 1);
		result->output = durable_sql_jsonb(0, 2);
		result->failure = durable_sql_jsonb(0, 3);
		result->suspend_reason = durable_sql_text(0, 4);
		result->is_over = STATUS_IS_FINISHED(result->status) && !DatumGetBool(durable_sql_datum(0, 5, &isnull));
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();

	if (!found)
		durable_client_no_instance(instance_id);
}

static void
raise_unless_completed(const char *instance_id, const RunResult *result)
{
	switch (result->status)
	{
		case STATUS_COMPLETED:
			return;

		case STATUS_FAILED:
			durable_json_throw_failure(result->failure);
			break;

		case STATUS_TERMINATED:
			{
				char	   *reason = result->failure ? durable_json_get_text(result->failure, "reason") : NULL;

				ereport(ERROR,
						(errcode(ERRCODE_DURABLE_FINISHED),
						 errmsg("instance \"%s\" was terminated", instance_id),
						 reason ? errdetail("Reason: %s", reason) : 0));
				break;
			}

		case STATUS_SUSPENDED:
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("instance \"%s\" is suspended", instance_id),
					 result->suspend_reason ? errdetail_internal("%s", result->suspend_reason) : 0,
					 errhint("Use SELECT durable.resume(%s) to resume the instance.", quote_literal_cstr(instance_id))));
			break;

		default:
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("instance \"%s\" did not finish in time", instance_id),
					 result->status == STATUS_PENDING ?
					 errdetail("Its status is Pending: it has not begun to run.") :
					 errdetail("Its status is %s, and it continues to run.", durable_client_status_word(result->status)),
					 result->status == STATUS_PENDING ?
					 errhint("SELECT * FROM durable.doctor() WHERE NOT ok; shows what keeps workflows from running. Use SELECT * FROM durable.wait(%s) to continue waiting.",
							 quote_literal_cstr(instance_id)) :
					 errhint("Use SELECT * FROM durable.wait(%s) to continue waiting. The view durable.waiting shows the calls for which the instance waits.",
							 quote_literal_cstr(instance_id))));
	}
}
