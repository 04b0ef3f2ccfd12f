/*-------------------------------------------------------------------------
 *
 * doctor_walk.c
 *		The checks of durable.doctor that look at instances one after the other.
 *
 * There is no index on the status of an instance, so a check of the unfinished ones
 * has to read all of them, and there may be millions.  The walk therefore has a
 * time limit.  It takes small ranges of keys in turn from the oldest and from the
 * newest instances, because stuck instances are old and instances with a recent fault
 * are new.  It ends when both ends meet or when the time is over.  Then the check
 * "coverage" reports the number of instances that were not read.  doctor_findings.c
 * describes the findings.
 *
 * All ranges are read with the snapshot of the query that calls durable.doctor, so
 * the tables are seen as of one moment.
 *
 * Owns:	nothing
 * Called by: doctor.c
 * Locks:	those of reading
 * Memory:	the context of the check; rows are freed after each range
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "client.h"
#include "doctor.h"
#include "doctor_walk.h"
#include "sql.h"
#include "suggest.h"
#include "task_table.h"

/* The number of instances in one range. */
#define RANGE_SIZE		1000

/* The number of findings of each kind that are remembered and examined. */
#define MAX_CODES		500
#define MAX_BUFFERED	1000
#define MAX_STUCK		1000

/* A range, as the walk has measured it. */
typedef struct Range
{
	int64		first;
	int64		last;
	int64		rows;
	int64		unfinished;
	int64		suspended;
}			Range;

static bool next_range(Walk *walk, bool newest, Range *range);
static void look_at(Walk *walk, const Range *range);
static void count_codes(Walk *walk, const Range *range);
static void add_code(Walk *walk, char *signature, int64 hash, int64 instances);
static void add_other_codes(Walk *walk);
static void find_suspended(Walk *walk, const Range *range);
static void find_mistyped(Walk *walk, const Range *range);
static void find_stuck(Walk *walk, const Range *range);
static void find_orphans(Walk *walk, const Range *range);
static uint64 run_range(DurableSql *sql, const Range *range);
static uint64 run_visible(DurableSql *sql);
static List *text_list(uint64 row, int col);

#define BY_KEY(bounds_result, order) \
	"SELECT " bounds_result ", count(*), count(*) FILTER (WHERE " DOCTOR_UNFINISHED ")," \
	" count(*) FILTER (WHERE status = 'S')" \
	" FROM (SELECT key, status FROM durable.instance" \
	"  WHERE key > $1 AND key < $2 ORDER BY key " order " LIMIT $3) i"

static DurableSql oldest_range = {
	.text = BY_KEY("max(key)", "ASC"),
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT8OID}
};

static DurableSql newest_range = {
	.text = BY_KEY("min(key)", "DESC"),
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT8OID}
};

/* The following have $1, $2 as DOCTOR_VISIBLE has, and a range of keys in $3 and $4. */
#define IN_RANGE		"i.key >= $3 AND i.key <= $4 AND i." DOCTOR_UNFINISHED " AND " DOCTOR_VISIBLE("i.owner")
#define RANGE_ARGS		.nargs = 4, .argtypes = {BOOLOID, OIDOID, INT8OID, INT8OID}

static DurableSql codes_of_range = {
	.text = "SELECT CASE WHEN handler LIKE '(%' THEN name || handler ELSE handler END, coalesce(code_hash, 0),"
	" owner::oid, count(*) FROM durable.instance i WHERE " IN_RANGE " AND handler NOT LIKE '-%' GROUP BY 1, 2, 3",
	RANGE_ARGS
};

/* A reason may quote data of the instance, so it is shown only to roles that may read that. */
static DurableSql suspended_of_range = {
	.text = "SELECT instance_id, suspend_reason, coalesce(updated_at, started_at, created_at), count(*) OVER ()"
	" FROM durable.instance i WHERE " IN_RANGE " AND status = 'S' AND suspend_reason IS NOT NULL"
	" AND pg_has_role($2, i.owner, 'USAGE') ORDER BY 3 DESC LIMIT 1",
	RANGE_ARGS
};

static DurableSql buffered_of_range = {
	.text = "SELECT instance_id,"
	" array(SELECT w.detail FROM durable.waits(waiting, created_at) w WHERE w.kind = 'event'),"
	" array(SELECT w.detail FROM durable.waits(waiting, created_at) w WHERE w.kind = 'buffered')"
	" FROM durable.instance i WHERE " IN_RANGE " AND waiting ~ '\\mb[0-9]' ORDER BY key DESC",
	RANGE_ARGS
};

/*
 * Finds instances without a message, task, child or awaited event, and without the timer
 * that they wait for.  doctor_findings.c looks for other timers of these instances later,
 * because no index finds them here.
 */
