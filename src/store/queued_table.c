/*-------------------------------------------------------------------------
 *
 * queued_table.c
 *		The table durable.queued_task: activities that wait in a queue, or that a worker
 *		has taken from it.
 *
 * Order.  The smallest priority comes first.  Within a priority the tasks of each key
 * are numbered in rounds: a task gets the round after that of the last waiting task of
 * its key, and not one before the round that is being served.  So tasks are taken by
 * the index on (queue, priority, round, id) in a round robin of the keys, however many
 * tasks of one key wait.
 *
 * States are changed by the transaction that has the row locked:
 *
 *		r ready --a worker takes it--> l leased --answer--> deleted
 *		^  ^                             |  |
 *		|  `---the lease ends------------'  `--failed, to be tried again--> d delayed
 *		`------due------------------------------------------------------------'
 *		r, d --instance is suspended--> h held --it is resumed--> r
 *
 * No function here waits for a lock of another transaction, except durable_queued_put, for
 * a task that its caller has locked.
 *
 * Owns:	durable.queued_task; answer_table.c deletes rows that are answered, finished.c together with their instances
 * Called by: batch_statements.c, batch_store.c, lease.c, admission.c, task_unit.c,
 *			entity_external.c, work_api.c, turn_api.c, entity_work_api.c
 * Locks:	FOR UPDATE SKIP LOCKED on rows
 * Memory:	rows in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "queued_table.h"
#include "retry.h"
#include "sql.h"
#include "task_table.h"
#include "wakeup.h"

/* The columns that are read from a row t and its instance i, in the order of read_task. */
#define QUEUED_COLUMNS \
	"t.key, t.id, t.execution, t.task, t.attempt, t.owner, t.queue, t.name, t.handler, t.input, t.retry, " \
	"t.last_failure, t.timeout, t.scheduled_at, t.leased_at, t.at, t.lost, i.instance_id, " \
	"CASE WHEN t.kind = 'n' THEN 'R'::\"char\" ELSE i.status END, t.call, t.crashes"

/* SQL activities that were admitted, and have not begun, become ready again first. */
static DurableSql take_back = {
	"WITH back AS (DELETE FROM durable.task_queue t USING (SELECT owner, run_at, id FROM durable.task_queue "
	"WHERE key = ANY ($1) AND queued_id IS NOT NULL FOR UPDATE SKIP LOCKED) d "
	"WHERE t.owner = d.owner AND t.run_at = d.run_at AND t.id = d.id "
	"RETURNING t.key, t.queued_id, t.attempt, t.last_failure, t.crashes) "
	"UPDATE durable.queued_task q SET state = 'h', leased_at = NULL, attempt = b.attempt, last_failure = b.last_failure, crashes = b.crashes "
	"FROM back b WHERE q.key = b.key AND q.id = b.queued_id RETURNING q.queue",
	1, {INT8ARRAYOID}
};

static DurableSql hold_idle = {
	"UPDATE durable.queued_task t SET state = 'h' FROM (SELECT key, id FROM durable.queued_task "
	"WHERE key = ANY ($1) AND state IN ('r', 'd') FOR UPDATE SKIP LOCKED) d "
	"WHERE t.key = d.key AND t.id = d.id",
	1, {INT8ARRAYOID}
};

/* Resumed tasks become delayed, and ready as soon as they are due. */
static DurableSql release_held = {
	"UPDATE durable.queued_task t SET state = 'd' FROM (SELECT key, id FROM durable.queued_task "
	"WHERE key = ANY ($1) AND state = 'h' FOR UPDATE SKIP LOCKED) d "
	"WHERE t.key = d.key AND t.id = d.id RETURNING t.queue, t.kind = 's'",
	1, {INT8ARRAYOID}
};

/* The worker that runs an SQL activity deletes its row when it has ended. */
static DurableSql delete_all = {
	"DELETE FROM durable.queued_task t USING (SELECT key, id FROM durable.queued_task q "
	"WHERE key = ANY ($1) AND NOT (state = 'l' AND kind = 's' AND EXISTS (SELECT FROM durable.task_queue k "
	"WHERE k.key = q.key AND k.queued_id = q.id)) FOR UPDATE SKIP LOCKED) d "
	"WHERE t.key = d.key AND t.id = d.id RETURNING t.queue",
	1, {INT8ARRAYOID}
};

