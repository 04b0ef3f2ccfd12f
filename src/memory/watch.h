/*
 * watch.h
 *		Tables whose changes orchestrations wait for (durable.wait_until).
 */
#ifndef DURABLE_WATCH_H
#define DURABLE_WATCH_H

#include "durable.h"

extern void durable_watch_install(void);	/* from _PG_init */

/*
 * Called before a process takes a snapshot and runs the query of a wait on that table.  A
 * change that the snapshot does not see is then reported, at the latest when the transaction
 * of the query commits.  False: there is no room for another table.
 */
extern bool durable_watch_arm(Oid relation);

/* The wait has ended in this transaction: its commit reports nothing. */
extern void durable_watch_forget(void);

/* Any table may have changed: COMMIT PREPARED has no commit callback. */
extern void durable_watch_changed_all(void);

/* For the coordinator: has a watched table changed? */
extern bool durable_watch_has_changes(void);

/*
 * Takes the watched tables of this database that have changed, at most max; *all: any table
 * may have changed.  They are not watched until they are armed again.  If the transaction
 * aborts, all tables count as changed.
 */
extern int	durable_watch_take(Oid *relations, int max, bool *all);

/* Marks these tables as changed again, because not all waits on them have been woken. */
extern void durable_watch_put_back(const Oid *relations, int n, bool all);

#endif							/* DURABLE_WATCH_H */
