/*-------------------------------------------------------------------------
 *
 * queued_insert.c
 *		Inserts work into queues.
 *
 * The rows are written without a statement (table_write.c): for a batch of 50 activities the
 * statement took two fifths of the processor time of the whole unit.  The round of the first
 * row for each key of a queue (queued_table.c) is found by one statement for all of them, and the
 * further rows of the key follow it.
 *
 * Owns:	the insertion into durable.queued_task
 * Called by: batch_statements.c, batch_store.c
 * Locks:	none on existing rows
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "queued_table.h"
#include "sql.h"
#include "table_write.h"
#include "wakeup.h"

enum
{
	QUEUED_COLUMN_ID,
	QUEUED_COLUMN_KEY,
	QUEUED_COLUMN_AT,
	QUEUED_COLUMN_SCHEDULED_AT,
	QUEUED_COLUMN_ROUND,
	QUEUED_COLUMN_OWNER,
	QUEUED_COLUMN_EXECUTION,
	QUEUED_COLUMN_TASK,
	QUEUED_COLUMN_ATTEMPT,
	QUEUED_COLUMN_PRIORITY,
	QUEUED_COLUMN_STATE,
	QUEUED_COLUMN_KIND,
	QUEUED_COLUMN_QUEUE,
	QUEUED_COLUMN_SHARE,
	QUEUED_COLUMN_NAME,
	QUEUED_COLUMN_HANDLER,
	QUEUED_COLUMN_INPUT,
	QUEUED_COLUMN_RETRY,
	QUEUED_COLUMN_TIMEOUT,
	QUEUED_COLUMN_LAST_FAILURE,
	QUEUED_COLUMN_CALL,
	QUEUED_COLUMN_CRASHES,
	QUEUED_COLUMNS_WRITTEN
};

static DurableTable queued_task = {
	.name = "queued_task",
	.ncolumns = QUEUED_COLUMNS_WRITTEN,
	.columns = {
		[QUEUED_COLUMN_ID] = "id",
		[QUEUED_COLUMN_KEY] = "key",
		[QUEUED_COLUMN_AT] = "at",
		[QUEUED_COLUMN_SCHEDULED_AT] = "scheduled_at",
		[QUEUED_COLUMN_ROUND] = "round",
		[QUEUED_COLUMN_OWNER] = "owner",
		[QUEUED_COLUMN_EXECUTION] = "execution",
		[QUEUED_COLUMN_TASK] = "task",
		[QUEUED_COLUMN_ATTEMPT] = "attempt",
		[QUEUED_COLUMN_PRIORITY] = "priority",
		[QUEUED_COLUMN_STATE] = "state",
		[QUEUED_COLUMN_KIND] = "kind",
		[QUEUED_COLUMN_QUEUE] = "queue",
		[QUEUED_COLUMN_SHARE] = "share",
		[QUEUED_COLUMN_NAME] = "name",
		[QUEUED_COLUMN_HANDLER] = "handler",
		[QUEUED_COLUMN_INPUT] = "input",
		[QUEUED_COLUMN_RETRY] = "retry",
		[QUEUED_COLUMN_TIMEOUT] = "timeout",
		[QUEUED_COLUMN_LAST_FAILURE] = "last_failure",
		[QUEUED_COLUMN_CALL] = "call",
		[QUEUED_COLUMN_CRASHES] = "crashes"
	}
};

static DurableWritable writable = {
	.table = &queued_task,
	.sequence = "queued_task_id_seq"
};

/* The round of the next row for each key of a queue. */
static DurableSql next_rounds = {
	"SELECT k.n::int4, greatest(0, "
	"(SELECT t.round FROM durable.queued_task t WHERE t.queue = k.queue AND t.kind = k.kind AND t.priority = k.priority "
	" AND t.state = 'r' ORDER BY t.round, t.id LIMIT 1), "
	"(SELECT t.round + 1 FROM durable.queued_task t WHERE t.queue = k.queue AND t.kind = k.kind AND t.share = k.share "
	" AND t.priority = k.priority AND t.state = 'r' ORDER BY t.round DESC, t.id DESC LIMIT 1)) "
	"FROM unnest($1::text[], $2::\"char\"[], $3::int4[], $4::text[]) WITH ORDINALITY AS k (queue, kind, priority, share, n)",
	4, {TEXTARRAYOID, CHARARRAYOID, INT4ARRAYOID, TEXTARRAYOID}
};

