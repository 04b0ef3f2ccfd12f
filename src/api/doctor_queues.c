/*-------------------------------------------------------------------------
 *
 * doctor_queues.c
 *		The checks of durable.doctor for work outside of the database: queues from which
 *		no worker fetches activities or turns, and work that has repeatedly lost its lease or
 *		been released.
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
static char *list_work(DurableSql *sql, const char *what, const char *times);

void
durable_doctor_check_queues(Doctor *doctor)
{
	check_fetched(doctor);
	check_lost(doctor);
	check_given_back(doctor);
}

/*
 * Finds queues whose next work of a kind has waited for a minute, while none of that kind
 * is leased.  Leases are counted up to a limit; a queue that has more is not reported.  Kind
 * '-' is a queue that has been unregistered, in which work waits.
 */
static void
check_fetched(Doctor *doctor)
{
	static DurableSql unattended = {
		.text = "WITH RECURSIVE used (queue, at, owner) AS ((SELECT t.queue, t.at, t.owner FROM durable.queued_task t WHERE t.state = 'r'"
		"  ORDER BY t.queue, t.kind, t.priority, t.round, t.id LIMIT 1)"
		" UNION ALL SELECT n.queue, n.at, n.owner FROM used u, LATERAL (SELECT t.queue, t.at, t.owner FROM durable.queued_task t"
		"  WHERE t.state = 'r' AND t.queue > u.queue ORDER BY t.queue, t.kind, t.priority, t.round, t.id LIMIT 1) n)"
		" SELECT u.queue, u.at, '-'::\"char\" FROM used u WHERE NOT EXISTS (SELECT FROM durable.queue q WHERE q.name = u.queue)"
		" AND " DOCTOR_VISIBLE("u.owner")
		" UNION ALL SELECT q.name, t.at, k.kind FROM durable.queue q, (VALUES ('e'::\"char\"), ('n'::\"char\"), ('o'::\"char\")) k (kind),"
		" LATERAL (SELECT t.at FROM durable.queued_task t WHERE t.queue = q.name AND t.kind = k.kind AND t.state = 'r'"
		"  ORDER BY t.priority, t.round, t.id LIMIT 1) t,"
		" LATERAL (SELECT count(*) FILTER (WHERE l.kind = k.kind) AS of_kind, count(*) AS n FROM (SELECT l.kind FROM durable.queued_task l"
		"  WHERE l.queue = q.name AND l.state = 'l' AND l.at > $3 AND t.at < $3 - interval '1 minute' ORDER BY l.at LIMIT $4) l) l"
		" WHERE NOT q.is_paused AND t.at < $3 - interval '1 minute' AND l.of_kind = 0 AND l.n < $4"
		" AND " DOCTOR_VISIBLE("q.owner") " ORDER BY 2",
		.nargs = 4,
		.argtypes = {BOOLOID, OIDOID, TIMESTAMPTZOID, INT8OID}
	};
	TimestampTz now = durable_clock_now();
	Datum		values[4] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		TimestampTzGetDatum(now),
		Int64GetDatum(DOCTOR_COUNT_LIMIT + 1)
	};
	uint64		nrows = durable_sql_run(&unattended, values, NULL, true, 0);
	StringInfoData detail;
	bool		any_missing = false;

	initStringInfo(&detail);
	for (uint64 i = 0; i < nrows && i < DOCTOR_LISTED; i++)
	{
		bool		isnull;
		TimestampTz at = durable_sql_timestamptz(i, 2, &isnull);
		char		kind = durable_sql_char(i, 3);

		any_missing |= kind == '-';
		if (kind == '-')
			appendStringInfo(&detail, "%squeue \"%s\" does not exist, but has contained work for " INT64_FORMAT " s",
							 i > 0 ? "; " : "", durable_sql_text(i, 1), (now - at) / USECS_PER_SEC);
		else
			appendStringInfo(&detail, "%squeue \"%s\" has contained %s for " INT64_FORMAT " s, but no worker has leased any of them",
						 i > 0 ? "; " : "", durable_sql_text(i, 1), kind == QUEUED_TURN ? "turns" : kind == QUEUED_BATCH ? "operations of entities" : "activities",
						 (now - at) / USECS_PER_SEC);
	}
	if (nrows > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and %d others", (int) (nrows - DOCTOR_LISTED));
	SPI_freetuptable(SPI_tuptable);
	durable_doctor_say(doctor, "queues", nrows == 0,
					   nrows == 0 ? "workers fetch the work of all queues" : detail.data,
					   any_missing ?
					   "Use durable.register_queue() to create the missing queue again; workers can fetch its work then." :
					   "Start workers that call durable.fetch_work() (activities), durable.fetch_turns() (turns of external orchestrations) or durable.fetch_entities() (operations of external entities) for these queues. "
					   "If there are such workers, they may not know the names of the activities, orchestrations or entities, or may need durable.grant_queue().");
}

