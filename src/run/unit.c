/*-------------------------------------------------------------------------
 *
 * unit.c
 *		The batch: the unit of work that runs orchestrations.
 *
 * One transaction claims runnable instances of one owner with their messages and due
 * timers (batch_claim.c), runs each until it waits, and writes everything with one
 * statement for each table (batch_store.c).  docs/design.md describes the effects of a
 * crash at each point.  Messages for entities are found in the same inbox, and taken in
 * the same batch (entity_batch.c).
 *
 * Owns:	the order in which a batch runs its instances, and solo mode
 * Called by: worker.c, testing_api.c
 * Locks:	row locks of instances, until the caller commits
 * Memory:	a context of its own in the caller's, deleted at the end
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "batch_claim.h"
#include "clock.h"
#include "entity.h"
#include "execution.h"
#include "failpoint.h"
#include "flight.h"
#include "instance.h"
#include "recall.h"
#include "rewind.h"
#include "slot.h"
#include "suspect.h"
#include "task_table.h"
#include "unit.h"

static bool is_loaded(const Instance *instance);
static void note_suspect(UnitScan *scan, Work * work);
static void look_again(UnitScan *scan, int64 key);
static bool may_run(Batch * batch, Work * work, bool blamed);
static void run_work(Batch * batch, Work * work);
static List *alone_first(Batch * batch, List *works);
static bool has_passed_failure(const Batch * batch, const Instance *instance);
static bool run_entity(Batch * batch, UnitScan *scan, Work * work);
static bool may_run_entity(UnitScan *scan, Work * work);
static bool only_queued(const Batch * batch, const UnitScan *scan);

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
	works = durable_claim_work(batch, scan, &full);
	found = works != NIL || batch->outbox != NIL;	/* messages of purged instances may have been answered */
	if (works != NIL)
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
			/* The other messages stay in the inbox. */
			durable_claim_leave(scan, work);
			full = true;
			continue;
		}
		if (durable_report_holds_instance(work->key))
			continue;			/* after the count, the coordinator makes workers look at everything */
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
		if (scan->only_key != 0 && has_passed_failure(batch, work->instance))
			work->instance->crashes = 0;
	}

	durable_batch_store(batch);
	durable_recall_keep(batch->changed);
	durable_slot_count(batch->turns, batch->activities);
	if (solo != NULL)
		durable_suspect_leave(solo->key);

	scan->only_queued = only_queued(batch, scan);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(batch->context);
	return full ? UNIT_FULL : found ? UNIT_SOME : UNIT_NOTHING;
}

static bool
is_loaded(const Instance *instance)
{
	return instance->replay.nevents == instance->stored_events || STATUS_IS_FINISHED(instance->status);
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

/* Has the scan look for any work at that time, because the positions move past an instance that is held until then. */
static void
look_again(UnitScan *scan, int64 key)
{
	TimestampTz at = durable_suspect_not_before(key);

	if (at != DT_NOBEGIN && (scan->look_again == 0 || at < scan->look_again))
		scan->look_again = at;
}

/*
 * Solo mode: a worker was lost in a unit.  Notes the instance before it runs, for the
 * next worker, and suspends it if too many workers have been lost while it ran.  The
 * count starts again when the instance is resumed.
 * blamed: whether its code has ended a process or the server.
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
	else if (blamed && !durable_suspect_convicts(work->instance->crashes))
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
	durable_suspect_leave(work->key);
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

/* An entity whose operation may take long comes first, and run_entity() closes the batch after it. */
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

/*
 * Has a suspect passed the point at which its code ended its process?  Not if one of its
 * activities has the count, or if an operation that would otherwise have run in this batch
 * is still to be run by a batch of the entity, or if it may not have come to that point again
 * since the crash.  An instance that has ended has passed it.
 */
static bool
has_passed_failure(const Batch * batch, const Instance *instance)
{
	ListCell   *cell;

	if (STATUS_IS_FINISHED(instance->status))
		return true;
	if (instance->put_off || batch->new_tasks != NIL || batch->new_queued != NIL ||
		durable_task_has_count(instance->key))
		return false;
	foreach(cell, batch->outbox)
	{
		const Message *message = lfirst(cell);

		if (DURABLE_IS_ENTITY_KEY(message->key))
			return false;
	}
	return !durable_suspect_may_repeat();
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
			durable_claim_leave(scan, work);
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

/* Solo mode: a worker was lost in a unit.  An entity with which too many workers were lost waits for a while. */
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

/*
 * Has the batch done nothing but let instances run until they wait for work in a queue?  Then its
 * commit need not wait for the disk.  Nobody has been told of anything that a crash takes back: the
 * instances get the same messages again and call for the same work.  A worker gets the work from a
 * commit of its own session, which comes later in the log, and so the disk has this one before
 * the worker has the work.
 *
 * This does not hold for what clients see or act upon before a later commit: ends, results and
 * suspensions of instances, custom statuses, effects of SQL, other instances and messages to them.
 */
static bool
only_queued(const Batch * batch, const UnitScan *scan)
{
	ListCell   *cell;

	if (batch->new_queued == NIL || scan->solo || scan->only_key != 0 ||
		batch->activities > 0 || batch->writes > 0 || batch->entities != NULL ||
		batch->outbox != NIL || batch->new_tasks != NIL || batch->children != NIL || batch->sends != NIL ||
		batch->child_cancels != NIL || batch->gone_tasks != NIL || batch->closed_parents != NIL ||
		batch->late != NIL || batch->parked != NIL || batch->unparked != NIL)
		return false;
	foreach(cell, batch->changed)
	{
		const Instance *instance = lfirst(cell);

		if (instance->status != STATUS_RUNNING ||
			(instance->stored_status != STATUS_PENDING && instance->stored_status != STATUS_RUNNING) ||
			instance->custom_status != NULL || instance->had_custom_status || instance->discard_history)
			return false;
	}
	return true;
}
