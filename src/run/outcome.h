/*
 * outcome.h
 *		Applies the result of a turn, and ends executions and instances.
 */
#ifndef DURABLE_OUTCOME_H
#define DURABLE_OUTCOME_H

#include "batch.h"
#include "decision.h"
#include "runner.h"

/*
 * apply applies the result of a turn, whose new events are in the instance's history.  It
 * dispatches activities (durable_dispatch_run; namespace is passed to it), ends the execution,
 * begins the next one, or suspends the instance.  True: another turn can run at once.
 *
 * The other decisions become rows when the execution ends, else by carry_out, which is called
 * when the unit has finished with the instance.
 */
extern bool durable_outcome_apply(Batch * batch, Instance *instance, const TurnResult *result,
								  Oid namespace);
extern void durable_outcome_carry_out(Batch * batch, Instance *instance);

/* Starts a sub-orchestration or a detached one; start_at 0: at once. */
extern void durable_outcome_start(Batch * batch, Instance *instance, const Decision *decision,
								  int attempt, TimestampTz start_at);

/* Ends the execution and the instance with that status. */
extern void durable_outcome_finish(Batch * batch, Instance *instance, char status,
								  Jsonb *output, Jsonb *failure);

#endif							/* DURABLE_OUTCOME_H */
