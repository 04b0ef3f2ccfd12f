/*-------------------------------------------------------------------------
 *
 * batch_claim.c
 *		Finds messages and due timers for a batch, and locks their instances.
 *
 * Positions.  Rows of the inbox are inserted and deleted at one place of its index,
 * and while a transaction is open dead rows cannot be removed.  So scans do not start
 * at the beginning: the caller's UnitScan has the position from which on rows may
 * exist.  Producers lower it through shared memory at their commit, and a look at
 * everything every few seconds finds rows whose hint was lost.  An instance that
 * another process has locked is skipped, however many messages it has: if the process
 * is a worker, it was told of them as well.
 *
 * Owns:	the positions in UnitScan
 * Called by: unit.c; worker.c lowers the position of timers
 * Locks:	row locks of instances and entities, until the caller commits
 * Memory:	CurrentMemoryContext, which is the batch's; instance_table.c describes that of instances
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "portability/instr_time.h"

#include "batch_claim.h"
#include "clock.h"
#include "entity.h"
#include "json.h"

/* The largest numbers of instances and messages that one batch takes. */
#define BATCH_INSTANCES	50
#define BATCH_MESSAGES	64

static List *read_inbox(Batch * batch, UnitScan *scan, int64 *from, int nparts, int limit);
static void look_from(UnitScan *scan, int64 key);
static List *messages_of(List *messages, int64 key);
static List *read_messages(Batch * batch, UnitScan *scan, int limit, bool *full);
static List *group_by_instance(List *messages, int limit, int64 *first_left,
							   Message **timer_left);
static void pass_over(UnitScan *scan, List *works, const Message *timer_left);
static void lock_instances(Batch * batch, List *works);
static void discard_orphans(Batch * batch, List *works);
static void answer_parent(Batch * batch, const Message *rewind);
static int	compare_messages(const ListCell *a, const ListCell *b);

List *
durable_claim_work(Batch * batch, UnitScan *scan, bool *full)
{
	int			limit = scan->solo ? 1 : BATCH_INSTANCES;
	List	   *messages = read_messages(batch, scan, BATCH_MESSAGES, full);
	List	   *works;
	List	   *claimed = NIL;
	List	   *taken = NIL;
	ListCell   *cell;
	int64		first_left;
	Message    *timer_left;

	if (scan->only_key != 0)
		messages = messages_of(messages, scan->only_key);
	works = group_by_instance(messages, limit, &first_left, &timer_left);
	look_from(scan, first_left);
	if (timer_left != NULL)
		durable_unit_timers_from(scan, timer_left->at, timer_left->key);
	*full |= first_left != PG_INT64_MAX || timer_left != NULL;
	scan->passed_over = false;
	if (works == NIL)
		return NIL;

	lock_instances(batch, works);

	/* The previous units of these instances may have begun later than this one, and time must not go back. */
	batch->clock = Max(batch->clock, durable_clock_now());
	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);

		if (work->instance != NULL || work->is_claimed)
			taken = list_concat(taken, work->messages);
	}
	durable_inbox_check_live(taken);
	durable_timer_check_live(taken);

	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);
		ListCell   *inner;

		if (work->instance == NULL && !work->is_claimed)
			continue;
		foreach(inner, work->messages)
			if (!((Message *) lfirst(inner))->live)
				work->messages = foreach_delete_current(work->messages, inner);
		if (work->messages == NIL)
			continue;
		list_sort(work->messages, compare_messages);
		claimed = lappend(claimed, work);
	}
	discard_orphans(batch, works);
	scan->passed_over = claimed == NIL && *full;
	if (scan->passed_over)
		pass_over(scan, works, timer_left);
	return claimed;
}

/*
 * Reads messages and due timers, and notes where the next scan starts.  A worker takes
 * instances of its own part first.  If that part has little work, it takes any instance.
 */
