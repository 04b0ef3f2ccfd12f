/*
 * straight_through.h
 *		Runs a turn together with its activities, without a replay after each of them.
 */
#ifndef DURABLE_STRAIGHT_THROUGH_H
#define DURABLE_STRAIGHT_THROUGH_H

#include "batch.h"

/*
 * run runs a turn with its activities if that is likely to succeed; false: it did not succeed,
 * and its effects were rolled back.  in_burst: the instance has called many activities in a
 * row.  *pays: the next ones should be run in the same way.  learn is called after a turn whose
 * activities ran between turns.
 */
extern bool durable_straight_run(Batch * batch, Instance *instance, Handler *handler, Turn *turn,
								 bool in_burst, bool *pays);
extern void durable_straight_learn(const Turn *turn, bool wrote);

#endif							/* DURABLE_STRAIGHT_THROUGH_H */