static DurableSql stuck_of_range = {
	.text = "SELECT i.key, i.instance_id FROM durable.instance i"
	" WHERE " IN_RANGE " AND i.status IN ('P', 'R') AND i.handler NOT LIKE '-%'"
	" AND NOT EXISTS (SELECT FROM durable.waits(i.waiting, coalesce(i.started_at, i.created_at)) w"
	"  WHERE w.kind = 'event' OR (w.due IS NOT NULL AND EXISTS ("
	"   SELECT FROM durable.timer t WHERE t.owner = i.owner AND t.due_at = w.due AND t.key = i.key)))"
	" AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.owner = i.owner AND m.key = i.key)"
	" AND NOT EXISTS (SELECT FROM durable.task_queue t WHERE t.key = i.key)"
	" AND NOT EXISTS (SELECT FROM durable.queued_task q WHERE q.key = i.key)"
	" AND NOT EXISTS (SELECT FROM durable.instance c WHERE c.parent_key = i.key AND c." DOCTOR_UNFINISHED ")"
	" ORDER BY i.key",
	RANGE_ARGS
};

/*
 * Finds sub-orchestrations whose parent has ended or was purged, and that have no message to
 * terminate.  Does not find those with close_policy abandon.
 */
static DurableSql orphans_of_range = {
	.text = "SELECT i.instance_id, p.instance_id, count(*) OVER ()"
	" FROM durable.instance i LEFT JOIN durable.instance p ON p.key = i.parent_key"
	" WHERE " IN_RANGE " AND i.parent_key IS NOT NULL AND i.close_policy IS NULL"
	" AND (p.key IS NULL OR p.status IN ('C', 'F', 'T'))"
	" AND NOT EXISTS (SELECT FROM durable.inbox m WHERE m.owner = i.owner AND m.key = i.key AND m.kind = 't')"
	" ORDER BY i.key LIMIT 1",
	RANGE_ARGS
};

void
durable_doctor_walk(Doctor *doctor)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(OwnerCount), .hcxt = CurrentMemoryContext};
	Walk		walk = {.doctor = doctor, .low = 0, .high = PG_INT64_MAX};
	Range		range;

	walk.owners = hash_create("durable owners", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (bool newest = false;; newest = !newest)
	{
		CHECK_FOR_INTERRUPTS();
		/* One range at each end is always read. */
		if (walk.n_newest > 0 && durable_doctor_time_is_over(doctor))
			break;
		if (!next_range(&walk, newest, &range))
		{
			walk.complete = true;
			break;
		}
		look_at(&walk, &range);
	}
	add_other_codes(&walk);

	durable_doctor_say_walk(&walk);
}

/* --- the walk --------------------------------------------------------------------------- */

/* Returns false when no instance is left between the two ends. */
static bool
next_range(Walk *walk, bool newest, Range *range)
{
	Datum		values[] = {
		Int64GetDatum(walk->low), Int64GetDatum(walk->high), Int64GetDatum(RANGE_SIZE)
	};
	bool		isnull;
	int64		end;

	durable_sql_run(newest ? &newest_range : &oldest_range, values, NULL, true, 0);
	range->rows = durable_sql_int8(0, 2);
	range->unfinished = durable_sql_int8(0, 3);
	range->suspended = durable_sql_int8(0, 4);
	end = DatumGetInt64(durable_sql_datum(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	if (range->rows == 0)
		return false;

	if (newest)
	{
		range->first = end;
		range->last = walk->high - 1;
		walk->high = end;
		walk->n_newest += range->rows;
	}
	else
	{
		range->first = walk->low + 1;
		range->last = end;
		walk->low = end;
		walk->n_oldest += range->rows;
	}
	return true;
}

static void
look_at(Walk *walk, const Range *range)
{
	if (range->unfinished > 0)
	{
		count_codes(walk, range);
		find_mistyped(walk, range);
		find_stuck(walk, range);
		find_orphans(walk, range);
	}
	if (range->suspended > 0)
		find_suspended(walk, range);
}

static uint64
run_range(DurableSql *sql, const Range *range)
{
	Datum		values[] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId()),
		Int64GetDatum(range->first), Int64GetDatum(range->last)
	};

	return durable_sql_run(sql, values, NULL, true, 0);
}

