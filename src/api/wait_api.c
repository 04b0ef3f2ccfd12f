/*-------------------------------------------------------------------------
 *
 * wait_api.c
 *		durable.status and durable.wait: report the status of an instance, and wait for its end.
 *
 * A waiter takes a slot in shared memory first, then looks whether the instance is
 * finished, then sleeps: so the signal that the finishing transaction sends at its
 * commit cannot be missed.  Slots are only hints, as all of shared memory, so it looks
 * again every second.
 *
 * durable.wait is a function: the query it is part of holds a snapshot for as long as
 * it runs, and VACUUM cannot remove rows that are deleted meanwhile.  On a standby
 * that snapshot conflicts with the replay of the end for which it waits, so
 * durable.wait does not wait there.  It holds no lock on the engine's tables while it
 * sleeps, so DROP EXTENSION does not wait for it.  The procedures in run_api.c hold
 * neither snapshot nor lock.
 *
 * The timeout of a client is measured by the real clock, also when the engine's clock
 * is a virtual one.
 *
 * Owns:	nothing
 * Called by: clients; run_api.c, work_wait.c
 * Locks:	none while sleeping
 * Memory:	results in the context of the call
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "client.h"
#include "inbox_table.h"
#include "shmem.h"
#include "sql.h"
#include "time_after.h"
#include "usercall.h"
#include "wait_api.h"
#include "waiter.h"

/* Each takes one of DURABLE_MAX_WAITERS slots. */
#define MAX_WAIT_ANY	100

/*
 * Interval of the looks of a waiter that is not signalled; on a standby no process
 * signals it.
 */
#define RECHECK_MS			1000
#define STANDBY_RECHECK_MS	100

static DurableSql status_row = {
	.text = "SELECT * FROM durable.instances WHERE instance_id = $1 AND owner = $2",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static bool is_over(ClientInstance *instance);
static bool rewind_is_pending(const ClientInstance *instance);
static void notice_not_begun(const char *instance_id);
static TupleDesc status_desc(FunctionCallInfo fcinfo);
static Datum status_datum(const ClientInstance *instance, TupleDesc desc);
static void refuse_on_standby(const char *function, const char *instance_id, TimestampTz deadline);
static Datum sleep_until_finished(const ClientInstance *instance, TupleDesc desc, TimestampTz deadline);
static bool sleep_until_any_finished(char **ids, int nids, TimestampTz deadline,
									 ClientInstance *finished);

PG_FUNCTION_INFO_V1(durable_status);
PG_FUNCTION_INFO_V1(durable_wait);
PG_FUNCTION_INFO_V1(durable_wait_any);

Datum
durable_status(PG_FUNCTION_ARGS)
{
	ClientInstance instance;

	durable_client_refuse_in_turn("status", "Call it from an activity.");
	durable_client_require_visible(durable_client_name(fcinfo, 0, "instance id"), &instance);
	return status_datum(&instance, status_desc(fcinfo));
}

Datum
durable_wait(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	char	   *instance_id;
	TimestampTz deadline;
	TupleDesc	desc = status_desc(fcinfo);
	Datum		row = (Datum) 0;

	durable_client_refuse_in_turn("wait", "Use durable.call_sub_orchestrator().");
	durable_shmem_require();
	durable_wait_refuse_in_activity("wait");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	deadline = durable_wait_deadline(fcinfo, 1);

	durable_client_require_visible(instance_id, &instance);
	if (!is_over(&instance))
	{
		if (TransactionIdIsCurrentTransactionId(instance.inserted_by))
			ereport(ERROR,
					(errcode(ERRCODE_DURABLE_WAITS_FOREVER),
					 errmsg("instance \"%s\" was started in this transaction", instance_id),
					 errdetail("The instance cannot begin before this transaction commits, so the wait would never end."),
					 errhint("Commit the transaction first, or use CALL durable.run().")));
		refuse_on_standby("wait", instance_id, deadline);
		row = sleep_until_finished(&instance, desc, deadline);
	}
	return row != (Datum) 0 ? row : status_datum(&instance, desc);
}

/* Tells a waiter that the instance has not begun to run, and how to find the reason. */
static void
notice_not_begun(const char *instance_id)
{
	ereport(NOTICE,
			(errmsg("instance \"%s\" has not begun to run", instance_id),
			 errhint("It may have a start_at in the future. Otherwise SELECT * FROM durable.doctor() WHERE NOT ok; shows what keeps workflows from running.")));
}

/*
 * Finished, and not about to go on: a caller of durable.rewind waits for the new end.  A worker may have taken the
 * rewind after the look at the instance and before the look at its inbox.  So a failed instance is looked at again,
 * and its status set to the present one.
 */
static bool
is_over(ClientInstance *instance)
{
	ClientInstance again;

	if (instance->status != STATUS_FAILED)
		return STATUS_IS_FINISHED(instance->status);
	if (rewind_is_pending(instance))
		return false;
	if (!durable_client_look_up(instance->owner, instance->instance_id, &again))
		durable_client_no_instance(instance->instance_id);
	instance->status = again.status;
	return STATUS_IS_FINISHED(instance->status);
}

/* A rewind that the failed instance has not taken yet.  Holds no lock afterwards, because the caller sleeps. */
static bool
rewind_is_pending(const ClientInstance *instance)
{
	DurableScan scan;
	bool		found = false;

	durable_scan_open_latest(&scan, &durable_inbox_table, INBOX_BY_KEY);
	durable_scan_key(&scan, INBOX_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(instance->owner));
	durable_scan_key(&scan, INBOX_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(instance->key));
	durable_scan_begin(&scan);
	while (!found && durable_scan_next(&scan))
		found = durable_scan_char(&scan, INBOX_KIND) == MESSAGE_REWIND;
	durable_scan_close_latest(&scan);
	return found;
}

static TupleDesc
status_desc(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return desc;
}

/* The row of durable.instances, as durable.instance_status, which has the same columns. */
static Datum
status_datum(const ClientInstance *instance, TupleDesc desc)
{
	ClientInstance present = *instance;
	Datum		values[2] = {CStringGetTextDatum(instance->instance_id), ObjectIdGetDatum(instance->owner)};
	Oid			asking = GetUserId();
	MemoryContext caller = CurrentMemoryContext;
	Datum		result = (Datum) 0;
	bool		found = false;

	(void) durable_status_look_up(&present, desc, &result);
	if (result != (Datum) 0)
		return result;

	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	durable_client_ask_as(asking);
	PG_TRY();
	{
		found = durable_sql_run(&status_row, values, NULL, true, 1) > 0;
	}
	PG_FINALLY();
	{
		durable_client_ask_as(InvalidOid);
	}
	PG_END_TRY();
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		if (SPI_tuptable->tupdesc->natts != desc->natts)
			elog(ERROR, "durable.instances has %d columns, durable.instance_status %d",
				 SPI_tuptable->tupdesc->natts, desc->natts);
		result = heap_copy_tuple_as_datum(SPI_tuptable->vals[0], desc);
		MemoryContextSwitchTo(spi);
	}
	PopActiveSnapshot();
	durable_sql_finish();

	if (!found)
		durable_client_no_instance(instance->instance_id);
	return result;
}

