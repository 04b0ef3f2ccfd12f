/*-------------------------------------------------------------------------
 *
 * batch_children.c
 *		Creates the instances that orchestrations start: sub-orchestrations and detached
 *		orchestrations.
 *
 * An id may be taken.  If the owner has an instance of that id, the sub-orchestration
 * fails (WF002); for a detached one a line is logged.  A transaction that is creating or
 * deleting such an instance may stay open for hours, so the unit does not wait for it:
 * the start becomes a row of durable.task_queue, which outlives the unit, the worker
 * and, for a detached orchestration, the parent.  A worker that finds it, as it finds an
 * activity, tries it again later in a unit of its own.
 *
 *	start --id is free--> instance
 *	  |  \--id is taken--> WF002 to the parent, or a line in the log
 *	  \--undecided--> put off --later, if the parent still wants it--> start
 *
 * Owns:	the rows of durable.task_queue that are starts
 * Called by: batch_store.c, task_unit.c
 * Locks:	entries of the unique index on ids; the row of the parent, with SKIP LOCKED, for
 *			a start that was put off
 * Memory:	batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "batch.h"
#include "finished.h"
#include "json.h"
#include "sql.h"
#include "waiting.h"

/* A start is tried again after a quarter of the time since it was put off, within these limits. */
#define AGAIN_MIN_US	(100 * INT64CONST(1000))
#define AGAIN_MAX_US	(5 * USECS_PER_SEC)

static DurableSql lock_parent = {
	"SELECT status FROM durable.instance WHERE key = $1 FOR NO KEY UPDATE SKIP LOCKED",
	1, {INT8OID}
};

static DurableSql find_ended = {
	"SELECT key FROM durable.instance WHERE instance_id = $1 AND owner = $2 AND status IN ('C', 'F', 'T')",
	2, {TEXTOID, REGROLEOID}
};

static DurableSql parent_exists = {
	"SELECT FROM durable.instance WHERE key = $1",
	1, {INT8OID}
};

typedef enum ParentState
{
	PARENT_WANTS_IT,
	PARENT_HAS_ENDED,
	PARENT_IS_BUSY
}			ParentState;

static void replace_ended(Batch * batch);
static void start_child(Batch * batch, NewInstance *child);
static void report_taken(Batch * batch, const NewInstance *child);
static void put_off(Batch * batch, const NewInstance *child);
static void push_text(JsonbParseState **state, const char *member, const char *value);
static ParentState look_at_parent(int64 key);

void
durable_batch_store_children(Batch * batch)
{
	ListCell   *cell;

	foreach(cell, batch->children)
	{
		NewInstance *child = lfirst(cell);

		child->owner = batch->owner;
		child->created_at = batch->clock;
		if (child->start_at > batch->clock)
			child->waiting = durable_waiting_for_start(batch->clock, child->start_at);
	}
	durable_instance_insert_children(batch->children);
	replace_ended(batch);
	foreach(cell, batch->children)
	{
		NewInstance *child = lfirst(cell);

		if (child->created)
			start_child(batch, child);
		else if (child->undecided)
			put_off(batch, child);
		else
			report_taken(batch, child);
	}
}

/*
 * A sub-orchestration of an external orchestration takes the id of an instance that has ended:
 * the orchestration retries it under the same id.
 */
static void
replace_ended(Batch * batch)
{
	ListCell   *cell;

	foreach(cell, batch->children)
	{
		NewInstance *child = lfirst(cell);
		Datum		values[2] = {CStringGetTextDatum(child->instance_id), ObjectIdGetDatum(child->owner)};
		int64		key;
		int64		deleted;

		if (child->created || child->undecided || !child->replaces)
			continue;
		if (durable_sql_run(&find_ended, values, NULL, false, 1) > 0)
		{
			key = durable_sql_int8(0, 1);
			(void) durable_finished_delete(&key, 1, false, &deleted);
			if (deleted == 0)
			{
				child->undecided = true;	/* another transaction has locked it, or deleted it */
				continue;
			}
		}
		/* If no ended instance was found, it was purged since the insertion, or the id is in use. */
		durable_instance_insert_children(list_make1(child));
	}
}

static void
start_child(Batch * batch, NewInstance *child)
{
	if (child->start_at > batch->clock)
	{
		TimerRow   *timer = palloc0(sizeof(TimerRow));

		timer->key = child->key;
		timer->execution = 1;
		timer->due = child->start_at;
		batch->new_timers = lappend(batch->new_timers, timer);
	}
	else
		durable_batch_send(batch, child->key, MESSAGE_START, 1, 0, 0, NULL, NULL);
}

/* A retry would also find the id taken, or run another instance than the requested one. */
static void
report_taken(Batch * batch, const NewInstance *child)
{
	char	   *message = psprintf("instance \"%s\" already exists", child->instance_id);

	if (child->parent_key != 0)
		durable_batch_send(batch, child->parent_key, MESSAGE_FAILED,
						   child->parent_execution, child->parent_task,
						   ATTEMPT_NEVER_STARTED, NULL,
						   durable_json_make_failure(ERRCODE_DURABLE_INSTANCE_EXISTS, message));
	else
		ereport(LOG,
				(errmsg("orchestration \"%s\" was not started: %s", child->name, message)));
}

