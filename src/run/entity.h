/*
 * entity.h
 *		Entities in a unit of work: entity_batch.c, entity_run.c, entity_lock.c, entity_external.c,
 *		entity_dispatch.c.
 */
#ifndef DURABLE_ENTITY_H
#define DURABLE_ENTITY_H

#include "batch.h"
#include "entity_table.h"

/* An entity that a unit has to do with. */
typedef struct BatchEntity
{
	char		id[DURABLE_MAX_NAME + 1];	/* key of the hash table */
	EntityRow	row;
	bool		open;			/* the unit has it locked; else it is another one's */
	bool		is_new;			/* the row has been made by this unit */
	bool		changed;
	bool		state_changed;
	bool		runs_elsewhere; /* its operations run in a unit of its own: it has ended a process before */
	bool		reading;		/* its messages are being taken at this moment */
	bool		complete;		/* all messages that it had are in messages, or have been taken */
	bool		behind;			/* it has more: what comes now must not overtake them */
	bool		drained;		/* operations that waited have been looked at in this unit */
	bool		has_parked;		/* this unit has parked one, which is not in the table yet */
	List	   *messages;		/* Message: of the inbox, not taken yet */
	List	   *seen;			/* Message: all that have ever been in messages */
}			BatchEntity;

/* The outcome of a message. */
typedef enum EntityOutcome
{
	ENTITY_DONE,				/* without an answer, or the answer is to come later */
	ENTITY_COMPLETED,			/* there is a result, or the locks have been granted */
	ENTITY_FAILED,				/* there is a failure */
	ENTITY_WAITS				/* it cannot be taken now: it has to be parked */
}			EntityOutcome;

typedef struct EntityAnswer
{
	EntityOutcome outcome;
	const Jsonb *payload;		/* result or failure */
	bool		is_text;		/* the result is a text (verbatim.h) */
}			EntityAnswer;

/* --- entity_batch.c ------------------------------------------------------------------- */

/* The entity, locked by this unit; NULL: another one has it.  Its messages are not looked at. */
extern BatchEntity * durable_entity_open(Batch * batch, const char *id);

/* Does the batch that runs in this process have to do with it?  Then its state may be in memory. */
extern bool durable_entity_is_in_batch(const char *id);

/*
 * The same, when all messages that it had have been taken: NULL as well when they
 * have not been, or its operations run elsewhere.
 */
extern BatchEntity * durable_entity_ready(Batch * batch, const char *id);

/*
 * For batch_claim.c: locks the entities that these messages and timers are for.  False: none
 * could be locked.  Then, when the messages have been found to be live, takes them.
 */
extern bool durable_entities_claim(Batch * batch, int64 key, List *messages);

/* Are they to be taken before anything else in this batch, and nothing after them? */
extern bool durable_entities_run_alone(Batch * batch, int64 key, List *messages);

typedef enum EntityWorkResult
{
	ENTITY_WORK_DONE,
	ENTITY_WORK_LEFT,			/* some messages are left for later */
	ENTITY_WORK_SUSPECT			/* ... for a unit of its own */
}			EntityWorkResult;

extern EntityWorkResult durable_entities_take(Batch * batch, int64 key, List *messages, bool alone);

/* It waits in durable.entity_operation until the entity can take it. */
extern void durable_entity_park(Batch * batch, BatchEntity * entity, Message *message);

/* Puts a message into the inbox of an entity. */
extern void durable_entity_send(Batch * batch, const char *id, Message *message);

/* A message to an entity; at the time of the batch. */
extern Message *durable_entity_message(Batch * batch, const char *id, char kind, const char *operation,
									   const Jsonb *payload);

/* What waits for the entity is to be looked at by another unit, soon. */
extern void durable_entity_again(Batch * batch, BatchEntity * entity);

/* The answer to an operation that a message asked for. */
extern void durable_entity_answer(Batch * batch, const Message *message, const EntityAnswer * answer);

/* A timer for what waits for it; a signal that waits for that time. */
extern void durable_entity_timer(Batch * batch, int64 key, TimestampTz due);
extern void durable_entity_schedule(Batch * batch, Message *message, TimestampTz due);

extern void durable_entities_store(Batch * batch);

/* --- entity_run.c --------------------------------------------------------------------- */

/*
 * Takes a message, if it can be: in_line says that what waits is behind it.  of: the instance
 * that sends it in this unit; NULL: it comes from the inbox, and answers go there.
 */
extern EntityAnswer durable_entity_try(Batch * batch, BatchEntity * entity, Message *message, bool in_line,
									   Instance *of);

extern void durable_entity_set_state(BatchEntity * entity, Jsonb *state, bool is_text);

/* An operation has failed: for a signal that is logged, and kept with the entity. */
extern EntityAnswer durable_entity_fail(BatchEntity * entity, const Message *message, int sqlerrcode,
										const char *problem, Jsonb *failure);

/* --- entity_external.c ---------------------------------------------------------------- */

/*
 * Is the entity external?  registration: of its name, or NULL.  Then the operation waits, and becomes
 * part of a batch for a worker.
 */
struct Registration;
extern bool durable_entity_is_external(BatchEntity * entity, const struct Registration *registration,
									   const Message *message);

/* Its name has been registered as that of a function.  False: a batch of it is still out. */
extern bool durable_entity_come_back(Batch * batch, BatchEntity * entity);

/* Is a batch out, or does nothing keep the operations that wait from being looked at? */
extern bool durable_entity_line_moves(const Batch * batch, const BatchEntity * entity);

/* An operation of an external entity has been parked; first: it is the only one. */
extern void durable_entity_offer(Batch * batch, BatchEntity * entity, const Message *message, bool first);

/* Operations that the entity can serve now become a batch, unless there is one. */
extern void durable_entity_make_batch(Batch * batch, BatchEntity * entity);

/* Calls of the instance that has locked it may wait. */
extern void durable_entity_look_for_holder(Batch * batch, BatchEntity * entity);

/* A worker has run a batch: its results, the state, and the signals and starts that it has asked for. */
extern void durable_entity_apply_results(Batch * batch, BatchEntity * entity, const Message *message);

/* --- entity_lock.c -------------------------------------------------------------------- */

/* The entity is free, and the message is a request for locks of which it is the next. */
extern EntityAnswer durable_entity_lock_set(Batch * batch, BatchEntity * entity, Message *message, Instance *of);

/* Is it locked by another instance than the sender of that message? */
extern bool durable_entity_is_barred(const BatchEntity * entity, const Message *message);

/* The sender leaves its critical section, as far as this entity is concerned. */
extern void durable_entity_unlock(Batch * batch, BatchEntity * entity, const Message *message);

/* --- entity_dispatch.c ---------------------------------------------------------------- */

/*
 * Carries out what the orchestration has asked of entities since, in its order.  True: some
 * calls have their answers, and it can go on.
 */
extern bool durable_entities_dispatch(Batch * batch, Instance *instance);

/* The execution ends: carries out what is left, and frees the entities that it has locked. */
extern void durable_entities_end(Batch * batch, Instance *instance);

/*
 * After a rewind: a call is made again, and so is the request for the locks of an open
 * critical section.  When these have been granted again, so are calls in it that have no answer.
 */
extern void durable_entities_call_again(Batch * batch, Instance *instance, const HistoryEvent *call);
extern void durable_entities_resume_section(Batch * batch, Instance *instance);

/* All calls that are in the history by now have been carried out before. */
extern void durable_entities_loaded(Instance *instance);

#endif							/* DURABLE_ENTITY_H */