static List *
read_messages(Batch * batch, UnitScan *scan, int limit, bool *full)
{
	List	   *messages = NIL;
	List	   *timers;
	bool		part_is_over = true;

	if (scan->hinted != NULL)
	{
		messages = durable_inbox_read_keys(batch->owner, scan->hinted, scan->nhinted, limit);
		*full = list_length(messages) >= limit;
		if (*full)
			look_from(scan, ((Message *) llast(messages))->key);
	}
	else if (scan->nparts > 1 && scan->part_from != PG_INT64_MAX)
	{
		messages = read_inbox(batch, scan, &scan->part_from, scan->nparts, limit);
		*full = list_length(messages) >= limit / 4;
		part_is_over = scan->part_from == PG_INT64_MAX;
	}
	if (scan->inbox_from != PG_INT64_MAX && part_is_over && !*full)
	{
		messages = read_inbox(batch, scan, &scan->inbox_from, 1, limit);
		*full = list_length(messages) >= limit;
	}

	if (scan->timer_due <= batch->clock)
	{
		timers = durable_timer_read(batch->owner, scan->timer_due,
									scan->timer_due == scan->passed_due ?
									scan->passed_key : PG_INT64_MIN, batch->clock, limit);
		if (list_length(timers) == limit)
		{
			Message    *first = linitial(timers);

			scan->timer_due = DT_NOEND;
			durable_unit_timers_from(scan, first->at, first->key);
			*full = true;
		}
		else
			scan->timer_due = durable_timer_next(batch->owner, batch->clock);
		messages = list_concat(messages, timers);
	}
	return messages;
}

static List *
messages_of(List *messages, int64 key)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, messages)
		if (((Message *) lfirst(cell))->key == key)
			result = lappend(result, lfirst(cell));
	return result;
}

/*
 * Scans from that position, and moves it.  Also notes how long the scan took: mostly a
 * walk over dead rows that cannot be removed yet.
 */
static List *
read_inbox(Batch * batch, UnitScan *scan, int64 *from, int nparts, int limit)
{
	instr_time	start;
	instr_time	end;
	List	   *messages;

	INSTR_TIME_SET_CURRENT(start);
	messages = durable_inbox_read(batch->owner, from, scan->part, nparts, limit, scan->remains_us);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	scan->walked_us += INSTR_TIME_GET_MICROSEC(end);
	return messages;
}

/*
 * Notes the position of a timer, in the order of time and instance.  If it is before the
 * position up to which timers were skipped, the latter is discarded.
 */
void
durable_unit_timers_from(UnitScan *scan, TimestampTz due, int64 key)
{
	scan->timer_due = Min(scan->timer_due, due);
	if (due < scan->passed_due || (due == scan->passed_due && key < scan->passed_key))
		scan->passed_due = DT_NOBEGIN;
}

/* There may be messages from that key on. */
static void
look_from(UnitScan *scan, int64 key)
{
	scan->inbox_from = Min(scan->inbox_from, key);
	scan->part_from = Min(scan->part_from, key);
}

/*
 * All rows that could be read at once belong to instances that could not be locked.
 * Moves the position past them, because otherwise the next scan would read the same rows.
 * Timers are skipped in the order of time and instance, because thousands may be due at
 * the same moment.
 */
static void
pass_over(UnitScan *scan, List *works, const Message *timer_left)
{
	ListCell   *cell;
	TimestampTz due = DT_NOBEGIN;
	int64		key = 0;

	foreach(cell, works)
	{
		ListCell   *inner;

		foreach(inner, ((Work *) lfirst(cell))->messages)
		{
			Message    *message = lfirst(inner);

			if (message->kind == MESSAGE_TIMER)
			{
				if (message->at > due || (message->at == due && message->key >= key))
				{
					due = message->at;
					key = message->key + 1;
				}
			}
			else
			{
				scan->part_from = Max(scan->part_from, message->key + 1);
				if (scan->inbox_from == message->key)
					scan->inbox_from = message->key + 1;
			}
		}
	}

	/* A timer that found no place in the batch may be due before the last one that did. */
	if (timer_left != NULL)
	{
		due = timer_left->at;
		key = timer_left->key;
	}
	if (due != DT_NOBEGIN && scan->timer_due <= due)
	{
		scan->timer_due = scan->passed_due = due;
		scan->passed_key = key;
	}
}

