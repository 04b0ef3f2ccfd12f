/*
 * waiting.h
 *		What an instance waits for, in the few bytes it takes on disk.
 */
#ifndef DURABLE_WAITING_H
#define DURABLE_WAITING_H

#include "turn.h"

/* instance.waiting: what it waits for, and events nobody has consumed. */
extern char *durable_waiting_build(Instance *instance);

/* The same of an external orchestration: calls without an answer, as its history has them. */
extern char *durable_waiting_of_history(const Instance *instance);

/*
 * The same when messages have come but no turn was run, because it is suspended, has
 * not started, or would not have got further: what it was before, without what has
 * been answered, and the events.
 */
extern char *durable_waiting_keep(const Instance *instance);

/* The same when it may run from now on. */
extern char *durable_waiting_start(const Instance *instance, TimestampTz started);

/* Of an instance that waits for its start, and when that is; DT_NOEND: it does not. */
extern char *durable_waiting_for_start(TimestampTz created, TimestampTz due);
extern TimestampTz durable_waiting_start_due(const Instance *instance);

#endif							/* DURABLE_WAITING_H */
