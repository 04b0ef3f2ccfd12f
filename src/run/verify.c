/*-------------------------------------------------------------------------
 *
 * verify.c
 *		Dry runs, which test whether the history of an instance matches some code.
 *
 * A dry run is a turn over the stored history whose result is not applied.  It breaks
 * where a turn would suspend the instance: the code makes another call than the
 * history has, or ends or waits before it has made all of them.  Code that continues
 * beyond the history, or fails there, does not contradict it.
 *
 * Called by: code_api.c
 * Locks:	none
 * Memory:	the instance's context; the caller deletes it
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "clock.h"
#include "turn.h"
#include "verify.h"

Verdict
durable_verify_instance(Instance *instance, Handler *handler)
{
	Verdict		verdict = {0};
	Turn		turn = {
		.instance = instance,
		.handler = handler,
		.clock = durable_clock_now(),
		.fresh_events = instance->stored_events,
		.dry = true
	};

	switch (durable_turn_run(&turn))
	{
		case TURN_MISMATCH:
			verdict.problem = turn.result.mismatch;
			verdict.line = instance->wait_line;
			break;
		case TURN_ERROR:
			verdict.problem = turn.result.error->message;
			break;
		default:
			break;
	}
	return verdict;
}
