/*-------------------------------------------------------------------------
 *
 * schedule_tick.c
 *		Starts the runs of a schedule when its job calls it.
 *
 * A tick processes the times of the schedule after the last one that was processed
 * (seen_until), in order.  Times longer ago than catch_up are missed.  Each other time is
 * a run.  The instance id contains the schedule and the time, so a run is started once
 * even if seen_until was lost.
 *
 * overlap determines what happens to a run if others of its schedule are unfinished.  With
 * skip, allow and terminate_other the tick starts instances itself.  With buffer_one and
 * cancel_other a run may have to wait for the end of the previous one.  No process waits
 * for that, but an instance, which is called the runner.  It gets each run as an event, and
 * runs them one after the other as its sub-orchestrations (durable.run_one_by_one).  It
 * never ends by itself, so no event is lost at its end.
 *
 * running lists the instances of the schedule that had not ended at the last tick, in the
 * order of their runs.  An instance in the list that does not exist waits in the runner, or
 * was purged.  It was purged if the custom status of the runner shows a later one.
 *
 * Owns:	nothing
 * Called by: schedule_api.c
 * Locks:	the row of durable.schedule, until the end of the transaction.  Ticks and
 *			changes of a schedule wait for each other; the engine's units never do.
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client.h"
#include "cron.h"
#include "json.h"
#include "retry.h"
#include "schedule.h"
#include "sql.h"
#include "wakeup.h"

/* pg_cron may be late by this much: a time that is not longer ago is not missed. */
#define PUNCTUAL_US		USECS_PER_MINUTE

/* The largest numbers in one tick.  Further runs wait for the next tick; further missed times are not counted. */
#define MAX_RUNS		1000
#define MAX_MISSED		100000

#define RUNNER			"durable.run_one_by_one(jsonb)"

/* An instance of the schedule that has not ended. */
typedef struct ScheduleRun
{
	char	   *instance_id;
	bool		is_there;		/* false: it waits in the runner */
	bool		is_runners;		/* a sub-orchestration of the runner */
	int64		key;
}			ScheduleRun;

static DurableSql find_runs = {
	.text = "SELECT r.instance_id, i.key, i.status, i.parent_key "
	"FROM pg_catalog.unnest($2) WITH ORDINALITY AS r(instance_id, n) "
	"LEFT JOIN durable.instance i ON i.owner = $1 AND i.instance_id = r.instance_id ORDER BY r.n",
	.nargs = 2,
	.argtypes = {OIDOID, TEXTARRAYOID}
};

static DurableSql find_custom_status = {
	.text = "SELECT custom_status FROM durable.instance WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static List *unfinished(ScheduleRow *row);
static bool find_runner(const ScheduleRow *row, ClientInstance *runner, char **last_begun);
static char *runner_id(const ScheduleRow *row);
static char *start_now(ScheduleRow *row, TimestampTz time, TimestampTz start_at);
static char *hand_over(ScheduleRow *row, TimestampTz time, TimestampTz start_at, bool replace);
static void send_to(const ScheduleRow *row, const ScheduleRun *run, char kind, const char *name, const Jsonb *payload);
static Jsonb *object(const char *const *members, const char *const *values, int n);
static TimestampTz jittered(const ScheduleRow *row, TimestampTz time);

void
durable_schedule_require(const char *name, ScheduleRow *row)
{
	List	   *owners = durable_schedule_owners(GetUserId(), name);

	if (list_length(owners) > 1 && linitial_oid(owners) != GetUserId())
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("schedule \"%s\" is ambiguous", durable_client_shown(name)),
				 errdetail("Roles \"%s\" and \"%s\" each have a schedule of that name.",
						   GetUserNameFromId(linitial_oid(owners), true), GetUserNameFromId(lsecond_oid(owners), true)),
				 errhint("Use SET ROLE to act as the owner of the intended schedule.")));
	if (owners == NIL || !durable_schedule_lock(linitial_oid(owners), name, row))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schedule \"%s\" does not exist", durable_client_shown(name)),
				 errhint("The view durable.schedules lists the schedules you may see.")));
}

int
durable_schedule_tick(ScheduleRow *row, TimestampTz now)
{
	pg_tz	   *zone = durable_cron_zone(row->timezone);
	TimestampTz late = now - Max(durable_retry_interval_us(row->catch_up), PUNCTUAL_US);
	TimestampTz time = row->seen_until;
	CronSpec	spec;
	int			missed = 0;
	int			runs = 0;
	int			started = 0;

	durable_cron_parse(row->cron, &spec);
	if (row->starts_at > time)
		time = row->starts_at - 1;
	for (;;)
	{
		TimestampTz next = durable_cron_next(&spec, zone, time);

		CHECK_FOR_INTERRUPTS();
		if (next > now || next > row->ends_at)
		{
			row->seen_until = Max(row->seen_until, now);
			break;
		}
		if (runs == MAX_RUNS)
			break;
		time = next;
		if (next < late)
		{
			row->missed++;
			if (++missed == MAX_MISSED)
				time = Max(time, late - 1);
			continue;
		}
		runs++;
		if (durable_schedule_run(row, next, true) != NULL)
			started++;
		row->seen_until = next;
	}
	return started;
}

