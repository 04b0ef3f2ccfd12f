/*
 * history_table.h
 *		The table durable.history: what happened in each instance.
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
 * Reads the stored events of the instance's present execution into its replay, behind
 * those that it has already; raises XX001 when there are more or fewer than the
 * instance has.  Between the two others,
 * for as many instances as are wanted.
 */
extern void durable_history_open(DurableScan *scan);
extern void durable_history_load(DurableScan *scan, Instance *instance);
extern void durable_history_close(DurableScan *scan);

/* Instance: writes their events that are not stored yet. */
extern void durable_history_insert(List *instances);

/*
 * Instance: writes the events that came when they had ended.  Their numbers leave one
 * out behind the history, which durable.history() gives to the end.
 */
extern void durable_history_insert_dropped(List *instances);

/* Deletes the histories of these instances (a bigint[]).  The caller is in SPI. */
extern void durable_history_discard(Datum keys);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_history_check_table(void);

#endif							/* DURABLE_HISTORY_TABLE_H */
