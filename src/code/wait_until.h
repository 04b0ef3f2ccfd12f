/*
 * wait_until.h
 *		The built-in activity behind durable.wait_until(): it runs the query once.
 */
#ifndef DURABLE_WAIT_UNTIL_H
#define DURABLE_WAIT_UNTIL_H

#include "durable.h"

/* The built-in activity behind durable.wait_until(). */
#define ACTIVITY_WAIT_UNTIL	"durable.wait_until"

typedef struct WaitUntil
{
	MemoryContext context;		/* of the members below; the caller's */
	bool		holds;			/* the query has returned rows: the wait is over */
	int			nrelations;
	Oid		   *relations;		/* watched tables, with their partitions and children */
	int64		recheck_us;		/* the query runs again after that time even without a change; 0: it does not */
	int64		timeout_us;		/* the wait ends so long after the call, with NULL; 0: never */
}			WaitUntil;

/* The input of the activity.  Arguments that are SQL NULL are passed as NULL or 0. */
extern Jsonb *durable_wait_until_input(const char *query, const Jsonb *params, int64 recheck_us,
									   int64 timeout_us, const Oid *relations, int nrelations);

/* Runs the query.  Returns its rows if wait->holds. */
extern Jsonb *durable_wait_until_look(const Jsonb *input, WaitUntil *wait);

#endif							/* DURABLE_WAIT_UNTIL_H */
