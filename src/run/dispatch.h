/*
 * dispatch.h
 *		Where an activity runs: inline, or as a task.
 */
#ifndef DURABLE_DISPATCH_H
#define DURABLE_DISPATCH_H

#include "batch.h"

extern bool durable_dispatch_run(Batch * batch, Instance *instance, Handler *handler, bool ending);
extern void durable_dispatch_put_off(Batch * batch, Instance *instance);

#endif							/* DURABLE_DISPATCH_H */
