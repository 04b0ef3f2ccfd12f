/*-------------------------------------------------------------------------
 *
 * doctor_tables.c
 *		What durable.doctor reads from the engine's tables.
 *
 * Owns:	nothing
 * Called by: doctor.c
 * Locks:	those of reading
 * Memory:	the context of the check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "batch.h"
#include "client.h"
#include "clock.h"
#include "doctor.h"
#include "guc.h"
#include "handler.h"
#include "shmem.h"
#include "slot.h"
#include "sql.h"
#include "suggest.h"

/* What is due for longer than this is stuck somewhere. */
#define LATE_SECONDS	60

/* How many names a line of the answer lists. */
#define LISTED			3

/* $1: may see all; $2: the caller */
#define VISIBLE(owner)	"($1 OR pg_has_role($2, " owner ", 'USAGE'))"
#define UNFINISHED		"status IN ('P', 'R', 'S')"

/* A function that was written down, with the hash of its code; 0: any. */
typedef struct Code
{
	const char *signature;
	int64		hash;
	bool		changed;
}			Code;

static void check_queue(Doctor *doctor);
static ArrayType *running_tasks(void);
static void check_owners(Doctor *doctor);
static void check_handlers(Doctor *doctor);
static void resolve_code(void *arg);
static void check_writes(Doctor *doctor);
static void check_writable(void *arg);
static ErrorData *attempt(void (*body) (void *arg), void *arg);
static void check_suspended(Doctor *doctor);
static void check_buffered_events(Doctor *doctor);
static void check_liveness(Doctor *doctor);
static uint64 query_visible(const char *text);
static List *text_list(uint64 row, int col);

void
durable_doctor_check_tables(Doctor *doctor)
{
	check_writes(doctor);
	check_queue(doctor);
	check_owners(doctor);
	check_handlers(doctor);
	check_suspended(doctor);
	check_buffered_events(doctor);
	check_liveness(doctor);
}

static uint64
query_visible(const char *text)
{
	Oid			types[2] = {BOOLOID, OIDOID};
	Datum		values[2] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId())
	};

	return durable_doctor_query(text, 2, types, values);
}

/* --- what others have added ----------------------------------------------------------- */

static void
check_writes(Doctor *doctor)
{
	ErrorData  *error = attempt(check_writable, NULL);

	durable_doctor_say(doctor, "tables", error == NULL,
					   error ? error->message : "nothing has been added to the tables that keeps the engine from writing",
					   error && error->hint ? error->hint : "These tables are for the engine alone.");
}

static void
check_writable(void *arg)
{
	durable_client_check_tables();
	durable_batch_check_tables();
}

/* --- work that is due ----------------------------------------------------------------- */

static void
check_queue(Doctor *doctor)
{
	static const char *text =
		"WITH message AS (SELECT m.sent_at FROM durable.inbox m LIMIT $2 + 1), "
		"timer AS (SELECT t.due_at FROM durable.timer t WHERE t.due_at <= $1 LIMIT $2 + 1), "
		"task AS (SELECT t.run_at FROM durable.task_queue t WHERE t.run_at <= $1 AND t.key <> ALL ($3) LIMIT $2 + 1) "
		"SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM timer), (SELECT count(*) FROM task), "
		"least((SELECT min(sent_at) FROM message), (SELECT min(due_at) FROM timer), (SELECT min(run_at) FROM task)), "
		"(SELECT min(t.due_at) FROM durable.timer t WHERE t.due_at > $1)";
	TimestampTz now = durable_clock_now();
	Oid			types[3] = {TIMESTAMPTZOID, INT4OID, INT8ARRAYOID};
	Datum		values[3] = {
		TimestampTzGetDatum(now),
		Int32GetDatum(DOCTOR_COUNT_LIMIT),
		PointerGetDatum(running_tasks())
	};
	StringInfoData detail;
	TimestampTz oldest;
	TimestampTz next;
	int64		late = 0;
	bool		nothing;
	bool		never;

	durable_doctor_query(text, 3, types, values);
	oldest = durable_sql_timestamptz(0, 4, &nothing);
	next = durable_sql_timestamptz(0, 5, &never);
	if (!nothing)
		late = Max(0, (now - oldest) / USECS_PER_SEC);

	initStringInfo(&detail);
	appendStringInfo(&detail, "%s, %s and %s due",
					 durable_doctor_count(durable_sql_int8(0, 1), "message", "messages"),
					 durable_doctor_count(durable_sql_int8(0, 2), "timer", "timers"),
					 durable_doctor_count(durable_sql_int8(0, 3), "activity", "activities"));
	if (!nothing)
		appendStringInfo(&detail, ", the oldest for " INT64_FORMAT " s", late);
	if (!never && !TIMESTAMP_NOT_FINITE(next))
		appendStringInfo(&detail, "; the next timer in " INT64_FORMAT " s", (next - now) / USECS_PER_SEC);

	durable_doctor_say(doctor, "queue", late < LATE_SECONDS, detail.data,
					   "Work is not being taken: the other checks may say why, and durable.workers shows who is busy.");
}

