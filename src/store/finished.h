/*
 * finished.h
 *		The table durable.finished, and the deletion of finished instances.
 *
 * durable.finished has a row for each instance that has failed or was terminated, and one row
 * for all instances of an owner and name that the same unit of work has completed.  The unit
 * inserts the row, and the deletion of its last instance deletes it; it is never updated.
 * Retention and queries by status, name and time use this table, so durable.instance needs no
 * index on a column that changes.
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

/* Deletes the row of a failed instance that is rewound.  The caller has connected to SPI. */
extern void durable_finished_forget(const FinishedRow * row);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_finished_check_table(void);

/*
 * Deletes the finished instances among these, and their finished sub-orchestrations, with
 * their histories, messages and tasks.  A task that is running keeps its row; its worker
 * deletes the row when it finds that the instance does not exist.  Returns the number of
 * deleted instances, and in *asked_for, unless it is NULL, how many of them are in keys.
 *
 * waits: wait for a session that has locked the row of an instance, instead of skipping it.
 * The caller has connected to SPI.
 */
extern int64 durable_finished_delete(const int64 *keys, int nkeys, bool waits, int64 *asked_for);

/*
 * Deletes instances whose retention is over, about limit at most, and skips rows that another
 * transaction has locked.  general is durable.retention, or NULL.  Returns the number of
 * deleted instances; *next: when the next one may be due, DT_NOEND: none of those that exist.
 * The caller has connected to SPI.
 */
extern int64 durable_finished_expire(TimestampTz now, const Interval *general, int limit,
									 TimestampTz *next);

#endif							/* DURABLE_FINISHED_H */
