/*-------------------------------------------------------------------------
 *
 * work_wait.c
 *		durable.wait_for_work: a procedure that sleeps until a queue has work to take.
 *
 * It ends the transaction before it sleeps, as durable.wait_for does (run_api.c), so a
 * thousand workers that wait hold no snapshot.  A session that commits work for the
 * queue sets their latches.  The next end of a lease or of a delay, which no commit
 * announces, is looked up before each sleep.
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	none while sleeping
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "lease.h"
#include "queue_api.h"
#include "sql.h"
#include "wait_api.h"
#include "waiter.h"

static bool look(const char *queue, char kind, Datum names, TimestampTz *next);

static char kind_argument(FunctionCallInfo fcinfo, int argno);

PG_FUNCTION_INFO_V1(durable_wait_for_work);

/* wait_for_work(queue, timeout, available, names, kind) */
Datum
durable_wait_for_work(PG_FUNCTION_ARGS)
{
	char	   *queue;
	TimestampTz deadline;
	Datum		names;
	char		kind;
	TupleDesc	desc;
	Datum		values[1];
	bool		nulls[1] = {false};
	int			waiter;
	volatile bool available = false;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;

	desc = durable_wait_procedure(fcinfo, "wait_for_work", "It is for workers outside of the database.",
								  "It ends the transaction before it waits, so that it holds no snapshot.",
								  "Call it outside of a transaction block, and call durable.fetch_work() afterwards.");
	queue = durable_client_name(fcinfo, 0, "queue name");
	deadline = durable_wait_deadline(fcinfo, 1);
	names = PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3);
	kind = kind_argument(fcinfo, 4);
	durable_queue_require_work(queue);

	context = AllocSetContextCreate(caller, "durable wait", ALLOCSET_SMALL_SIZES);
	waiter = durable_waiter_begin(durable_queue_waiter_key(queue, kind));
	PG_TRY();
	{
		if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect_ext failed");
		for (;;)
		{
			TimestampTz next;
			long		ms;

			MemoryContextReset(context);
			MemoryContextSwitchTo(context);
			available = look(queue, kind, names, &next);
			ms = durable_wait_ms(deadline);
			MemoryContextSwitchTo(caller);
			if (available || ms <= 0)
				break;
			SPI_commit();
			durable_waiter_wait(waiter, durable_clock_ms_until(next, ms));
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
	MemoryContextDelete(context);

	values[0] = BoolGetDatum(available);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static char
kind_argument(FunctionCallInfo fcinfo, int argno)
{
	char	   *word = durable_client_text(fcinfo, argno);

	if (word != NULL && strcmp(word, "tasks") == 0)
		return QUEUED_EXTERNAL;
	if (word != NULL && strcmp(word, "turns") == 0)
		return QUEUED_TURN;
	if (word != NULL && strcmp(word, "entities") == 0)
		return QUEUED_BATCH;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"kind\": \"%s\"", word ? durable_client_shown(word) : "null"),
			 errhint("Valid values are \"tasks\" (for durable.fetch_work), \"turns\" (for durable.fetch_turns), and \"entities\" (for durable.fetch_entities).")));
}

static bool
look(const char *queue, char kind, Datum names, TimestampTz *next)
{
	QueuedWanted wanted = {
		.queue = queue,
		.kind = kind,
		.limit = 1,
		.names = names,
		.now = durable_clock_now(),
		.until = DT_NOEND
	};

	return durable_lease_available(&wanted, next);
}