static void
count_codes(Walk *walk, const Range *range)
{
	uint64		nrows = run_range(&codes_of_range, range);

	for (uint64 i = 0; i < nrows; i++)
	{
		Oid			owner = durable_sql_oid(i, 3);
		int64		instances = durable_sql_int8(i, 4);
		bool		found;
		OwnerCount *entry = hash_search(walk->owners, &owner, HASH_ENTER, &found);

		entry->instances = (found ? entry->instances : 0) + instances;
		add_code(walk, durable_sql_text(i, 1), durable_sql_int8(i, 2), instances);
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
add_code(Walk *walk, char *signature, int64 hash, int64 instances)
{
	ListCell   *cell;
	Code	   *code;

	foreach(cell, walk->codes)
	{
		code = lfirst(cell);
		if (code->hash == hash && strcmp(code->signature, signature) == 0)
		{
			code->instances += instances;
			return;
		}
	}
	if (list_length(walk->codes) >= MAX_CODES)
		return;
	code = palloc0(sizeof(Code));
	code->signature = signature;
	code->hash = hash;
	code->instances = instances;
	walk->codes = lappend(walk->codes, code);
}

/* Collects the functions that are registered, or that queued activities call. */
static void
add_other_codes(Walk *walk)
{
	static DurableSql registered = {
		.text = "SELECT handler FROM durable.orchestration o WHERE o.handler IS NOT NULL AND " DOCTOR_VISIBLE("o.owner")
		" UNION SELECT handler FROM durable.activity a WHERE a.handler IS NOT NULL AND " DOCTOR_VISIBLE("a.owner")
		" UNION SELECT handler FROM (SELECT handler, owner FROM durable.task_queue ORDER BY owner, run_at, id LIMIT 1000) t"
		"  WHERE handler NOT IN ('" ACTIVITY_CALL_SQL "', '" ACTIVITY_WAIT_UNTIL "', '" TASK_HANDLER_START "') AND " DOCTOR_VISIBLE("t.owner"),
		.nargs = 2,
		.argtypes = {BOOLOID, OIDOID}
	};
	uint64		nrows = run_visible(&registered);

	for (uint64 i = 0; i < nrows; i++)
		add_code(walk, durable_sql_text(i, 1), 0, 0);
	SPI_freetuptable(SPI_tuptable);
}

static uint64
run_visible(DurableSql *sql)
{
	Datum		values[] = {
		BoolGetDatum(durable_client_may_see(BOOTSTRAP_SUPERUSERID)),
		ObjectIdGetDatum(GetUserId())
	};

	return durable_sql_run(sql, values, NULL, true, 0);
}

static void
find_suspended(Walk *walk, const Range *range)
{
	if (run_range(&suspended_of_range, range) > 0)
	{
		bool		isnull;
		TimestampTz at = durable_sql_timestamptz(0, 3, &isnull);

		walk->nsuspended += durable_sql_int8(0, 4);
		if (walk->suspended_id == NULL || at > walk->suspended_at)
		{
			walk->suspended_at = at;
			walk->suspended_id = durable_sql_text(0, 1);
			walk->suspended_why = durable_sql_text(0, 2);
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * Finds an event that is not awaited, while its instance waits for an event with a similar
 * name.  Probably one of the names was mistyped.
 */
static void
find_mistyped(Walk *walk, const Range *range)
{
	uint64		nrows;

	if (walk->nbuffered >= MAX_BUFFERED)
		return;
	nrows = run_range(&buffered_of_range, range);
	for (uint64 i = 0; i < nrows && walk->nbuffered < MAX_BUFFERED; i++, walk->nbuffered++)
	{
		List	   *awaited = text_list(i, 2);
		ListCell   *cell;

		foreach(cell, text_list(i, 3))
		{
			const char *raised = lfirst(cell);
			const char *meant = durable_suggest(raised, awaited);

			/* The name is the same, so the instance waits for the next event of this name. */
			if (meant == NULL || pg_strcasecmp(meant, raised) == 0)
				continue;
			if (walk->nmistyped++ == 0)
			{
				walk->mistyped = psprintf("event \"%s\" of instance \"%s\" is not awaited", raised, durable_sql_text(i, 1));
				walk->meant = pstrdup(meant);
			}
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
find_stuck(Walk *walk, const Range *range)
{
	uint64		nrows;

	if (list_length(walk->stuck) >= MAX_STUCK)
		return;
	nrows = run_range(&stuck_of_range, range);
	for (uint64 i = 0; i < nrows; i++)
	{
		int64	   *key = palloc(sizeof(int64));

		*key = durable_sql_int8(i, 1);
		walk->stuck = lappend(walk->stuck, key);
		walk->stuck_ids = lappend(walk->stuck_ids, durable_sql_text(i, 2));
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
find_orphans(Walk *walk, const Range *range)
{
	if (run_range(&orphans_of_range, range) > 0)
	{
		walk->norphans += durable_sql_int8(0, 3);
		if (walk->orphan == NULL)
		{
			walk->orphan = durable_sql_text(0, 1);
			walk->orphan_parent = durable_sql_text(0, 2);
		}
	}
	SPI_freetuptable(SPI_tuptable);
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
