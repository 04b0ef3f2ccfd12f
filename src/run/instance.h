/*
 * instance.h
 *		The two ways in which a unit changes an instance: an event, and a transition.
 */
#ifndef DURABLE_INSTANCE_H
#define DURABLE_INSTANCE_H

#include "batch.h"

/* Appends an event at the time of the batch. */
extern void durable_instance_add_event(Batch * batch, Instance *instance, HistoryType type,
										int32 task, const char *name, const Jsonb *payload);

/* The same for the answer to a call of an activity or sub-orchestration; attempt 0: not known. */
extern void durable_instance_add_answer(Batch * batch, Instance *instance, HistoryType type,
										 int32 task, int32 attempt, const Jsonb *payload);

/* An event that has come too late: the instance has ended. */
extern void durable_instance_drop_event(Batch * batch, Instance *instance, const Message *message);

/* All transitions; the states are drawn in execution.c. */
/* Failed becomes Running. */
extern void durable_instance_reopen(Instance *instance);

extern void durable_instance_set_status(Instance *instance, char status, const char *reason);

#endif							/* DURABLE_INSTANCE_H */
