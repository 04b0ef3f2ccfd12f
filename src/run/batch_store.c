/*-------------------------------------------------------------------------
 *
 * batch_store.c
 *		Writes the results of a unit of work, one table after the other.
 *
 * Called by: unit.c, task_unit.c; doctor_tables.c (durable_batch_check_tables)
 * Locks:	of the rows it writes; the caller has locked the instances
 * Memory:	batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "batch.h"
#include "entity.h"
#include "entity_table.h"
#include "failpoint.h"
#include "guc.h"
#include "finished.h"
#include "history_table.h"
#include "json.h"
#include "queued_table.h"
#include "quota.h"
#include "registry.h"
#include "sql.h"
#include "stats.h"
#include "tally.h"

static void store_rewinds(Batch * batch);
static void discard_histories(Batch * batch);
static void store_finished(Batch * batch);
static void count_end(const Instance *instance);
static void store_dropped(Batch * batch);
static void warn_of_length(Batch * batch);
static void hold_and_release(Batch * batch);

void
durable_batch_store(Batch * batch)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);

	durable_sql_connect();
	if (batch->children != NIL)
		durable_batch_store_children(batch);
	store_rewinds(batch);
	if (batch->gone_tasks != NIL)
		durable_batch_terminate(batch);	/* after the children: it may belong to a retry */
	if (batch->closed_parents != NIL)
		durable_batch_close(batch);
	if (batch->sends != NIL)
		durable_batch_store_sends(batch);
	if (batch->child_cancels != NIL)
		durable_batch_cancel_children(batch);	/* after the children: the target may be a new one */
	if (batch->changed != NIL)
	{
		discard_histories(batch);
		durable_history_insert(batch->changed);
		durable_failpoint_pass(FAILPOINT_HISTORY_WRITTEN);
		durable_instance_update(batch->changed, batch->clock);
		store_finished(batch);
	}
	store_dropped(batch);
	warn_of_length(batch);
	if (batch->entities != NULL)
		durable_entities_store(batch);
	if (batch->unparked != NIL)
		durable_operation_delete(batch->unparked);
	if (batch->parked != NIL)
		durable_operation_insert(batch->parked);
	durable_inbox_delete(batch->consumed);
	durable_timer_delete(batch->consumed);
	if (batch->gone_timers != NIL)
		durable_timer_cancel(batch->owner, batch->gone_timers);
	if (batch->new_timers != NIL)
		durable_timer_insert(batch->owner, batch->new_timers);
	if (batch->new_tasks != NIL)
		durable_batch_store_tasks(batch);
	if (batch->new_queued != NIL)
		durable_batch_store_queued(batch);
	hold_and_release(batch);	/* after the new tasks, because they are held, too */
	if (batch->outbox != NIL)
		durable_inbox_insert(batch->outbox);
	durable_sql_finish();
	durable_failpoint_pass(FAILPOINT_BATCH_WRITTEN);

	MemoryContextSwitchTo(old);
}

/*
 * Before children are terminated: an instance may end in the unit in which it has rewound its
 * children, and these then get a termination after the rewind.
 */
static void
store_rewinds(Batch * batch)
{
	List	   *rewinds = NIL;
	ListCell   *cell;

	foreach(cell, batch->outbox)
		if (((Message *) lfirst(cell))->kind == MESSAGE_REWIND)
		{
			rewinds = lappend(rewinds, lfirst(cell));
			batch->outbox = foreach_delete_current(batch->outbox, cell);
		}
	if (rewinds != NIL)
		durable_inbox_insert(rewinds);
}

/* For instances that have continued as new. */
static void
discard_histories(Batch * batch)
{
	List	   *discarded = NIL;
	ListCell   *cell;

	foreach(cell, batch->changed)
		if (((Instance *) lfirst(cell))->discard_history)
			discarded = lappend(discarded, lfirst(cell));
	if (discarded != NIL)
		durable_history_discard(durable_batch_keys(discarded));
}

