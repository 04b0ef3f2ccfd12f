/*-------------------------------------------------------------------------
 *
 * watching.c
 *		Requests a new run of the queries of durable.wait_until whose tables have changed.
 *
 * watch.c tells which tables these are.  Their tasks become due, and workers run them.  A
 * task that is running is skipped: its worker compares when it has committed.
 *
 * Called by: coordinator.c, testing_api.c
 * Locks:	rows of durable.task_queue, with SKIP LOCKED
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "clock.h"
#include "task_table.h"
#include "watch.h"
#include "watching.h"

/* The number of tables, and of tasks, in one transaction. */
#define STEP_TABLES		100
#define STEP_TASKS		5000

bool
durable_watching_step(void)
{
	Oid			relations[STEP_TABLES];
	bool		all;
	int			n = durable_watch_take(relations, STEP_TABLES, &all);
	bool		more;

	if (n == 0 && !all)
		return false;
	more = durable_task_wake_watching(relations, all ? -1 : n, durable_clock_now(), STEP_TASKS) == STEP_TASKS;
	if (more)
		durable_watch_put_back(relations, n, all);
	return more || durable_watch_has_changes();
}

UnitResult
durable_watching_unit(Oid owner, UnitScan *scan)
{
	if (!durable_watch_has_changes())
		return UNIT_NOTHING;
	(void) durable_watching_step();
	return UNIT_SOME;
}
