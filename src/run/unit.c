/*-------------------------------------------------------------------------
 *
 * unit.c
 *		The batch: the unit of work that runs orchestrations.
 *
 * One transaction claims up to BATCH_INSTANCES runnable instances of one owner
 * with their messages and due timers, runs each until it waits, and writes
 * everything with one statement for each table.  docs/design.md describes the effects of
 * a crash at each point.  Messages for entities are found in the same inbox, and
 * taken in the same batch (entity_batch.c).
 *
 * Positions.  Rows of the inbox are inserted and deleted at one place of its index,
 * and while a transaction is open dead rows cannot be removed.  So scans do not start
 * at the beginning: the caller's UnitScan has the position from which on rows may
 * exist.  Producers lower it through shared memory at their commit, and a look at
 * everything every few seconds finds rows whose hint was lost.  An instance that
 * another process has locked is skipped, however many messages it has: if the process
 * is a worker, it was told of them as well.
 *
 * Called by: worker.c, testing_api.c
 * Locks:	row locks of instances, until the caller commits
 * Memory:	a context of its own in the caller's, deleted at the end
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "batch.h"
#include "clock.h"
#include "entity.h"
#include "execution.h"
#include "failpoint.h"
#include "flight.h"
#include "guc.h"
#include "instance.h"
#include "recall.h"
#include "rewind.h"
#include "slot.h"
#include "suspect.h"
#include "unit.h"

/* Instances and messages that one batch takes. */
#define BATCH_INSTANCES	50
#define BATCH_MESSAGES	64

typedef struct Work
{
	int64		key;
	Instance   *instance;		/* NULL: it could not be locked, or */
	bool		is_entity;		/* these are an entity's messages */
	bool		is_claimed;		/* entity: it could be locked */
	bool		runs_alone;		/* entity: its operation may take long */
	List	   *messages;		/* in order of time */
}			Work;

static bool is_loaded(const Instance *instance);
static List *read_inbox(Batch * batch, UnitScan *scan, int64 *from, int nparts, int limit);
static void look_from(UnitScan *scan, int64 key);
static List *messages_of(List *messages, int64 key);
static List *claim(Batch * batch, UnitScan *scan, bool *full);
static List *read_messages(Batch * batch, UnitScan *scan, int limit, bool *full);
static List *group_by_instance(List *messages, int limit, int64 *first_left,
							   Message **timer_left);
static void pass_over(UnitScan *scan, List *works, const Message *timer_left);
static void attach_instances(Batch * batch, List *work);
static void discard_orphans(Batch * batch, List *works);
static void leave_for_later(UnitScan *scan, Work * work);
static int	compare_messages(const ListCell *a, const ListCell *b);
static void note_suspect(UnitScan *scan, Work * work);
static void look_again(UnitScan *scan, int64 key);
static bool may_run(Batch * batch, Work * work, bool blamed);
static void run_work(Batch * batch, Work * work);
static List *alone_first(Batch * batch, List *works);
static bool run_entity(Batch * batch, UnitScan *scan, Work * work);
static bool may_run_entity(UnitScan *scan, Work * work);

/*
 * Runs an instance that has ended its process or the server before: alone, and with its
 * activities as tasks, so that its next failure can be told from those of others.
 */
UnitResult
durable_unit_suspect(Oid owner, UnitScan *scan)
{
	UnitScan	only = {scan->suspect_key, scan->suspect_key, scan->suspect_due, DT_NOEND, 0, 1, true};

	only.only_key = scan->suspect_key;
	return durable_unit_batch(owner, &only);
}

