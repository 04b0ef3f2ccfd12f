/*
 * fold.c
 *		Adds up the table with the numbers of instances; a part of the coordinator.
 *
 * Owns: the times at which this is done.
 * Called by: coordinator.c.
 * Locks: rows of durable.tally that no other process changes, for one short transaction.
 * Memory: the caller's.
 *
 * While an old snapshot keeps the replaced rows, each run takes longer than the one
 * before.  So it rests for fifty times as long as the run took.
 */
#include "durable.h"
#include "process.h"

#include "access/xact.h"
#include "clock.h"
#include "engine.h"
#include "portability/instr_time.h"
#include "sql.h"
#include "tally.h"
#include "utils/timestamp.h"

/* Milliseconds between two runs, when the last one found rows to add up and when it did not. */
#define REST_AFTER_SOME		1000
#define REST_AFTER_NONE		10000
#define REST_AFTER_WORK		50

long
durable_fold_step(void)
{
	static TimestampTz last = 0;
	static long rest = 0;
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = GetCurrentTimestamp();
	instr_time	begin;
	instr_time	took;
	bool		some = false;

	if (!durable_clock_passed(last, now, rest))
		return Max(rest - (now - last) / 1000, 1);

	INSTR_TIME_SET_CURRENT(begin);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (durable_engine_lock())
	{
		durable_sql_connect();
		some = durable_tally_fold();
		durable_sql_finish();
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begin);

	last = GetCurrentTimestamp();
	rest = Max(some ? REST_AFTER_SOME : REST_AFTER_NONE,
			   (long) (INSTR_TIME_GET_MILLISEC(took) * REST_AFTER_WORK));
	return rest;
}
