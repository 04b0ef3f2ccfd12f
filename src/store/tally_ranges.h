/*
 * tally_ranges.h
 *		Between which keys the instances with some statuses or a name are.
 */
#ifndef DURABLE_TALLY_RANGES_H
#define DURABLE_TALLY_RANGES_H

#include "durable.h"
#include "utils/array.h"

typedef struct TallyRanges
{
	int			n;
	int64	   *numbers;		/* of ranges of keys (tally.h), from the highest on */
	int64	   *instances;		/* with one of the statuses in that range; without statuses 1 */
}			TallyRanges;

/*
 * How many instances that the role may see have this name (NULL: any) and one of these
 * statuses (NULL: any); in *any, if that is not NULL, how many have the name.  The caller
 * has connected to SPI, like that of the next function.
 */
extern int64 durable_tally_count(const char *name, ArrayType *statuses, int64 *any);

/*
 * The ranges that may contain instances of this name (NULL: any) with one of these statuses
 * (NULL: any, if there is a name), whoever owns them, and keys from first to last.  read_only:
 * as the active snapshot sees it.  The result is in CurrentMemoryContext.
 */
extern void durable_tally_find_ranges(TallyRanges * ranges, const char *name, ArrayType *statuses,
									  int64 first, int64 last, bool read_only);

/* The statuses of instances that have not ended. */
extern ArrayType *durable_tally_unfinished(void);

#endif							/* DURABLE_TALLY_RANGES_H */
