/*-------------------------------------------------------------------------
 *
 * work_fetch.c
 *		Code that durable.fetch_work, fetch_turns and fetch_entities share: the arguments, and
 *		the short wait for another transaction that is taking from the queue or ending its leases.
 *
 * Owns:	nothing
 * Called by: work_api.c, turn_api.c, entity_work_api.c
 * Locks:	those of lease.c
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "lease.h"
#include "queue_api.h"
#include "wakeup.h"
#include "work_token.h"

/* A fetch waits for this time for the commit of another one from the same limited queue. */
#define BUSY_WAIT_US		(1000 * 1000)

/*
 * A fetch that finds nothing waits for this time if leases had expired: another transaction,
 * that of the coordinator as a rule, is just ending them, and its commit makes the tasks ready.
 */
#define DUE_WAIT_US			(250 * 1000)

#define BUSY_STEP_US		2000

List *
durable_work_fetch(FunctionCallInfo fcinfo, QueuedWanted * wanted, const char *function, const char *what, int most)
{
	int64		lease;
	int			limit;
	int64		waited = 0;

	durable_client_enter(function, "It is for workers outside of the database.");
	wanted->queue = durable_client_name(fcinfo, 0, "queue name");
	wanted->worker = durable_client_text(fcinfo, 1);
	if (wanted->worker != NULL)
		durable_client_check_name(wanted->worker, "worker name");
	limit = PG_ARGISNULL(2) ? 1 : PG_GETARG_INT32(2);
	if (limit < 1 || limit > most)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between 1 and %d", what, most)));
	lease = durable_work_lease(fcinfo, 3);
	wanted->names = PG_ARGISNULL(4) ? (Datum) 0 : PG_GETARG_DATUM(4);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("durable.%s() needs isolation level READ COMMITTED", function),
				 errdetail("At another level it would not see which tasks other workers have taken.")));
	durable_queue_require_work(wanted->queue);
	if (!pg_strong_random(&wanted->nonce, sizeof(wanted->nonce)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	if (wanted->session != 0)
		durable_wakeup_engine_at_exit();
	for (;;)
	{
		List	   *tasks;
		bool		busy;

		wanted->limit = limit;
		wanted->now = durable_clock_now();
		wanted->until = wanted->now + lease;
		tasks = durable_lease_take(wanted, &busy);
		if (tasks != NIL || waited >= (busy ? BUSY_WAIT_US : wanted->was_due ? DUE_WAIT_US : 0))
			return tasks;
		CHECK_FOR_INTERRUPTS();
		pg_usleep(BUSY_STEP_US);
		waited += BUSY_STEP_US;
	}
}

/* The coordinator looks for leases of a session at its end. */
int64
durable_work_session(FunctionCallInfo fcinfo, int argno)
{
	return !PG_ARGISNULL(argno) && PG_GETARG_BOOL(argno) ? ((int64) MyStartTime << 32) | (uint32) MyProcPid : 0;
}
