/*
 * straight_through.h
 *		A turn with its activities within it.
 */
#ifndef DURABLE_STRAIGHT_THROUGH_H
#define DURABLE_STRAIGHT_THROUGH_H

#include "batch.h"

/*
 * A turn with its activities within it, if that is likely to go; false:
 * it did not, and nothing of it is left.  in_burst: there have been many in a row.
 * pays: do so again if there are more.  learn: turn by turn it has gone.
 */
extern bool durable_straight_run(Batch * batch, Instance *instance, Handler *handler, Turn *turn,
								 bool in_burst, bool *pays);
extern void durable_straight_learn(const Turn *turn, bool wrote);

#endif							/* DURABLE_STRAIGHT_THROUGH_H */
