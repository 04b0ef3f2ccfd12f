/*-------------------------------------------------------------------------
 *
 * entity_run.c
 *		Runs an operation of an entity.
 *
 * An operation is a call of the entity's handler in a subtransaction of its own.  If it
 * raises an error, its writes to tables are rolled back and the state of the entity does
 * not change.  The caller gets the failure; the failure of a signal is kept with the entity
 * and logged.
 *
 * An error that is not the handler's does not consume the operation.  If the handler does
 * not exist, cannot be called, or the server could not run it, the entity is held: its
 * operations are parked, and the first one is tried again at increasing intervals.  An
 * operation may also take long, for example because it waits for another transaction.  The
 * other work of its batch must not wait for it.  So it is rolled back, its entity is held for a
 * moment, and it is run in a batch of its own.
 *
 * Called by: entity_batch.c, entity_dispatch.c, entity_external.c
 * Locks:	the caller has the entity's row locked; the locks that the operation takes
 * Memory:	results in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "entity.h"
#include "entity_code.h"
#include "entity_id.h"
#include "error_origin.h"
#include "guc.h"
#include "json.h"
#include "registry.h"
#include "suspect.h"
#include "usercall.h"
#include "verbatim.h"

/* An operation that takes this many times the inline limit is rolled back, and run alone. */
#define INLINE_OVERRUN	20

/* An entity that is held is tried again after a quarter of the time since its first error, within these limits. */
#define AGAIN_MIN_US	(100 * INT64CONST(1000))
#define AGAIN_MAX_US	(60 * USECS_PER_SEC)

static EntityAnswer run(Batch * batch, BatchEntity * entity, const Message *message, const Instance *of);
static Jsonb *body(void *arg);
static EntityAnswer fail(BatchEntity * entity, const Message *message, const ErrorData *error);
static EntityAnswer convict(BatchEntity * entity, const Message *message);
static EntityAnswer hold(Batch * batch, BatchEntity * entity, const char *problem);

EntityAnswer
durable_entity_try(Batch * batch, BatchEntity * entity, Message *message, bool in_line, Instance *of)
{
	EntityRow  *row = &entity->row;
	bool		is_holder = row->locked_by != 0 && !durable_entity_is_barred(entity, message);

	switch (message->kind)
	{
		case MESSAGE_UNLOCK:
			durable_entity_unlock(batch, entity, message);
			return (EntityAnswer) {ENTITY_DONE};
		case MESSAGE_RESULTS:
			durable_entity_apply_results(batch, entity, message);
			return (EntityAnswer) {ENTITY_DONE};
		case MESSAGE_CONTINUE:
			return (EntityAnswer) {ENTITY_DONE};
		default:
			break;
	}
	if (durable_entity_is_barred(entity, message) || row->held_until > batch->clock ||
		(row->parked > 0 && !in_line && !is_holder))
		return (EntityAnswer) {ENTITY_WAITS};
	switch (message->kind)
	{
		case MESSAGE_LOCK:
			return durable_entity_lock_set(batch, entity, message, of);
		case MESSAGE_SIGNAL:
		case MESSAGE_CALL:
			return run(batch, entity, message, of);
		default:
			elog(ERROR, "message " INT64_FORMAT " to entity \"%s\" has unknown kind \"%c\"",
				 message->id, entity->id, message->kind);
	}
}

