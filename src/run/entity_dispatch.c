/*-------------------------------------------------------------------------
 *
 * entity_dispatch.c
 *		Carries out the operations on entities that an orchestration calls.
 *
 * If possible, operations run at once, between two turns, like short activities: their
 * effects, their answer, and the next steps of the orchestration are one commit.  If
 * another unit has the entity locked, or the batch has used up its time, they become
 * messages, and the answer comes as a message.
 *
 * Called by: execution.c, external.c, outcome.c, rewind.c
 * Locks:	rows of durable.entity, by entity_batch.c
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "decision.h"
#include "entity.h"
#include "entity_id.h"
#include "external.h"
#include "instance.h"
#include "verbatim.h"

static bool dispatch(Batch * batch, Instance *instance, const Decision *decision);
static bool deliver(Batch * batch, Instance *instance, const char *id, Message *message);
static void release(Batch * batch, Instance *instance, const HistoryEvent *request, const char *only,
					bool always_sends);
static Message *operation_of(Batch * batch, const Instance *instance, const char *id, char kind,
							 const Decision *decision);
static Message *message_of(Batch * batch, const Instance *instance, const char *id, char kind,
						   const char *operation, const Jsonb *payload, int32 task);
static char *id_at(const Jsonb *ids, int position);

void
durable_entities_loaded(Instance *instance)
{
	instance->entity_calls = instance->replay.entity_calls;
	instance->entities_from = instance->replay.nevents;
}

bool
durable_entities_dispatch(Batch * batch, Instance *instance)
{
	Replay	   *replay = &instance->replay;
	int			nevents = replay->nevents;
	bool		answered = false;

	if (instance->entity_calls >= replay->entity_calls)
		return false;
	for (int i = instance->entities_from; i < nevents; i++)
	{
		Decision	decision;

		if (HISTORY_IS_ENTITY_CALL(replay->events[i]->type) &&
			durable_decision_read(replay->events[i], &decision))
			answered |= dispatch(batch, instance, &decision);
	}
	durable_entities_loaded(instance);
	return answered;
}

static bool
dispatch(Batch * batch, Instance *instance, const Decision *decision)
{
	const char *id = decision->instance_id;
	Message    *message;

	switch (decision->kind)
	{
		case DECISION_ENTITY_SIGNAL:
			message = operation_of(batch, instance, id, MESSAGE_SIGNAL, decision);
			if (decision->due <= batch->clock)
				return deliver(batch, instance, id, message);
			durable_entity_schedule(batch, message, decision->due);
			return false;

		case DECISION_ENTITY_CALL:
			return deliver(batch, instance, id, operation_of(batch, instance, id, MESSAGE_CALL, decision));

		case DECISION_ENTITY_LOCK:
			id = id_at(decision->input, 0);
			return deliver(batch, instance, id,
						   message_of(batch, instance, id, MESSAGE_LOCK, "", decision->input, decision->task));

		case DECISION_ENTITY_UNLOCK:
			if (decision->task < 1)
				return false;	/* an external orchestration releases locks that it has not requested */
			release(batch, instance, instance->replay.events[instance->replay.calls[decision->task - 1]], id, false);
			return false;

		default:
			elog(ERROR, "unexpected decision %d about an entity", (int) decision->kind);
	}
}

/* Returns whether there is an answer. */
static bool
deliver(Batch * batch, Instance *instance, const char *id, Message *message)
{
	BatchEntity *entity;
	EntityAnswer answer;
	int64		user_us = batch->user_us;

	entity = batch->cautious || durable_batch_exhausted(batch) ? NULL : durable_entity_ready(batch, id);
	if (entity == NULL)
	{
		durable_entity_send(batch, id, message);
		return false;
	}
	answer = durable_entity_try(batch, entity, message, false, instance);
	instance->compute_us += batch->user_us - user_us;
	switch (answer.outcome)
	{
		case ENTITY_DONE:
			return false;
		case ENTITY_WAITS:
			durable_entity_park(batch, entity, message);
			return false;
		case ENTITY_COMPLETED:
		case ENTITY_FAILED:
			break;
	}
	if (message->kind == MESSAGE_SIGNAL)
		return false;
	durable_instance_add_event(batch, instance,
							   message->kind == MESSAGE_LOCK ? HISTORY_ENTITY_LOCK_GRANTED :
							   answer.outcome == ENTITY_COMPLETED ? HISTORY_ENTITY_COMPLETED : HISTORY_ENTITY_FAILED,
							   message->task, NULL,
							   answer.outcome == ENTITY_FAILED ? answer.payload :
							   durable_verbatim_convert(answer.payload, answer.is_text, durable_external_is(instance)));
	return true;
}