typedef struct NewRow
{
	const TaskRow *task;
	const char *share;
	char		kind;
	int			n;				/* its place in the list */
	int64		round;
}			NewRow;

static void find_rounds(NewRow * rows, int nrows);
static int	compare_keys(const NewRow * one, const NewRow * other);
static int	compare_rows(const void *one, const void *other);
static void write_row(DurableWriter *writer, const NewRow * row, Oid owner);
static char kind_of(const TaskRow *task);

void
durable_queued_insert(Oid owner, List *tasks)
{
	int			nrows = list_length(tasks);
	NewRow	   *rows = palloc(Max(nrows, 1) * sizeof(NewRow));
	const char *user = GetUserNameFromId(owner, false);
	const NewRow *woken = NULL;
	bool		any_sql = false;
	DurableWriter *writer;

	for (int i = 0; i < nrows; i++)
	{
		const TaskRow *task = list_nth(tasks, i);

		rows[i] = (NewRow) {
			.task = task, .share = task->share ? task->share : user, .kind = kind_of(task), .n = i
		};
	}
	find_rounds(rows, nrows);

	writer = durable_writer_open(&writable);
	for (int i = 0; i < nrows; i++)
	{
		const NewRow *row = &rows[i];

		write_row(writer, row, owner);
		any_sql |= row->kind == QUEUED_SQL;
		if (row->kind != QUEUED_SQL &&
			(woken == NULL || row->kind != woken->kind || strcmp(row->task->queue, woken->task->queue) != 0))
		{
			durable_queue_wake_kind(row->task->queue, row->kind);
			woken = row;
		}
	}
	durable_writer_close(writer);
	if (any_sql)
		durable_wakeup_admission();	/* the coordinator starts them */
}

/* Rows of one key get consecutive rounds, in the order of the list. */
static void
find_rounds(NewRow * rows, int nrows)
{
	static const Oid types[] = {TEXTOID, CHAROID, INT4OID, TEXTOID, InvalidOid};
	NewRow	  **sorted = palloc(Max(nrows, 1) * sizeof(NewRow *));
	NewRow	  **first = palloc(Max(nrows, 1) * sizeof(NewRow *));
	Columns    *columns;
	Datum		values[4];
	int			nkeys = 0;

	for (int i = 0; i < nrows; i++)
		sorted[i] = &rows[i];
	qsort(sorted, nrows, sizeof(NewRow *), compare_rows);
	for (int i = 0; i < nrows; i++)
		if (i == 0 || compare_keys(sorted[i - 1], sorted[i]) != 0)
			first[nkeys++] = sorted[i];

	columns = durable_columns_create(nkeys, types);
	for (int i = 0; i < nkeys; i++)
	{
		durable_columns_set_text(columns, i, 0, first[i]->task->queue);
		durable_columns_set(columns, i, 1, CharGetDatum(first[i]->kind));
		durable_columns_set(columns, i, 2, Int32GetDatum(first[i]->task->priority));
		durable_columns_set_text(columns, i, 3, first[i]->share);
	}
	durable_columns_arrays(columns, values);
	durable_sql_connect();
	durable_sql_run(&next_rounds, values, NULL, false, 0);
	for (int i = 0; i < nkeys; i++)
		first[durable_sql_int4(i, 1) - 1]->round = durable_sql_int8(i, 2);
	durable_sql_finish();

	for (int i = 1; i < nrows; i++)
		if (compare_keys(sorted[i - 1], sorted[i]) == 0)
			sorted[i]->round = sorted[i - 1]->round + 1;
}

