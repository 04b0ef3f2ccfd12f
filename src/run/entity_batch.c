/*-------------------------------------------------------------------------
 *
 * entity_batch.c
 *		The entities that a unit of work affects: locks them, takes their messages,
 *		and writes them.
 *
 * Entities are reached in two ways.  A batch finds messages for them in the inbox, as it finds
 * those for instances.  Or an instance of the batch calls them, and then the operation runs
 * at once, in the same transaction, if the entity can be locked and has nothing else to do
 * first (entity_dispatch.c).  Both lock the row, and keep it locked until the commit, so
 * that operations never overlap, and an entity's new state and its answers are one commit.
 *
 * Order.  Messages of one sender have ascending numbers and are taken in their order.  An
 * operation that an instance of this batch sends must not overtake those that it has sent
 * before, so the entity's messages are taken first.  If there are too many, it becomes a message
 * behind them.  An operation that cannot be taken now, because another instance has the
 * entity locked, or its function cannot be called, is parked in durable.entity_operation,
 * where scans of the inbox do not visit it repeatedly.  As long as an operation is parked,
 * all operations that arrive are parked behind it.
 *
 *	message --taken--> operation has run
 *	   \--entity is locked, or held--> parked --free again: a message "k"--> operation has run
 *	message with a later time --timer is due--> operation has run, or parked
 *
 * Operations of an external entity are parked, too, and a worker outside of the database fetches
 * them in batches (entity_external.c).
 *
 * Called by: unit.c, batch_claim.c, batch_store.c, the other entity_*.c
 * Locks:	rows of durable.entity, with SKIP LOCKED, until the caller commits
 * Memory:	batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "entity.h"
#include "entity_id.h"
#include "flight.h"
#include "suspect.h"
#include "wakeup.h"

/* The largest number of messages, or of waiting operations, of one entity that one unit reads. */
#define MESSAGES_AT_ONCE	500

static BatchEntity * find(Batch * batch, const char *id);
static void forget_batch(void *arg);
static void read_messages(Batch * batch, BatchEntity * entity);
static bool has_seen(const BatchEntity * entity, const Message *message);
static void take_messages(Batch * batch, BatchEntity * entity, bool alone);
static void drain(Batch * batch, BatchEntity * entity, bool alone);
static void next_batch(Batch * batch, BatchEntity * entity, bool alone);
static List *ids_of(Batch * batch, int64 key, List *messages, bool *looks);
static bool is_nothing(const EntityRow *row);

/* The entities of the batch that runs in this process; NULL if there are none. */
static HTAB *entities_of_batch = NULL;

/* --- locking ------------------------------------------------------------------------------ */

BatchEntity *
durable_entity_open(Batch * batch, const char *id)
{
	BatchEntity *entity = find(batch, id);

	return entity->open && !entity->reading ? entity : NULL;
}

static BatchEntity *
find(Batch * batch, const char *id)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	BatchEntity *entity;
	bool		found;

	if (batch->entities == NULL)
	{
		HASHCTL		ctl = {.keysize = DURABLE_MAX_NAME + 1, .entrysize = sizeof(BatchEntity), .hcxt = batch->context};

		MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

		batch->entities = hash_create("durable entities", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
		entities_of_batch = batch->entities;
		callback->func = forget_batch;
		callback->arg = NULL;
		MemoryContextRegisterResetCallback(batch->context, callback);
	}
	entity = hash_search(batch->entities, id, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) entity + offsetof(BatchEntity, row), 0, sizeof(BatchEntity) - offsetof(BatchEntity, row));
		entity->open = durable_entity_lock(batch->owner, id, batch->clock, &entity->row, &entity->is_new);
		entity->runs_elsewhere = entity->open &&
			(entity->row.crashes > 0 || durable_report_holds_instance(entity->row.key));
	}
	MemoryContextSwitchTo(old);
	return entity;
}

static void
forget_batch(void *arg)
{
	entities_of_batch = NULL;
}

bool
durable_entity_is_in_batch(const char *id)
{
	return entities_of_batch != NULL && hash_search(entities_of_batch, id, HASH_FIND, NULL) != NULL;
}

BatchEntity *
durable_entity_ready(Batch * batch, const char *id)
{
	BatchEntity *entity = durable_entity_open(batch, id);

	if (entity == NULL || entity->runs_elsewhere || entity->behind || entity->row.problem_at != 0)
		return NULL;
	if (!entity->complete)
		read_messages(batch, entity);
	take_messages(batch, entity, false);
	return entity->behind ? NULL : entity;
}

