/*
 * execution.h
 *		Taking an instance from where it is to where it waits or ends.
 */
#ifndef DURABLE_EXECUTION_H
#define DURABLE_EXECUTION_H

#include "batch.h"

/*
 * Applies the messages, in this order, and runs turns and inline activities
 * until the instance waits, ends, or the batch has had enough.
 */
extern void durable_execution_run(Batch * batch, Instance *instance, List *messages);

/* Parks an instance: status Suspended, with that reason. */
extern void durable_execution_park(Batch * batch, Instance *instance, const char *reason);

#endif							/* DURABLE_EXECUTION_H */
