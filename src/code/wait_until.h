/*
 * wait_until.h
 *		One look at the data that an orchestration waits for.
 */
#ifndef DURABLE_WAIT_UNTIL_H
#define DURABLE_WAIT_UNTIL_H

#include "durable.h"

/* The built-in activity behind durable.wait_until(). */
#define ACTIVITY_WAIT_UNTIL	"durable.wait_until"

typedef struct WaitUntil
{
	MemoryContext context;		/* of the members below; the caller's */
	bool		holds;
	int			nrelations;
	Oid		   *relations;		/* that are watched, with partitions and children */
	int64		recheck_us;		/* if nothing changes, the next look; 0: none */
	int64		timeout_us;		/* it gives up so long after the call; 0: never */
}			WaitUntil;

/* The input of the activity; arguments of SQL NULL are NULL, or 0. */
extern Jsonb *durable_wait_until_input(const char *query, const Jsonb *params, int64 recheck_us,
									   int64 timeout_us, const Oid *relations, int nrelations);

/* Runs the query; its rows, if it holds. */
extern Jsonb *durable_wait_until_look(const Jsonb *input, WaitUntil *wait);

#endif							/* DURABLE_WAIT_UNTIL_H */