char *
durable_schedule_run(ScheduleRow *row, TimestampTz time, bool is_scheduled)
{
	ScheduleOverlap overlap = durable_schedule_overlap(row->overlap);
	TimestampTz start_at = is_scheduled ? jittered(row, time) : DT_NOBEGIN;
	const char *const members[] = {"schedule", "reason"};
	const char *values[] = {row->name, "overlap"};
	List	   *others = unfinished(row);
	ListCell   *cell;
	int			waiting = 0;
	bool		has_direct = false;

	foreach(cell, others)
	{
		const ScheduleRun *other = lfirst(cell);

		if (!other->is_there)
			waiting++;
		else if (!other->is_runners)
			has_direct = true;
	}

	switch (overlap)
	{
		case OVERLAP_SKIP:
			if (others == NIL)
				return start_now(row, time, start_at);
			break;

		case OVERLAP_ALLOW:
			return start_now(row, time, start_at);

		case OVERLAP_TERMINATE_OTHER:
			foreach(cell, others)
				send_to(row, lfirst(cell), MESSAGE_TERMINATE, NULL,
						object((const char *const[]) {"reason"}, (const char *const[]) {"the next run of its schedule has begun"}, 1));
			return start_now(row, time, start_at);

		case OVERLAP_BUFFER_ONE:
			/* The runner does not know an instance that was started under another setting. */
			if (!has_direct && list_length(others) < 2)
				return hand_over(row, time, start_at, false);
			break;

		case OVERLAP_CANCEL_OTHER:
			foreach(cell, others)
				send_to(row, lfirst(cell), MESSAGE_EVENT, "cancel", object(members, values, 2));
			if (has_direct)
				break;
			row->skipped += waiting > 0;
			return hand_over(row, time, start_at, true);
	}
	row->skipped++;
	return NULL;
}

void
durable_schedule_end_runner(const ScheduleRow *row)
{
	ClientInstance runner;
	char	   *last_begun;

	if (find_runner(row, &runner, &last_begun))
		durable_client_send(&runner, MESSAGE_TERMINATE, TERMINATE_ALONE,
							object((const char *const[]) {"reason"}, (const char *const[]) {"its schedule was removed"}, 1));
}