/* These tasks have waited already, so they are in the round that is served next, or in an earlier one. */
static DurableSql promote = {
	"UPDATE durable.queued_task t SET state = 'r', round = least(t.round, "
	"(SELECT f.round FROM durable.queued_task f WHERE f.queue = $1 AND f.kind = t.kind AND f.priority = t.priority AND f.state = 'r' "
	" ORDER BY f.round, f.id LIMIT 1)) FROM (SELECT key, id FROM durable.queued_task WHERE queue = $1 "
	"AND state = 'd' AND at <= $2 ORDER BY at LIMIT 1000 FOR UPDATE SKIP LOCKED) d "
	"WHERE t.key = d.key AND t.id = d.id",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static DurableSql expired = {
	"SELECT " QUEUED_COLUMNS " FROM durable.queued_task t LEFT JOIN durable.instance i ON i.key = t.key "
	"WHERE t.queue = $1 AND t.state = 'l' AND t.at <= $2 ORDER BY t.at LIMIT $3 FOR UPDATE OF t SKIP LOCKED",
	3, {TEXTOID, TIMESTAMPTZOID, INT8OID}
};

/*
 * A lease is no longer than the activity's timeout.  A turn is leased with the events that
 * its instance has at this time; the attempt of the turn is the number of these events.
 */
#define LEASE(picked) \
	"WITH RECURSIVE " picked ", leased AS (UPDATE durable.queued_task t SET state = 'l', leased_at = $5, " \
	"at = CASE WHEN t.kind = 's' THEN $6 ELSE least($6, $5 + t.timeout) END, nonce = $7, worker = $8, session = $10, " \
	"attempt = CASE WHEN t.kind = 'o' THEN coalesce((SELECT i.events FROM durable.instance i WHERE i.key = t.key), 0) " \
	"ELSE t.attempt END FROM picked p " \
	"WHERE t.ctid = p.ctid RETURNING t.*) " \
	"SELECT " QUEUED_COLUMNS " FROM leased t LEFT JOIN durable.instance i ON i.key = t.key " \
	"ORDER BY t.priority, t.round, t.id"

#define WANTED	"q.queue = $1 AND q.kind = $3 AND q.state = 'r' AND ($4 IS NULL OR q.name = ANY ($4))"

#define LEASE_ARGS	{TEXTOID, INT8OID, CHAROID, TEXTARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TEXTOID, INT4OID, INT8OID}
#define LEASE_NARGS	10

static DurableSql lease_any = {
	LEASE("picked AS (SELECT q.ctid FROM durable.queued_task q WHERE " WANTED
		  " ORDER BY q.priority, q.round, q.id LIMIT $2 FOR UPDATE SKIP LOCKED)"),
	LEASE_NARGS, LEASE_ARGS
};

/*
 * For a queue with a limit for each key: one index probe for each key that has ready tasks,
 * which returns no more tasks than the key's limit allows.
 */
#define OF_EACH_KEY \
	"busy AS (SELECT b.share, count(*) AS n FROM durable.queued_task b WHERE b.queue = $1 AND b.state = 'l' " \
	" AND b.at > $5 GROUP BY b.share), " \
	"waits (share) AS ((SELECT w.share FROM durable.queued_task w WHERE w.queue = $1 AND w.kind = $3 AND w.state = 'r' " \
	" ORDER BY w.share LIMIT 1) UNION ALL SELECT n.share FROM waits, LATERAL (SELECT w.share FROM durable.queued_task w " \
	" WHERE w.queue = $1 AND w.kind = $3 AND w.state = 'r' AND w.share > waits.share ORDER BY w.share LIMIT 1) n), " \
	"candidate AS (SELECT c.key, c.id, c.priority, c.round FROM waits, LATERAL (SELECT q.key, q.id, q.priority, q.round " \
	" FROM durable.queued_task q WHERE " WANTED " AND q.share = waits.share ORDER BY q.priority, q.round, q.id " \
	" LIMIT greatest(0, $9 - coalesce((SELECT b.n FROM busy b WHERE b.share = waits.share), 0))) c " \
	" ORDER BY c.priority, c.round, c.id LIMIT $2)"

static DurableSql lease_of_each_key = {
	LEASE(OF_EACH_KEY ", picked AS (SELECT q.ctid FROM candidate c JOIN durable.queued_task q "
		  "ON q.key = c.key AND q.id = c.id FOR UPDATE OF q SKIP LOCKED)"),
	LEASE_NARGS, LEASE_ARGS
};

static DurableSql is_ready_any = {
	"SELECT FROM durable.queued_task q WHERE " WANTED " LIMIT 1",
	LEASE_NARGS, LEASE_ARGS
};

static DurableSql is_ready_of_each_key = {
	"WITH RECURSIVE " OF_EACH_KEY " SELECT FROM candidate LIMIT 1",
	LEASE_NARGS, LEASE_ARGS
};

/*
 * Turns and batches that were leased to sessions which are not there any more: the leases end now.  A
 * session is its start in seconds and its process id.  A role that may not read the start of
 * others' sessions sees NULL, and then the process id decides.
 */
static DurableSql end_sessions = {
	"WITH RECURSIVE held (session) AS ((SELECT t.session FROM durable.queued_task t WHERE t.kind IN ('o', 'n') AND t.state = 'l' "
	" AND t.session IS NOT NULL ORDER BY t.session LIMIT 1) UNION ALL SELECT n.session FROM held, LATERAL "
	" (SELECT t.session FROM durable.queued_task t WHERE t.kind IN ('o', 'n') AND t.state = 'l' AND t.session > held.session "
	" ORDER BY t.session LIMIT 1) n), "
	"gone AS (SELECT h.session FROM held h WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(NULL) a "
	" WHERE a.pid = (h.session & 4294967295)::int4 AND (a.backend_start IS NULL "
	" OR pg_catalog.floor(extract(epoch FROM a.backend_start))::int8 = h.session >> 32))) "
	"UPDATE durable.queued_task t SET at = $1, session = NULL FROM (SELECT q.key, q.id FROM gone g JOIN durable.queued_task q "
	"ON q.session = g.session AND q.kind IN ('o', 'n') AND q.state = 'l' FOR UPDATE OF q SKIP LOCKED) d "
	"WHERE t.key = d.key AND t.id = d.id",
	1, {TIMESTAMPTZOID}
};

static DurableSql count_leased = {
	"SELECT count(*)::int4 FROM durable.queued_task WHERE queue = $1 AND state = 'l' AND at > $2",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static DurableSql next_due = {
	"SELECT least((SELECT at FROM durable.queued_task WHERE queue = $1 AND state = 'd' ORDER BY at LIMIT 1), "
	"(SELECT at FROM durable.queued_task WHERE queue = $1 AND state = 'l' ORDER BY at LIMIT 1))",
	1, {TEXTOID}
};

static DurableSql put_one = {
	"UPDATE durable.queued_task SET state = $3::\"char\", at = $4, attempt = $5, lost = $6, last_failure = $7, "
	"given_back = CASE WHEN attempt = $5 THEN given_back ELSE 0 END, leased_at = NULL, worker = NULL, "
	"nonce = CASE WHEN $8 THEN nonce END WHERE key = $1 AND id = $2",
	8, {INT8OID, INT8OID, CHAROID, TIMESTAMPTZOID, INT4OID, INT4OID, JSONBOID, BOOLOID}
};

static DurableSql give_back = {
	"UPDATE durable.queued_task t SET state = $3::\"char\", at = $4, attempt = $5, last_failure = $6, crashes = $7, leased_at = NULL "
	"FROM (SELECT key, id FROM durable.queued_task WHERE key = $1 AND id = $2 FOR UPDATE SKIP LOCKED) d "
	"WHERE t.key = d.key AND t.id = d.id",
	7, {INT8OID, INT8OID, CHAROID, TIMESTAMPTZOID, INT4OID, JSONBOID, INT2OID}
};

static DurableSql delete_one = {
	"DELETE FROM durable.queued_task t USING (SELECT key, id FROM durable.queued_task WHERE key = $1 AND id = $2 "
	"FOR UPDATE SKIP LOCKED) d WHERE t.key = d.key AND t.id = d.id",
	2, {INT8OID, INT8OID}
};

static DurableSql take_back_batch = {
	"DELETE FROM durable.queued_task t USING (SELECT key, id FROM durable.queued_task WHERE key = $1 AND kind = 'n' "
	"AND input = pg_catalog.to_jsonb($2) FOR UPDATE SKIP LOCKED) d WHERE t.key = d.key AND t.id = d.id RETURNING t.queue",
	2, {INT8OID, TEXTOID}
};

static List *read_tasks(DurableSql *sql, Datum *values, const char *nulls);
static QueuedTask *read_task(uint64 row);
static void lease_values(const QueuedWanted * wanted, Datum *values, char *nulls);
static void wake_queues(uint64 nrows);

/* --- by the units of work ---------------------------------------------------------------- */

void
durable_queued_hold(Datum keys)
{
	Datum		values[1] = {keys};

	durable_sql_connect();
	wake_queues(durable_sql_run(&take_back, values, NULL, false, 0));
	durable_sql_run(&hold_idle, values, NULL, false, 0);
	durable_sql_finish();
}

void
durable_queued_release(Datum keys)
{
	Datum		values[1] = {keys};
	uint64		nrows;
	bool		any_sql = false;
	bool		isnull;

	durable_sql_connect();
	nrows = durable_sql_run(&release_held, values, NULL, false, 0);
	wake_queues(nrows);
	for (uint64 i = 0; i < nrows; i++)
		any_sql |= DatumGetBool(durable_sql_datum(i, 2, &isnull));
	durable_sql_finish();
	if (any_sql)
		durable_wakeup_admission();
}

void
durable_queued_delete(Datum keys)
{
	Datum		values[1] = {keys};
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(&delete_all, values, NULL, false, 0);
	wake_queues(nrows);
	durable_sql_finish();
	if (nrows > 0)
		durable_wakeup_admission();
}

/* Column 1 of the rows is the queue: its limits may have room for other tasks now. */
static void
wake_queues(uint64 nrows)
{
	for (uint64 i = 0; i < nrows; i++)
		durable_queue_wake(durable_sql_text(i, 1));
}

void
durable_queued_give_back(const TaskRow *task, char state, TimestampTz at, int attempt, const Jsonb *failure)
{
	Datum		values[7] = {Int64GetDatum(task->key), Int64GetDatum(task->queued_id), CharGetDatum(state),
	TimestampTzGetDatum(at), Int32GetDatum(attempt), PointerGetDatum(failure), Int16GetDatum(task->crashes)};

	durable_sql_connect();
	durable_sql_run(&give_back, values, failure ? NULL : "     n ", false, 0);
	durable_sql_finish();
	durable_wakeup_admission();
}

void
durable_queued_delete_one(int64 key, int64 id)
{
	Datum		values[2] = {Int64GetDatum(key), Int64GetDatum(id)};

	durable_sql_connect();
	durable_sql_run(&delete_one, values, NULL, false, 0);
	durable_sql_finish();
}

bool
durable_queued_take_back_batch(int64 key, const char *entity_id)
{
	Datum		values[2] = {Int64GetDatum(key), CStringGetTextDatum(entity_id)};
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(&take_back_batch, values, NULL, false, 0);
	wake_queues(nrows);
	durable_sql_finish();
	return nrows > 0;
}

/* --- by sessions that take work ----------------------------------------------------------- */

void
durable_queued_promote(const char *queue, TimestampTz now)
{
	Datum		values[2] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now)};

	durable_sql_connect();
	durable_sql_run(&promote, values, NULL, false, 0);
	durable_sql_finish();
}

