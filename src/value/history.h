/*
 * history.h
 *		Events of an instance, and their form on disk.
 */
#ifndef DURABLE_HISTORY_H
#define DURABLE_HISTORY_H

#include "durable.h"
#include "nodes/pg_list.h"

/* Numbers are on disk: never renumber. */
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
	HISTORY_EVENT_DROPPED = 18, /* behind the history of one that has ended; no replay sees it */
	HISTORY_REWOUND = 19,
	HISTORY_COMPENSATION_ADDED = 20,	/* compensate_with(); extra: handler, retry */
	HISTORY_PATCHED = 21,		/* patched(): the execution runs the changed code there */
	HISTORY_SUB_CANCELED = 22,	/* cancel() of a sub-orchestration: it is asked to end */
	HISTORY_ENTITY_SIGNALED = 23,
	HISTORY_ENTITY_CALLED = 24,
	HISTORY_ENTITY_COMPLETED = 25,
	HISTORY_ENTITY_FAILED = 26,
	HISTORY_ENTITY_LOCK_REQUESTED = 27, /* payload: ids, sorted */
	HISTORY_ENTITY_LOCK_GRANTED = 28,
	HISTORY_ENTITY_UNLOCKED = 29,	/* payload: number of the task of the lock */
	HISTORY_TERMINATION_SENT = 30,	/* by an external orchestration: another instance shall end */
	HISTORY_TURN_STARTED = 32,	/* a turn was run outside (run/external.c) */
	HISTORY_COMPENSATION_KEPT = 33, /* one of an execution that has continued as new */
	HISTORY_COMPENSATION_STARTED = 34	/* name: id of the instance that runs them */
}			HistoryType;

#define HISTORY_TYPE_MAX	HISTORY_COMPENSATION_STARTED

/*
 * One event.  task is the number of the durable call it belongs to, 0 for
 * none.  name: activity, orchestration or event.  payload: input, result,
 * failure or data; NULL is SQL NULL.  extra: see decision.c for calls; {"attempt": n} for
 * answers to an attempt that was not the first; numbers of the events for REWOUND; for
 * TURN_STARTED {"events": n, "at": us}, how many events it saw and the time it saw.
 */
typedef struct HistoryEvent
{
	HistoryType type;
	int32		task;
	char	   *name;
	TimestampTz time;
	Jsonb	   *extra;			/* NULL: none */
	Jsonb	   *payload;		/* NULL: SQL NULL */
	bool		taken_back;		/* in memory: a failure that a later REWOUND lists */
}			HistoryEvent;

/* Words of the Durable Task Framework, "TaskScheduled" and so on. */
extern const char *durable_history_type_name(HistoryType type);

/* Is it something the orchestration did (true), or something that came to it? */
extern bool durable_history_is_call(HistoryType type);

/* A call that concerns entities: to be carried out in its order among such calls. */
#define HISTORY_IS_ENTITY_CALL(type) \
	((type) == HISTORY_ENTITY_CALLED || (type) == HISTORY_ENTITY_SIGNALED || \
	 (type) == HISTORY_ENTITY_LOCK_REQUESTED || (type) == HISTORY_ENTITY_UNLOCKED)

/* durable.history.format of the rows that this version writes; see history.c */
#define HISTORY_FORMAT	'3'

/* As in durable.history.events; at is the time that the first event's counts from. */
extern Jsonb *durable_history_encode(HistoryEvent **events, int nevents, TimestampTz at);

/* Appends the events of one row to *events (palloc'd array, grown). */
extern void durable_history_decode(const Jsonb *row, char format, TimestampTz at,
								   HistoryEvent ***events, int *nevents, int *allocated);

/* Grows the array by one, doubling. */
extern void durable_history_append(HistoryEvent ***events, int *nevents,
								   int *allocated, HistoryEvent *event);

/* About how many bytes it takes in its row. */
extern Size durable_history_event_size(const HistoryEvent *event);

extern Jsonb *durable_history_number(int64 value);
extern int64 durable_history_get_number(const Jsonb *value);

#endif							/* DURABLE_HISTORY_H */
