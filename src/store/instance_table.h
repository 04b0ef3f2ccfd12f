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

/* A row, while a unit has it locked; and what the unit knows of the instance besides. */
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
	char	   *parent_instance_id; /* NULL: none, or gone */
	int64		parent_key;		/* 0: none */
	int32		parent_execution;
	int32		parent_task;
	int32		parent_attempt;
	Jsonb	   *input;
	Jsonb	   *output;
	Jsonb	   *failure;
	Jsonb	   *custom_status;
	Jsonb	   *tags;			/* only durable_instance_read reads tags, trace and parent_call */
	char	   *trace;
	int32		parent_call;	/* parent_task, as the program of the parent knows it */
	char	   *waiting;		/* see waiting.c */
	char	   *suspend_reason;
	int			crashes;		/* counted by blame.c, in fifths; 0 as a rule */
	int32		dispatched;		/* activities of calls up to this one run or have run, or are
								 * tasks; -1: those of all calls */
	int32		runs_at;		/* the orchestration cannot get further before its history has
								 * so many events; 0: not known; TURN_IS_OUT */
	char		stored_status;	/* the status as it was loaded */
	int32		dropped_events; /* that came when it had ended, as loaded */

	/* in memory */
	MemoryContext context;		/* lives as long as the instance does */
	MemoryContext run;			/* state of the replay, reset for each turn */
	Replay		replay;
	int			applied;		/* decisions in events before this one are rows, or were given up */
	int			wait_line;		/* line of the orchestration that waits, 0 unknown */
	int			entity_calls;	/* calls that concern entities and have been carried out */
	int			entities_from;	/* those behind are events from here on */
	List	   *again;			/* activities that a rewind schedules again: numbers of tasks */
	TimestampTz rewound_from;	/* when it had ended, 0: it had not, or has not been rewound */
	bool		was_failed;		/* when it was read */
	bool		put_off;		/* goes on in the next batch */
	bool		leaves_children;	/* it was terminated, its sub-orchestrations go on */
	List	   *dropped;		/* HistoryEvent: further ones that came when it had ended */
	bool		input_changed;	/* by continue_as_new */
	bool		version_changed;	/* same */
	bool		discard_history;	/* continued as new: delete the old execution's rows */
}			Instance;

/*
 * The owner's instances of these keys that could be locked (FOR NO KEY UPDATE SKIP
 * LOCKED), as Instance, each in a memory context of its own in the given one.  Others
 * are being run, or are gone.
 */
extern List *durable_instance_lock(Oid owner, const int64 *keys, int nkeys, MemoryContext parent);

/*
 * The owner's instances of these keys as the snapshot of that scan sees them, not locked.
 * The scan is durable_instance_table's, by key.
 */
struct DurableScan;
extern Instance *durable_instance_read(struct DurableScan *scan, Oid owner, int64 key, MemoryContext parent);

/* The status of an instance; '\0': it is gone. */
extern char durable_instance_status(int64 key);

/* Is it unfinished, and in that execution? */
extern bool durable_instance_is_in(int64 key, int32 execution);

/*
 * Locks an instance so that its status stays as it is until the end of the transaction:
 * FOR SHARE SKIP LOCKED.  '\0': another transaction has it locked, or it is gone.
 */
extern char durable_instance_lock_status(int64 key);

/* Instance: those that have ended before, and got events since. */
/* Unfinished instances of that owner.  Reads the whole table. */
extern int64 durable_instance_count_live(Oid owner);

extern void durable_instance_count_dropped(List *instances);

/*
 * Unfinished instances of that owner and name: their keys, at most so many, in their order
 * after that one.  begun: only those that have a history.
 */
extern List *durable_instance_find_unfinished(Oid owner, const char *name, bool begun, int64 after, int limit);

/* A handler as the column has it: without the name, if the signature begins with that. */
extern const char *durable_instance_shorten(const char *signature, const char *name);
extern char *durable_instance_lengthen(const char *stored, const char *name);	/* the other way round, copied */

/*
 * Waits until it has the instance locked as a unit would; NULL when it is gone or not the
 * owner's.
 */
extern Instance *durable_instance_wait_for(Oid owner, int64 key, MemoryContext parent);

/* Instance: writes what a unit may change of them. */
extern void durable_instance_update(List *instances, TimestampTz now);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_instance_check_table(void);

#endif							/* DURABLE_INSTANCE_TABLE_H */