List *
durable_queued_expired(const char *queue, TimestampTz now, int limit)
{
	Datum		values[3] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now), Int64GetDatum(limit)};

	return read_tasks(&expired, values, NULL);
}

List *
durable_queued_lease(const QueuedWanted * wanted)
{
	Datum		values[LEASE_NARGS];
	char		nulls[] = "          ";

	lease_values(wanted, values, nulls);
	return read_tasks(wanted->key_concurrency > 0 ? &lease_of_each_key : &lease_any, values, nulls);
}

bool
durable_queued_is_ready(const QueuedWanted * wanted)
{
	Datum		values[LEASE_NARGS];
	char		nulls[] = "          ";
	bool		found;

	lease_values(wanted, values, nulls);
	durable_sql_connect();
	found = durable_sql_run(wanted->key_concurrency > 0 ? &is_ready_of_each_key : &is_ready_any,
							values, nulls, false, 1) > 0;
	durable_sql_finish();
	return found;
}

static void
lease_values(const QueuedWanted * wanted, Datum *values, char *nulls)
{
	values[0] = CStringGetTextDatum(wanted->queue);
	values[1] = Int64GetDatum(wanted->limit);
	values[2] = CharGetDatum(wanted->kind);
	values[3] = wanted->names;
	nulls[3] = wanted->names == 0 ? 'n' : ' ';
	values[4] = TimestampTzGetDatum(wanted->now);
	values[5] = TimestampTzGetDatum(wanted->until);
	values[6] = Int64GetDatum(wanted->nonce);
	values[7] = wanted->worker ? CStringGetTextDatum(wanted->worker) : (Datum) 0;
	nulls[7] = wanted->worker ? ' ' : 'n';
	values[8] = Int32GetDatum(wanted->key_concurrency);
	values[9] = Int64GetDatum(wanted->session);
	nulls[9] = wanted->session != 0 ? ' ' : 'n';
}

