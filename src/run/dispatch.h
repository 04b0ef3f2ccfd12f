/*
 * dispatch.h
 *		Decides whether an activity runs inline, as a task or from a queue, and dispatches it.
 */
#ifndef DURABLE_DISPATCH_H
#define DURABLE_DISPATCH_H

#include "batch.h"

/*
 * Runs or schedules the activities that the turns of an instance have called.  Names are looked
 * up in that schema (InvalidOid: none) and the search_path.  True: there are answers, and the
 * next turn is to be run now.
 */
extern bool durable_dispatch_run(Batch * batch, Instance *instance, Oid namespace, bool ending);

/* The same as tasks for the activities that a rewind schedules again (instance->again). */
extern void durable_dispatch_again(Batch * batch, Instance *instance, Oid namespace);

/* The batch is exhausted: the instance continues in the next one. */
extern void durable_dispatch_put_off(Batch * batch, Instance *instance);

#endif							/* DURABLE_DISPATCH_H */
