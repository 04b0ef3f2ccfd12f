/*-------------------------------------------------------------------------
 *
 * instance.c
 *		Changes an instance: appends events, and performs transitions of its status.
 *
 * Owns:	instance.status of the instances in a batch; the states are drawn in
 *			execution.c
 * Called by: unit.c, execution.c and the files that it calls
 * Locks:	the caller holds the instance's row lock
 * Memory:	CurrentMemoryContext, which is instance->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "instance.h"

void
durable_instance_add_event(Batch * batch, Instance *instance, HistoryType type, int32 task,
		  const char *name, const Jsonb *payload)
{
	HistoryEvent *event = palloc0(sizeof(HistoryEvent));

	event->type = type;
	event->task = task;
	event->name = name ? pstrdup(name) : NULL;
	event->time = batch->clock;
	event->payload = unconstify(Jsonb *, payload);
	durable_replay_add(&instance->replay, event);
}

/* The number of the attempt is recorded for readers of the history; a replay ignores it. */
void
durable_instance_add_answer(Batch * batch, Instance *instance, HistoryType type, int32 task,
							int32 attempt, const Jsonb *payload)
{
	durable_instance_add_event(batch, instance, type, task, NULL, payload);
	if (attempt > 1)
		instance->replay.events[instance->replay.nevents - 1]->extra = durable_history_number(attempt);
}

void
durable_instance_drop_event(Batch * batch, Instance *instance, const Message *message)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	HistoryEvent *event = palloc0(sizeof(HistoryEvent));

	event->type = HISTORY_EVENT_DROPPED;
	event->name = message->name;
	event->time = batch->clock;
	event->payload = message->payload;
	instance->dropped = lappend(instance->dropped, event);
	MemoryContextSwitchTo(old);
}

void
durable_instance_reopen(Instance *instance)
{
	Assert(instance->status == STATUS_FAILED);
	instance->status = STATUS_RUNNING;
}

/* The only function that changes the status, except the one above. */
void
durable_instance_set_status(Instance *instance, char status, const char *reason)
{
	Assert(!STATUS_IS_FINISHED(instance->status));
	Assert(status != STATUS_COMPLETED || instance->status == STATUS_RUNNING);
	Assert(status != STATUS_FAILED || instance->status == STATUS_RUNNING);
	Assert(status != STATUS_PENDING || instance->status == STATUS_SUSPENDED);

	instance->status = status;
	instance->suspend_reason = reason ? pstrdup(reason) : NULL;
}