/* For instances that have ended in this unit, and ended ones that were rewound. */
static void
store_finished(Batch * batch)
{
	FinishedRow *rows = palloc(list_length(batch->changed) * sizeof(FinishedRow));
	int			nrows = 0;
	int			nrewound = 0;
	ListCell   *cell;

	foreach(cell, batch->changed)
	{
		Instance   *instance = lfirst(cell);

		nrewound += instance->rewound_from != 0;
		if (instance->rewound_from != 0)
			durable_finished_forget(&(FinishedRow) {
				.owner = batch->owner,
				.name = instance->name,
				.completed_at = instance->rewound_from,
				.key = instance->key
			});
		if (STATUS_IS_FINISHED(instance->status) && (!instance->was_failed || instance->rewound_from != 0))
		{
			count_end(instance);
			rows[nrows++] = (FinishedRow) {
				.owner = batch->owner,
				.name = instance->name,
				.status = instance->status,
				.completed_at = instance->completed_at,
				.key = instance->key
			};
		}
	}
	if (nrows > 0)
		durable_finished_insert(rows, nrows);
	if (durable_registry_quota(batch->owner) != NULL)
	{
		foreach(cell, batch->children)
			nrewound += ((NewInstance *) lfirst(cell))->created;
		durable_quota_change(batch->owner, nrewound - nrows);
	}
}

/* For durable.stat_orchestrations: elapsed time, and time in user code. */
static void
count_end(const Instance *instance)
{
	int64		us = instance->completed_at - instance->created_at;
	StatsCounters counters = {.calls = 1, .failures = instance->status == STATUS_FAILED,
		.terminated = instance->status == STATUS_TERMINATED, .turns = instance->turns,
	.compute_us = instance->compute_us, .total_us = us, .max_us = us};

	if (instance->status == STATUS_FAILED)
	{
		counters.failed_at = instance->completed_at;
		if (instance->failure != NULL)
			durable_stats_set_error(&counters, durable_json_get_text(instance->failure, "message"));
	}
	durable_stats_add(STATS_ORCHESTRATION, instance->owner, instance->name, &counters);
}

/* Events that arrived after their instances had ended, in this unit or before. */
static void
store_dropped(Batch * batch)
{
	List	   *dropped = list_copy(batch->late);
	ListCell   *cell;

	foreach(cell, batch->changed)
		if (((Instance *) lfirst(cell))->dropped != NIL)
			dropped = lappend(dropped, lfirst(cell));
	if (dropped != NIL)
		durable_history_insert_dropped(dropped);
	if (batch->late != NIL)
		durable_instance_count_dropped(batch->late);
}

/* Writes one line to the log for each execution whose history becomes long. */
static void
warn_of_length(Batch * batch)
{
	ListCell   *cell;

	if (durable_history_warn == 0)
		return;
	foreach(cell, batch->changed)
	{
		Instance   *instance = lfirst(cell);

		if (instance->stored_events < durable_history_warn && instance->replay.nevents >= durable_history_warn)
			ereport(LOG,
					(errmsg("history of instance \"%s\" has %d events; durable calls fail at %d events",
							instance->instance_id, instance->replay.nevents, durable_history_limit),
					 errhint("Use durable.continue_as_new() in orchestrations that run forever.")));
	}
}

/*
 * Tasks of a suspended instance do not begin.  They are held at a time that no worker's
 * scan reaches.  Otherwise workers would repeatedly find them and skip them.
 */
static void
hold_and_release(Batch * batch)
{
	List	   *held = NIL;
	List	   *released = NIL;
	ListCell   *cell;

	foreach(cell, batch->changed)
	{
		Instance   *instance = lfirst(cell);
		bool		is_held = instance->status == STATUS_SUSPENDED;
		bool		was_held = instance->stored_status == STATUS_SUSPENDED;

		if (is_held && !was_held)
			held = lappend(held, instance);
		else if (was_held && !is_held && !STATUS_IS_FINISHED(instance->status))
			released = lappend(released, instance);
	}
	if (held != NIL)
	{
		durable_task_hold_idle(durable_batch_keys(held));
		durable_queued_hold(durable_batch_keys(held));
	}
	if (released != NIL)
	{
		durable_task_release(durable_batch_keys(released));
		durable_queued_release(durable_batch_keys(released));
	}
}

void
durable_batch_check_tables(void)
{
	durable_instance_check_table();
	durable_history_check_table();
	durable_inbox_check_table();
	durable_timer_check_table();
	durable_queued_check_table();
	durable_finished_check_table();
	durable_tally_check_table();
	durable_entity_check_tables();
}