char *
durable_schedule_instance_id(const char *name, TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fraction;
	StringInfoData id;

	if (timestamp2tm(time, NULL, &tm, &fraction, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	initStringInfo(&id);
	appendStringInfo(&id, "%s@%04d-%02d-%02dT%02d:%02d:%02d", name, tm.tm_year, tm.tm_mon, tm.tm_mday,
					 tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (fraction != 0)
		appendStringInfo(&id, ".%06d", (int) fraction);
	appendStringInfoChar(&id, 'Z');
	return id.data;
}

/* --- others of the schedule --------------------------------------------------------------- */

/* Returns the unfinished ones in the order of their runs, and updates the row's list. */
static List *
unfinished(ScheduleRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	ClientInstance runner;
	char	   *last_begun = NULL;
	bool		has_runner;
	List	   *runs = NIL;
	Datum		values[2];
	Datum	   *ids;
	ListCell   *cell;
	uint64		nrows;
	int			n = 0;

	if (row->running == NIL)
		return NIL;
	has_runner = find_runner(row, &runner, &last_begun);

	ids = palloc(sizeof(Datum) * list_length(row->running));
	foreach(cell, row->running)
		ids[n++] = CStringGetTextDatum((char *) lfirst(cell));
	values[0] = ObjectIdGetDatum(row->owner);
	values[1] = PointerGetDatum(construct_array(ids, n, TEXTOID, -1, false, TYPALIGN_INT));

	durable_sql_connect();
	nrows = durable_sql_run(&find_runs, values, NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);
		ScheduleRun *run = palloc0(sizeof(ScheduleRun));
		bool		isnull;
		Datum		parent;

		run->instance_id = durable_sql_text(i, 1);
		(void) durable_sql_datum(i, 2, &isnull);
		run->is_there = !isnull;
		if (run->is_there)
		{
			run->key = durable_sql_int8(i, 2);
			parent = durable_sql_datum(i, 4, &isnull);
			run->is_runners = !isnull && has_runner && DatumGetInt64(parent) == runner.key;
			if (!STATUS_IS_FINISHED(durable_sql_char(i, 3)))
				runs = lappend(runs, run);
		}
		else if (has_runner)
			runs = lappend(runs, run);
		MemoryContextSwitchTo(spi);

		/* The runner has finished all runs that were handed over before. */
		if (last_begun && strcmp(run->instance_id, last_begun) == 0)
		{
			List	   *left = NIL;

			foreach(cell, runs)
				if (((ScheduleRun *) lfirst(cell))->is_there)
				{
					spi = MemoryContextSwitchTo(caller);
					left = lappend(left, lfirst(cell));
					MemoryContextSwitchTo(spi);
				}
			runs = left;
		}
	}
	durable_sql_finish();

	row->running = NIL;
	foreach(cell, runs)
		row->running = lappend(row->running, ((ScheduleRun *) lfirst(cell))->instance_id);
	return runs;
}

/* Finds the runner if it is running, and the id of the last instance that it has begun, or NULL. */
static bool
find_runner(const ScheduleRow *row, ClientInstance *runner, char **last_begun)
{
	Datum		values[1];
	MemoryContext caller = CurrentMemoryContext;

	*last_begun = NULL;
	if (!durable_client_look_up(row->owner, runner_id(row), runner) || STATUS_IS_FINISHED(runner->status))
		return false;
	values[0] = Int64GetDatum(runner->key);
	durable_sql_connect();
	if (durable_sql_run(&find_custom_status, values, NULL, false, 0) > 0)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		*last_begun = durable_json_get_text(durable_sql_jsonb(0, 1), "last_begun");
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	return true;
}

static char *
runner_id(const ScheduleRow *row)
{
	return psprintf("%s@runner", row->name);
}

/* --- runs ----------------------------------------------------------------------------------- */

static char *
start_now(ScheduleRow *row, TimestampTz time, TimestampTz start_at)
{
	StartRequest request = {
		.name = row->orchestration,
		.input = row->input,
		.instance_id = durable_schedule_instance_id(row->name, time),
		.start_at = start_at,
		.on_conflict = "return"
	};
	bool		is_new;

	(void) durable_client_start_as(row->owner, &request, &is_new);
	if (!is_new)
		return NULL;
	row->running = lappend(row->running, unconstify(char *, request.instance_id));
	row->last_time = time;
	row->last_instance = unconstify(char *, request.instance_id);
	return row->last_instance;
}

/* The run becomes an event of the runner, which is started if it does not exist. */
static char *
hand_over(ScheduleRow *row, TimestampTz time, TimestampTz start_at, bool replace)
{
	StartRequest request = {
		.name = RUNNER,
		.instance_id = runner_id(row),
		.start_at = DT_NOBEGIN,
		.on_conflict = "replace_finished",
		.accept_unfinished = true
	};
	JsonbParseState *state = NULL;
	ClientInstance runner;
	char	   *instance_id = durable_schedule_instance_id(row->name, time);
	bool		is_new;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "orchestration", durable_json_text(row->orchestration));
	durable_json_push_member(&state, "input", row->input);
	durable_json_push_member(&state, "instance_id", durable_json_text(instance_id));
	if (!TIMESTAMP_IS_NOBEGIN(start_at))
		durable_json_push_member(&state, "start_at",
								 durable_json_from_datum(TimestampTzGetDatum(start_at), TIMESTAMPTZOID, false));
	if (replace)
		durable_json_push_member(&state, "replace", durable_json_text("true"));

	/* A runner that existed may be terminated, or purged, before it is looked at. */
	do
	{
		CHECK_FOR_INTERRUPTS();
		(void) durable_client_start_as(row->owner, &request, &is_new);
	} while (!durable_client_look_up(row->owner, request.instance_id, &runner) || STATUS_IS_FINISHED(runner.status));
	durable_client_send(&runner, MESSAGE_EVENT, "run",
						JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	row->running = lappend(row->running, instance_id);
	row->last_time = time;
	row->last_instance = instance_id;
	return instance_id;
}

static void
send_to(const ScheduleRow *row, const ScheduleRun *run, char kind, const char *name, const Jsonb *payload)
{
	ClientInstance instance = {
		.instance_id = run->instance_id,
		.key = run->key,
		.owner = row->owner
	};

	if (!run->is_there)
		return;
	durable_client_send(&instance, kind, name, payload);
	if (kind == MESSAGE_TERMINATE)
		durable_wakeup_cancel(run->key);
}

static Jsonb *
object(const char *const *members, const char *const *values, int n)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
		durable_json_push_member(&state, members[i], durable_json_text(values[i]));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Pseudo-random, but the same value for the same arguments. */
static TimestampTz
jittered(const ScheduleRow *row, TimestampTz time)
{
	int64		range = row->jitter ? durable_retry_interval_us(row->jitter) : 0;
	uint64		hash;

	if (range <= 0)
		return DT_NOBEGIN;
	hash = hash_bytes_extended((const unsigned char *) row->name, strlen(row->name), (uint64) time);
	return time + (int64) (hash % (uint64) range);
}
