/*-------------------------------------------------------------------------
 *
 * doctor_queues.c
 *		The checks of durable.doctor for work outside of the database: queues from which
 *		no worker fetches activities or turns, and work that loses one lease after the other or
 *		is given back again and again.
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
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "doctor.h"
#include "queued_table.h"
#include "sql.h"

static void check_fetched(Doctor *doctor);
static void check_lost(Doctor *doctor);
static void check_given_back(Doctor *doctor);
static void list_work(StringInfo detail, uint64 nrows, const char *what, const char *times);

void
durable_doctor_check_queues(Doctor *doctor)
{
	check_fetched(doctor);
	check_lost(doctor);
	check_given_back(doctor);
}

/* A queue whose next work of a kind has waited for a minute, while none of that kind is leased. */
static void
check_fetched(Doctor *doctor)
{
	static DurableSql unattended = {
		.text = "SELECT q.name, t.at, k.kind FROM durable.queue q, (VALUES ('e'::\"char\"), ('n'::\"char\"), ('o'::\"char\")) k (kind),"
		" LATERAL (SELECT t.at FROM durable.queued_task t WHERE t.queue = q.name AND t.kind = k.kind AND t.state = 'r'"
		"  ORDER BY t.priority, t.round, t.id LIMIT 1) t"
		" WHERE NOT q.is_paused AND t.at < $3 - interval '1 minute'"
		" AND NOT EXISTS (SELECT FROM durable.queued_task l WHERE l.queue = q.name AND l.kind = k.kind AND l.state = 'l' AND l.at > $3)"
		" AND " DOCTOR_VISIBLE("q.owner") " ORDER BY t.at",
		.nargs = 3,
		.argtypes = {BOOLOID, OIDOID, TIMESTAMPTZOID}
	};
	TimestampTz now = durable_clock_now();
	Datum		values[3] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		TimestampTzGetDatum(now)
	};
	uint64		nrows = durable_sql_run(&unattended, values, NULL, true, 0);
	StringInfoData detail;

	initStringInfo(&detail);
	for (uint64 i = 0; i < nrows && i < DOCTOR_LISTED; i++)
	{
		bool		isnull;
		TimestampTz at = durable_sql_timestamptz(i, 2, &isnull);
		char		kind = durable_sql_char(i, 3);

		appendStringInfo(&detail, "%squeue \"%s\" has had %s for " INT64_FORMAT " s, and no worker has any of them",
						 i > 0 ? "; " : "", durable_sql_text(i, 1), kind == QUEUED_TURN ? "turns" : kind == QUEUED_BATCH ? "operations of entities" : "activities",
						 (now - at) / USECS_PER_SEC);
	}
	if (nrows > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and %d others", (int) (nrows - DOCTOR_LISTED));
	SPI_freetuptable(SPI_tuptable);
	durable_doctor_say(doctor, "queues", nrows == 0,
					   nrows == 0 ? "work outside of the database is fetched from all queues" : detail.data,
					   "Start workers that call durable.fetch_work() (activities), durable.fetch_turns() (turns of external orchestrations) or durable.fetch_entities() (operations of external entities) for these queues. "
					   "If there are some, they may not know the names of the activities, orchestrations or entities, or may lack durable.grant_queue().");
}

/* Their workers end, or are slower than their leases. */
static void
check_lost(Doctor *doctor)
{
	static DurableSql lost = {
		.text = "SELECT t.queue, t.name, count(*), max(t.lost), t.kind FROM durable.queued_task t"
		" WHERE t.lost >= 3 AND t.state IN ('r', 'd', 'l', 'h') AND " DOCTOR_VISIBLE("t.owner")
		" GROUP BY 1, 2, 5 ORDER BY 3 DESC, 1, 2",
		.nargs = 2,
		.argtypes = {BOOLOID, OIDOID}
	};
	Datum		values[2] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId())
	};
	uint64		nrows = durable_sql_run(&lost, values, NULL, true, 0);
	StringInfoData detail;

	initStringInfo(&detail);
	list_work(&detail, nrows, "lost up to", "leases");
	durable_doctor_say(doctor, "leases", nrows == 0,
					   nrows == 0 ? "no task or turn loses one lease after the other" : detail.data,
					   "Workers fetch this work and do not answer before the lease ends: they end, or need durable.extend_lease(). "
					   "Such work is handed out once a minute at last. SELECT * FROM durable.leases; shows which worker has it now.");
}

/* Their workers do not have the code, or not in this version. */
static void
check_given_back(Doctor *doctor)
{
	static DurableSql given_back = {
		.text = "SELECT t.queue, t.name, count(*), max(t.given_back), t.kind FROM durable.queued_task t"
		" WHERE t.given_back >= 5 AND t.state IN ('r', 'd', 'l', 'h') AND " DOCTOR_VISIBLE("t.owner")
		" GROUP BY 1, 2, 5 ORDER BY 3 DESC, 1, 2",
		.nargs = 2,
		.argtypes = {BOOLOID, OIDOID}
	};
	Datum		values[2] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId())
	};
	uint64		nrows = durable_sql_run(&given_back, values, NULL, true, 0);
	StringInfoData detail;

	initStringInfo(&detail);
	list_work(&detail, nrows, "given back up to", "times in a row");
	durable_doctor_say(doctor, "given_back", nrows == 0,
					   nrows == 0 ? "no task or turn is given back by one worker after the other" : detail.data,
					   "Workers fetch this work and give it back, as they do when they do not have the code in the version that it needs. "
					   "It is handed out every 30 s at last. Start a worker that has it, or terminate the instances.");
}

/* Rows of queue, name, count, the greatest number of times, kind. */
static void
list_work(StringInfo detail, uint64 nrows, const char *what, const char *times)
{
	for (uint64 i = 0; i < nrows && i < DOCTOR_LISTED; i++)
	{
		char		kind = durable_sql_char(i, 5);
		bool		is_turn = kind == QUEUED_TURN;

		appendStringInfo(detail, "%s%s of %s \"%s\" in queue \"%s\" %s %d %s", i > 0 ? "; " : "",
						 durable_doctor_count_exactly(durable_sql_int8(i, 3), is_turn ? "turn" : "task", is_turn ? "turns" : "tasks"),
						 is_turn ? "orchestration" : kind == QUEUED_BATCH ? "entity" : "activity", durable_sql_text(i, 2),
						 durable_sql_text(i, 1), what, durable_sql_int4(i, 4), times);
	}
	if (nrows > DOCTOR_LISTED)
		appendStringInfo(detail, "; and %d other names", (int) (nrows - DOCTOR_LISTED));
	SPI_freetuptable(SPI_tuptable);
}
