/*
 * instance_table.h
 *		The table durable.instance: one row for each run of an orchestration.
 */
#ifndef DURABLE_INSTANCE_TABLE_H
#define DURABLE_INSTANCE_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "replay.h"
#include "storage/itemptr.h"
#include "table.h"

enum
{
	INSTANCE_KEY, INSTANCE_CREATED_AT, INSTANCE_OWNER, INSTANCE_EXECUTION, INSTANCE_UPDATED_AT,
	INSTANCE_COMPUTE_US, INSTANCE_EVENTS, INSTANCE_TURNS, INSTANCE_STARTED_AT, INSTANCE_COMPLETED_AT,
	INSTANCE_CODE_HASH, INSTANCE_PARENT_KEY, INSTANCE_PARENT_EXECUTION, INSTANCE_PARENT_TASK,
	INSTANCE_PARENT_ATTEMPT, INSTANCE_PARENT_CALL, INSTANCE_NEXT_ACTIVITY, INSTANCE_RUNS_AT,
	INSTANCE_DROPPED_EVENTS,
	INSTANCE_CRASHES, INSTANCE_STATUS, INSTANCE_CLOSE_POLICY, INSTANCE_ID, INSTANCE_NAME, INSTANCE_HANDLER,
	INSTANCE_VERSION, INSTANCE_INPUT, INSTANCE_OUTPUT, INSTANCE_FAILURE,
	INSTANCE_CUSTOM_STATUS, INSTANCE_TAGS, INSTANCE_WAITING, INSTANCE_SUSPEND_REASON,
	INSTANCE_TRACE, INSTANCE_COLUMNS
};

enum
{
	INSTANCE_BY_KEY,			/* key */
	INSTANCE_BY_ID				/* instance_id, owner */
};

extern DurableTable durable_instance_table;

/* Instance.runs_at of an external orchestration while a turn of it is in its queue. */
#define TURN_IS_OUT		PG_INT32_MAX

/* A row that a unit has locked, and the state of the instance within the unit. */
typedef struct Instance
{
	/* as loaded */
	int64		key;
	ItemPointerData ctid;
	char	   *instance_id;
	Oid			owner;
	char		status;
	char	   *name;
	char	   *handler_signature;
	char	   *version;
	int64		code_hash;		/* 0: it has not run yet */
	int32		execution;
	int32		stored_events;	/* events already in durable.history */
	int32		turns;
	int64		compute_us;
	TimestampTz created_at;
	TimestampTz started_at;		/* 0: not yet */
	TimestampTz completed_at;	/* 0: not yet */
	char	   *parent_instance_id; /* NULL: it has no parent, or the parent was deleted */
	int64		parent_key;		/* 0: none */
	int32		parent_execution;
	int32		parent_task;
	int32		parent_attempt;
	Jsonb	   *input;
	Jsonb	   *output;
	Jsonb	   *failure;
	Jsonb	   *custom_status;
	Jsonb	   *tags;			/* tags, trace and parent_call are set by durable_instance_read only */
	char	   *trace;
	int32		parent_call;	/* parent_task, as the program of the parent knows it */
	char	   *waiting;		/* see waiting.c */
	char	   *suspend_reason;
	int			crashes;		/* counted by blame.c, in fifths (flight.h) */
	int32		dispatched;		/* the activities up to this call have run or are tasks; -1: all of them */
	int32		runs_at;		/* number of events that the history must have before a turn makes progress;
								 * 0: not known; or TURN_IS_OUT */
	char		stored_status;	/* the status as it was loaded */
	bool		had_custom_status;	/* as it was loaded */
	int32		dropped_events; /* number of events that came after the end, as loaded */

	/* in memory */
	MemoryContext context;		/* lives as long as the instance does */
	MemoryContext run;			/* state of the replay, reset for each turn */
	Replay		replay;
	int			applied;		/* the decisions in events before this index have been carried out */
	int			wait_line;		/* line of the orchestration that waits; 0: not known */
	int			entity_calls;	/* number of calls concerning entities that have been carried out */
	int			entities_from;	/* further such calls are events from this index on */
	List	   *again;			/* numbers of the tasks that a rewind schedules again */
	TimestampTz rewound_from;	/* when it had ended before it was rewound; 0: it was not rewound */
	bool		was_failed;		/* it was Failed when it was loaded */
	bool		put_off;		/* it continues in the next batch */
	bool		leaves_children;	/* it was terminated without its sub-orchestrations */
	List	   *dropped;		/* HistoryEvent: events that came after the end, in this unit */
	bool		input_changed;	/* by continue_as_new */
	bool		version_changed;	/* by continue_as_new */
	bool		discard_history;	/* continue_as_new: delete the history of the old execution */
}			Instance;

/*
 * Locks the owner's instances with these keys (FOR NO KEY UPDATE SKIP LOCKED).  Returns those
 * that could be locked, as Instance, each in its own child context of parent.
 */
extern List *durable_instance_lock(Oid owner, const int64 *keys, int nkeys, MemoryContext parent);

/*
 * The owner's instance with that key as the snapshot of the scan sees it, without a lock; NULL:
 * there is none.  The scan is one of durable_instance_table by key.
 */
struct DurableScan;
extern Instance *durable_instance_read(struct DurableScan *scan, Oid owner, int64 key, MemoryContext parent);

/* The status of an instance; '\0': it does not exist. */
extern char durable_instance_status(int64 key);

/* Is it unfinished, and in that execution? */
extern bool durable_instance_is_in(int64 key, int32 execution);

/*
 * Locks an instance FOR SHARE SKIP LOCKED, so that its status does not change until the end of
 * the transaction.  '\0': another transaction has locked it, or it does not exist.
 */
extern char durable_instance_lock_status(int64 key);

/* The number of unfinished instances of that owner.  Reads the whole table. */
extern int64 durable_instance_count_live(Oid owner);

/* List of Instance: stores the number of events that came after their end. */
extern void durable_instance_count_dropped(List *instances);

/*
 * Keys of unfinished instances of that owner and name, higher than "after", in their order, at
 * most limit.  begun: only of instances that have a history.
 */
extern List *durable_instance_find_unfinished(Oid owner, const char *name, bool begun, int64 after, int limit);

/*
 * Column handler omits the instance's name if the signature begins with it.  shorten yields the
 * value of the column, lengthen the signature, as a copy.
 */
extern const char *durable_instance_shorten(const char *signature, const char *name);
extern char *durable_instance_lengthen(const char *stored, const char *name);

/*
 * Locks the instance as a unit does, and waits for other transactions; NULL: it does not exist
 * or has another owner.
 */
extern Instance *durable_instance_wait_for(Oid owner, int64 key, MemoryContext parent);

/* List of Instance: writes the columns that a unit may change. */
extern void durable_instance_update(List *instances, TimestampTz now);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_instance_check_table(void);

#endif							/* DURABLE_INSTANCE_TABLE_H */
