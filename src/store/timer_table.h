/*
 * timer_table.h
 *		The table durable.timer: timers that have not fired.
 */
#ifndef DURABLE_TIMER_TABLE_H
#define DURABLE_TIMER_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "table.h"

enum
{
	TIMER_OWNER, TIMER_DUE_AT, TIMER_KEY, TIMER_EXECUTION, TIMER_TASK, TIMER_COLUMNS
};

enum
{
	TIMER_BY_DUE_AT				/* owner, due_at, key */
};

extern DurableTable durable_timer_table;

/* TimerRow.execution of a timer for operations that wait for an entity (entity_table.h). */
#define TIMER_OF_ENTITY		(-1)

typedef struct TimerRow
{
	int64		key;
	int32		execution;
	int32		task;			/* 0: start of an instance with start_at, or TIMER_OF_ENTITY */
	TimestampTz due;
}			TimerRow;

/*
 * The owner's timers that are due between "from" and now, as messages (inbox_table.h), at most
 * limit, in the order of time and instance.  Of those that are due at "from" only those of
 * instances with the key from_key or a higher one.
 */
extern List *durable_timer_read(Oid owner, TimestampTz from, int64 from_key, TimestampTz now, int limit);

/* When the owner's next timer after that time is due; DT_NOEND: there is none. */
extern TimestampTz durable_timer_next(Oid owner, TimestampTz after);

/* These handle the timers in a list of messages and timers, see inbox_table.h. */
extern void durable_timer_check_live(List *messages);
extern void durable_timer_delete(List *messages);
extern void durable_timer_delete_orphans(List *messages);

/* List of TimerRow: inserts them, and wakes the owner's workers when they are due. */
extern void durable_timer_insert(Oid owner, List *timers);

/* List of TimerRow: deletes those that still exist.  The caller has connected to SPI. */
extern void durable_timer_cancel(Oid owner, List *timers);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_timer_check_table(void);

#endif							/* DURABLE_TIMER_TABLE_H */
