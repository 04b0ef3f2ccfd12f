/*-------------------------------------------------------------------------
 *
 * task_table.c
 *		The table durable.task_queue: activities that run in a transaction of their own.
 *
 * A unit inserts tasks.  A worker holds the lock of a task's row while it runs the task, and
 * deletes or postpones it.  A termination deletes the tasks that are not running.
 *
 * Owns:	durable.task_queue; finished.c deletes its rows together with their instances
 * Called by: task_unit.c, batch_statements.c, batch_store.c, admission.c, watching.c,
 *			unit.c
 * Locks:	FOR UPDATE SKIP LOCKED on rows
 * Memory:	rows in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "flight.h"
#include "retry.h"
#include "sql.h"
#include "task_table.h"
#include "wakeup.h"

/* The columns that are read from a row, in the order of read_task. */
#define TASK_COLUMNS \
	"ctid, key, execution, task, attempt, name, handler, input, retry, timeout, " \
	"run_at, scheduled_at, id, crashes, last_failure, queued_id"

static DurableSql insert_tasks = {
	"INSERT INTO durable.task_queue (id, owner, scheduled_at, run_at, key, execution, task, attempt, "
	"name, handler, input, retry, timeout, last_failure, crashes, queued_id) "
	"SELECT pg_catalog.nextval('durable.task_queue_id_seq'), $1, u.scheduled_at, u.run_at, u.key, "
	"u.execution, u.task, u.attempt, u.name, u.handler, u.input, u.retry, "
	"u.timeout_us * '1 microsecond'::interval, u.failure, u.crashes, u.queued_id "
	"FROM unnest($2::timestamptz[], $3::timestamptz[], $4::int8[], $5::int4[], $6::int4[], $7::int4[], "
	"$8::text[], $9::text[], $10::jsonb[], $11::jsonb[], $12::int8[], $13::jsonb[], $14::int4[], $15::int8[]) "
	"AS u (scheduled_at, run_at, key, execution, task, attempt, name, handler, input, retry, timeout_us, "
	"failure, crashes, queued_id)",
	15, {REGROLEOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT4ARRAYOID,
		INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID,
	INT8ARRAYOID, JSONBARRAYOID, INT4ARRAYOID, INT8ARRAYOID}
};

static DurableSql claim_one = {
	"SELECT " TASK_COLUMNS " FROM durable.task_queue "
	"WHERE owner = $1 AND run_at >= $2 AND run_at <= $3 "
	"AND ($4 OR crashes = 0) AND ($5 IS NULL OR id <> ALL ($5)) "
	"ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED",
	5, {REGROLEOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, INT8ARRAYOID}
};

static DurableSql claim_again = {
	"SELECT " TASK_COLUMNS " FROM durable.task_queue "
	"WHERE owner = $1 AND run_at = $2 AND id = $3 FOR UPDATE SKIP LOCKED",
	3, {REGROLEOID, TIMESTAMPTZOID, INT8OID}
};

static DurableSql next_task = {
	"SELECT run_at FROM durable.task_queue WHERE owner = $1 AND run_at > $2 ORDER BY run_at LIMIT 1",
	2, {REGROLEOID, TIMESTAMPTZOID}
};

static DurableSql has_count = {
	"SELECT WHERE EXISTS (SELECT FROM durable.task_queue WHERE key = $1 AND crashes > 0) "
	"OR EXISTS (SELECT FROM durable.queued_task WHERE key = $1 AND crashes > 0)",
	1, {INT8OID}
};

static DurableSql delete_one = {
	"DELETE FROM durable.task_queue WHERE ctid = $1",
	1, {TIDOID}
};

static DurableSql postpone_one = {
	"UPDATE durable.task_queue SET run_at = $2, attempt = $3, last_failure = $4 WHERE ctid = $1",
	4, {TIDOID, TIMESTAMPTZOID, INT4OID, JSONBOID}
};

static DurableSql watch_one = {
	"UPDATE durable.task_queue SET run_at = $2, attempt = attempt + 1, last_failure = NULL, crashes = 0, "
	"watched = $3, rest_until = $4 WHERE ctid = $1",
	4, {TIDOID, TIMESTAMPTZOID, OIDARRAYOID, TIMESTAMPTZOID}
};

