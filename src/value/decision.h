/*
 * decision.h
 *		Decisions of an orchestration, read from the events that record them.
 *
 * Every decision is an event of the history, and that event contains all data that
 * carrying it out needs.  So a process that has the events has the decisions, wherever
 * the turn was run (runner.h).
 */
#ifndef DURABLE_DECISION_H
#define DURABLE_DECISION_H

#include "history.h"

typedef enum DecisionKind
{
	DECISION_ACTIVITY,
	DECISION_TIMER,
	DECISION_TIMER_CANCEL,
	DECISION_CHILD,				/* sub-orchestration */
	DECISION_CHILD_CANCEL,		/* a sub-orchestration is to end */
	DECISION_START,				/* detached orchestration */
	DECISION_SEND,				/* event to another instance */
	DECISION_ENTITY_SIGNAL,
	DECISION_ENTITY_CALL,
	DECISION_ENTITY_LOCK,
	DECISION_ENTITY_UNLOCK,
	DECISION_TERMINATE			/* another instance is to be terminated */
}			DecisionKind;

typedef struct Decision
{
	DecisionKind kind;
	int32		task;			/* TIMER_CANCEL, CHILD_CANCEL, ENTITY_UNLOCK: that of the timer, child or lock */
	const Jsonb *extra;			/* of the event */
	const char *name;			/* ACTIVITY: its name; SEND: of the event; CHILD, START: the orchestration's
								 * registered name; ENTITY_SIGNAL, ENTITY_CALL: operation */
	const Jsonb *input;			/* NULL: SQL NULL; CHILD_CANCEL: the reason, or NULL; ENTITY_LOCK: ids */
	const Jsonb *retry;			/* ACTIVITY, CHILD; NULL: default or none */
	int64		timeout_us;		/* ACTIVITY; 0: none */
	TimestampTz due;			/* TIMER, TIMER_CANCEL; ENTITY_SIGNAL: not before; 0: at once */
	const char *instance_id;	/* CHILD, START, SEND, TERMINATE; ENTITY_SIGNAL, ENTITY_CALL: of the entity */
	const Jsonb *tags;			/* CHILD; NULL: none */
	const char *trace;			/* CHILD; NULL: none */
	int32		call_id;		/* CHILD: number of the call, as the orchestration knows it */
	bool		alone;			/* TERMINATE: without sub-orchestrations */
	const char *handler;		/* CHILD, START: signature */
	const char *version;		/* CHILD, START; NULL: none */
	bool		abandoned;		/* CHILD: it goes on when its parent ends */
}			Decision;

/*
 * Reads the decision that the event records.  False if there is none: the event is not a
 * call, the call only waits or logs, or it was refused and its failure is in the history.
 * Strings and values belong to the event, or are in CurrentMemoryContext.
 */
extern bool durable_decision_read(const HistoryEvent *event, Decision *decision);

/*
 * HistoryEvent.extra for a decision that is recorded under that name; NULL: it needs none.
 * The caller stores the decision's name and input in the event itself.
 */
extern Jsonb *durable_decision_extra(const Decision *decision, const char *recorded_name);

/* HistoryEvent.extra of a call that was refused with that failure. */
extern Jsonb *durable_decision_refused(const char *instance_id, const Jsonb *failure);

#endif							/* DURABLE_DECISION_H */
