/*
 * waiting.h
 *		What an instance waits for, in the few bytes it takes on disk.
 */
#ifndef DURABLE_WAITING_H
#define DURABLE_WAITING_H

#include "turn.h"

/* instance.waiting: what it waits for, and events nobody has consumed. */
extern char *durable_waiting_build(const Instance *instance);

/*
 * The same when messages have come but nothing was run, because it is suspended or
 * has not started: what it was before, and the events.
 */
extern char *durable_waiting_keep(const Instance *instance);

/* The same when it may run from now on. */
extern char *durable_waiting_start(const Instance *instance, TimestampTz started);

/*
 * The activities that are to be run when it goes on; and their tasks, once, which
 * takes them out of instance->waiting.
 */
extern char *durable_waiting_put_off(const Instance *instance);
extern List *durable_waiting_take_pending(Instance *instance);
extern char *durable_waiting_for_start(TimestampTz created, TimestampTz due);
extern TimestampTz durable_waiting_start_due(const Instance *instance);

#endif							/* DURABLE_WAITING_H */
