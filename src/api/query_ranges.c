/*-------------------------------------------------------------------------
 *
 * query_ranges.c
 *		Between which keys the instances with some statuses are.
 *
 * No index has the status of an instance, since it changes.  The sums in durable.tally
 * say how many instances of a range of 512 keys have a status, so the five that run
 * among 1,000,000 that have completed are in five ranges at most, and these are read.
 * A page of n instances so takes n ranges at most, wherever they are.
 *
 * Called by: query_api.c
 * Locks:	those of a SELECT
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"

#include "columns.h"
#include "query_ranges.h"
#include "sql.h"
#include "tally.h"

static DurableSql counts = {
	.text = "SELECT coalesce(pg_catalog.sum(n) FILTER (WHERE status = ANY ($2)), 0)::bigint,"
	" coalesce(pg_catalog.sum(n), 0)::bigint"
	" FROM durable.tally WHERE name IS NOT NULL AND (name = $1 OR $1 IS NULL) AND durable.may_see(owner)",
	.nargs = 2,
	.argtypes = {TEXTOID, CHARARRAYOID}
};

static DurableSql ranges_of = {
	.text = "SELECT range, pg_catalog.sum(n)::bigint FROM durable.tally"
	" WHERE range >= $2 AND range <= $3 AND status = ANY ($1)"
	" GROUP BY range HAVING pg_catalog.sum(n) > 0 ORDER BY range DESC",
	.nargs = 3,
	.argtypes = {CHARARRAYOID, INT8OID, INT8OID}
};

int64
durable_query_count(Datum name, bool any_name, ArrayType *statuses, int64 *any)
{
	Datum		values[2] = {name, PointerGetDatum(statuses)};

	durable_sql_run(&counts, values, any_name ? "n " : NULL, true, 0);
	*any = durable_sql_int8(0, 2);
	return durable_sql_int8(0, 1);
}

void
durable_query_find_ranges(QueryRanges * ranges, ArrayType *statuses, int64 above, int64 below)
{
	Datum		values[3] = {
		PointerGetDatum(statuses), Int64GetDatum(above >> TALLY_RANGE_BITS), Int64GetDatum(below >> TALLY_RANGE_BITS)
	};

	ranges->next = 0;
	ranges->n = (int) durable_sql_run(&ranges_of, values, NULL, true, 0);
	ranges->numbers = palloc(Max(ranges->n, 1) * sizeof(int64));
	ranges->instances = palloc(Max(ranges->n, 1) * sizeof(int64));
	for (int i = 0; i < ranges->n; i++)
	{
		ranges->numbers[i] = durable_sql_int8(i, 1);
		ranges->instances[i] = durable_sql_int8(i, 2);
	}
}

/* Ranges beside each other become one. */
bool
durable_query_next_ranges(QueryRanges * ranges, int64 instances, Datum *first, Datum *last)
{
	int			left = ranges->n - ranges->next;
	Datum	   *firsts;
	Datum	   *lasts;
	int			n = 0;

	if (left == 0)
		return false;
	firsts = palloc(left * sizeof(Datum));
	lasts = palloc(left * sizeof(Datum));
	for (; ranges->next < ranges->n && instances > 0; ranges->next++)
	{
		int64		number = ranges->numbers[ranges->next];
		int64		begin = number << TALLY_RANGE_BITS;

		if (n > 0 && ranges->numbers[ranges->next - 1] == number + 1)
			firsts[n - 1] = Int64GetDatum(begin);
		else
		{
			firsts[n] = Int64GetDatum(begin);
			lasts[n++] = Int64GetDatum(begin + (INT64CONST(1) << TALLY_RANGE_BITS) - 1);
		}
		instances -= ranges->instances[ranges->next];
	}
	*first = durable_columns_array(firsts, NULL, n, INT8OID);
	*last = durable_columns_array(lasts, NULL, n, INT8OID);
	return true;
}