uint64
durable_queued_end_sessions(TimestampTz now)
{
	Datum		values[1] = {TimestampTzGetDatum(now)};
	uint64		nended;

	durable_sql_connect();
	nended = durable_sql_run(&end_sessions, values, NULL, false, 0);
	durable_sql_finish();
	return nended;
}

int
durable_queued_count_leased(const char *queue, TimestampTz now)
{
	Datum		values[2] = {CStringGetTextDatum(queue), TimestampTzGetDatum(now)};
	int			count;

	durable_sql_connect();
	durable_sql_run(&count_leased, values, NULL, false, 0);
	count = durable_sql_int4(0, 1);
	durable_sql_finish();
	return count;
}

TimestampTz
durable_queued_next(const char *queue)
{
	Datum		values[1] = {CStringGetTextDatum(queue)};
	TimestampTz next;
	bool		isnull;

	durable_sql_connect();
	durable_sql_run(&next_due, values, NULL, false, 0);
	next = durable_sql_timestamptz(0, 1, &isnull);
	durable_sql_finish();
	return isnull ? DT_NOEND : next;
}

void
durable_queued_put(const QueuedTask * task, char state, TimestampTz at, int attempt, int lost,
				   const Jsonb *failure, bool keep_nonce)
{
	Datum		values[8] = {Int64GetDatum(task->key), Int64GetDatum(task->id), CharGetDatum(state),
		TimestampTzGetDatum(at), Int32GetDatum(attempt), Int32GetDatum(lost), PointerGetDatum(failure),
	BoolGetDatum(keep_nonce)};

	durable_sql_connect();
	durable_sql_run(&put_one, values, failure ? NULL : "      n ", false, 0);
	durable_sql_finish();
}