/* Finds work with at least that number in the column: a limited number of the rows that the caller may see. */
#define OFTEN(column, least) \
	"SELECT t.queue, t.name, count(*), max(t.times), t.kind FROM (SELECT t.* FROM" \
	"  (SELECT queue, name, " column " AS times, kind, owner FROM durable.queued_task" \
	"   WHERE " column " >= " least " AND state IN ('r', 'd', 'l', 'h') LIMIT $3 * 10) t" \
	"  WHERE " DOCTOR_VISIBLE("t.owner") " LIMIT $3) t" \
	" GROUP BY 1, 2, 5 ORDER BY 3 DESC, 1, 2"
#define OFTEN_ARGS		.nargs = 3, .argtypes = {BOOLOID, OIDOID, INT8OID}

/* Work whose workers end, or are slower than their leases. */
static void
check_lost(Doctor *doctor)
{
	static DurableSql lost = {.text = OFTEN("lost", "3"), OFTEN_ARGS};
	char	   *detail = list_work(&lost, "lost up to", "leases");

	durable_doctor_say(doctor, "leases", detail == NULL,
					   detail ? detail : "no task or turn has lost several leases in a row",
					   "Workers fetch this work and do not answer before the lease ends. They may have exited, or need durable.extend_lease(). "
					   "After several attempts such work is offered only once a minute. SELECT * FROM durable.leases; shows which worker has it now.");
}

/* Work whose workers do not have the code, or not in this version. */
static void
check_given_back(Doctor *doctor)
{
	static DurableSql given_back = {.text = OFTEN("given_back", "5"), OFTEN_ARGS};
	char	   *detail = list_work(&given_back, "given back up to", "times in a row");

	durable_doctor_say(doctor, "given_back", detail == NULL,
					   detail ? detail : "no task or turn has been given back several times in a row",
					   "Workers fetch this work and give it back, for example because they do not have the required version of the code. "
					   "After several attempts it is offered only every 30 s. Start a worker that has the code, or terminate the instances.");
}

/* Runs a query that returns queue, name, count, the greatest number of times, and kind.  NULL: there are no rows. */
static char *
list_work(DurableSql *sql, const char *what, const char *times)
{
	Datum		values[3] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		Int64GetDatum(DOCTOR_COUNT_LIMIT + 1)
	};
	uint64		nrows = durable_sql_run(sql, values, NULL, true, 0);
	int64		all = 0;
	StringInfoData detail;

	initStringInfo(&detail);
	for (uint64 i = 0; i < nrows; i++)
	{
		char		kind = durable_sql_char(i, 5);
		bool		is_turn = kind == QUEUED_TURN;

		all += durable_sql_int8(i, 3);
		if (i >= DOCTOR_LISTED)
			continue;
		appendStringInfo(&detail, "%s%s of %s \"%s\" in queue \"%s\" %s %d %s", i > 0 ? "; " : "",
						 durable_doctor_count_exactly(durable_sql_int8(i, 3), is_turn ? "turn" : "task", is_turn ? "turns" : "tasks"),
						 is_turn ? "orchestration" : kind == QUEUED_BATCH ? "entity" : "activity", durable_sql_text(i, 2),
						 durable_sql_text(i, 1), what, durable_sql_int4(i, 4), times);
	}
	if (nrows > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and %d other names", (int) (nrows - DOCTOR_LISTED));
	if (all > DOCTOR_COUNT_LIMIT)
		appendStringInfo(&detail, "; only %d were counted", DOCTOR_COUNT_LIMIT + 1);
	SPI_freetuptable(SPI_tuptable);
	return nrows > 0 ? detail.data : NULL;
}
