/*
 * entity_table.h
 *		The tables durable.entity and durable.entity_operation.
 */
#ifndef DURABLE_ENTITY_TABLE_H
#define DURABLE_ENTITY_TABLE_H

#include "durable.h"
#include "inbox_table.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "table.h"

enum
{
	ENTITY_KEY, ENTITY_CREATED_AT, ENTITY_UPDATED_AT, ENTITY_LOCKED_BY, ENTITY_HELD_UNTIL, ENTITY_PROBLEM_AT,
	ENTITY_OWNER, ENTITY_LOCKED_EXECUTION, ENTITY_LOCKED_TASK, ENTITY_PARKED, ENTITY_CRASHES, ENTITY_IS_OUT,
	ENTITY_IS_TEXT, ENTITY_ID, ENTITY_QUEUE, ENTITY_STATE, ENTITY_FAILURE, ENTITY_PROBLEM, ENTITY_COLUMNS
};

enum
{
	ENTITY_BY_ID,				/* entity_id, owner */
	ENTITY_BY_KEY				/* key */
};

extern DurableTable durable_entity_table;

/* A row, while a unit has it locked. */
typedef struct EntityRow
{
	ItemPointerData tid;
	int64		key;
	Oid			owner;
	const char *entity_id;
	TimestampTz created_at;
	TimestampTz updated_at;
	int64		locked_by;		/* key of an instance; 0: it is not locked */
	int32		locked_execution;
	int32		locked_task;
	int32		parked;
	TimestampTz held_until;		/* 0: it is not held */
	TimestampTz problem_at;		/* 0: it has none */
	int16		crashes;
	bool		is_out;			/* a batch of its operations is in a queue, is leased, or has results to be applied */
	bool		is_text;		/* the state is a text (verbatim.h) */
	char	   *queue;			/* of an external entity; NULL: its operations run in the database */
	Jsonb	   *state;			/* NULL: none */
	Jsonb	   *failure;
	char	   *problem;
}			EntityRow;

/*
 * Locks the owner's entity of that id, and creates it if it does not exist.  False: another
 * transaction has locked it, or is creating or deleting it; it is not waited for.  The row is in
 * CurrentMemoryContext.  is_new: it was created; the caller deletes it if it is not used.
 */
extern bool durable_entity_lock(Oid owner, const char *id, TimestampTz now, EntityRow *row, bool *is_new);

/* List of EntityRow that this transaction has locked. */
extern void durable_entity_update(List *rows);
extern void durable_entity_delete(List *rows);

/* The present state of an entity, as a value for SQL; false: there is no such entity. */
extern bool durable_entity_state_of(Oid owner, const char *id, Jsonb **state);

/*
 * Waiting operations that are due, as a List of Message, at most limit.  First those that could
 * not be run before (due is DT_NOBEGIN), in the order of their ids, then scheduled ones.
 */
extern List *durable_operation_read(Oid owner, int64 key, TimestampTz now, int limit);

/* List of Message; insert stores their due, and assigns an id to a message with id 0. */
extern void durable_operation_insert(List *messages);
extern void durable_operation_delete(List *messages);

/*
 * Deletes the waiting operations with these ids (a bigint[]), and returns them in their order.
 * The caller has locked the entity's row.
 */
extern List *durable_operation_take(Oid owner, int64 key, Datum ids);

/* Does a call of that execution wait? */
extern bool durable_operation_waits(Oid owner, int64 key, int64 sender, int32 execution);

/* The registration of that name has changed: entities that have a batch of operations out check it again. */
extern void durable_entity_recheck(const char *name, TimestampTz now);

/* Raises 55000 if an object was added to one of the tables that prevents writing (table_write.h). */
extern void durable_entity_check_tables(void);

#endif							/* DURABLE_ENTITY_TABLE_H */
