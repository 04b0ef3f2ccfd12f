/*
 * outcome.h
 *		What becomes of decisions, and of an execution that ends.
 */
#ifndef DURABLE_OUTCOME_H
#define DURABLE_OUTCOME_H

#include "batch.h"

extern void durable_outcome_carry_out(Batch * batch, Instance *instance);
extern void durable_outcome_finish(Batch * batch, Instance *instance, char status,
								  Jsonb *output, Jsonb *failure);
extern void durable_outcome_continue_as_new(Batch * batch, Instance *instance, Turn *turn);

#endif							/* DURABLE_OUTCOME_H */
