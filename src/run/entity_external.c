/*-------------------------------------------------------------------------
 *
 * entity_external.c
 *		External entities: their operations are run by programs outside of the database.
 *
 * An operation of an external entity is parked in durable.entity_operation like one that cannot
 * run yet.  If the entity can serve it, a row of durable.queued_task is added for a batch.  A
 * worker fetches it, and gets the state and the operations that the entity can serve at
 * that moment (entity_work_api.c).  These are the operations before the first request for
 * locks, or, if the entity is locked, the calls of the holder.  Completing the batch deletes
 * the row and sends the entity a message with the results.  The unit that takes this message
 * writes the state, answers the callers, and carries out the signals and starts that the
 * operations have requested, in one transaction.
 *
 *	parked --can be served--> ready --fetched--> out --completed--> results --applied--> gone
 *	                            ^                 |
 *	                            `--lease ends-----'
 *
 * is_out is set in the entity's row from "ready" on until the results have been applied.  During that
 * time there is no other batch, and no request for locks is granted, so the set of operations
 * that the entity can serve only grows.  An operation without a result stays parked.
 *
 * If the name is later registered with a function, the batch is deleted, and the worker that
 * has fetched it loses its lease.
 *
 * Called by: entity_batch.c, entity_run.c
 * Locks:	the caller has the entity's row locked; rows of durable.queued_task, with SKIP LOCKED
 * Memory:	batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "columns.h"
#include "entity.h"
#include "entity_id.h"
#include "external.h"
#include "history.h"
#include "json.h"
#include "queued_table.h"
#include "registry.h"

/* An entity whose batch cannot be taken back, because its row is locked, is looked at again after this time. */
#define BACK_AGAIN_US	USECS_PER_SEC

static bool has_function(const Batch * batch, const BatchEntity * entity);
static void apply_result(Batch * batch, BatchEntity * entity, const Message *operation, const Jsonb *result);
static void carry_out(Batch * batch, BatchEntity * entity, const Jsonb *action);
static void start(Batch * batch, const BatchEntity * entity, const Jsonb *action);
static Jsonb *element(const Jsonb *array, int n);
static int	length_of(const Jsonb *array);
static TimestampTz time_of(const Jsonb *object, const char *member);

bool
durable_entity_is_external(BatchEntity * entity, const Registration *registration, const Message *message)
{
	EntityRow  *row = &entity->row;
	const char *queue;

	if (registration != NULL && registration->handler != NULL)
		return false;
	/* If the name is not registered, the first operation contains the queue. */
	queue = registration != NULL ? registration->queue :
		row->queue != NULL ? row->queue : durable_entity_queue(message->payload, message->is_text);
	if (queue == NULL)
		return false;
	if (row->queue == NULL || strcmp(row->queue, queue) != 0)
	{
		row->queue = pstrdup(queue);
		entity->changed = true;
	}
	if (row->problem_at != 0)
	{
		row->problem = NULL;
		row->problem_at = row->held_until = 0;
		entity->changed = true;
	}
	return true;
}

bool
durable_entity_come_back(Batch * batch, BatchEntity * entity)
{
	EntityRow  *row = &entity->row;

	if (row->is_out && !durable_queued_take_back_batch(row->key, entity->id))
	{
		durable_entity_timer(batch, row->key, batch->clock + BACK_AGAIN_US);
		return false;
	}
	row->is_out = false;
	row->queue = NULL;
	entity->changed = true;
	return true;
}

bool
durable_entity_line_moves(const Batch * batch, const BatchEntity * entity)
{
	const EntityRow *row = &entity->row;

	if (row->held_until > batch->clock)
		return false;
	return row->is_out ? has_function(batch, entity) : row->locked_by == 0;
}

static bool
has_function(const Batch * batch, const BatchEntity * entity)
{
	const Registration *registration = durable_registry_entity(durable_entity_name(entity->id), batch->owner);

	return registration != NULL && registration->handler != NULL;
}

/* --- batches ------------------------------------------------------------------------------ */

void
durable_entity_offer(Batch * batch, BatchEntity * entity, const Message *message, bool first)
{
	if ((message->kind == MESSAGE_SIGNAL || message->kind == MESSAGE_CALL) &&
		(entity->row.locked_by == 0 ? first : !durable_entity_is_barred(entity, message)))
		durable_entity_make_batch(batch, entity);
}

void
durable_entity_make_batch(Batch * batch, BatchEntity * entity)
{
	EntityRow  *row = &entity->row;
	MemoryContext old;
	TaskRow    *task;

	if (row->queue == NULL || row->is_out || row->held_until > batch->clock)
		return;
	old = MemoryContextSwitchTo(batch->context);
	task = palloc0(sizeof(TaskRow));
	task->key = row->key;
	task->attempt = 1;
	task->scheduled_at = task->run_at = batch->clock;
	task->name = durable_entity_name(entity->id);
	task->queue = row->queue;
	task->input = durable_json_text(entity->id);
	batch->new_queued = lappend(batch->new_queued, task);
	row->is_out = true;
	entity->changed = true;
	MemoryContextSwitchTo(old);
}