static int
compare_keys(const NewRow * one, const NewRow * other)
{
	int			result = strcmp(one->task->queue, other->task->queue);

	if (result == 0)
		result = (int) one->kind - (int) other->kind;
	if (result == 0 && one->task->priority != other->task->priority)
		result = one->task->priority < other->task->priority ? -1 : 1;
	return result != 0 ? result : strcmp(one->share, other->share);
}

static int
compare_rows(const void *one, const void *other)
{
	const NewRow *left = *(NewRow *const *) one;
	const NewRow *right = *(NewRow *const *) other;
	int			result = compare_keys(left, right);

	return result != 0 ? result : left->n - right->n;
}

static void
write_row(DurableWriter *writer, const NewRow * row, Oid owner)
{
	const TaskRow *task = row->task;

	durable_writer_set(writer, QUEUED_COLUMN_ID, Int64GetDatum(durable_writer_next(writer)));
	durable_writer_set(writer, QUEUED_COLUMN_KEY, Int64GetDatum(task->key));
	durable_writer_set(writer, QUEUED_COLUMN_AT, TimestampTzGetDatum(task->run_at));
	durable_writer_set(writer, QUEUED_COLUMN_SCHEDULED_AT, TimestampTzGetDatum(task->scheduled_at));
	durable_writer_set(writer, QUEUED_COLUMN_ROUND, Int64GetDatum(row->round));
	durable_writer_set(writer, QUEUED_COLUMN_OWNER, ObjectIdGetDatum(owner));
	durable_writer_set(writer, QUEUED_COLUMN_EXECUTION, Int32GetDatum(task->execution));
	durable_writer_set(writer, QUEUED_COLUMN_TASK, Int32GetDatum(task->task));
	durable_writer_set(writer, QUEUED_COLUMN_ATTEMPT, Int32GetDatum(task->attempt));
	durable_writer_set(writer, QUEUED_COLUMN_PRIORITY, Int32GetDatum(task->priority));
	durable_writer_set(writer, QUEUED_COLUMN_STATE,
					   CharGetDatum(task->run_at > task->scheduled_at ? QUEUED_DELAYED : QUEUED_READY));
	durable_writer_set(writer, QUEUED_COLUMN_KIND, CharGetDatum(row->kind));
	durable_writer_set_text(writer, QUEUED_COLUMN_QUEUE, task->queue);
	durable_writer_set_text(writer, QUEUED_COLUMN_SHARE, row->share);
	durable_writer_set_text(writer, QUEUED_COLUMN_NAME, task->name);
	durable_writer_set_text(writer, QUEUED_COLUMN_HANDLER, task->handler);
	durable_writer_set_jsonb(writer, QUEUED_COLUMN_INPUT, task->input);
	durable_writer_set_jsonb(writer, QUEUED_COLUMN_RETRY, task->retry);
	if (task->timeout_us > 0)
	{
		Interval   *timeout = palloc0(sizeof(Interval));

		timeout->time = task->timeout_us;
		durable_writer_set(writer, QUEUED_COLUMN_TIMEOUT, IntervalPGetDatum(timeout));
	}
	durable_writer_set_jsonb(writer, QUEUED_COLUMN_LAST_FAILURE, task->last_failure);
	durable_writer_set_jsonb(writer, QUEUED_COLUMN_CALL, task->call);
	durable_writer_set(writer, QUEUED_COLUMN_CRASHES,
					   Int16GetDatum(row->kind == QUEUED_SQL ? task->crashes : 0));
	durable_writer_insert(writer);
}

static char
kind_of(const TaskRow *task)
{
	if (task->handler != NULL)
		return QUEUED_SQL;
	if (task->key >= DURABLE_FIRST_ENTITY_KEY)
		return QUEUED_BATCH;
	return task->task == 0 ? QUEUED_TURN : QUEUED_EXTERNAL;
}

void
durable_queued_check_table(void)
{
	durable_writer_check(&writable, true);
}