/*
 * Replay of the removal of rows waits for this query's snapshot, and the awaited end is
 * replayed after it.
 */
static void
refuse_on_standby(const char *function, const char *instance_id, TimestampTz deadline)
{
	if (RecoveryInProgress() && durable_wait_ms(deadline) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("durable.%s() cannot wait on a standby", function),
				 errdetail("The snapshot of the query could block the replay of the change for which the function waits."),
				 errhint("Use CALL durable.wait_for(%s), which holds no snapshot.", quote_literal_cstr(instance_id))));
}

/* --- waiting in a transaction --------------------------------------------------------- */

/*
 * An activity that waits for an instance keeps a worker busy that the instance
 * may need; and if both are in one batch, it waits for its own transaction.
 */
void
durable_wait_refuse_in_activity(const char *function)
{
	if (durable_usercall_active())
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_WAITS_FOREVER),
				 errmsg("durable.%s() cannot be called inside an activity", function),
				 errdetail("The other instance may need the worker that would wait."),
				 errhint("Let the orchestration wait instead: use durable.call_sub_orchestrator(), or wait for an event that the other instance sends.")));
}

/* Returns the row of an end that it has seen, if that look-up can make it, else 0. */
static Datum
sleep_until_finished(const ClientInstance *instance, TupleDesc desc, TimestampTz deadline)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "durable wait", ALLOCSET_SMALL_SIZES);
	int			waiter = durable_waiter_begin(instance->key);
	ClientInstance present = *instance;
	volatile Datum row = (Datum) 0;

	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		for (;;)
		{
			long		ms = durable_wait_ms(deadline);
			Datum		seen;
			bool		failed;
			bool		over;

			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(context);
			if (!durable_status_look_up(&present, desc, &seen) ||
				!durable_client_may_see(instance->owner))
				durable_client_no_instance(instance->instance_id);

			/* What was seen of a failed instance may be the end before a rewind. */
			failed = present.status == STATUS_FAILED;
			over = is_over(&present);
			if (over && !failed && seen != (Datum) 0)
			{
				MemoryContextSwitchTo(caller);
				row = datumCopy(seen, false, -1);
			}
			if (over || ms <= 0)
				break;
			durable_waiter_wait(waiter, ms);

			/* The extension may have been dropped. */
			AcceptInvalidationMessages();
		}
	}
	PG_FINALLY();
	{
		durable_waiter_end(waiter);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	if (present.status == STATUS_PENDING)
		notice_not_begun(instance->instance_id);
	return row;
}

