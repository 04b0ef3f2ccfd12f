/*-------------------------------------------------------------------------
 *
 * time_after.c
 *		Computes times that are an interval away, for intervals that users choose.
 *
 * PostgreSQL says "timestamp out of range" where there is no such time, which
 * names neither the parameter nor its value.
 *
 * Owns:	nothing
 * Called by: wait_calls.c, wait_api.c, purge_api.c, testing_api.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "time_after.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static TimestampTz compute(PGFunction function, TimestampTz start, Interval *interval,
						   const char *parameter);

TimestampTz
durable_time_after(TimestampTz start, Interval *interval, const char *parameter)
{
	return compute(timestamptz_pl_interval, start, interval, parameter);
}

TimestampTz
durable_time_before(TimestampTz start, Interval *interval, const char *parameter)
{
	return compute(timestamptz_mi_interval, start, interval, parameter);
}

/* These functions only compute or raise an error, and hold no resources that an error would have to release. */
static TimestampTz
compute(PGFunction function, TimestampTz start, Interval *interval, const char *parameter)
{
	MemoryContext context = CurrentMemoryContext;
	volatile	TimestampTz result = 0;

	PG_TRY();
	{
		result = DatumGetTimestampTz(DirectFunctionCall2(function, TimestampTzGetDatum(start),
														 IntervalPGetDatum(interval)));
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode != ERRCODE_DATETIME_VALUE_OUT_OF_RANGE &&
			error->sqlerrcode != ERRCODE_INTERVAL_FIELD_OVERFLOW)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s is out of range: \"%s\"", parameter,
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)))),
				 errdetail("The resulting time is out of range for type timestamp with time zone.")));
	}
	PG_END_TRY();
	return result;
}
