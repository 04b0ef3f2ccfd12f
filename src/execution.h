/*
 * execution.h
 *		Taking an instance from where it is to where it waits or ends.
 */
#ifndef DURABLE_EXECUTION_H
#define DURABLE_EXECUTION_H

#include "batch.h"

/*
 * Applies the messages, in this order, and runs turns and inline activities
 * until the instance waits, ends, or the batch has had enough.
 */
extern void durable_execution_run(Batch * batch, Instance *instance, List *messages);

/* Parks an instance: status Suspended, with that reason. */
extern void durable_execution_park(Batch * batch, Instance *instance, const char *reason);

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

/* Parts of it: execution.c, dispatch.c and ending.c call each other. */
extern void durable_execution_add_event(Batch * batch, Instance *instance, HistoryType type,
										int32 task, const char *name, const Jsonb *payload);
extern void durable_execution_set_status(Instance *instance, char status, const char *reason);

extern bool durable_dispatch_run(Batch * batch, Instance *instance, Handler *handler, bool ending);
extern void durable_dispatch_put_off(Batch * batch, Instance *instance);
extern void durable_dispatch_pick_up(Instance *instance);

/*
 * straight.c: a turn with its activities within it, if that is likely to go; false:
 * it did not, and nothing of it is left.  in_burst: there have been many in a row.
 * pays: do so again if there are more.  learn: turn by turn it has gone.
 */
extern bool durable_straight_run(Batch * batch, Instance *instance, Handler *handler, Turn *turn,
								 bool in_burst, bool *pays);
extern void durable_straight_learn(const Turn *turn, bool wrote);

extern void durable_ending_carry_out(Batch * batch, Instance *instance);
extern void durable_ending_finish(Batch * batch, Instance *instance, char status,
								  Jsonb *output, Jsonb *failure);
extern void durable_ending_continue_as_new(Batch * batch, Instance *instance, Turn *turn);

#endif							/* DURABLE_EXECUTION_H */
