/*
 * watch.h
 *		Tables whose changes orchestrations wait for (durable.wait_until).
 */
#ifndef DURABLE_WATCH_H
#define DURABLE_WATCH_H

#include "durable.h"

extern void durable_watch_install(void);	/* from _PG_init */

/*
 * The process is about to take a snapshot and to run a query for a wait on that table.
 * False: there is no room for another table.  A change that the snapshot does not see
 * is reported, at the latest when the transaction of the query commits.
 */
extern bool durable_watch_arm(Oid relation);

/* The wait has ended in this transaction: nothing has to be reported at its commit. */
extern void durable_watch_forget(void);

/* Any table may have changed without a commit callback: COMMIT PREPARED. */
extern void durable_watch_changed_all(void);

/* For the coordinator: has a watched table changed? */
extern bool durable_watch_has_changes(void);

/*
 * Takes the tables of this database that have changed, at most max; *all: any table may
 * have.  They are not watched any more until they are armed again.  If the transaction
 * aborts, any table may have changed.
 */
extern int	durable_watch_take(Oid *relations, int max, bool *all);

/* Not all waits on these tables have been woken yet. */
extern void durable_watch_put_back(const Oid *relations, int n, bool all);

#endif							/* DURABLE_WATCH_H */
