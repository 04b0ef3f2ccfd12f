/*
 * query_ranges.h
 *		Between which keys the instances with some statuses are.
 */
#ifndef DURABLE_QUERY_RANGES_H
#define DURABLE_QUERY_RANGES_H

#include "durable.h"
#include "utils/array.h"

typedef struct QueryRanges
{
	int			n;
	int			next;			/* the first that was not asked for yet */
	int64	   *numbers;		/* of ranges of keys (tally.h), from the highest on */
	int64	   *instances;		/* with one of these statuses, in that range */
}			QueryRanges;

/*
 * How many instances that the role may see have this name (NULL: any) and one of these
 * statuses; in *any, how many have the name.  The caller has connected to SPI.
 */
extern int64 durable_query_count(Datum name, bool any_name, ArrayType *statuses, int64 *any);

/* Where instances with these statuses are, whoever owns them, with keys between the two. */
extern void durable_query_find_ranges(QueryRanges * ranges, ArrayType *statuses, int64 above, int64 below);

/*
 * The next ranges with so many instances at least, as arrays of their first and last
 * keys; false: none is left.
 */
extern bool durable_query_next_ranges(QueryRanges * ranges, int64 instances, Datum *first, Datum *last);

#endif							/* DURABLE_QUERY_RANGES_H */