/* --- messages ----------------------------------------------------------------------------- */

/* Uses a snapshot taken after the row was locked, so it sees the commit of the previous holder. */
static void
read_messages(Batch * batch, BatchEntity * entity)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	List	   *messages = durable_inbox_read_keys(batch->owner, &entity->row.key, 1, MESSAGES_AT_ONCE);
	ListCell   *cell;

	entity->complete = true;
	if (list_length(messages) >= MESSAGES_AT_ONCE)
		entity->behind = true;
	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);
		char	   *id;
		char	   *operation;

		durable_entity_address_read(message->name, &id, &operation);
		if (strcmp(id, entity->id) != 0 || has_seen(entity, message))
			continue;
		message->live = true;
		entity->messages = lappend(entity->messages, message);
		entity->seen = lappend(entity->seen, message);
	}
	MemoryContextSwitchTo(old);
}

static bool
has_seen(const BatchEntity * entity, const Message *message)
{
	ListCell   *cell;

	foreach(cell, entity->seen)
		if (((Message *) lfirst(cell))->id == message->id)
			return true;
	return false;
}

/* Takes the messages that have been read, as far as the time of the batch allows. */
static void
take_messages(Batch * batch, BatchEntity * entity, bool alone)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	List	   *messages = entity->messages;
	ListCell   *cell;

	check_stack_depth();
	entity->reading = true;
	entity->messages = NIL;
	if (entity->row.parked > 0 && durable_entity_line_moves(batch, entity))
		drain(batch, entity, alone);
	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);
		EntityAnswer result;

		CHECK_FOR_INTERRUPTS();
		if (durable_batch_exhausted(batch))
		{
			entity->behind = true;
			durable_wakeup_inbox(batch->owner, entity->row.key);
			break;
		}
		result = durable_entity_try(batch, entity, message, false, NULL);
		if (result.outcome == ENTITY_WAITS)
			durable_entity_park(batch, entity, message);
		else
			durable_entity_answer(batch, message, &result);
		if (message->kind == MESSAGE_RESULTS)
			next_batch(batch, entity, alone);
		else if (message->kind == MESSAGE_CONTINUE)
			durable_entity_look_for_holder(batch, entity);
		batch->consumed = lappend(batch->consumed, message);
		if (alone && (message->kind == MESSAGE_SIGNAL || message->kind == MESSAGE_CALL))
			batch->closed = true;	/* the next operation may be the one that has ended a process before */
	}
	entity->reading = false;
	MemoryContextSwitchTo(old);
}

/*
 * Takes waiting operations when the entity is free again, and delayed ones that are
 * due.  Operations that are not taken now are left to another unit.
 */
static void
drain(Batch * batch, BatchEntity * entity, bool alone)
{
	List	   *messages;
	ListCell   *cell;
	bool		more;
	bool		stays = false;	/* an operation has not been taken */
	bool		lock_ahead = false; /* it is a request for locks, so operations behind it are not served */
	bool		can_be_served = false;

	if (entity->drained)
	{
		/* The rows of the operations that have been taken are still in the table. */
		if (entity->row.locked_by == 0)
			durable_entity_again(batch, entity);
		return;
	}
	entity->drained = true;
	messages = durable_operation_read(batch->owner, entity->row.key, batch->clock, MESSAGES_AT_ONCE);
	more = list_length(messages) >= MESSAGES_AT_ONCE;
	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);
		bool		waited = message->due == DT_NOBEGIN;
		EntityAnswer result = {ENTITY_WAITS, NULL};
		char	   *id;
		char	   *operation;

		CHECK_FOR_INTERRUPTS();
		durable_entity_address_read(message->name, &id, &operation);
		if (strcmp(id, entity->id) != 0)
			continue;
		if (durable_batch_exhausted(batch))
		{
			more = true;
			break;
		}
		if (message->kind != MESSAGE_LOCK || !stays)
			result = durable_entity_try(batch, entity, message, true, NULL);
		if (result.outcome == ENTITY_WAITS)
		{
			stays = true;
			lock_ahead |= message->kind == MESSAGE_LOCK;
			can_be_served |= !lock_ahead && !durable_entity_is_barred(entity, message);
		}
		if (result.outcome == ENTITY_WAITS && waited)
			continue;			/* the operation stays */
		batch->unparked = lappend(batch->unparked, message);
		if (waited)
		{
			entity->row.parked--;
			entity->changed = true;
		}
		if (result.outcome == ENTITY_WAITS)
		{
			Message    *copy = palloc(sizeof(Message));

			*copy = *message;
			durable_entity_park(batch, entity, copy);
		}
		else
			durable_entity_answer(batch, message, &result);
		if (alone && (message->kind == MESSAGE_SIGNAL || message->kind == MESSAGE_CALL))
			batch->closed = true;
	}
	if (can_be_served)
		durable_entity_make_batch(batch, entity);
	if (more && entity->row.locked_by == 0 && !entity->row.is_out)
		durable_entity_again(batch, entity);
}