UnitResult
durable_unit_batch(Oid owner, UnitScan *scan)
{
	MemoryContext old = CurrentMemoryContext;
	Batch	   *batch = durable_batch_create(owner, durable_clock_now());
	List	   *works;
	List	   *loaded = NIL;
	ListCell   *cell;
	bool		full = false;
	bool		found;
	Work	   *solo = NULL;

	MemoryContextSwitchTo(batch->context);
	batch->cautious = scan->only_key != 0;
	works = claim(batch, scan, &full);
	found = works != NIL;
	if (found)
		durable_failpoint_pass(FAILPOINT_BATCH_CLAIMED);

	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);

		if (work->is_entity)
			continue;
		if (!STATUS_IS_FINISHED(work->instance->status) ||
			durable_rewind_wants(work->instance, work->messages))
			loaded = lappend(loaded, work->instance);
	}
	durable_batch_load_history(loaded);
	works = alone_first(batch, works);

	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (durable_batch_exhausted(batch) || (!work->is_entity && !is_loaded(work->instance)))
		{
			/* The rest stays in the inbox. */
			leave_for_later(scan, work);
			full = true;
			continue;
		}
		if (durable_report_holds_instance(work->key))
			continue;			/* the coordinator that counts it tells us to look at everything */
		if (work->is_entity)
		{
			if (run_entity(batch, scan, work))
				full = true;
			continue;
		}
		if (work->instance->crashes > 0 && scan->only_key == 0 &&
			!STATUS_IS_FINISHED(work->instance->status))
		{
			note_suspect(scan, work);
			continue;
		}
		if (scan->solo || durable_suspect_condemned(work->key))
		{
			if (!may_run(batch, work, scan->only_key != 0))
			{
				look_again(scan, work->key);
				continue;
			}
			solo = work;
		}
		run_work(batch, work);
		if (scan->only_key != 0 && batch->new_tasks == NIL && batch->new_queued == NIL && batch->outbox == NIL &&
			!work->instance->put_off)
			work->instance->crashes = 0;	/* it has passed the point of its last failure */
	}

	durable_batch_store(batch);
	durable_recall_keep(batch->changed);
	durable_slot_count(batch->turns, batch->activities);
	if (solo != NULL)
		durable_suspect_leave(solo->key);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch->context);
	return full ? UNIT_FULL : found ? UNIT_SOME : UNIT_NOTHING;
}

static bool
is_loaded(const Instance *instance)
{
	return instance->replay.nevents == instance->stored_events || STATUS_IS_FINISHED(instance->status);
}

/* Locked instances that still have messages. */
static List *
claim(Batch * batch, UnitScan *scan, bool *full)
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

	attach_instances(batch, works);

	/* The previous unit may have begun later than this one, and time must not go back. */
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
 * its own part of the instances first, and when that has little work, any instance.
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

/* There are messages from that key on. */
static void
look_from(UnitScan *scan, int64 key)
{
	scan->inbox_from = Min(scan->inbox_from, key);
	scan->part_from = Min(scan->part_from, key);
}

/*
 * All rows that could be read at once belong to instances that could not be locked:
 * without this the next scan would read the same rows.  Timers are skipped in
 * the order of time and instance, since thousands may be due at the same moment.
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
 * Messages are ordered by instance, timers are not.  first_left is the smallest
 * key that found no place, timer_left the earliest timer that found none, or NULL.
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
attach_instances(Batch * batch, List *works)
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
 * Deletes messages that were committed after their instance had been purged.  No unit
 * can lock it, so no unit would ever take them.
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
	if (messages != NIL)
	{
		durable_inbox_delete_orphans(messages);
		durable_timer_delete_orphans(messages);
	}
}

/* This unit has read the messages, but another unit shall take them. */
static void
leave_for_later(UnitScan *scan, Work * work)
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

/* A batch leaves one suspect for the next unit; the others are found after that has run. */
static void
note_suspect(UnitScan *scan, Work * work)
{
	ListCell   *cell;

	if (durable_suspect_not_before(work->key) > durable_clock_now())
	{
		look_again(scan, work->key);
		return;
	}
	if (scan->suspect_key != 0)
		return;
	scan->suspect_key = work->key;
	scan->suspect_due = DT_NOEND;
	foreach(cell, work->messages)
	{
		Message    *message = lfirst(cell);

		if (message->kind == MESSAGE_TIMER)
			scan->suspect_due = Min(scan->suspect_due, message->at);
	}
}

/* The positions move on past an instance that is held until a certain time. */
static void
look_again(UnitScan *scan, int64 key)
{
	TimestampTz at = durable_suspect_not_before(key);

	if (at != DT_NOBEGIN && (scan->look_again == 0 || at < scan->look_again))
		scan->look_again = at;
}