/* A task that is due already has not begun, and its query will see the change. */
#define WAKE_WATCHING(condition) \
	"UPDATE durable.task_queue t SET " \
	"run_at = CASE WHEN t.held_run_at IS NULL THEN greatest($1, t.rest_until) ELSE t.run_at END, " \
	"held_run_at = CASE WHEN t.held_run_at IS NOT NULL THEN greatest($1, t.rest_until) END " \
	"FROM (SELECT owner, run_at, id FROM durable.task_queue WHERE watched IS NOT NULL " condition \
	"AND coalesce(held_run_at, run_at) > greatest($1, rest_until) LIMIT $2 FOR UPDATE SKIP LOCKED) d " \
	"WHERE t.owner = d.owner AND t.run_at = d.run_at AND t.id = d.id RETURNING t.owner, t.run_at"

static DurableSql wake_watching = {
	WAKE_WATCHING("AND watched && $3 "),
	3, {TIMESTAMPTZOID, INT8OID, OIDARRAYOID}
};

static DurableSql wake_all_watching = {
	WAKE_WATCHING(""),
	2, {TIMESTAMPTZOID, INT8OID}
};

/* Rows of running tasks are locked; their workers notice that the instance has ended. */
static DurableSql delete_idle = {
	"DELETE FROM durable.task_queue t USING (SELECT owner, run_at, id FROM durable.task_queue "
	"WHERE key = ANY ($1) FOR UPDATE SKIP LOCKED) d "
	"WHERE t.owner = d.owner AND t.run_at = d.run_at AND t.id = d.id",
	1, {INT8ARRAYOID}
};

static DurableSql hold_idle = {
	"UPDATE durable.task_queue t SET held_run_at = t.run_at, run_at = 'infinity' "
	"FROM (SELECT owner, run_at, id FROM durable.task_queue "
	"WHERE key = ANY ($1) AND run_at < 'infinity' FOR UPDATE SKIP LOCKED) d "
	"WHERE t.owner = d.owner AND t.run_at = d.run_at AND t.id = d.id",
	1, {INT8ARRAYOID}
};

static DurableSql hold_one = {
	"UPDATE durable.task_queue SET held_run_at = run_at, run_at = 'infinity' WHERE ctid = $1",
	1, {TIDOID}
};

static DurableSql release = {
	"UPDATE durable.task_queue SET run_at = held_run_at, held_run_at = NULL "
	"WHERE key = ANY ($1) AND held_run_at IS NOT NULL RETURNING owner, run_at",
	1, {INT8ARRAYOID}
};

static Datum held_tasks(char *null);
static TaskRow *claim(DurableSql *sql, Datum *values, const char *nulls);
static TaskRow *read_task(MemoryContext context);
static Datum oid_array(const Oid *oids, int n);
static void set_columns(Columns *columns, int row, const TaskRow *task);
static Size size_of(const Jsonb *value);
static void change_one(DurableSql *sql, Datum *values, const char *nulls, const TaskRow *task);

/* --- reading ------------------------------------------------------------------------------ */

TaskRow *
durable_task_claim(Oid owner, TimestampTz from, TimestampTz now, bool suspects)
{
	char		nulls[] = "     ";
	Datum		values[5] = {ObjectIdGetDatum(owner), TimestampTzGetDatum(from),
	TimestampTzGetDatum(now), BoolGetDatum(suspects), held_tasks(&nulls[4])};

	return claim(&claim_one, values, nulls);
}

static Datum
held_tasks(char *null)
{
	int64		ids[FLIGHT_MAX_REPORTS];
	Datum		values[FLIGHT_MAX_REPORTS];
	int			n = durable_report_held_tasks(ids, FLIGHT_MAX_REPORTS);

	*null = n == 0 ? 'n' : ' ';
	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	return n == 0 ? (Datum) 0 : durable_columns_array(values, NULL, n, INT8OID);
}

TaskRow *
durable_task_claim_again(Oid owner, TimestampTz run_at, int64 id)
{
	Datum		values[3] = {ObjectIdGetDatum(owner), TimestampTzGetDatum(run_at), Int64GetDatum(id)};

	return claim(&claim_again, values, NULL);
}

