/*
 * entity.h
 *		Entities in a unit of work: entity_batch.c, entity_run.c, entity_lock.c, entity_external.c,
 *		entity_dispatch.c.
 */
#ifndef DURABLE_ENTITY_H
#define DURABLE_ENTITY_H

#include "batch.h"
#include "entity_table.h"

/* An entity that a unit uses. */
typedef struct BatchEntity
{
	char		id[DURABLE_MAX_NAME + 1];	/* key of the hash table */
	EntityRow	row;
	bool		open;			/* this unit has locked it; else another unit has */
	bool		is_new;			/* this unit has created the row */
	bool		changed;
	bool		state_changed;
	bool		runs_elsewhere; /* it has ended a process before: its operations run in a unit of their own */
	bool		reading;		/* its messages are being taken (guards against recursion) */
	bool		complete;		/* all its messages in the inbox are in "messages" or have been taken */
	bool		behind;			/* it has more messages, which later ones must not overtake */
	bool		drained;		/* waiting operations have been handled in this unit */
	bool		has_parked;		/* this unit has parked an operation that is not in the table yet */
	List	   *messages;		/* Message: from the inbox, not taken yet */
	List	   *seen;			/* Message: all that have been in "messages" */
}			BatchEntity;

/* The outcome of a message. */
typedef enum EntityOutcome
{
	ENTITY_DONE,				/* without an answer, or the answer comes later */
	ENTITY_COMPLETED,			/* there is a result, or the locks have been granted */
	ENTITY_FAILED,				/* there is a failure */
	ENTITY_WAITS				/* it cannot be taken now: the caller parks it */
}			EntityOutcome;

typedef struct EntityAnswer
{
	EntityOutcome outcome;
	const Jsonb *payload;		/* result or failure */
	bool		is_text;		/* the result is a text (verbatim.h) */
}			EntityAnswer;

/* --- entity_batch.c ------------------------------------------------------------------- */

/* Locks the entity; NULL: another unit has locked it.  Does not read its messages. */
extern BatchEntity * durable_entity_open(Batch * batch, const char *id);

/* Does the batch that runs in this process use the entity, so that its state may be in memory? */
extern bool durable_entity_is_in_batch(const char *id);

/*
 * Like durable_entity_open, and all its messages in the inbox have been taken; NULL also if that
 * is not possible, or if its operations run elsewhere.
 */
extern BatchEntity * durable_entity_ready(Batch * batch, const char *id);

/*
 * For batch_claim.c.  claim locks the entities to which these messages and timers belong; false:
 * none could be locked.  durable_entities_take takes the messages, after the check that they
 * are live.
 */
extern bool durable_entities_claim(Batch * batch, int64 key, List *messages);

/* Must these messages be the only work of the batch? */
extern bool durable_entities_run_alone(Batch * batch, int64 key, List *messages);

typedef enum EntityWorkResult
{
	ENTITY_WORK_DONE,
	ENTITY_WORK_LEFT,			/* some messages are left for another unit */
	ENTITY_WORK_SUSPECT			/* the same; it must be a unit of their own */
}			EntityWorkResult;

extern EntityWorkResult durable_entities_take(Batch * batch, int64 key, List *messages, bool alone);

/* The message waits in durable.entity_operation until the entity can take it. */
extern void durable_entity_park(Batch * batch, BatchEntity * entity, Message *message);

/* Puts a message into the inbox of an entity. */
extern void durable_entity_send(Batch * batch, const char *id, Message *message);

/* Makes a message to an entity, with the time of the batch. */
extern Message *durable_entity_message(Batch * batch, const char *id, char kind, const char *operation,
									   const Jsonb *payload);

/* Sends the entity a message, so that another unit handles the operations that wait for it. */
extern void durable_entity_again(Batch * batch, BatchEntity * entity);

/* Sends the answer to the sender of the message. */
extern void durable_entity_answer(Batch * batch, const Message *message, const EntityAnswer * answer);

