/*
 * outcome.h
 *		What becomes of a turn's result, and of an execution that ends.
 */
#ifndef DURABLE_OUTCOME_H
#define DURABLE_OUTCOME_H

#include "batch.h"
#include "decision.h"
#include "runner.h"

/*
 * Applies what a turn has come to, whoever has run it; its new events are in the
 * instance's history.  Runs short activities, or makes tasks of them, as names are
 * found in that schema besides the search_path (InvalidOid: none).  Ends the execution,
 * begins the next one or suspends the instance.  True: another turn may run at once.
 * Decisions become rows when the execution ends, else with durable_outcome_carry_out,
 * when the unit is done with the instance.
 */
extern bool durable_outcome_apply(Batch * batch, Instance *instance, const TurnResult *result,
								  Oid namespace);
extern void durable_outcome_carry_out(Batch * batch, Instance *instance);

/* Starts a sub-orchestration or a detached one; start_at 0: at once. */
extern void durable_outcome_start(Batch * batch, Instance *instance, const Decision *decision,
								  int attempt, TimestampTz start_at);

/* The execution and the instance end with that status. */
extern void durable_outcome_finish(Batch * batch, Instance *instance, char status,
								  Jsonb *output, Jsonb *failure);

#endif							/* DURABLE_OUTCOME_H */
