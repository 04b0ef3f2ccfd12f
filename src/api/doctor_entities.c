/*-------------------------------------------------------------------------
 *
 * doctor_entities.c
 *		durable.doctor(): entities whose operations cannot be run.
 *
 * Called by: doctor.c
 * Locks:	none
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "doctor.h"
#include "sql.h"

/* An entity that is held for a shorter time, for example because of a full disk, is not a finding; in seconds. */
#define HELD_FOR	10

void
durable_doctor_check_entities(Doctor *doctor)
{
	static DurableSql held = {
		.text = "SELECT e.entity_id, e.problem_at, e.problem FROM"
		" (SELECT entity_id, problem_at, problem, owner FROM durable.entity"
		"  WHERE problem_at IS NOT NULL AND problem_at < $3 ORDER BY problem_at LIMIT $4 * 10) e"
		" WHERE " DOCTOR_VISIBLE("e.owner") " ORDER BY e.problem_at LIMIT $4",
		.nargs = 4,
		.argtypes = {BOOLOID, OIDOID, TIMESTAMPTZOID, INT8OID}
	};
	TimestampTz now = durable_clock_now();
	Datum		values[4] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		TimestampTzGetDatum(now - HELD_FOR * USECS_PER_SEC),
		Int64GetDatum(DOCTOR_COUNT_LIMIT + 1)
	};
	uint64		nrows = durable_sql_run(&held, values, NULL, true, 0);
	StringInfoData detail;

	initStringInfo(&detail);
	for (uint64 i = 0; i < nrows && i < DOCTOR_LISTED; i++)
	{
		bool		isnull;
		TimestampTz at = durable_sql_timestamptz(i, 2, &isnull);

		appendStringInfo(&detail, "%soperations of entity \"%s\" have waited for " INT64_FORMAT " s: %s",
						 i > 0 ? "; " : "", durable_client_shown(durable_sql_text(i, 1)), (now - at) / USECS_PER_SEC,
						 durable_sql_text(i, 3));
	}
	if (nrows > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and %s%d others", nrows > DOCTOR_COUNT_LIMIT ? "at least " : "", (int) (nrows - DOCTOR_LISTED));
	SPI_freetuptable(SPI_tuptable);
	durable_doctor_say(doctor, "entities", nrows == 0,
					   nrows == 0 ? "no entity has a problem" : detail.data,
					   "SELECT * FROM durable.entities WHERE problem IS NOT NULL; shows them. "
					   "Their operations are tried again at least once a minute, and run when the problem has been corrected.");
}