/* The batch that was out is complete: makes a batch of the waiting operations, or grants a request for locks. */
static void
next_batch(Batch * batch, BatchEntity * entity, bool alone)
{
	if (entity->row.locked_by != 0)
		durable_entity_look_for_holder(batch, entity);
	else
		drain(batch, entity, alone);
	if (entity->has_parked && !entity->row.is_out)
		durable_entity_again(batch, entity);
}

void
durable_entity_answer(Batch * batch, const Message *message, const EntityAnswer * answer)
{
	if (message->sender == 0 || answer->outcome == ENTITY_DONE || message->kind == MESSAGE_SIGNAL)
		return;
	durable_batch_send(batch, message->sender,
					   answer->outcome == ENTITY_COMPLETED ? MESSAGE_COMPLETED : MESSAGE_FAILED,
					   message->execution, message->task, 0, NULL, answer->payload);
	((Message *) llast(batch->outbox))->is_text = answer->is_text;
}

/* --- a unit's work ------------------------------------------------------------------------ */

bool
durable_entities_claim(Batch * batch, int64 key, List *messages)
{
	bool		looks;
	List	   *ids = ids_of(batch, key, messages, &looks);
	bool		any = ids == NIL;	/* a timer whose operation has been purged */
	ListCell   *cell;

	foreach(cell, ids)
		any |= find(batch, lfirst(cell))->open;
	return any;
}

/* Is an entity that had a problem to be tried again?  Its operation may take long. */
bool
durable_entities_run_alone(Batch * batch, int64 key, List *messages)
{
	bool		looks;
	ListCell   *cell;

	foreach(cell, ids_of(batch, key, messages, &looks))
	{
		BatchEntity *entity = find(batch, lfirst(cell));

		if (entity->open && entity->row.problem_at != 0 && entity->row.held_until <= batch->clock)
			return true;
	}
	return false;
}

/*
 * Collects the ids that the messages name.  A timer has no id: it is for operations
 * that are due.  looks: whether waiting operations are to be read.
 */
static List *
ids_of(Batch * batch, int64 key, List *messages, bool *looks)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	List	   *ids = NIL;
	List	   *waiting = NIL;
	ListCell   *cell;

	*looks = false;
	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		*looks |= message->kind == MESSAGE_TIMER || message->kind == MESSAGE_CONTINUE;
		if (message->kind == MESSAGE_TIMER && waiting == NIL)
			waiting = durable_operation_read(batch->owner, key, batch->clock, MESSAGES_AT_ONCE);
	}
	foreach(cell, list_concat_copy(messages, waiting))
	{
		Message    *message = lfirst(cell);
		ListCell   *inner;
		bool		known = false;
		char	   *id;
		char	   *operation;

		if (message->kind == MESSAGE_TIMER)
			continue;
		durable_entity_address_read(message->name, &id, &operation);
		foreach(inner, ids)
			known |= strcmp(lfirst(inner), id) == 0;
		if (!known)
			ids = lappend(ids, id);
	}
	MemoryContextSwitchTo(old);
	return ids;
}

