/*-------------------------------------------------------------------------
 *
 * tally_ranges.c
 *		Finds the ranges of keys that contain the instances with some statuses or a name.
 *
 * No index has the status of an instance, since it changes, nor its name, since each
 * start would add an entry.  The sums in durable.tally say how many instances of a range
 * of 512 keys have a status.  So five running instances among 1,000,000 completed ones
 * are in five ranges at most, and only these are read.  durable.name_range and the differences
 * that have not been added up say which ranges have instances of a name.
 *
 * Differences of this transaction that have not been written count as well.
 *
 * Owns:	nothing
 * Called by: instance_table.c, query_api.c
 * Locks:	those that a SELECT takes
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "sql.h"
#include "tally.h"
#include "tally_ranges.h"

static DurableSql counts = {
	.text = "SELECT coalesce(pg_catalog.sum(n) FILTER (WHERE status = ANY ($2) OR $2 IS NULL), 0)::bigint,"
	" coalesce(pg_catalog.sum(n), 0)::bigint"
	" FROM durable.tally WHERE name IS NOT NULL AND (name = $1 OR $1 IS NULL) AND durable.may_see(owner)",
	.nargs = 2,
	.argtypes = {TEXTOID, CHARARRAYOID}
};

static DurableSql ranges_of_statuses = {
	.text = "SELECT range, pg_catalog.sum(n)::bigint FROM durable.tally"
	" WHERE range >= $2 AND range <= $3 AND status = ANY ($1)"
	" GROUP BY range HAVING pg_catalog.sum(n) > 0 ORDER BY range DESC",
	.nargs = 3,
	.argtypes = {CHARARRAYOID, INT8OID, INT8OID}
};

static DurableSql ranges_of_name = {
	.text = "SELECT range, 1::bigint FROM ("
	" SELECT r.range FROM durable.name_range r WHERE r.name = $1 AND r.range >= $2 AND r.range <= $3"
	" UNION SELECT d.range FROM durable.tally d WHERE d.name = $1 AND d.range >= $2 AND d.range <= $3) n"
	" ORDER BY range DESC",
	.nargs = 3,
	.argtypes = {TEXTOID, INT8OID, INT8OID}
};

static void read_ranges(TallyRanges * ranges, DurableSql *sql, Datum condition, int64 first, int64 last, bool read_only);
static void keep_common(TallyRanges * ranges, const TallyRanges * others);
static void add_pending(TallyRanges * ranges, const char *name, ArrayType *statuses, int64 first, int64 last);
static bool is_wanted(const TallyDifference *difference, const char *name, ArrayType *statuses);

int64
durable_tally_count(const char *name, ArrayType *statuses, int64 *any)
{
	Datum		values[2] = {name != NULL ? CStringGetTextDatum(name) : (Datum) 0, PointerGetDatum(statuses)};
	char		nulls[3] = {name != NULL ? ' ' : 'n', statuses != NULL ? ' ' : 'n', '\0'};
	const TallyDifference *difference;
	int64		result;
	int64		with_name;

	durable_sql_run(&counts, values, nulls, true, 0);
	result = durable_sql_int8(0, 1);
	with_name = durable_sql_int8(0, 2);
	for (int i = 0; (difference = durable_tally_pending(i)) != NULL; i++)
	{
		if (is_wanted(difference, name, statuses))
			result += difference->n;
		if (is_wanted(difference, name, NULL))
			with_name += difference->n;
	}
	if (any != NULL)
		*any = with_name;
	return result;
}

void
durable_tally_find_ranges(TallyRanges * ranges, const char *name, ArrayType *statuses,
						  int64 first, int64 last, bool read_only)
{
	TallyRanges of_name = {0};

	Assert(name != NULL || statuses != NULL);
	first >>= TALLY_RANGE_BITS;
	last >>= TALLY_RANGE_BITS;
	if (name != NULL)
		read_ranges(&of_name, &ranges_of_name, CStringGetTextDatum(name), first, last, read_only);
	if (statuses == NULL)
		*ranges = of_name;
	else
	{
		read_ranges(ranges, &ranges_of_statuses, PointerGetDatum(statuses), first, last, read_only);
		if (name != NULL)
			keep_common(ranges, &of_name);
	}
	add_pending(ranges, name, statuses, first, last);
}

static void
read_ranges(TallyRanges * ranges, DurableSql *sql, Datum condition, int64 first, int64 last, bool read_only)
{
	Datum		values[3] = {condition, Int64GetDatum(first), Int64GetDatum(last)};

	ranges->n = (int) durable_sql_run(sql, values, NULL, read_only, 0);
	ranges->numbers = palloc(Max(ranges->n, 1) * sizeof(int64));
	ranges->instances = palloc(Max(ranges->n, 1) * sizeof(int64));
	for (int i = 0; i < ranges->n; i++)
	{
		ranges->numbers[i] = durable_sql_int8(i, 1);
		ranges->instances[i] = durable_sql_int8(i, 2);
	}
}

/* Both lists are sorted and merged here; SQL would join them with a nested loop. */
static void
keep_common(TallyRanges * ranges, const TallyRanges * others)
{
	int			kept = 0;
	int			other = 0;

	for (int i = 0; i < ranges->n; i++)
	{
		while (other < others->n && others->numbers[other] > ranges->numbers[i])
			other++;
		if (other == others->n || others->numbers[other] != ranges->numbers[i])
			continue;
		ranges->numbers[kept] = ranges->numbers[i];
		ranges->instances[kept++] = ranges->instances[i];
	}
	ranges->n = kept;
}

/* There are few of them, and they usually are at the beginning. */
static void
add_pending(TallyRanges * ranges, const char *name, ArrayType *statuses, int64 first, int64 last)
{
	const TallyDifference *difference;

	for (int i = 0; (difference = durable_tally_pending(i)) != NULL; i++)
	{
		int			place = 0;

		if (difference->n <= 0 || difference->range < first || difference->range > last ||
			!is_wanted(difference, name, statuses))
			continue;
		while (place < ranges->n && ranges->numbers[place] > difference->range)
			place++;
		if (place < ranges->n && ranges->numbers[place] == difference->range)
			continue;
		ranges->numbers = repalloc(ranges->numbers, (ranges->n + 1) * sizeof(int64));
		ranges->instances = repalloc(ranges->instances, (ranges->n + 1) * sizeof(int64));
		memmove(&ranges->numbers[place + 1], &ranges->numbers[place], (ranges->n - place) * sizeof(int64));
		memmove(&ranges->instances[place + 1], &ranges->instances[place], (ranges->n - place) * sizeof(int64));
		ranges->numbers[place] = difference->range;
		ranges->instances[place] = difference->n;
		ranges->n++;
	}
}

/* NULL: any. */
static bool
is_wanted(const TallyDifference *difference, const char *name, ArrayType *statuses)
{
	return (name == NULL || strcmp(difference->name, name) == 0) &&
		(statuses == NULL || memchr(ARR_DATA_PTR(statuses), difference->status,
									ArrayGetNItems(ARR_NDIM(statuses), ARR_DIMS(statuses))) != NULL);
}

ArrayType *
durable_tally_unfinished(void)
{
	Datum		statuses[] = {CharGetDatum(STATUS_PENDING), CharGetDatum(STATUS_RUNNING), CharGetDatum(STATUS_SUSPENDED)};

	return construct_array(statuses, lengthof(statuses), CHAROID, 1, true, TYPALIGN_CHAR);
}
