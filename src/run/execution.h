/*
 * execution.h
 *		Runs an instance until it waits or ends.
 */
#ifndef DURABLE_EXECUTION_H
#define DURABLE_EXECUTION_H

#include "batch.h"

/*
 * Applies the messages in this order, and runs turns and inline activities until the instance
 * waits or ends, or the batch is exhausted.
 */
extern void durable_execution_run(Batch * batch, Instance *instance, List *messages);

/* Suspends an instance that cannot run, with that reason. */
extern void durable_execution_park(Batch * batch, Instance *instance, const char *reason);

#endif							/* DURABLE_EXECUTION_H */
