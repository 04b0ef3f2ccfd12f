/*
 * waiting.h
 *		The column durable.instance.waiting: what an instance waits for, in a compact form.
 */
#ifndef DURABLE_WAITING_H
#define DURABLE_WAITING_H

#include "turn.h"

/* The value after a turn: open tasks, and events that were not consumed. */
extern char *durable_waiting_build(Instance *instance);

/* The value for an external orchestration: the calls without an answer in its history. */
extern char *durable_waiting_of_history(const Instance *instance);

/*
 * The value if messages have come and no turn was run, because the instance is suspended, has
 * not started, or could not make progress: the old value without the tasks that were answered,
 * with the new events.
 */
extern char *durable_waiting_keep(const Instance *instance);

/* The value when a delayed instance starts. */
extern char *durable_waiting_start(const Instance *instance, TimestampTz started);

/* The value for an instance with start_at; and its start time, DT_NOEND: it does not wait for its start. */
extern char *durable_waiting_for_start(TimestampTz created, TimestampTz due);
extern TimestampTz durable_waiting_start_due(const Instance *instance);

#endif							/* DURABLE_WAITING_H */
