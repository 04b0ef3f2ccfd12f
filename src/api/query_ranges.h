/*
 * query_ranges.h
 *		The ranges of keys in which a query looks for a page, one part after the other.
 */
#ifndef DURABLE_QUERY_RANGES_H
#define DURABLE_QUERY_RANGES_H

#include "tally_ranges.h"

typedef struct QueryRanges
{
	TallyRanges all;
	int			next;			/* the first that was not asked for yet */
}			QueryRanges;

/*
 * The next ranges with so many instances at least, as arrays of their first and last
 * keys; false: none is left.
 */
extern bool durable_query_next_ranges(QueryRanges * ranges, int64 instances, Datum *first, Datum *last);

#endif							/* DURABLE_QUERY_RANGES_H */
