/*
 * crashes.h
 *		The column crashes of tasks, instances and entities.
 */
#ifndef DURABLE_CRASHES_H
#define DURABLE_CRASHES_H

#include "durable.h"
#include "storage/itemptr.h"

typedef enum CrashesOf
{
	CRASHES_OF_TASK,
	CRASHES_OF_INSTANCE,
	CRASHES_OF_ENTITY
}			CrashesOf;

/* A row that blame.c has locked in order to count a crash. */
typedef struct BlamedRow
{
	CrashesOf	of;
	bool		exists;			/* the row exists; set also if it could not be locked */
	int64		key;			/* of the instance or the entity */
	ItemPointerData tid;
	Oid			owner;
	const char *id;				/* of the instance or the entity */
	const char *name;			/* of the activity or the orchestration; NULL: entity */
	TimestampTz run_at;			/* of a task */
	int			crashes;		/* in fifths, see flight.h */
}			BlamedRow;

/*
 * Locks the row; false if it is gone or another transaction has it locked.  An instance
 * that has ended counts as gone.  task_id is for tasks.  Waits for no other transaction.
 */
extern bool durable_crashes_lock(CrashesOf of, int64 key, int64 task_id, BlamedRow *row);

/* Writes the columns crashes and, of a task, run_at of a row that is locked. */
extern void durable_crashes_store(const BlamedRow *row);

#endif							/* DURABLE_CRASHES_H */
