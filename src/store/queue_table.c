/*-------------------------------------------------------------------------
 *
 * queue_table.c
 *		The table durable.queue: queues and their limits.
 *
 * Limits apply to all workers together.  A transaction that takes work from a queue
 * with a limit locks the queue's row first, counts the leased tasks with a snapshot
 * taken after that, and keeps the lock until the commit.  So the limits are exact.  A
 * queue without limits is not locked.
 *
 * A rate of n in a period holds for every interval of that length, wherever it begins:
 * the row contains the number of starts in each twentieth of the period, and the number of
 * new starts is limited to the rate minus the starts of the last twenty parts and of
 * the current one.
 *
 * Owns:	durable.queue, together with queue_api.c, which changes the limits
 * Called by: lease.c, work_*.c, queue_api.c, queued_table.c, queued_insert.c
 * Locks:	the queue's row, FOR NO KEY UPDATE SKIP LOCKED
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "columns.h"
#include "queue_table.h"
#include "queued_table.h"
#include "retry.h"
#include "sql.h"
#include "wakeup.h"

#define QUEUE_COLUMNS \
	"name, owner, concurrency, rate, per, key_concurrency, is_paused, starts, starts_at"

static DurableSql read_queue = {
	"SELECT " QUEUE_COLUMNS " FROM durable.queue WHERE name = $1",
	1, {TEXTOID}
};

static DurableSql lock_queue = {
	"SELECT " QUEUE_COLUMNS " FROM durable.queue WHERE name = $1 FOR NO KEY UPDATE SKIP LOCKED",
	1, {TEXTOID}
};

static DurableSql store_starts = {
	"UPDATE durable.queue SET starts = $2, starts_at = $3 WHERE name = $1",
	3, {TEXTOID, INT4ARRAYOID, TIMESTAMPTZOID}
};

static bool read_row(DurableSql *sql, const char *name, QueueRow *queue);
static int	read_limit(int column);
static int64 part_us(const QueueRow *queue);
static void read_starts(QueueRow *queue);
static void move_on(QueueRow *queue, TimestampTz now);

bool
durable_queue_read(const char *name, QueueRow *queue)
{
	return read_row(&read_queue, name, queue);
}

bool
durable_queue_lock(const char *name, QueueRow *queue)
{
	return read_row(&lock_queue, name, queue);
}

static bool
read_row(DurableSql *sql, const char *name, QueueRow *queue)
{
	Datum		values[1] = {CStringGetTextDatum(name)};
	bool		isnull;
	Datum		per;

	memset(queue, 0, sizeof(QueueRow));
	queue->name = pstrdup(name);
	durable_sql_connect();
	if (durable_sql_run(sql, values, NULL, false, 0) == 0)
	{
		durable_sql_finish();
		return false;
	}
	queue->owner = durable_sql_oid(0, 2);
	queue->concurrency = read_limit(3);
	queue->rate = read_limit(4);
	per = durable_sql_datum(0, 5, &isnull);
	queue->per_us = isnull ? USECS_PER_SEC : durable_retry_interval_us(DatumGetIntervalP(per));
	queue->key_concurrency = read_limit(6);
	queue->is_paused = DatumGetBool(durable_sql_datum(0, 7, &isnull));
	read_starts(queue);
	durable_sql_finish();
	return true;
}

static int
read_limit(int column)
{
	bool		isnull;
	Datum		value = durable_sql_datum(0, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

bool
durable_queue_is_limited(const QueueRow *queue)
{
	return queue->concurrency > 0 || queue->rate > 0 || queue->key_concurrency > 0;
}

/* --- rates --------------------------------------------------------------------------------- */

static int64
part_us(const QueueRow *queue)
{
	return Max(queue->per_us / QUEUE_PARTS, 1);
}

/* Starts that were counted with another period than the present one are ignored. */
static void
read_starts(QueueRow *queue)
{
	bool		isnull;
	Datum		array = durable_sql_datum(0, 8, &isnull);
	TimestampTz newest;
	Datum	   *elements;
	int			n;

	if (queue->rate == 0 || isnull)
		return;
	newest = durable_sql_timestamptz(0, 9, &isnull);
	deconstruct_array(DatumGetArrayTypeP(array), INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, NULL, &n);
	if (isnull || n != QUEUE_PARTS + 1)
		return;
	for (int i = 0; i < n; i++)
		queue->starts[i] = DatumGetInt32(elements[i]);
	queue->newest_part = newest / part_us(queue);
}

/* Removes the parts that are over, from the front.  If the clock was set back, no part is removed. */
static void
move_on(QueueRow *queue, TimestampTz now)
{
	int64		present = now / part_us(queue);
	int64		shift = present - queue->newest_part;

	if (shift <= 0)
		return;
	for (int i = 0; i <= QUEUE_PARTS; i++)
		queue->starts[i] = i + shift <= QUEUE_PARTS ? queue->starts[i + shift] : 0;
	queue->newest_part = present;
}

int
durable_queue_starts_left(QueueRow *queue, TimestampTz now, TimestampTz *next)
{
	int64		sum = 0;
	int			first = -1;

	*next = DT_NOEND;
	if (queue->rate == 0)
		return PG_INT32_MAX;
	move_on(queue, now);
	for (int i = 0; i <= QUEUE_PARTS; i++)
	{
		if (queue->starts[i] > 0 && first < 0)
			first = i;
		sum += queue->starts[i];
	}
	if (sum < queue->rate)
		return queue->rate - (int) sum;
	*next = (queue->newest_part + first + 1) * part_us(queue);
	return 0;
}

void
durable_queue_count_starts(QueueRow *queue, TimestampTz now, int n)
{
	Datum		counts[QUEUE_PARTS + 1];
	Datum		values[3];

	if (queue->rate == 0 || n == 0)
		return;
	move_on(queue, now);
	queue->starts[QUEUE_PARTS] += n;
	for (int i = 0; i <= QUEUE_PARTS; i++)
		counts[i] = Int32GetDatum(queue->starts[i]);
	values[0] = CStringGetTextDatum(queue->name);
	values[1] = durable_columns_array(counts, NULL, QUEUE_PARTS + 1, INT4OID);
	values[2] = TimestampTzGetDatum(queue->newest_part * part_us(queue));
	durable_sql_connect();
	durable_sql_run(&store_starts, values, NULL, false, 0);
	durable_sql_finish();
}

/* --- sessions that wait ---------------------------------------------------------------------- */

/*
 * Keys of instances are positive, so queues have negative numbers.  If two queues have the
 * same number, sessions of one are woken for the other, which is harmless.
 */
int64
durable_queue_waiter_key(const char *name, char kind)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) name, strlen(name), (uint64) kind);

	return -1 - (int64) (hash >> 1);
}

void
durable_queue_wake_kind(const char *name, char kind)
{
	durable_wakeup_finished(durable_queue_waiter_key(name, kind));
}

void
durable_queue_wake(const char *name)
{
	durable_queue_wake_kind(name, QUEUED_EXTERNAL);
	durable_queue_wake_kind(name, QUEUED_TURN);
	durable_queue_wake_kind(name, QUEUED_BATCH);
}
