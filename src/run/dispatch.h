/*
 * dispatch.h
 *		Where an activity runs: inline, or as a task.
 */
#ifndef DURABLE_DISPATCH_H
#define DURABLE_DISPATCH_H

#include "batch.h"

/*
 * Carries out the activities that the turns of an instance have asked for.  Names are
 * found in that schema besides the search_path (InvalidOid: none).  True: there are
 * answers, and the orchestration is to be run again now.
 */
extern bool durable_dispatch_run(Batch * batch, Instance *instance, Oid namespace, bool ending);

/*
 * Makes tasks of the activities that a rewind schedules again (instance->again).  Their
 * names are found in that schema, too.
 */
extern void durable_dispatch_again(Batch * batch, Instance *instance, Oid namespace);

/* The batch has had enough: the instance goes on in the next one. */
extern void durable_dispatch_put_off(Batch * batch, Instance *instance);

#endif							/* DURABLE_DISPATCH_H */
