/*
 * instance_insert.h
 *		New rows of durable.instance.
 */
#ifndef DURABLE_INSTANCE_INSERT_H
#define DURABLE_INSTANCE_INSERT_H

#include "instance_table.h"

/* An instance that is to be inserted. */
typedef struct NewInstance
{
	int64		key;			/* assigned when the row is written */
	const char *instance_id;
	Oid			owner;
	const char *name;
	const char *handler;		/* signature */
	const char *version;		/* or NULL */
	const Jsonb *input;			/* or NULL */
	const Jsonb *tags;			/* or NULL */
	const char *trace;			/* for the workers of an external orchestration, or NULL */
	TimestampTz start_at;		/* not before this time; created_at: at once */
	const char *waiting;		/* for its start (waiting.c), or NULL */
	TimestampTz created_at;
	int64		parent_key;		/* 0: it has no parent, and the next four members are not set */
	int32		parent_execution;
	int32		parent_task;
	int32		parent_attempt;
	int32		parent_call;	/* parent_task, as the program of the parent knows it */
	char		close_policy;	/* CLOSE_*, or '\0' for NULL */
	bool		replaces;		/* it replaces a finished instance with that id */
	bool		created;		/* result: the row was inserted */
	bool		undecided;		/* result: the end of another transaction decides whether the id is taken */
	TimestampTz put_off_since;	/* see batch_children.c; 0: this is the first attempt */
}			NewInstance;

/* Inserts a row with an id that no other instance can have. */
extern void durable_instance_insert(NewInstance *row);

/*
 * Inserts a row unless its id is taken, and sets created.  Waits for another transaction that
 * inserts or deletes an instance with that id.  The caller has connected to SPI.
 */
extern void durable_instance_insert_unless_taken(NewInstance *row);

/* The same for a List of NewInstance.  Sets undecided instead of waiting for a transaction. */
extern void durable_instance_insert_children(List *rows);

/* Part of durable_instance_check_table. */
extern void durable_instance_insert_check(void);

#endif							/* DURABLE_INSTANCE_INSERT_H */
