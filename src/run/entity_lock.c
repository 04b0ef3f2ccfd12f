/*-------------------------------------------------------------------------
 *
 * entity_lock.c
 *		Critical sections: one instance locks several entities for its own use.
 *
 * A request names its entities in sorted order.  If all are free, all are locked in one
 * transaction.  If one is not free, the request waits in that entity's line, with the entities
 * before it locked, and continues from there when it is the first in the line.  All requests
 * lock in the same order, so no two wait for each other.  Lines are served in order, so no
 * request waits forever.
 *
 *	request --free--> locked --next one--> ... --last one--> granted
 *	   \--locked by another instance--> parked in its line --unlocked--> locked
 *	   \--row is locked by another unit--> a message to that entity
 *
 * While an entity is locked, calls of the holder are served, and everything else is parked.
 *
 * No entity stays locked by an execution that has ended.  The end of an execution frees the
 * entities that it has locked: at once if it can lock the row, else by a message.  A request
 * that is still under way when its execution ends must not lock an entity any more.  So the
 * unit that takes a request from a line, with the entity's row
 * locked, checks whether the execution still runs.  If it does, then its end is yet to be
 * committed, and so is the message that frees the entity, which is taken after this
 * transaction has unlocked the row.  An execution that ends sends that message also to
 * entities that it has not locked yet.
 *
 * Called by: entity_batch.c, entity_dispatch.c, entity_external.c, entity_run.c
 * Locks:	rows of durable.entity, by entity_batch.c
 * Memory:	batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "entity.h"

static bool is_free(const Batch * batch, const BatchEntity * entity);
static void lock(BatchEntity * entity, const Message *message);
static Message *request_to(Batch * batch, const char *id, const Message *message, int position);

EntityAnswer
durable_entity_lock_set(Batch * batch, BatchEntity * entity, Message *message, Instance *of)
{
	JsonbContainer *ids = &message->payload->root;
	int			nids = JsonContainerSize(ids);
	int			position = Max(message->attempt, 1);	/* of this entity, from 1 */

	if (of == NULL && !durable_instance_is_in(message->sender, message->execution))
		return (EntityAnswer) {ENTITY_DONE};
	lock(entity, message);
	for (; position < nids; position++)
	{
		JsonbValue *value = getIthJsonbValueFromContainer(ids, position);
		char	   *id = pnstrdup(value->val.string.val, value->val.string.len);
		BatchEntity *next = durable_entity_ready(batch, id);
		Message    *request = request_to(batch, id, message, position + 1);

		if (next == NULL)
		{
			durable_entity_send(batch, id, request);
			return (EntityAnswer) {ENTITY_DONE};
		}
		if (!is_free(batch, next))
		{
			durable_entity_park(batch, next, request);
			return (EntityAnswer) {ENTITY_DONE};
		}
		lock(next, message);
	}
	return (EntityAnswer) {ENTITY_COMPLETED, NULL};
}

static bool
is_free(const Batch * batch, const BatchEntity * entity)
{
	return entity->row.locked_by == 0 && entity->row.parked == 0 && entity->row.held_until <= batch->clock;
}

static void
lock(BatchEntity * entity, const Message *message)
{
	Assert(entity->row.locked_by == 0);
	entity->row.locked_by = message->sender;
	entity->row.locked_execution = message->execution;
	entity->row.locked_task = message->task;
	entity->changed = true;
}

static Message *
request_to(Batch * batch, const char *id, const Message *message, int position)
{
	Message    *request = durable_entity_message(batch, id, MESSAGE_LOCK, "", message->payload);

	request->sender = message->sender;
	request->execution = message->execution;
	request->task = message->task;
	request->attempt = position;
	return request;
}

bool
durable_entity_is_barred(const BatchEntity * entity, const Message *message)
{
	return entity->row.locked_by != 0 &&
		(message->kind != MESSAGE_CALL || entity->row.locked_by != message->sender ||
		 entity->row.locked_execution != message->execution);
}

void
durable_entity_unlock(Batch * batch, BatchEntity * entity, const Message *message)
{
	EntityRow  *row = &entity->row;

	if (row->locked_by != message->sender || row->locked_execution != message->execution ||
		row->locked_task != message->task)
		return;
	row->locked_by = 0;
	row->locked_execution = row->locked_task = 0;
	entity->changed = true;
	if (row->parked > 0)
		durable_entity_again(batch, entity);
}