static EntityAnswer
run(Batch * batch, BatchEntity * entity, const Message *message, const Instance *of)
{
	const Registration *registration = durable_registry_entity(durable_entity_name(entity->id), batch->owner);
	EntityCall	operation = {.context = batch->context};
	UserCall	call = {.body = body, .arg = &operation};
	int64		limit;
	int64		overrun;
	bool		may_overrun;
	char	   *id;
	char	   *name;

	if (durable_entity_is_external(entity, registration, message) ||
		(entity->row.queue != NULL && !durable_entity_come_back(batch, entity)))
		return (EntityAnswer) {ENTITY_WAITS};
	if (registration == NULL)
		return hold(batch, entity, psprintf("entity \"%s\" is not registered", durable_entity_name(entity->id)));
	if (of == NULL && durable_suspect_convicts(entity->row.crashes))
		return convict(entity, message);

	durable_entity_address_read(message->name, &id, &name);
	operation.signature = registration->handler;
	operation.operation = name;
	operation.state = durable_verbatim_convert(entity->row.state, entity->row.is_text, false);
	operation.input = durable_entity_input(message->payload, message->is_text, false);
	limit = (int64) durable_activity_timeout * 1000;
	overrun = entity->row.problem_at != 0 ? 0 : (int64) durable_inline_limit * INLINE_OVERRUN;
	may_overrun = overrun > 0 && (limit == 0 || overrun < limit);
	call.timeout_us = may_overrun ? overrun : limit;
	call.flight = of != NULL ?
		(FlightRun) {FLIGHT_INLINE, of->execution, message->task, of->key, 0} :
		(FlightRun) {FLIGHT_INLINE, 0, 0, entity->row.key, 0};
	durable_usercall_run(&call);

	batch->activities++;
	batch->user_us += call.elapsed_us;
	if (call.wrote)
		batch->writes++;
	/* The same as for an activity, see dispatch.c. */
	if (call.notified || (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) || (call.kept && call.set_constraints))
		batch->closed = true;

	if (!call.returned)
	{
		if (call.timed_out && may_overrun)
			return hold(batch, entity, psprintf("operation \"%s\" takes longer than " INT64_FORMAT " ms, and is run alone",
												durable_clip(name), overrun / 1000));
		if (call.timed_out)
		{
			call.error->sqlerrcode = ERRCODE_DURABLE_LIMIT;
			call.error->message = psprintf("operation \"%s\" of entity \"%s\" timed out after %d ms",
										   name, entity->id, durable_activity_timeout);
		}
		else if (call.stage == STAGE_BINDING)
			return hold(batch, entity, durable_handler_problem("entity", durable_entity_name(entity->id), call.error));
		else if (durable_error_origin(call.error) == ERROR_OF_SERVER)
			return hold(batch, entity, call.error->message);
		return fail(entity, message, call.error);
	}

	durable_entity_set_state(entity, operation.new_state, false);
	if (entity->row.problem_at != 0 ||
		(message->kind == MESSAGE_SIGNAL && entity->row.failure != NULL))
	{
		entity->row.problem = NULL;
		entity->row.problem_at = entity->row.held_until = 0;
		if (message->kind == MESSAGE_SIGNAL)
			entity->row.failure = NULL;
		entity->changed = true;
	}
	return (EntityAnswer) {ENTITY_COMPLETED, operation.result};
}

static Jsonb *
body(void *arg)
{
	durable_entity_code_call(arg);
	return NULL;
}

void
durable_entity_set_state(BatchEntity * entity, Jsonb *state, bool is_text)
{
	EntityRow  *row = &entity->row;

	if ((row->state == NULL && state == NULL) ||
		(row->state != NULL && state != NULL && row->is_text == is_text &&
		 VARSIZE(row->state) == VARSIZE(state) && memcmp(row->state, state, VARSIZE(state)) == 0))
		return;
	row->state = state;
	row->is_text = is_text && state != NULL;
	entity->changed = entity->state_changed = true;
}

static EntityAnswer
fail(BatchEntity * entity, const Message *message, const ErrorData *error)
{
	entity->changed |= entity->row.problem_at != 0;
	entity->row.problem = NULL;
	entity->row.problem_at = entity->row.held_until = 0;
	return durable_entity_fail(entity, message, error->sqlerrcode, error->message, durable_json_failure(error, NULL, 0));
}

EntityAnswer
durable_entity_fail(BatchEntity * entity, const Message *message, int sqlerrcode, const char *problem, Jsonb *failure)
{
	if (message->kind == MESSAGE_SIGNAL)
	{
		char	   *id;
		char	   *operation;

		durable_entity_address_read(message->name, &id, &operation);
		ereport(LOG,
				(errcode(sqlerrcode),
				 errmsg("operation \"%s\" of entity \"%s\" failed: %s", durable_clip(operation), entity->id,
						durable_clip(problem))));
		entity->row.failure = failure;
		entity->changed = true;
	}
	return (EntityAnswer) {ENTITY_FAILED, failure};
}

/* Answers an operation that has ended its process, or the server, too often. */
static EntityAnswer
convict(BatchEntity * entity, const Message *message)
{
	char	   *id;
	char	   *operation;
	ErrorData	error = {.sqlerrcode = ERRCODE_CRASH_SHUTDOWN};

	durable_entity_address_read(message->name, &id, &operation);
	error.message = psprintf("operation \"%s\" of entity \"%s\" repeatedly terminated its process or the server",
							 durable_clip(operation), entity->id);
	entity->row.crashes = 0;
	entity->changed = true;
	return fail(entity, message, &error);
}

static EntityAnswer
hold(Batch * batch, BatchEntity * entity, const char *problem)
{
	EntityRow  *row = &entity->row;

	if (row->problem_at == 0)
		ereport(LOG,
				(errmsg("operations of entity \"%s\" wait: %s", entity->id, durable_clip(problem))));
	if (row->problem_at == 0)
		row->problem_at = batch->clock;
	row->problem = MemoryContextStrdup(batch->context, durable_clip(problem));
	row->held_until = batch->clock + Min(Max((batch->clock - row->problem_at) / 4, AGAIN_MIN_US), AGAIN_MAX_US);
	entity->changed = true;
	durable_entity_timer(batch, row->key, row->held_until);
	return (EntityAnswer) {ENTITY_WAITS};
}
