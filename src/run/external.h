/*
 * external.h
 *		Turns of external orchestrations, in a unit of work.
 */
#ifndef DURABLE_EXTERNAL_H
#define DURABLE_EXTERNAL_H

#include "batch.h"

/* Does its code run outside of the database? */
extern bool durable_external_is(const Instance *instance);

/* A worker has completed a turn: its calls become events, and the execution may end. */
extern void durable_external_apply(Batch * batch, Instance *instance, const Message *message);

/*
 * When the messages of a unit have been absorbed: carries out what the turn has decided, and
 * puts the next turn into the queue if there are events that no turn has seen.
 */
extern void durable_external_go_on(Batch * batch, Instance *instance);

/* {"reason": text} of a payload, for a termination. */
extern Jsonb *durable_external_reason(const Jsonb *payload);

#endif							/* DURABLE_EXTERNAL_H */
