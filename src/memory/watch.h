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

/* Something that no commit callback has seen may have changed any table: COMMIT PREPARED. */
extern void durable_watch_changed_all(void);

/* For the coordinator.  Is there something to take? */
extern bool durable_watch_has_changes(void);

/*
 * Takes the tables of this database that have changed, at most max; *all: any table may
 * have.  They are not watched any more until they are armed again.  If the transaction
 * aborts, any table may have changed.
 */
extern int	durable_watch_take(Oid *relations, int max, bool *all);

/* Some of what has to be done for these is left. */
extern void durable_watch_put_back(const Oid *relations, int n, bool all);

#endif							/* DURABLE_WATCH_H */
