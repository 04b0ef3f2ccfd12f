/*
 * tally_ranges.h
 *		Finds ranges of keys with instances that have a name or a status, and counts them.
 */
#ifndef DURABLE_TALLY_RANGES_H
#define DURABLE_TALLY_RANGES_H

#include "durable.h"
#include "utils/array.h"

typedef struct TallyRanges
{
	int			n;
	int64	   *numbers;		/* numbers of ranges (tally.h), in descending order */
	int64	   *instances;		/* number of instances in the range with one of the statuses; without statuses 1 */
}			TallyRanges;

/*
 * The number of instances that the role may see, with this name (NULL: any) and one of these
 * statuses (NULL: any); *any, unless it is NULL: the number with any status.  The caller has
 * connected to SPI; the same for the next function.
 */
extern int64 durable_tally_count(const char *name, ArrayType *statuses, int64 *any);

/*
 * The ranges with keys from first to last that may contain instances of any owner with this name
 * (NULL: any) and one of these statuses (NULL: any; then a name is required).  read_only: use
 * the active snapshot.  The result is in CurrentMemoryContext.
 */
extern void durable_tally_find_ranges(TallyRanges * ranges, const char *name, ArrayType *statuses,
									  int64 first, int64 last, bool read_only);

/* The statuses of unfinished instances. */
extern ArrayType *durable_tally_unfinished(void);

#endif							/* DURABLE_TALLY_RANGES_H */