/* --- put off ------------------------------------------------------------------------------ */

static void
put_off(Batch * batch, const NewInstance *child)
{
	TimestampTz since = child->put_off_since != 0 ? child->put_off_since : batch->clock;
	TaskRow    *row = palloc0(sizeof(TaskRow));
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "id", child->instance_id);
	push_text(&state, "handler", child->handler);
	push_text(&state, "version", child->version);
	durable_json_push_member(&state, "input", child->input);
	durable_json_push_member(&state, "tags", child->tags);
	push_text(&state, "trace", child->trace);
	if (child->parent_key != 0 && child->parent_call != child->parent_task)
		durable_json_push_member(&state, "call", durable_history_number(child->parent_call));
	if (child->replaces)
		push_text(&state, "replaces", "ended");
	if (child->close_policy != '\0')
	{
		char		policy[2] = {child->close_policy, '\0'};

		push_text(&state, "close_policy", policy);
		durable_json_push_member(&state, "abandoned_by", durable_history_number(child->parent_key));
	}
	durable_json_push_member(&state, "start_at", durable_history_number(child->start_at));
	durable_json_push_member(&state, "since", durable_history_number(since));

	/* The task of a start that outlives its parent has no instance: the end of the parent deletes its tasks. */
	row->key = child->close_policy != '\0' ? 0 : child->parent_key;
	row->execution = child->parent_execution;
	row->task = child->parent_task;
	row->attempt = Max(child->parent_attempt, 1);
	row->run_at = batch->clock + Min(Max((batch->clock - since) / 4, AGAIN_MIN_US), AGAIN_MAX_US);
	row->name = child->name;
	row->handler = TASK_HANDLER_START;
	row->input = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	batch->new_tasks = lappend(batch->new_tasks, row);
}

static void
push_text(JsonbParseState **state, const char *member, const char *value)
{
	if (value != NULL)
		durable_json_push_member(state, member, durable_json_text(value));
}

bool
durable_batch_is_start(const char *handler)
{
	return strcmp(handler, TASK_HANDLER_START) == 0;
}

/*
 * The parent may be ending in another unit at this moment, which stops its children.  So
 * this unit locks its row.  If the row is already locked, the start is put off again.
 */
void
durable_batch_start_again(Batch * batch, const TaskRow *task)
{
	NewInstance *child = palloc0(sizeof(NewInstance));
	Jsonb	   *abandoned_by;
	Jsonb	   *call;

	child->instance_id = durable_json_get_text(task->input, "id");
	child->name = task->name;
	child->handler = durable_json_get_text(task->input, "handler");
	child->version = durable_json_get_text(task->input, "version");
	child->input = durable_json_get_member(task->input, "input");
	child->tags = durable_json_get_member(task->input, "tags");
	child->trace = durable_json_get_text(task->input, "trace");
	child->replaces = durable_json_get_member(task->input, "replaces") != NULL;
	child->start_at = durable_history_get_number(durable_json_get_member(task->input, "start_at"));
	child->put_off_since = durable_history_get_number(durable_json_get_member(task->input, "since"));
	abandoned_by = durable_json_get_member(task->input, "abandoned_by");
	if (abandoned_by != NULL)
		child->close_policy = durable_json_get_text(task->input, "close_policy")[0];
	child->parent_key = abandoned_by ? durable_history_get_number(abandoned_by) : task->key;
	if (child->parent_key != 0)
	{
		child->parent_execution = task->execution;
		child->parent_task = task->task;
		child->parent_attempt = task->attempt;
		call = durable_json_get_member(task->input, "call");
		child->parent_call = call != NULL ? (int32) durable_history_get_number(call) : task->task;
	}

	switch (task->key == 0 ? PARENT_WANTS_IT : look_at_parent(task->key))
	{
		case PARENT_WANTS_IT:
			batch->children = lappend(batch->children, child);
			break;
		case PARENT_HAS_ENDED:
			break;
		case PARENT_IS_BUSY:
			put_off(batch, child);
			break;
	}
}

static ParentState
look_at_parent(int64 key)
{
	Datum		values[1] = {Int64GetDatum(key)};
	ParentState state;

	durable_sql_connect();
	if (durable_sql_run(&lock_parent, values, NULL, false, 0) > 0)
		state = STATUS_IS_FINISHED(durable_sql_char(0, 1)) ? PARENT_HAS_ENDED : PARENT_WANTS_IT;
	else
		state = durable_sql_run(&parent_exists, values, NULL, false, 0) > 0 ?
			PARENT_IS_BUSY : PARENT_HAS_ENDED;
	durable_sql_finish();
	return state;
}