void
durable_entity_look_for_holder(Batch * batch, BatchEntity * entity)
{
	EntityRow  *row = &entity->row;

	if (row->queue != NULL && !row->is_out && row->locked_by != 0 &&
		durable_operation_waits(batch->owner, row->key, row->locked_by, row->locked_execution))
		durable_entity_make_batch(batch, entity);
}

/* --- results ------------------------------------------------------------------------------ */

/*
 * The message has {"ids", "results", "state", "actions"}: ids of the operations that have results, in
 * their order.  entity_work_api.c writes it.
 */
void
durable_entity_apply_results(Batch * batch, BatchEntity * entity, const Message *message)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	const Jsonb *ids = durable_json_get_member(message->payload, "ids");
	const Jsonb *results = durable_json_get_member(message->payload, "results");
	const Jsonb *actions = durable_json_get_member(message->payload, "actions");
	int			nresults = length_of(results);

	entity->row.is_out = false;
	entity->changed = true;
	if (nresults > 0)
	{
		Datum	   *numbers = palloc(nresults * sizeof(Datum));
		List	   *operations;
		ListCell   *cell;
		int			n = 0;

		for (int i = 0; i < nresults; i++)
			numbers[i] = Int64GetDatum(durable_history_get_number(element(ids, i)));
		operations = durable_operation_take(batch->owner, entity->row.key,
											durable_columns_array(numbers, NULL, nresults, INT8OID));
		foreach(cell, operations)
		{
			Message    *operation = lfirst(cell);

			while (n < nresults && DatumGetInt64(numbers[n]) != operation->id)
				n++;
			if (n < nresults)
				apply_result(batch, entity, operation, element(results, n));
		}
		entity->row.parked -= list_length(operations);
		durable_entity_set_state(entity, durable_json_get_member(message->payload, "state"), true);
	}
	for (int i = 0; i < length_of(actions); i++)
		carry_out(batch, entity, element(actions, i));
	MemoryContextSwitchTo(old);
}

/* {"failure": object} or {"output": text} */
static void
apply_result(Batch * batch, BatchEntity * entity, const Message *operation, const Jsonb *result)
{
	Jsonb	   *failure = durable_json_get_member(result, "failure");
	EntityAnswer answer = {ENTITY_COMPLETED, durable_json_get_member(result, "output"), true};

	if (failure != NULL)
		answer = durable_entity_fail(entity, operation, ERRCODE_DURABLE_EXTERNAL,
									 durable_json_get_text(failure, "message"), failure);
	else if (operation->kind == MESSAGE_SIGNAL)
		entity->row.failure = NULL;
	durable_entity_answer(batch, operation, &answer);
}

/* {"operation", "id", "input", "due"} is a signal, {"name", ...} starts an orchestration. */
static void
carry_out(Batch * batch, BatchEntity * entity, const Jsonb *action)
{
	const char *operation = durable_json_get_text(action, "operation");
	TimestampTz due = time_of(action, "due");
	const char *id;
	Message    *message;

	if (operation == NULL)
	{
		start(batch, entity, action);
		return;
	}
	id = durable_json_get_text(action, "id");
	message = durable_entity_message(batch, id, MESSAGE_SIGNAL, operation,
									 durable_entity_text(durable_json_get_member(action, "input"), entity->row.queue));
	message->is_text = true;
	if (due > batch->clock)
		durable_entity_schedule(batch, message, due);
	else
		durable_entity_send(batch, id, message);
}

/* A name that is not registered means an external orchestration in the queue of the entity. */
static void
start(Batch * batch, const BatchEntity * entity, const Jsonb *action)
{
	ExternalStart start = {
		.name = durable_json_get_text(action, "name"),
		.version = durable_json_get_text(action, "version"),
		.input = durable_json_get_member(action, "input"),
		.queue = entity->row.queue
	};
	NewInstance *row;

	durable_external_resolve_start(&start, batch->owner, batch->context);
	if (start.failure != NULL)
	{
		ereport(LOG,
				(errmsg("orchestration \"%s\" of entity \"%s\" was not started: %s", durable_clip(start.name), entity->id,
						durable_clip(durable_json_get_text(start.failure, "message")))));
		return;
	}
	row = palloc0(sizeof(NewInstance));
	row->instance_id = durable_json_get_text(action, "id");
	row->name = start.name;
	row->handler = start.signature;
	row->version = start.version;
	row->input = start.input;
	row->tags = durable_json_get_member(action, "tags");
	row->start_at = time_of(action, "due");
	batch->children = lappend(batch->children, row);
}

/* --- values ------------------------------------------------------------------------------- */

static Jsonb *
element(const Jsonb *array, int n)
{
	JsonbValue *value = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &array->root), n);

	return JsonbValueToJsonb(value);
}

static int
length_of(const Jsonb *array)
{
	return array != NULL ? JsonContainerSize(&array->root) : 0;
}

static TimestampTz
time_of(const Jsonb *object, const char *member)
{
	const Jsonb *value = durable_json_get_member(object, member);

	return value != NULL ? durable_history_get_number(value) : 0;
}