/* timer: makes a timer for waiting operations.  schedule: parks a signal until due. */
extern void durable_entity_timer(Batch * batch, int64 key, TimestampTz due);
extern void durable_entity_schedule(Batch * batch, Message *message, TimestampTz due);

extern void durable_entities_store(Batch * batch);

/* --- entity_run.c --------------------------------------------------------------------- */

/*
 * Takes a message if that is possible.  in_line: the operations that wait are behind it.  of:
 * the instance that sends it in this unit; NULL: the message comes from the inbox, and the
 * answer is sent to the inbox of its sender.
 */
extern EntityAnswer durable_entity_try(Batch * batch, BatchEntity * entity, Message *message, bool in_line,
									   Instance *of);

extern void durable_entity_set_state(BatchEntity * entity, Jsonb *state, bool is_text);

/* An operation has failed.  The failure of a signal is logged and stored with the entity. */
extern EntityAnswer durable_entity_fail(BatchEntity * entity, const Message *message, int sqlerrcode,
										const char *problem, Jsonb *failure);

/* --- entity_external.c ---------------------------------------------------------------- */

/*
 * Is the entity external, so that its operations wait and become batches for workers?
 * registration: of its name, or NULL.
 */
struct Registration;
extern bool durable_entity_is_external(BatchEntity * entity, const struct Registration *registration,
									   const Message *message);

/* The name of an external entity was registered for a function.  False: a batch of it is still leased. */
extern bool durable_entity_come_back(Batch * batch, BatchEntity * entity);

/* Can the waiting operations be handled now?  Not while the entity is held, locked, or has a batch out. */
extern bool durable_entity_line_moves(const Batch * batch, const BatchEntity * entity);

/* An operation of an external entity was parked; first: it is the only one. */
extern void durable_entity_offer(Batch * batch, BatchEntity * entity, const Message *message, bool first);

/* Makes a batch of the operations that can run now, unless there is one. */
extern void durable_entity_make_batch(Batch * batch, BatchEntity * entity);

/* The entity was locked: calls of the instance that has the lock may be waiting. */
extern void durable_entity_look_for_holder(Batch * batch, BatchEntity * entity);

/* A worker has run a batch: applies its results, the state, and the signals and starts that it has requested. */
extern void durable_entity_apply_results(Batch * batch, BatchEntity * entity, const Message *message);

/* --- entity_lock.c -------------------------------------------------------------------- */

/* Locks the entity, which is free, for a message that requests locks, and passes the message on to the next one. */
extern EntityAnswer durable_entity_lock_set(Batch * batch, BatchEntity * entity, Message *message, Instance *of);

/* Is the entity locked by an instance other than the sender of the message? */
extern bool durable_entity_is_barred(const BatchEntity * entity, const Message *message);

/* Releases the sender's lock on the entity. */
extern void durable_entity_unlock(Batch * batch, BatchEntity * entity, const Message *message);

/* --- entity_dispatch.c ---------------------------------------------------------------- */

/*
 * Carries out new calls of the orchestration that concern entities, in their order.  True: some
 * calls have been answered, and the orchestration can continue.
 */
extern bool durable_entities_dispatch(Batch * batch, Instance *instance);

/* The execution ends: carries out the remaining calls, and releases its locks. */
extern void durable_entities_end(Batch * batch, Instance *instance);

/*
 * After a rewind.  call_again makes a call again, also the request for the locks of an open
 * critical section.  When the locks are granted, resume_section makes the calls in it again
 * that have no answer.
 */
extern void durable_entities_call_again(Batch * batch, Instance *instance, const HistoryEvent *call);
extern void durable_entities_resume_section(Batch * batch, Instance *instance);

/* The instance was loaded: all calls in its history have been carried out. */
extern void durable_entities_loaded(Instance *instance);

#endif							/* DURABLE_ENTITY_H */
