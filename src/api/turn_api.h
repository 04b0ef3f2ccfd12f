/*
 * turn_api.h
 *		Turns of external orchestrations, as workers see them.
 */
#ifndef DURABLE_TURN_API_H
#define DURABLE_TURN_API_H

#include "funcapi.h"
#include "instance_table.h"

/* An event as docs/external.md describes it; members without a value are NULL or 0. */
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

/* The instance with its history; NULL if it was purged, or has fewer events than the turn has seen. */
extern Instance *durable_turn_load(Oid owner, int64 key, int seen);

/* turn_events.c: never used again, and another one after continue_as_new and rewind. */
extern char *durable_turn_execution_id(const Instance *instance);

/* The same of one that was never rewound, from columns of its row. */
extern char *durable_turn_execution_id_of(int64 key, int32 execution, TimestampTz created_at);

/*
 * The events of the instance, whose history is loaded: those before the turn, and, is_new,
 * those that it sees when it is handed out with that many events at that time.
 */
extern List *durable_turn_events(const Instance *instance, int seen, TimestampTz at);

/*
 * The whole history of the instance, which is loaded.  is_new: no completed turn has seen the
 * event.  The last one is ExecutionCompleted when the instance has ended.
 */
extern List *durable_turn_history(const Instance *instance);

/*
 * A failure as programs outside of the database read it: it has a type and a message.  Those of
 * SQL have their SQLSTATE as the type, and their context as the stack.
 */
extern Jsonb *durable_turn_failure(const Jsonb *failure);

/* An array of those that are new, or of the others. */
extern Jsonb *durable_turn_events_json(const List *events, bool is_new);

/* Rows of durable.turn_event. */
extern void durable_turn_events_put(ReturnSetInfo *result, const List *events);

/*
 * turn_actions.c: the payload of the message that a completed turn is (MESSAGE_TURN).  Raises
 * 22023 when an action is not as docs/external.md says.
 */
extern Jsonb *durable_turn_payload(const Jsonb *actions, const char *custom_status, const char *trace,
								   TimestampTz at, TimestampTz now);

#endif							/* DURABLE_TURN_API_H */