/* --- waiting for one of many ---------------------------------------------------------- */

Datum
durable_wait_any(PG_FUNCTION_ARGS)
{
	TimestampTz deadline;
	char	  **ids;
	int			nids;
	ClientInstance finished;

	durable_client_refuse_in_turn("wait_any", "Use durable.when_any() with durable.schedule_sub_orchestrator().");
	durable_shmem_require();
	durable_wait_refuse_in_activity("wait_any");
	ids = durable_wait_ids(fcinfo, 0, &nids);
	deadline = durable_wait_deadline(fcinfo, 1);

	if (!sleep_until_any_finished(ids, nids, deadline, &finished))
		PG_RETURN_NULL();
	return status_datum(&finished, status_desc(fcinfo));
}

char **
durable_wait_ids(FunctionCallInfo fcinfo, int argno, int *nids)
{
	Datum	   *elements;
	bool	   *nulls;
	char	  **ids;

	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("instance_ids must not be null")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, nids);
	if (*nids == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_WAITS_FOREVER),
				 errmsg("instance_ids must not be empty"),
				 errdetail("There is no instance to wait for.")));
	if (*nids > MAX_WAIT_ANY)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("cannot wait for %d instances at once", *nids),
				 errdetail("The limit is %d.", MAX_WAIT_ANY),
				 errhint("Start the instances as sub-orchestrations of one orchestration, and wait for that one.")));
	ids = palloc(*nids * sizeof(char *));
	for (int i = 0; i < *nids; i++)
	{
		ids[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
		durable_client_check_name(ids[i], "instance id");
	}
	return ids;
}

/* Returns false when the time is over.  Takes a slot for each instance, so that any end wakes it. */
static bool
sleep_until_any_finished(char **ids, int nids, TimestampTz deadline, ClientInstance *finished)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "durable wait", ALLOCSET_SMALL_SIZES);
	int64	   *keys = palloc(nids * sizeof(int64));
	int		   *waiters = palloc(nids * sizeof(int));
	volatile int nwaiters = 0;
	volatile bool found = durable_wait_any_ended(ids, nids, true, keys, finished);

	if (found)
		return true;
	refuse_on_standby("wait_any", ids[0], deadline);
	PG_TRY();
	{
		while (nwaiters < nids)
		{
			waiters[nwaiters] = durable_waiter_begin(keys[nwaiters]);
			nwaiters++;
		}
		MemoryContextSwitchTo(context);
		for (;;)
		{
			long		ms = durable_wait_ms(deadline);

			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(context);
			found = durable_wait_any_ended(ids, nids, true, keys, finished);
			if (found || ms <= 0)
				break;
			durable_waiter_wait(waiters[0], ms);
			AcceptInvalidationMessages();
		}
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

bool
durable_wait_any_ended(char **ids, int nids, bool in_transaction, int64 *keys, ClientInstance *ended)
{
	for (int i = 0; i < nids; i++)
	{
		ClientInstance present;

		durable_client_require_visible(ids[i], &present);
		if (is_over(&present))
		{
			*ended = present;
			ended->instance_id = ids[i];
			return true;
		}
		if (in_transaction && TransactionIdIsCurrentTransactionId(present.inserted_by))
			ereport(ERROR,
					(errcode(ERRCODE_DURABLE_WAITS_FOREVER),
					 errmsg("instance \"%s\" was started in this transaction", ids[i]),
					 errdetail("The instance cannot begin before this transaction commits, so the wait would never end."),
					 errhint("Commit the transaction first.")));
		keys[i] = present.key;
	}
	return false;
}

/* DT_NOEND for NULL: without limit. */
TimestampTz
durable_wait_deadline(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return DT_NOEND;
	return durable_time_after(GetCurrentTimestamp(), PG_GETARG_INTERVAL_P(argno), "timeout");
}

/* Until the deadline or the next look, whichever is first; 0 when the deadline is over. */
long
durable_wait_ms(TimestampTz deadline)
{
	TimestampTz now = GetCurrentTimestamp();
	long		recheck = RecoveryInProgress() ? STANDBY_RECHECK_MS : RECHECK_MS;

	if (deadline <= now)
		return 0;
	if (deadline >= TimestampTzPlusMilliseconds(now, recheck))
		return recheck;
	return (long) ((deadline - now + 999) / 1000);
}
