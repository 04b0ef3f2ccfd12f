/*
 * instance.h
 *		Changes an instance: appends events, and performs transitions of its status.
 */
#ifndef DURABLE_INSTANCE_H
#define DURABLE_INSTANCE_H

#include "batch.h"

/* Appends an event at the time of the batch. */
extern void durable_instance_add_event(Batch * batch, Instance *instance, HistoryType type,
										int32 task, const char *name, const Jsonb *payload);

/* Appends the answer to a call of an activity or sub-orchestration; attempt 0: not known. */
extern void durable_instance_add_answer(Batch * batch, Instance *instance, HistoryType type,
										 int32 task, int32 attempt, const Jsonb *payload);

/* Records an event that has come after the end of the instance. */
extern void durable_instance_drop_event(Batch * batch, Instance *instance, const Message *message);

/* The transition from Failed to Running (rewind). */
extern void durable_instance_reopen(Instance *instance);

/* All other transitions; execution.c has a diagram of the states. */
extern void durable_instance_set_status(Instance *instance, char status, const char *reason);

#endif							/* DURABLE_INSTANCE_H */