/*
 * Messages are ordered by instance, timers are not.  first_left is the smallest key for
 * which the batch had no place.  timer_left is the earliest such timer, or NULL.
 */
static List *
group_by_instance(List *messages, int limit, int64 *first_left, Message **timer_left)
{
	List	   *works = NIL;
	ListCell   *cell;

	*first_left = PG_INT64_MAX;
	*timer_left = NULL;
	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);
		Work	   *work = works == NIL ? NULL : llast(works);

		if (work == NULL || work->key != message->key)
		{
			ListCell   *inner;

			work = NULL;
			if (message->kind == MESSAGE_TIMER)
				foreach(inner, works)
					if (((Work *) lfirst(inner))->key == message->key)
						work = lfirst(inner);
		}
		if (work == NULL)
		{
			if (list_length(works) >= limit)
			{
				if (message->kind != MESSAGE_TIMER)
					*first_left = Min(*first_left, message->key);
				else if (*timer_left == NULL)
					*timer_left = message;
				continue;
			}
			work = palloc0(sizeof(Work));
			work->key = message->key;
			work->is_entity = DURABLE_IS_ENTITY_KEY(message->key);
			works = lappend(works, work);
		}
		work->messages = lappend(work->messages, message);
	}
	return works;
}

static void
lock_instances(Batch * batch, List *works)
{
	int64	   *keys = palloc(list_length(works) * sizeof(int64));
	int			nkeys = 0;
	ListCell   *cell;
	List	   *instances;

	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);

		if (work->is_entity)
			work->is_claimed = durable_entities_claim(batch, work->key, work->messages);
		else
			keys[nkeys++] = work->key;
	}
	instances = durable_instance_lock(batch->owner, keys, nkeys, batch->context);
	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);
		ListCell   *inner;

		foreach(inner, instances)
			if (((Instance *) lfirst(inner))->key == work->key)
				work->instance = lfirst(inner);
	}
}

/*
 * Deletes messages that were committed after their instance had been purged.  Otherwise
 * they would stay, because no unit can lock an instance that does not exist.
 */
static void
discard_orphans(Batch * batch, List *works)
{
	List	   *messages = NIL;
	ListCell   *cell;

	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);

		if (work->instance == NULL && !work->is_entity)
			messages = list_concat(messages, work->messages);
	}
	if (messages == NIL)
		return;
	foreach(cell, durable_inbox_delete_orphans(messages))
		answer_parent(batch, lfirst(cell));
	durable_timer_delete_orphans(messages);
}

/* The parent has taken back the failure of a sub-orchestration, which was purged before it was rewound. */
static void
answer_parent(Batch * batch, const Message *rewind)
{
	char	   *message = psprintf("sub-orchestration \"%s\" was purged before it was rewound", rewind->name);

	durable_batch_send(batch, rewind->sender, MESSAGE_FAILED, rewind->execution, rewind->task,
					   Max(rewind->attempt, 1), NULL,
					   durable_json_make_failure(ERRCODE_DURABLE_NO_INSTANCE, message));
}

void
durable_claim_leave(UnitScan *scan, Work * work)
{
	ListCell   *cell;

	foreach(cell, work->messages)
	{
		Message    *message = lfirst(cell);

		if (message->kind == MESSAGE_TIMER)
			durable_unit_timers_from(scan, message->at, message->key);
		else
			look_from(scan, message->key);
	}
}

/*
 * The chronological order.  Messages of one sender keep their order: they
 * carry the time of the sender's statement, and ids break ties.
 */
static int
compare_messages(const ListCell *a, const ListCell *b)
{
	const Message *x = lfirst(a);
	const Message *y = lfirst(b);

	if (x->kind != MESSAGE_TIMER && y->kind != MESSAGE_TIMER)
		return x->id < y->id ? -1 : x->id > y->id;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind == MESSAGE_TIMER ? 1 : -1;
	return x->task - y->task;
}