static TaskRow *
claim(DurableSql *sql, Datum *values, const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	TaskRow    *task = NULL;

	durable_sql_connect();
	if (durable_sql_run(sql, values, nulls, false, 0) > 0)
		task = read_task(context);
	durable_sql_finish();
	return task;
}

/* TASK_COLUMNS of the first row. */
static TaskRow *
read_task(MemoryContext context)
{
	MemoryContext spi = MemoryContextSwitchTo(context);
	TaskRow    *task = palloc0(sizeof(TaskRow));
	Datum		timeout;
	bool		isnull;

	task->tid = *(ItemPointer) DatumGetPointer(durable_sql_datum(0, 1, &isnull));
	task->key = durable_sql_int8(0, 2);
	task->execution = durable_sql_int4(0, 3);
	task->task = durable_sql_int4(0, 4);
	task->attempt = durable_sql_int4(0, 5);
	task->name = durable_sql_text(0, 6);
	task->handler = durable_sql_text(0, 7);
	task->input = durable_sql_jsonb(0, 8);
	task->retry = durable_sql_jsonb(0, 9);
	timeout = durable_sql_datum(0, 10, &isnull);
	task->timeout_us = isnull ? 0 : Max(durable_retry_interval_us(DatumGetIntervalP(timeout)), 0);
	task->run_at = durable_sql_timestamptz(0, 11, &isnull);
	task->scheduled_at = durable_sql_timestamptz(0, 12, &isnull);
	task->id = durable_sql_int8(0, 13);
	task->crashes = DatumGetInt16(durable_sql_datum(0, 14, &isnull));
	task->last_failure = durable_sql_jsonb(0, 15);
	durable_sql_datum(0, 16, &isnull);
	task->queued_id = isnull ? 0 : durable_sql_int8(0, 16);
	MemoryContextSwitchTo(spi);
	return task;
}

TimestampTz
durable_task_next(Oid owner, TimestampTz after)
{
	Datum		values[2] = {ObjectIdGetDatum(owner), TimestampTzGetDatum(after)};
	TimestampTz result = DT_NOEND;
	bool		isnull;

	durable_sql_connect();
	if (durable_sql_run(&next_task, values, NULL, false, 0) > 0)
		result = durable_sql_timestamptz(0, 1, &isnull);
	durable_sql_finish();
	return result;
}

bool
durable_task_has_count(int64 key)
{
	Datum		values[1] = {Int64GetDatum(key)};
	bool		result;

	durable_sql_connect();
	result = durable_sql_run(&has_count, values, NULL, false, 0) > 0;
	durable_sql_finish();
	return result;
}

/* --- writing ------------------------------------------------------------------------------ */

void
durable_task_insert(Oid owner, List *tasks)
{
	static const Oid types[] = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID, INT4OID, INT4OID,
	TEXTOID, TEXTOID, JSONBOID, JSONBOID, INT8OID, JSONBOID, INT4OID, INT8OID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(tasks), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[15];

	foreach(cell, tasks)
	{
		TaskRow    *task = lfirst(cell);

		set_columns(columns, row, task);
		durable_columns_set(columns, row, 12, Int32GetDatum(task->crashes));
		if (task->queued_id != 0)
			durable_columns_set(columns, row, 13, Int64GetDatum(task->queued_id));
		row++;
		durable_wakeup_task(owner, task->run_at);
	}
	values[0] = ObjectIdGetDatum(owner);
	durable_columns_arrays(columns, values + 1);
	durable_sql_connect();
	durable_sql_run(&insert_tasks, values, NULL, false, 0);
	durable_sql_finish();
}

