/*
 * turn_api.h
 *		Turns of external orchestrations in the form that workers receive and send.
 */
#ifndef DURABLE_TURN_API_H
#define DURABLE_TURN_API_H

#include "funcapi.h"
#include "instance_table.h"

/* An event as described in docs/external.md; members without a value are NULL or 0. */
typedef struct TurnEvent
{
	int32		event_id;		/* -1: not a call */
	int32		task_id;		/* of the call that it answers, if has_task_id */
	bool		has_task_id;
	bool		is_new;
	const char *type;
	TimestampTz at;
	const char *name;
	const char *version;
	const char *input;
	const Jsonb *failure;
	const char *instance_id;
	const char *request_id;		/* of an operation on an entity, or of a critical section */
	const Jsonb *lock_set;		/* ids of entities */
	const char *execution_id;
	TimestampTz due_at;
	Jsonb	   *parent;
	const Jsonb *tags;
	const char *trace;
	const char *orchestration_trace;
	const char *status;
}			TurnEvent;

/*
 * Loads the instance with its history; NULL if it was purged, or has fewer events than the turn
 * was given.
 */
extern Instance *durable_turn_load(Oid owner, int64 key, int seen);

/* turn_events.c: a unique id of the execution, which changes with continue_as_new and rewind. */
extern char *durable_turn_execution_id(const Instance *instance);

/* The same for an instance that was not rewound, from columns of its row. */
extern char *durable_turn_execution_id_of(int64 key, int32 execution, TimestampTz created_at);

/*
 * The TurnEvents of a turn that is handed out with the first "seen" events at that time.  is_new
 * is set in those that no earlier turn was given.  The instance's history is loaded.
 */
extern List *durable_turn_events(const Instance *instance, int seen, TimestampTz at);

/*
 * The TurnEvents of the whole history, which is loaded.  is_new is set in those that no completed
 * turn was given.  If the instance has ended, the last one is ExecutionCompleted.
 */
extern List *durable_turn_history(const Instance *instance);

/*
 * A failure in the form for programs outside of the database, with a type and a message.  For a
 * failure of SQL the SQLSTATE is the type, and the context is the stack.
 */
extern Jsonb *durable_turn_failure(const Jsonb *failure);

/* An array of the new events, or of the others. */
extern Jsonb *durable_turn_events_json(const List *events, bool is_new);

/* Rows of durable.turn_event. */
extern void durable_turn_events_put(ReturnSetInfo *result, const List *events);

/*
 * turn_actions.c: the payload of MESSAGE_TURN for a completed turn.  Raises 22023 if an action is
 * not as docs/external.md describes it.
 */
extern Jsonb *durable_turn_payload(const Jsonb *actions, const char *custom_status, const char *trace,
								   TimestampTz at, TimestampTz now);

#endif							/* DURABLE_TURN_API_H */
