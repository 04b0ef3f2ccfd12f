/*
 * history_table.h
 *		The table durable.history: the events of each instance.
 */
#ifndef DURABLE_HISTORY_TABLE_H
#define DURABLE_HISTORY_TABLE_H

#include "durable.h"
#include "instance_table.h"
#include "nodes/pg_list.h"
#include "table.h"
#include "table_scan.h"

enum
{
	HISTORY_KEY, HISTORY_EXECUTION, HISTORY_SEQ, HISTORY_AT, HISTORY_EVENTS, HISTORY_FORM, HISTORY_COLUMNS
};

enum
{
	HISTORY_BY_KEY				/* key, execution, seq */
};

extern DurableTable durable_history_table;

/*
 * load reads the stored events of the instance's present execution and appends them to its
 * replay.  Raises XX001 if their number is not the one in durable.instance.  It is called
 * between open and close, for any number of instances.
 */
extern void durable_history_open(DurableScan *scan);
extern void durable_history_load(DurableScan *scan, Instance *instance);
extern void durable_history_close(DurableScan *scan);

/* List of Instance: writes their events that are not stored yet. */
extern void durable_history_insert(List *instances);

/*
 * List of Instance: writes the events that came after their end.  The number that follows
 * the history is left out: durable.history() uses it for the end of the instance.
 */
extern void durable_history_insert_dropped(List *instances);

/* Deletes the histories of these instances (a bigint[]).  The caller is in SPI. */
extern void durable_history_discard(Datum keys);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_history_check_table(void);

#endif							/* DURABLE_HISTORY_TABLE_H */
