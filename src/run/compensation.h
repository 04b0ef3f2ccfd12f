/*
 * compensation.h
 *		Runs the compensations of an instance that has failed or was terminated.
 */
#ifndef DURABLE_COMPENSATION_H
#define DURABLE_COMPENSATION_H

#include "batch.h"

/*
 * The instance is about to end with that failure.  Starts an instance that runs its
 * compensations, if there are any.  Returns the failure, to which the id of that instance is
 * added.
 */
extern Jsonb *durable_compensation_start(Batch * batch, Instance *instance, Jsonb *failure);

/* Have its compensations been started? */
extern bool durable_compensation_is_started(const Instance *instance);

/* continue_as_new: appends the compensations that the next execution takes over. */
extern void durable_compensation_keep(const Replay *replay, HistoryEvent ***kept, int *nkept, int *allocated);

#endif							/* DURABLE_COMPENSATION_H */
