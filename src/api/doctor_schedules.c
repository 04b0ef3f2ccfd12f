/*-------------------------------------------------------------------------
 *
 * doctor_schedules.c
 *		The check of durable.doctor for schedules whose job of pg_cron is missing,
 *		inactive, or cannot tick.
 *
 * Owns:	nothing
 * Called by: doctor.c
 * Locks:	those of reading
 * Memory:	the context of the check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "client.h"
#include "clock.h"
#include "doctor.h"
#include "schedule.h"
#include "sql.h"

typedef struct ScheduleName
{
	Oid			owner;
	char	   *name;
}			ScheduleName;

static List *read_names(Doctor *doctor);

void
durable_doctor_check_schedules(Doctor *doctor)
{
	List	   *names = read_names(doctor);
	ListCell   *cell;
	StringInfoData detail;
	int			nfound = 0;
	int			nchecked = 0;

	initStringInfo(&detail);
	foreach(cell, names)
	{
		ScheduleName *schedule = lfirst(cell);
		const char *problem;

		CHECK_FOR_INTERRUPTS();
		if (durable_doctor_time_is_over(doctor))
			break;
		nchecked++;
		problem = durable_clock_job_problem(schedule->owner, schedule->name);
		if (problem != NULL && nfound++ < DOCTOR_LISTED)
			appendStringInfo(&detail, "%sschedule \"%s\" of %s does not run: %s", nfound > 1 ? "; " : "",
							 schedule->name, GetUserNameFromId(schedule->owner, false), problem);
	}
	if (nfound > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and %d others", nfound - DOCTOR_LISTED);
	if (nfound == 0)
		appendStringInfoString(&detail, nchecked == list_length(names) ? "every schedule that is not paused has a job of pg_cron" :
							   "found no schedule without a job of pg_cron");
	if (nchecked < list_length(names))
		appendStringInfo(&detail, "; only %d of %d schedules were checked", nchecked, list_length(names));
	durable_doctor_say(doctor, "schedules", nfound == 0, detail.data,
					   "SELECT durable.alter_schedule(NAME); as the owner makes the job again. "
					   "It says what pg_cron lacks if pg_cron cannot run it.");
}

/* Finds schedules that are not paused, have not ended, and whose owner exists. */
static List *
read_names(Doctor *doctor)
{
	static DurableSql ticking = {
		.text = "SELECT s.owner, s.name FROM durable.schedule s WHERE NOT s.is_paused AND (s.ends_at IS NULL OR s.ends_at > $3)"
		" AND EXISTS (SELECT FROM pg_authid a WHERE a.oid = s.owner) AND " DOCTOR_VISIBLE("s.owner") " ORDER BY 1, 2",
		.nargs = 3,
		.argtypes = {BOOLOID, OIDOID, TIMESTAMPTZOID}
	};
	Datum		values[3] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		TimestampTzGetDatum(durable_clock_now())
	};
	uint64		nrows = durable_sql_run(&ticking, values, NULL, true, 0);
	List	   *names = NIL;

	for (uint64 i = 0; i < nrows; i++)
	{
		ScheduleName *schedule = palloc(sizeof(ScheduleName));

		schedule->owner = durable_sql_oid(i, 1);
		schedule->name = durable_sql_text(i, 2);
		names = lappend(names, schedule);
	}
	SPI_freetuptable(SPI_tuptable);
	return names;
}