static List *
read_tasks(DurableSql *sql, Datum *values, const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *tasks = NIL;
	uint64		nrows;

	durable_sql_connect();
	nrows = durable_sql_run(sql, values, nulls, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < nrows; i++)
		tasks = lappend(tasks, read_task(i));
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	return tasks;
}

/* QUEUED_COLUMNS. */
static QueuedTask *
read_task(uint64 row)
{
	QueuedTask *task = palloc0(sizeof(QueuedTask));
	Datum		value;
	bool		isnull;

	task->key = durable_sql_int8(row, 1);
	task->id = durable_sql_int8(row, 2);
	task->execution = durable_sql_int4(row, 3);
	task->task = durable_sql_int4(row, 4);
	task->attempt = durable_sql_int4(row, 5);
	task->owner = durable_sql_oid(row, 6);
	task->queue = durable_sql_text(row, 7);
	task->name = durable_sql_text(row, 8);
	task->handler = durable_sql_text(row, 9);
	task->input = durable_sql_jsonb(row, 10);
	task->retry = durable_sql_jsonb(row, 11);
	task->last_failure = durable_sql_jsonb(row, 12);
	value = durable_sql_datum(row, 13, &isnull);
	task->timeout_us = isnull ? 0 : Max(durable_retry_interval_us(DatumGetIntervalP(value)), 0);
	task->scheduled_at = durable_sql_timestamptz(row, 14, &isnull);
	task->leased_at = durable_sql_timestamptz(row, 15, &isnull);
	task->at = durable_sql_timestamptz(row, 16, &isnull);
	task->lost = durable_sql_int4(row, 17);
	task->instance_id = durable_sql_text(row, 18);
	value = durable_sql_datum(row, 19, &isnull);
	task->status = isnull ? '\0' : DatumGetChar(value);
	task->call = durable_sql_jsonb(row, 20);
	task->crashes = DatumGetInt16(durable_sql_datum(row, 21, &isnull));
	return task;
}