EntityWorkResult
durable_entities_take(Batch * batch, int64 key, List *messages, bool alone)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	EntityWorkResult result = ENTITY_WORK_DONE;
	bool		all_open = true;
	bool		looks;
	ListCell   *cell;

	foreach(cell, ids_of(batch, key, messages, &looks))
	{
		BatchEntity *entity = find(batch, lfirst(cell));
		ListCell   *inner;

		if (!entity->open)
		{
			all_open = false;
			continue;
		}
		if (entity->runs_elsewhere && !alone)
		{
			result = ENTITY_WORK_SUSPECT;
			continue;
		}
		foreach(inner, messages)
		{
			Message    *message = lfirst(inner);
			char	   *id;
			char	   *operation;

			if (message->kind == MESSAGE_TIMER || has_seen(entity, message))
				continue;
			durable_entity_address_read(message->name, &id, &operation);
			if (strcmp(id, entity->id) != 0)
				continue;
			entity->messages = lappend(entity->messages, message);
			entity->seen = lappend(entity->seen, message);
		}
		if (looks && entity->row.parked == 0)
		{
			entity->reading = true;
			drain(batch, entity, alone);
			entity->reading = false;
		}
		take_messages(batch, entity, alone);
		if (entity->row.crashes != 0 && !entity->behind && entity->row.parked == 0 && !durable_suspect_may_repeat())
		{
			/* Only when no operation is left: any of them may be the one that has ended a process. */
			entity->row.crashes = 0;
			entity->changed = true;
		}
		if (entity->behind && result == ENTITY_WORK_DONE)
			result = ENTITY_WORK_LEFT;
	}

	/* A timer is consumed when the due operations have been taken, or another unit has a message to take them. */
	foreach(cell, messages)
	{
		if (((Message *) lfirst(cell))->kind != MESSAGE_TIMER || result == ENTITY_WORK_SUSPECT)
			continue;
		if (all_open)
			batch->consumed = lappend(batch->consumed, lfirst(cell));
		else
			result = ENTITY_WORK_LEFT;
	}
	MemoryContextSwitchTo(old);
	return result;
}

/* --- sending ------------------------------------------------------------------------------ */

Message *
durable_entity_message(Batch * batch, const char *id, char kind, const char *operation, const Jsonb *payload)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Message    *message = palloc0(sizeof(Message));

	message->owner = batch->owner;
	message->key = durable_entity_key(id);
	message->kind = kind;
	message->name = durable_entity_address(id, operation);
	message->payload = unconstify(Jsonb *, payload);
	message->at = batch->clock;
	MemoryContextSwitchTo(old);
	return message;
}

void
durable_entity_send(Batch * batch, const char *id, Message *message)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	batch->outbox = lappend(batch->outbox, message);
	MemoryContextSwitchTo(old);
}

void
durable_entity_park(Batch * batch, BatchEntity * entity, Message *message)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	message->due = DT_NOBEGIN;
	batch->parked = lappend(batch->parked, message);
	entity->row.parked++;
	entity->changed = entity->has_parked = true;
	if (entity->row.queue != NULL)
		durable_entity_offer(batch, entity, message, entity->row.parked == 1);
	MemoryContextSwitchTo(old);
}

void
durable_entity_schedule(Batch * batch, Message *message, TimestampTz due)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	message->due = due;
	batch->parked = lappend(batch->parked, message);
	durable_entity_timer(batch, message->key, due);
	MemoryContextSwitchTo(old);
}

void
durable_entity_again(Batch * batch, BatchEntity * entity)
{
	durable_entity_send(batch, entity->id,
						durable_entity_message(batch, entity->id, MESSAGE_CONTINUE, "", NULL));
}

void
durable_entity_timer(Batch * batch, int64 key, TimestampTz due)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TimerRow   *row = palloc0(sizeof(TimerRow));

	row->key = key;
	row->execution = TIMER_OF_ENTITY;
	row->due = due;
	batch->new_timers = lappend(batch->new_timers, row);
	MemoryContextSwitchTo(old);
}

/* --- writing ------------------------------------------------------------------------------ */

void
durable_entities_store(Batch * batch)
{
	List	   *updated = NIL;
	List	   *deleted = NIL;
	HASH_SEQ_STATUS scan;
	BatchEntity *entity;

	hash_seq_init(&scan, batch->entities);
	while ((entity = hash_seq_search(&scan)) != NULL)
	{
		if (!entity->open || !(entity->changed || entity->is_new))
			continue;
		if (entity->state_changed)
			entity->row.updated_at = batch->clock;
		if (is_nothing(&entity->row))
			deleted = lappend(deleted, &entity->row);
		else if (entity->changed)
			updated = lappend(updated, &entity->row);
	}
	if (updated != NIL)
		durable_entity_update(updated);
	if (deleted != NIL)
		durable_entity_delete(deleted);
}

/* Do all columns have their initial values, so that the row can be deleted? */
static bool
is_nothing(const EntityRow *row)
{
	return row->state == NULL && row->locked_by == 0 && row->parked == 0 && row->held_until == 0 &&
		row->crashes == 0 && row->failure == NULL;
}
