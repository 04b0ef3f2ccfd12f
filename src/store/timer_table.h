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

/* As the execution of a timer: it is for what waits for an entity (entity_table.h). */
#define TIMER_OF_ENTITY		(-1)

typedef struct TimerRow
{
	int64		key;
	int32		execution;
	int32		task;			/* 0: the start of an instance with start_at, or execution is -1 */
	TimestampTz due;
}			TimerRow;

/*
 * The owner's timers that are due at now or before, as messages (inbox_table.h), at
 * most limit, in the order of time and instance: what is due at the time from for
 * instances from from_key on, then what is due after it.  from_key INT64_MIN: any.
 */
extern List *durable_timer_read(Oid owner, TimestampTz from, int64 from_key, TimestampTz now, int limit);

/* When the owner's next timer after that time is due; DT_NOEND: none is. */
extern TimestampTz durable_timer_next(Oid owner, TimestampTz after);

/*
 * Of a list of messages and timers, the timers: marks the ones that are still there;
 * deletes them; deletes the ones whose instance is gone.
 */
extern void durable_timer_check_live(List *messages);
extern void durable_timer_delete(List *messages);
extern void durable_timer_delete_orphans(List *messages);

/* TimerRow: writes them, and wakes the owner's workers when they are due. */
extern void durable_timer_insert(Oid owner, List *timers);

/* TimerRow: deletes them where they still are.  The caller is in SPI. */
extern void durable_timer_cancel(Oid owner, List *timers);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_timer_check_table(void);

#endif							/* DURABLE_TIMER_TABLE_H */
