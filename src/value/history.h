/*
 * history.h
 *		Events of an instance, and their storage format.
 */
#ifndef DURABLE_HISTORY_H
#define DURABLE_HISTORY_H

#include "durable.h"
#include "nodes/pg_list.h"

/* The numbers are stored: do not renumber. */
typedef enum HistoryType
{
	HISTORY_TASK_SCHEDULED = 1,
	HISTORY_TASK_COMPLETED = 2,
	HISTORY_TASK_FAILED = 3,
	HISTORY_TIMER_CREATED = 4,
	HISTORY_TIMER_FIRED = 5,
	HISTORY_TIMER_CANCELED = 6,
	HISTORY_EVENT_WAIT_CREATED = 7,
	HISTORY_EVENT_WAIT_CANCELED = 8,
	HISTORY_EVENT_RAISED = 9,
	HISTORY_EVENT_SENT = 10,
	HISTORY_SUB_CREATED = 11,
	HISTORY_SUB_COMPLETED = 12,
	HISTORY_SUB_FAILED = 13,
	HISTORY_START_REQUESTED = 14,	/* start_orchestration: detached */
	HISTORY_LOG_WRITTEN = 15,
	HISTORY_SUSPENDED = 16,
	HISTORY_RESUMED = 17,
	HISTORY_EVENT_DROPPED = 18, /* came after the end of the instance; a replay does not see it */
	HISTORY_REWOUND = 19,
	HISTORY_COMPENSATION_ADDED = 20,	/* compensate_with(); extra: handler, retry */
	HISTORY_PATCHED = 21,		/* patched(): this execution runs the changed code */
	HISTORY_SUB_CANCELED = 22,	/* cancel() of a sub-orchestration */
	HISTORY_ENTITY_SIGNALED = 23,
	HISTORY_ENTITY_CALLED = 24,
	HISTORY_ENTITY_COMPLETED = 25,
	HISTORY_ENTITY_FAILED = 26,
	HISTORY_ENTITY_LOCK_REQUESTED = 27, /* payload: ids, sorted */
	HISTORY_ENTITY_LOCK_GRANTED = 28,
	HISTORY_ENTITY_UNLOCKED = 29,	/* payload: number of the task of the lock */
	HISTORY_TERMINATION_SENT = 30,	/* by an external orchestration: terminates another instance */
	HISTORY_TURN_STARTED = 32,	/* a program outside of the database ran a turn (run/external.c) */
	HISTORY_COMPENSATION_KEPT = 33, /* a compensation taken over from the execution before continue_as_new() */
	HISTORY_COMPENSATION_STARTED = 34	/* name: id of the instance that runs the compensations */
}			HistoryType;

#define HISTORY_TYPE_MAX	HISTORY_COMPENSATION_STARTED

/*
 * One event.
 *
 * extra depends on the type:
 *	calls			see decision.c
 *	answers			{"attempt": n}, if the attempt was not the first
 *	REWOUND			numbers of the failures that are taken back
 *	TURN_STARTED	{"events": n, "at": us}: the number of events and the time that the turn was given
 */
typedef struct HistoryEvent
{
	HistoryType type;
	int32		task;			/* the durable call that it belongs to; 0: none */
	char	   *name;			/* of an activity, orchestration or event */
	TimestampTz time;
	Jsonb	   *extra;			/* NULL: none */
	Jsonb	   *payload;		/* input, result, failure or data; NULL: SQL NULL */
	bool		taken_back;		/* in memory: a failure that a later REWOUND lists */
}			HistoryEvent;

/* The name of that type in the Durable Task Framework, such as "TaskScheduled". */
extern const char *durable_history_type_name(HistoryType type);

/* Did the orchestration make this event (a call), or did it receive it? */
extern bool durable_history_is_call(HistoryType type);

/* Calls that concern entities are carried out in their order. */
#define HISTORY_IS_ENTITY_CALL(type) \
	((type) == HISTORY_ENTITY_CALLED || (type) == HISTORY_ENTITY_SIGNALED || \
	 (type) == HISTORY_ENTITY_LOCK_REQUESTED || (type) == HISTORY_ENTITY_UNLOCKED)

/* durable.history.format of the rows that this version writes; see history.c */
#define HISTORY_FORMAT	'3'

/* The value of durable.history.events.  Times are stored as differences, the first one from "at". */
extern Jsonb *durable_history_encode(HistoryEvent **events, int nevents, TimestampTz at);

/* Appends the events of one row to *events (palloc'd array, grown). */
extern void durable_history_decode(const Jsonb *row, char format, TimestampTz at,
								   HistoryEvent ***events, int *nevents, int *allocated);

/* Grows the array by one, doubling. */
extern void durable_history_append(HistoryEvent ***events, int *nevents,
								   int *allocated, HistoryEvent *event);

/* An estimate of the bytes that the event takes in its row. */
extern Size durable_history_event_size(const HistoryEvent *event);

extern Jsonb *durable_history_number(int64 value);
extern int64 durable_history_get_number(const Jsonb *value);

#endif							/* DURABLE_HISTORY_H */