/*
 * Solo mode: a worker was lost in a unit.  Notes the instance before it runs, so
 * that the next worker knows, and parks it when that has happened too often.
 * blamed: whether its code has ended a process or the server.  The count starts again
 * when it is resumed.
 */
static bool
may_run(Batch * batch, Work * work, bool blamed)
{
	const char *reason;

	if (blamed && work->instance->status == STATUS_SUSPENDED)
		work->instance->crashes = 0;

	if (durable_suspect_condemned(work->key))
		reason = "its orchestration caught the error raised at durable.turn_timeout and continued to run";
	else if (durable_suspect_not_before(work->key) > batch->clock)
		return false;
	else if (blamed && !durable_blame_convicts(work->instance->crashes))
		return true;
	else if (blamed)
		reason = "its process or the server repeatedly terminated while it ran";
	else if (durable_suspect_enter(work->key) <= DURABLE_MAX_LOST)
		return true;
	else
		reason = psprintf("its worker was lost %d times in a row while it ran", DURABLE_MAX_LOST);

	if (!STATUS_IS_FINISHED(work->instance->status) &&
		work->instance->status != STATUS_SUSPENDED)
	{
		durable_execution_park(batch, work->instance, reason);
		batch->changed = lappend(batch->changed, work->instance);
	}
	durable_suspect_leave(work->key);	/* the count starts again when it is resumed */
	work->instance->crashes = 0;
	batch->closed = true;		/* the next code may end the worker, and this change would be lost */
	return false;
}

static void
run_work(Batch * batch, Work * work)
{
	batch->consumed = list_concat(batch->consumed, work->messages);
	if (STATUS_IS_FINISHED(work->instance->status) &&
		!durable_rewind_wants(work->instance, work->messages))
	{
		ListCell   *cell;

		/* The instance has ended: messages are deleted, and events are counted as dropped. */
		foreach(cell, work->messages)
			if (((Message *) lfirst(cell))->kind == MESSAGE_EVENT)
				durable_instance_drop_event(batch, work->instance, lfirst(cell));
		if (work->instance->dropped != NIL)
			batch->late = lappend(batch->late, work->instance);
		return;
	}
	durable_execution_run(batch, work->instance, work->messages);
	batch->changed = lappend(batch->changed, work->instance);
}

/* An entity whose operation may take long comes first, and run_entity() lets nothing run after it. */
static List *
alone_first(Batch * batch, List *works)
{
	ListCell   *cell;

	foreach(cell, works)
	{
		Work	   *work = lfirst(cell);

		if (work->is_entity && durable_entities_run_alone(batch, work->key, work->messages))
		{
			work->runs_alone = true;
			return lcons(work, list_delete_ptr(works, work));
		}
	}
	return works;
}

/* Returns whether some of its messages are left. */
static bool
run_entity(Batch * batch, UnitScan *scan, Work * work)
{
	if (scan->solo && !may_run_entity(scan, work))
		return false;
	switch (durable_entities_take(batch, work->key, work->messages, scan->only_key != 0))
	{
		case ENTITY_WORK_DONE:
			break;
		case ENTITY_WORK_LEFT:
			leave_for_later(scan, work);
			return true;
		case ENTITY_WORK_SUSPECT:
			note_suspect(scan, work);
			break;
	}
	if (scan->solo)
		durable_suspect_leave(work->key);
	batch->closed |= work->runs_alone;
	return false;
}

/* Solo mode: a worker was lost in a unit.  An entity that has cost too many waits for a while. */
static bool
may_run_entity(UnitScan *scan, Work * work)
{
	if (durable_suspect_not_before(work->key) <= durable_clock_now())
	{
		if (durable_suspect_enter(work->key) <= DURABLE_MAX_LOST)
			return true;
		durable_suspect_leave(work->key);
		durable_suspect_hold(work->key, durable_clock_now() + USECS_PER_MINUTE);
	}
	look_again(scan, work->key);
	return false;
}

bool
durable_blame_convicts(int crashes)
{
	return crashes >= durable_max_crashes * FLIGHT_CRASH;
}
