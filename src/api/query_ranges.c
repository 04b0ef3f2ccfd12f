/*-------------------------------------------------------------------------
 *
 * query_ranges.c
 *		The ranges of keys in which a query looks for a page, one part after the other.
 *
 * A page of n instances takes at most n ranges (tally_ranges.c).
 *
 * Owns:	nothing
 * Called by: query_api.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "columns.h"
#include "query_ranges.h"
#include "tally.h"

/* Merges adjacent ranges. */
bool
durable_query_next_ranges(QueryRanges * ranges, int64 instances, Datum *first, Datum *last)
{
	int			left = ranges->all.n - ranges->next;
	Datum	   *firsts;
	Datum	   *lasts;
	int			n = 0;

	if (left == 0)
		return false;
	firsts = palloc(left * sizeof(Datum));
	lasts = palloc(left * sizeof(Datum));
	for (; ranges->next < ranges->all.n && instances > 0; ranges->next++)
	{
		int64		number = ranges->all.numbers[ranges->next];
		int64		begin = number << TALLY_RANGE_BITS;

		if (n > 0 && ranges->all.numbers[ranges->next - 1] == number + 1)
			firsts[n - 1] = Int64GetDatum(begin);
		else
		{
			firsts[n] = Int64GetDatum(begin);
			lasts[n++] = Int64GetDatum(begin + TALLY_RANGE_SIZE - 1);
		}
		instances -= ranges->all.instances[ranges->next];
	}
	*first = durable_columns_array(firsts, NULL, n, INT8OID);
	*last = durable_columns_array(lasts, NULL, n, INT8OID);
	return true;
}
