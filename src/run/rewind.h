/*
 * rewind.h
 *		Rewinds a failed instance: it continues from the point where it failed.
 */
#ifndef DURABLE_REWIND_H
#define DURABLE_REWIND_H

#include "batch.h"

/* Is the instance Failed, and is one of these messages for a failed instance? */
extern bool durable_rewind_wants(const Instance *instance, const List *messages);

/* Applies MESSAGE_REWIND to a failed instance; afterwards it can run. */
extern void durable_rewind_apply(Batch * batch, Instance *instance, const Message *message);

#endif							/* DURABLE_REWIND_H */
