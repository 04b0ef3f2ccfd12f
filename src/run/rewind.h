/*
 * rewind.h
 *		An instance that has failed goes on where it was.
 */
#ifndef DURABLE_REWIND_H
#define DURABLE_REWIND_H

#include "batch.h"

/* Has it failed, and is among these messages one that it takes all the same? */
extern bool durable_rewind_wants(const Instance *instance, const List *messages);

/* The message MESSAGE_REWIND to an instance that has failed: it may be run after that. */
extern void durable_rewind_apply(Batch * batch, Instance *instance, const Message *message);

#endif							/* DURABLE_REWIND_H */