/* Instances whose activity runs in a transaction of its own: their rows look due, but are taken. */
static ArrayType *
running_tasks(void)
{
	Datum		keys[DURABLE_MAX_SLOTS];
	int			nkeys = 0;

	for (int i = 0; durable_shmem_available() && i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlotInfo slot;

		if (durable_slot_info(i, &slot) && slot.database == MyDatabaseId && slot.task_key != 0)
			keys[nkeys++] = Int64GetDatum(slot.task_key);
	}
	return construct_array(keys, nkeys, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/* --- who runs it, and what ------------------------------------------------------------ */

static void
check_owners(Doctor *doctor)
{
	static const char *text =
		"SELECT i.owner::text, r.oid IS NULL, count(*) "
		"FROM durable.instance i LEFT JOIN pg_roles r ON r.oid = i.owner "
		"WHERE i." UNFINISHED " AND " VISIBLE("i.owner") " AND (r.oid IS NULL OR NOT r.rolcanlogin) "
		"GROUP BY 1, 2 ORDER BY 1";
	uint64		nrows = query_visible(text);
	StringInfoData detail;

	initStringInfo(&detail);
	for (uint64 i = 0; i < nrows; i++)
	{
		bool		isnull;
		bool		is_gone = DatumGetBool(durable_sql_datum(i, 2, &isnull));

		appendStringInfo(&detail, "%s%s %s, and has %s", detail.len > 0 ? "; " : "",
						 durable_sql_text(i, 1), is_gone ? "is gone" : "cannot log in",
						 durable_doctor_count(durable_sql_int8(i, 3), "instance", "instances"));
	}
	durable_doctor_say(doctor, "owners", detail.len == 0,
					   detail.len == 0 ? "all owners of unfinished instances can have workers" : detail.data,
					   "Workers connect as the owner: use ALTER ROLE ... LOGIN. Instances of a role that is gone cannot go on; a superuser can terminate them.");
}

/* Everything that names a function: does it still exist, is it still the same code? */
static void
check_handlers(Doctor *doctor)
{
	static const char *text =
		"SELECT handler, coalesce(code_hash, 0), count(*), sum(instances)::bigint FROM ("
		"  SELECT CASE WHEN handler LIKE '(%' THEN name || handler ELSE handler END, code_hash, 1 FROM durable.instance i WHERE " UNFINISHED " AND " VISIBLE("i.owner")
		"  UNION ALL SELECT handler, NULL, 0 FROM durable.orchestration o WHERE " VISIBLE("o.owner")
		"  UNION ALL SELECT handler, NULL, 0 FROM durable.activity a WHERE " VISIBLE("a.owner")
		"  UNION ALL SELECT handler, NULL, 0 FROM durable.task_queue t WHERE handler <> '" ACTIVITY_CALL_SQL "' AND " VISIBLE("t.owner")
		") AS h (handler, code_hash, instances) GROUP BY 1, 2 ORDER BY 1, 2";
	uint64		nrows = query_visible(text);
	SPITupleTable *rows = SPI_tuptable;
	int			norphans = 0;
	int			nchanged = 0;
	StringInfoData orphans;
	StringInfoData changed;

	initStringInfo(&orphans);
	initStringInfo(&changed);
	for (uint64 i = 0; i < nrows; i++)
	{
		Code		code = {0};
		int64		instances;
		ErrorData  *error;

		SPI_tuptable = rows;
		code.signature = durable_sql_text(i, 1);
		code.hash = durable_sql_int8(i, 2);
		instances = durable_sql_int8(i, 4);
		error = attempt(resolve_code, &code);
		if (error && norphans++ < LISTED)
			appendStringInfo(&orphans, "%s%s", orphans.len > 0 ? "; " : "", error->message);
		if (code.changed && nchanged++ < LISTED)
			appendStringInfo(&changed, "%s%s began with other code of %s", changed.len > 0 ? "; " : "",
							 durable_doctor_count(instances, "instance", "instances"), code.signature);
	}
	if (norphans > LISTED)
		appendStringInfo(&orphans, "; and %d more", norphans - LISTED);
	if (nchanged > LISTED)
		appendStringInfo(&changed, "; and %d more", nchanged - LISTED);

	durable_doctor_say(doctor, "orphan_handlers", norphans == 0,
					   norphans == 0 ? "all functions that are registered or in use are there" : orphans.data,
					   "Create the function again with the same schema, name and argument types, and durable.resume() its instances.");
	durable_doctor_say(doctor, "old_code", nchanged == 0,
					   nchanged == 0 ? "no unfinished instance began with other code than there is now" : changed.data,
					   "They go on as long as the new code makes the same durable calls; one that does not is suspended and says where they differ.");
}

/* What is gone, or whether it is other code than it was. */
static void
resolve_code(void *arg)
{
	Code	   *code = arg;
	Handler    *handler = durable_handler_resolve(code->signature);

	code->changed = code->hash != 0 && code->hash != durable_handler_code_hash(handler);
}

/*
 * Does what may raise in a subtransaction that leaves nothing.  NULL if it has not
 * raised; a cancel or shutdown is meant for us.
 */
static ErrorData *
attempt(void (*body) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error && ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	return error;
}

/* --- instances ------------------------------------------------------------------------ */

/* A reason may quote what the instance was doing: only for those who may read that. */
static void
check_suspended(Doctor *doctor)
{
	static const char *text =
		"SELECT instance_id, suspend_reason, count(*) OVER () FROM durable.instance i "
		"WHERE status = 'S' AND suspend_reason IS NOT NULL AND ($1 IS NULL OR pg_has_role($2, i.owner, 'USAGE')) "
		"ORDER BY coalesce(updated_at, started_at, created_at) DESC LIMIT 1";
	char	   *detail = "none with a reason";
	bool		ok = query_visible(text) == 0;

	if (!ok)
		detail = psprintf("%s; the latest, \"%s\": %s",
						  durable_doctor_count(durable_sql_int8(0, 3), "instance", "instances"),
						  durable_sql_text(0, 1), durable_sql_text(0, 2));
	durable_doctor_say(doctor, "suspended", ok, detail,
					   "durable.waiting has all reasons; durable.resume() lets an instance go on when its cause is mended.");
}

/*
 * An event that nobody waits for, while its instance waits for one whose name is
 * much like it: somebody has mistyped.
 */
static void
check_buffered_events(Doctor *doctor)
{
	static const char *text =
		"SELECT instance_id, "
		"array(SELECT w.detail FROM durable.waits(waiting, created_at) w WHERE w.kind = 'event'), "
		"array(SELECT w.detail FROM durable.waits(waiting, created_at) w WHERE w.kind = 'buffered') "
		"FROM durable.instance i WHERE " UNFINISHED " AND waiting ~ '\\mb[0-9]' AND " VISIBLE("i.owner")
		" ORDER BY coalesce(updated_at, started_at, created_at) DESC LIMIT 1000";
	uint64		nrows = query_visible(text);
	int			nfound = 0;
	char	   *detail = NULL;
	char	   *hint = NULL;

	for (uint64 i = 0; i < nrows; i++)
	{
		List	   *awaited = text_list(i, 2);
		ListCell   *cell;

		foreach(cell, text_list(i, 3))
		{
			const char *raised = lfirst(cell);
			const char *meant = durable_suggest(raised, awaited);

			/* The same name: the wait was opened for the next one. */
			if (meant == NULL || pg_strcasecmp(meant, raised) == 0)
				continue;
			if (nfound++ == 0)
			{
				detail = psprintf("event \"%s\" of instance \"%s\" is not awaited", raised, durable_sql_text(i, 1));
				hint = psprintf("Did you mean \"%s\"? SELECT * FROM durable.buffered_events;", meant);
			}
		}
	}
	if (nfound > 1)
		detail = psprintf("%s; and %d more like it", detail, nfound - 1);
	durable_doctor_say(doctor, "buffered_events", nfound == 0,
					   nfound == 0 ? "none that looks mistyped" : detail, hint);
}

/*
 * Every instance that is not finished must have something that will move it: a
 * message, a timer, an activity, a child, or an event that somebody may raise.
 * One statement, so that it sees all tables at the same moment.
 */
static void
check_liveness(Doctor *doctor)
{
	static const char *text =
		"SELECT i.instance_id, count(*) OVER () FROM durable.instance i "
		"WHERE i.status IN ('P', 'R') AND " VISIBLE("i.owner")
		"  AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.owner = i.owner AND m.key = i.key) "
		"  AND NOT EXISTS (SELECT FROM durable.timer t WHERE t.owner = i.owner AND t.key = i.key) "
		"  AND NOT EXISTS (SELECT FROM durable.task_queue t WHERE t.key = i.key) "
		"  AND NOT EXISTS (SELECT FROM durable.instance c WHERE c.parent_key = i.key AND c." UNFINISHED ") "
		"  AND NOT EXISTS (SELECT FROM durable.waits(i.waiting, i.created_at) w WHERE w.kind = 'event') "
		"ORDER BY i.key LIMIT 1";
	bool		ok = query_visible(text) == 0;

	durable_doctor_say(doctor, "liveness", ok,
					   ok ? "every unfinished instance waits for something that can happen" :
					   psprintf("%s waiting for nothing that could happen, such as \"%s\"",
								durable_doctor_count(durable_sql_int8(0, 2), "instance", "instances"),
								durable_sql_text(0, 1)),
					   "This is a defect of the engine; please report it. durable.terminate() ends the instance.");
}

/* A text[] column as a list of strings without the nulls. */
static List *
text_list(uint64 row, int col)
{
	bool		isnull;
	Datum		value = durable_sql_datum(row, col, &isnull);
	List	   *list = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (isnull)
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			list = lappend(list, TextDatumGetCString(elements[i]));
	return list;
}
