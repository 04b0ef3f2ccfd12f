/*
 * finished.h
 *		The list of instances that have ended, and their deletion.
 *
 * durable.finished has a row for each instance that has failed or was terminated, and
 * one for those of an owner and name that were completed by the same unit of work.  The
 * unit inserts the rows, the deletion of the last instance of a row deletes it, and
 * nothing changes it in between.  Retention and queries by status, name and time go by
 * it, so that durable.instance needs no index on a column that changes.
 */
#ifndef DURABLE_FINISHED_H
#define DURABLE_FINISHED_H

#include "durable.h"

typedef struct FinishedRow
{
	Oid			owner;
	const char *name;
	char		status;
	TimestampTz completed_at;
	int64		key;
}			FinishedRow;

/* Inserts the rows.  It needs an active snapshot, and waits for no transaction. */
extern void durable_finished_insert(const FinishedRow * rows, int nrows);

/* Deletes the row of a failed instance that goes on after all.  The caller has connected to SPI. */
extern void durable_finished_forget(const FinishedRow * row);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_finished_check_table(void);

/*
 * Deletes those of these instances that have ended, and their sub-orchestrations that
 * have ended, with all that belongs to them: histories, messages and tasks.  A task
 * that is running keeps its row; the worker that runs it deletes the row when it finds
 * the instance gone.  Returns how many instances were deleted, and in *asked_for, if
 * that is not NULL, how many of those whose keys were given.
 *
 * waits: it waits for a session that has the row of an instance locked, else it passes
 * over such an instance.  The caller has connected to SPI.
 */
extern int64 durable_finished_delete(const int64 *keys, int nkeys, bool waits, int64 *asked_for);

/*
 * Deletes what is past its retention at that time, about limit instances at most, and
 * skips rows that another transaction has locked.  general is durable.retention, or NULL.
 * Returns how many were deleted; *next is when something may be due, DT_NOEND: never as
 * things are.  The caller has connected to SPI.
 */
extern int64 durable_finished_expire(TimestampTz now, const Interval *general, int limit,
									 TimestampTz *next);

#endif							/* DURABLE_FINISHED_H */
