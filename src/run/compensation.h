/*
 * compensation.h
 *		Undoes the steps of an instance that has failed or was terminated.
 */
#ifndef DURABLE_COMPENSATION_H
#define DURABLE_COMPENSATION_H

#include "batch.h"

/*
 * The instance is about to end with that failure.  Starts the orchestration that runs its
 * compensations, if there are any; returns the failure with the id of that one.
 */
extern Jsonb *durable_compensation_start(Batch * batch, Instance *instance, Jsonb *failure);

/* Have its compensations been started? */
extern bool durable_compensation_is_started(const Instance *instance);

/* continue_as_new: the events that the next execution begins with. */
extern void durable_compensation_keep(const Replay *replay, HistoryEvent ***kept, int *nkept, int *allocated);

#endif							/* DURABLE_COMPENSATION_H */
