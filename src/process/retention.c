/*
 * retention.c
 *		Deletes finished instances that are old enough; a part of the coordinator.
 *
 * Owns: nothing.
 * Called by: coordinator.c.
 * Locks: rows of finished instances, for one short transaction; it waits for no
 *			other transaction.
 * Memory: the caller's.
 *
 * The instances to be deleted are found in the list of finished instances
 * (finished.c), a piece at a time, each piece in a transaction of its own.  After a
 * piece it rests for as long as the piece took, and after a look that found nothing
 * until something is due, but not for longer than ten seconds: a registration may get
 * a retention.
 */
#include "durable.h"
#include "process.h"

#include "access/xact.h"
#include "clock.h"
#include "engine.h"
#include "finished.h"
#include "guc.h"
#include "portability/instr_time.h"
#include "sql.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Instances that one step deletes at most. */
#define STEP_INSTANCES		500

/* A look that found nothing is followed by a rest of this many times its duration. */
#define REST_AFTER_LOOKING	50
#define REST_AFTER_DELETING	1

/* Milliseconds between two looks. */
#define SHORTEST_REST		500
#define LONGEST_REST		10000

static long ms_between(TimestampTz now, TimestampTz next);

long
durable_retention_step(void)
{
	MemoryContext context = CurrentMemoryContext;
	instr_time	begin;
	instr_time	took;
	TimestampTz now = durable_clock_now();
	TimestampTz next = DT_NOEND;
	int64		deleted = 0;
	long		rest;

	INSTR_TIME_SET_CURRENT(begin);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (durable_engine_lock())
	{
		durable_sql_connect();
		deleted = durable_finished_expire(now, durable_retention_set ? &durable_retention_interval : NULL,
										  STEP_INSTANCES, &next);
		durable_sql_finish();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begin);

	rest = deleted >= STEP_INSTANCES ? 0 : ms_between(now, next);
	return Min(Max(rest, (long) (INSTR_TIME_GET_MILLISEC(took) *
								 (deleted > 0 ? REST_AFTER_DELETING : REST_AFTER_LOOKING))),
			   LONGEST_REST);
}

static long
ms_between(TimestampTz now, TimestampTz next)
{
	if (next >= TimestampTzPlusMilliseconds(now, LONGEST_REST))
		return LONGEST_REST;
	return Max((long) ((next - now) / 1000), SHORTEST_REST);
}