static void
set_columns(Columns *columns, int row, const TaskRow *task)
{
	durable_columns_set(columns, row, 0, TimestampTzGetDatum(task->scheduled_at));
	durable_columns_set(columns, row, 1, TimestampTzGetDatum(task->run_at));
	durable_columns_set(columns, row, 2, Int64GetDatum(task->key));
	durable_columns_set(columns, row, 3, Int32GetDatum(task->execution));
	durable_columns_set(columns, row, 4, Int32GetDatum(task->task));
	durable_columns_set(columns, row, 5, Int32GetDatum(task->attempt));
	durable_columns_set_text(columns, row, 6, task->name);
	durable_columns_set_text(columns, row, 7, task->handler);
	durable_columns_set_jsonb(columns, row, 8, task->input);
	durable_columns_set_jsonb(columns, row, 9, task->retry);
	if (task->timeout_us > 0)
		durable_columns_set(columns, row, 10, Int64GetDatum(task->timeout_us));
	durable_columns_set_jsonb(columns, row, 11, task->last_failure);
}

Size
durable_task_size(const TaskRow *task)
{
	return size_of(task->input) + size_of(task->retry) + size_of(task->last_failure);
}

static Size
size_of(const Jsonb *value)
{
	return value ? VARSIZE(value) : 0;
}

void
durable_task_delete(const TaskRow *task)
{
	Datum		values[1] = {PointerGetDatum(&task->tid)};

	change_one(&delete_one, values, NULL, task);
}

void
durable_task_postpone(Oid owner, const TaskRow *task, TimestampTz run_at, int attempt,
					  const Jsonb *failure)
{
	Datum		values[4] = {PointerGetDatum(&task->tid), TimestampTzGetDatum(run_at),
	Int32GetDatum(attempt), PointerGetDatum(failure)};

	change_one(&postpone_one, values, failure ? NULL : "   n", task);
	durable_wakeup_task(owner, run_at);
}

void
durable_task_watch(Oid owner, const TaskRow *task, TimestampTz run_at, const Oid *relations,
				   int nrelations, TimestampTz rest_until)
{
	Datum		values[4] = {PointerGetDatum(&task->tid), TimestampTzGetDatum(run_at),
	oid_array(relations, nrelations), TimestampTzGetDatum(rest_until)};

	change_one(&watch_one, values, nrelations > 0 ? NULL : "  n ", task);
	durable_wakeup_task(owner, run_at);
}

int
durable_task_wake_watching(const Oid *relations, int n, TimestampTz now, int limit)
{
	Datum		values[3] = {TimestampTzGetDatum(now), Int64GetDatum(limit), n < 0 ? (Datum) 0 : oid_array(relations, n)};
	uint64		nrows;
	bool		isnull;

	durable_sql_connect();
	nrows = durable_sql_run(n < 0 ? &wake_all_watching : &wake_watching, values, NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
		durable_wakeup_task(durable_sql_oid(i, 1), durable_sql_timestamptz(i, 2, &isnull));
	durable_sql_finish();
	return (int) nrows;
}

static Datum
oid_array(const Oid *oids, int n)
{
	Datum	   *values = palloc(Max(n, 1) * sizeof(Datum));

	for (int i = 0; i < n; i++)
		values[i] = ObjectIdGetDatum(oids[i]);
	return PointerGetDatum(construct_array(values, n, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

static void
change_one(DurableSql *sql, Datum *values, const char *nulls, const TaskRow *task)
{
	durable_sql_connect();
	if (durable_sql_run(sql, values, nulls, false, 0) != 1)
		elog(ERROR, "task %d of instance " INT64_FORMAT " does not exist", task->task, task->key);
	durable_sql_finish();
}

void
durable_task_hold_idle(Datum keys)
{
	Datum		values[1] = {keys};

	durable_sql_connect();
	durable_sql_run(&hold_idle, values, NULL, false, 0);
	durable_sql_finish();
}

void
durable_task_hold(const TaskRow *task)
{
	Datum		values[1] = {PointerGetDatum(&task->tid)};

	change_one(&hold_one, values, NULL, task);
}

void
durable_task_release(Datum keys)
{
	Datum		values[1] = {keys};
	uint64		nrows;
	bool		isnull;

	durable_sql_connect();
	nrows = durable_sql_run(&release, values, NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
		durable_wakeup_task(durable_sql_oid(i, 1), durable_sql_timestamptz(i, 2, &isnull));
	durable_sql_finish();
}

void
durable_task_delete_idle(Datum keys)
{
	Datum		values[1] = {keys};

	durable_sql_connect();
	durable_sql_run(&delete_idle, values, NULL, false, 0);
	durable_sql_finish();
}