void
durable_entities_end(Batch * batch, Instance *instance)
{
	const Replay *replay = &instance->replay;
	const HistoryEvent *request;
	int		   *unlocked;		/* number of released entities of each request */

	if (replay->entity_calls == 0)
		return;
	(void) durable_entities_dispatch(batch, instance);
	if (!durable_external_is(instance))
	{
		request = durable_replay_open_section(replay);
		if (request != NULL)
			release(batch, instance, request, NULL, true);
		return;
	}

	/* A program may have requested locks several times, and may have released some of them. */
	unlocked = palloc0((replay->ncalls + 1) * sizeof(int));
	for (int i = replay->ncalls - 1; i >= 0; i--)
	{
		request = replay->events[replay->calls[i]];
		if (request->type == HISTORY_ENTITY_UNLOCKED)
			unlocked[durable_history_get_number(request->payload)]++;
		else if (request->type == HISTORY_ENTITY_LOCK_REQUESTED &&
				 unlocked[request->task] < JsonContainerSize(&request->payload->root))
			release(batch, instance, request, NULL, true);
	}
	pfree(unlocked);
}

void
durable_entities_call_again(Batch * batch, Instance *instance, const HistoryEvent *call)
{
	Decision	decision;
	bool		is_lock = call->type == HISTORY_ENTITY_LOCK_REQUESTED;
	const char *id;

	(void) durable_decision_read(call, &decision);
	id = is_lock ? id_at(decision.input, 0) : decision.instance_id;
	durable_entity_send(batch, id,
						is_lock ? message_of(batch, instance, id, MESSAGE_LOCK, "", decision.input, call->task) :
						operation_of(batch, instance, id, MESSAGE_CALL, &decision));
}

void
durable_entities_resume_section(Batch * batch, Instance *instance)
{
	const Replay *replay = &instance->replay;
	bool	   *answered = palloc0((replay->ncalls + 1) * sizeof(bool));

	for (int i = 0; i < replay->nevents; i++)
	{
		const HistoryEvent *event = replay->events[i];

		if (!event->taken_back && event->task >= 1 && event->task <= replay->ncalls &&
			(event->type == HISTORY_ENTITY_COMPLETED || event->type == HISTORY_ENTITY_FAILED))
			answered[event->task] = true;
	}
	for (int task = durable_replay_open_section(replay)->task; task <= replay->ncalls; task++)
	{
		const HistoryEvent *call = replay->events[replay->calls[task - 1]];
		Decision	decision;

		if (call->type == HISTORY_ENTITY_CALLED && !answered[task] && durable_decision_read(call, &decision))
			durable_entities_call_again(batch, instance, call);
	}
	pfree(answered);
}

/*
 * Frees that entity, or, with NULL, all entities that the request names.  always_sends: sends a message also to
 * entities that are not locked, because the request may be under way.
 */
static void
release(Batch * batch, Instance *instance, const HistoryEvent *request, const char *only, bool always_sends)
{
	int			nids = JsonContainerSize(&request->payload->root);

	for (int i = 0; i < nids; i++)
	{
		char	   *id = id_at(request->payload, i);
		Message    *message = message_of(batch, instance, id, MESSAGE_UNLOCK, "", NULL, request->task);
		BatchEntity *entity;

		if (only != NULL && strcmp(only, id) != 0)
			continue;
		entity = durable_entity_open(batch, id);
		if (entity == NULL || (always_sends && entity->row.locked_by != instance->key))
			durable_entity_send(batch, id, message);
		else
			durable_entity_unlock(batch, entity, message);
	}
}

/* An operation; that of an external orchestration has a text as its input. */
static Message *
operation_of(Batch * batch, const Instance *instance, const char *id, char kind, const Decision *decision)
{
	bool		is_text = durable_external_is(instance);
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	const Jsonb *payload = is_text ?
		durable_entity_text(decision->input, durable_verbatim_queue(instance->handler_signature)) : decision->input;
	Message    *message;

	MemoryContextSwitchTo(old);
	message = message_of(batch, instance, id, kind, decision->name, payload, decision->task);
	message->is_text = is_text;
	return message;
}

static Message *
message_of(Batch * batch, const Instance *instance, const char *id, char kind, const char *operation,
		   const Jsonb *payload, int32 task)
{
	Message    *message = durable_entity_message(batch, id, kind, operation, payload);

	message->sender = instance->key;
	message->execution = instance->execution;
	message->task = task;
	return message;
}

static char *
id_at(const Jsonb *ids, int position)
{
	JsonbValue *value = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &ids->root), position);

	return pnstrdup(value->val.string.val, value->val.string.len);
}
