/*
 * stats_api.c
 *		Statistics of orchestrations and activities, for SQL.
 *
 * Owns: nothing.
 * Called by: the views durable.stat_orchestrations and durable.stat_activities; clients.
 * Locks: that of stats.c, for moments.
 * Memory: the result's tuplestore.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "stats.h"

#define COLUMNS		13

/* Microseconds in milliseconds, as pg_stat_statements has times. */
#define MS(us)		Float8GetDatum((us) / 1000.0)

PG_FUNCTION_INFO_V1(durable_stats);

/* kind, owner, name, calls, failures, retries, terminated, turns, compute, total, max, error, failed_at */
Datum
durable_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StatsEntry *entries;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	entries = durable_stats_read(&n);
	for (int i = 0; i < n; i++)
	{
		const StatsKey *key = &entries[i].key;
		const StatsCounters *c = &entries[i].counters;
		Datum		values[COLUMNS];
		bool		nulls[COLUMNS] = {0};
		int			at = 0;

		if (!durable_client_may_see(key->owner))
			continue;
		values[at++] = CStringGetTextDatum(key->kind == STATS_ACTIVITY ? "activity" : "orchestration");
		values[at++] = ObjectIdGetDatum(key->owner);
		values[at++] = CStringGetTextDatum(key->name);
		values[at++] = Int64GetDatum(c->calls);
		values[at++] = Int64GetDatum(c->failures);
		values[at++] = Int64GetDatum(c->retries);
		values[at++] = Int64GetDatum(c->terminated);
		values[at++] = Int64GetDatum(c->turns);
		values[at++] = MS(c->compute_us);
		values[at++] = MS(c->total_us);
		values[at++] = MS(c->max_us);
		nulls[at] = c->failed_at == 0 || !has_privs_of_role(GetUserId(), key->owner);
		values[at++] = CStringGetTextDatum(c->error);
		nulls[at] = c->failed_at == 0;
		values[at++] = TimestampTzGetDatum(c->failed_at);
		Assert(at == COLUMNS);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(durable_stat_reset);

/* Only statistics of roles whose privileges the caller has. */
Datum
durable_stat_reset(PG_FUNCTION_ARGS)
{
	StatsEntry *entries;
	int			n;
	int64		removed = 0;

	durable_client_refuse_in_turn("stat_reset", "Call it from an activity.");
	if (superuser())
		PG_RETURN_INT64(durable_stats_reset(InvalidOid));
	entries = durable_stats_read(&n);
	for (int i = 0; i < n; i++)
		if (has_privs_of_role(GetUserId(), entries[i].key.owner))
			removed += durable_stats_reset(entries[i].key.owner);
	PG_RETURN_INT64(removed);
}
