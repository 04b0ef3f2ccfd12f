/*
 * query_ranges.h
 *		The ranges of keys that a query searches for a page, in parts.
 */
#ifndef DURABLE_QUERY_RANGES_H
#define DURABLE_QUERY_RANGES_H

#include "tally_ranges.h"

typedef struct QueryRanges
{
	TallyRanges all;
	int			next;			/* the first range that was not returned yet */
}			QueryRanges;

/*
 * The next ranges, with at least that number of instances if there are enough, as arrays of
 * their first and last keys; false: none is left.
 */
extern bool durable_query_next_ranges(QueryRanges * ranges, int64 instances, Datum *first, Datum *last);

#endif							/* DURABLE_QUERY_RANGES_H */
