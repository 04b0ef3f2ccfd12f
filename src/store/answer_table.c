/*-------------------------------------------------------------------------
 *
 * answer_table.c
 *		The table durable.queued_answer: answers of workers, which are remembered for a while.
 *
 * An answer deletes the row of the task, and one row here tells a repetition of the answer
 * from a stale token.  All tasks that one fetch has leased have the same random number, and
 * are usually answered in one call, so this is one row for many tasks.  To keep the rows of the
 * tasks instead, with another state, would cost a new version of each row with two entries in
 * indexes, and a second statement that deletes it.
 *
 * When two sessions answer for a task at the same time, the second one waits for the first,
 * finds no row of the task, and then finds the answer with its next snapshot.
 *
 * Owns:	durable.queued_answer; deletes rows of durable.queued_task
 * Called by: work_api.c, lease.c, admission.c
 * Locks:	rows of durable.queued_task until the caller's transaction ends; durable_answer_forget: SKIP LOCKED
 * Memory:	results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "answer_table.h"
#include "queued_table.h"
#include "sql.h"

static DurableSql complete = {
	"WITH gone AS (DELETE FROM durable.queued_task t USING " WORK_TOKENS " WHERE " WORK_OF_TOKEN
	" AND t.kind = 'e' AND t.state IN ('l', 'r') "
	"AND " WORK_IS_WANTED " "
	"RETURNING u.n::int4, u.nonce, t.queue, t.owner, t.key, t.id, t.execution, t.task, t.attempt), "
	"kept AS (INSERT INTO durable.queued_answer (nonce, id, at, answer, queue, ids) "
	"SELECT g.nonce, pg_catalog.min(g.id), $5, 'c', g.queue, pg_catalog.array_agg(g.id) FROM gone g GROUP BY g.nonce, g.queue) "
	"SELECT n, queue, owner, key, execution, task, attempt FROM gone",
	5, {WORK_TOKEN_TYPES, TIMESTAMPTZOID}
};

static DurableSql fail = {
	"WITH gone AS (DELETE FROM durable.queued_task t WHERE t.key = $1 AND t.id = $2 RETURNING t.nonce, t.queue) "
	"INSERT INTO durable.queued_answer (nonce, id, at, answer, queue, ids) "
	"SELECT g.nonce, $2, $3, 'f', g.queue, ARRAY[$2] FROM gone g WHERE g.nonce IS NOT NULL",
	3, {INT8OID, INT8OID, TIMESTAMPTZOID}
};

static DurableSql find_completed = {
	"SELECT u.n::int4, a.queue FROM " WORK_TOKENS " JOIN durable.queued_answer a ON a.nonce = u.nonce AND u.id = ANY (a.ids) "
	"WHERE a.answer = 'c'",
	4, {WORK_TOKEN_TYPES}
};

static DurableSql find_failed = {
	"SELECT queue FROM durable.queued_answer WHERE nonce = $2 AND answer = 'f' AND $1 = ANY (ids)",
	2, {INT8OID, INT8OID}
};

static DurableSql forget = {
	"DELETE FROM durable.queued_answer a USING (SELECT nonce, id FROM durable.queued_answer "
	"WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) d WHERE a.nonce = d.nonce AND a.id = d.id",
	2, {TIMESTAMPTZOID, INT8OID}
};

static DurableSql any_before = {
	"SELECT FROM durable.queued_answer WHERE at < $1 LIMIT 1",
	1, {TIMESTAMPTZOID}
};

List *
durable_answer_complete(const Datum *tokens, TimestampTz now)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *tasks = NIL;
	Datum		values[5];
	uint64		nrows;

	memcpy(values, tokens, 4 * sizeof(Datum));
	values[4] = TimestampTzGetDatum(now);
	durable_sql_connect();
	nrows = durable_sql_run(&complete, values, NULL, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < nrows; i++)
	{
		AnsweredTask *task = palloc(sizeof(AnsweredTask));

		task->n = durable_sql_int4(i, 1) - 1;
		task->queue = durable_sql_text(i, 2);
		task->owner = durable_sql_oid(i, 3);
		task->key = durable_sql_int8(i, 4);
		task->execution = durable_sql_int4(i, 5);
		task->task = durable_sql_int4(i, 6);
		task->attempt = durable_sql_int4(i, 7);
		tasks = lappend(tasks, task);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	return tasks;
}

void
durable_answer_fail(int64 key, int64 id, TimestampTz now)
{
	Datum		values[3] = {Int64GetDatum(key), Int64GetDatum(id), TimestampTzGetDatum(now)};

	durable_sql_connect();
	durable_sql_run(&fail, values, NULL, false, 0);
	durable_sql_finish();
}

void
durable_answer_find_completed(const Datum *tokens, char **queues)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[4];
	uint64		nrows;

	memcpy(values, tokens, sizeof(values));
	durable_sql_connect();
	nrows = durable_sql_run(&find_completed, values, NULL, false, 0);
	MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < nrows; i++)
		queues[durable_sql_int4(i, 1) - 1] = durable_sql_text(i, 2);
	durable_sql_finish();
	MemoryContextSwitchTo(context);
}

char *
durable_answer_failed(int64 id, int64 nonce)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[2] = {Int64GetDatum(id), Int64GetDatum(nonce)};
	char	   *queue = NULL;

	durable_sql_connect();
	if (durable_sql_run(&find_failed, values, NULL, false, 0) > 0)
	{
		MemoryContextSwitchTo(context);
		queue = durable_sql_text(0, 1);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(context);
	return queue;
}

bool
durable_answer_forget(TimestampTz before, int limit)
{
	Datum		values[2] = {TimestampTzGetDatum(before), Int64GetDatum(limit)};
	bool		full;

	durable_sql_connect();
	full = durable_sql_run(&forget, values, NULL, false, 0) == limit;
	durable_sql_finish();
	return full;
}

bool
durable_answer_any_before(TimestampTz before)
{
	Datum		values[1] = {TimestampTzGetDatum(before)};
	bool		found;

	durable_sql_connect();
	found = durable_sql_run(&any_before, values, NULL, false, 1) > 0;
	durable_sql_finish();
	return found;
}
