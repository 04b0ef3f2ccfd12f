/*-------------------------------------------------------------------------
 *
 * orchestration_code.c
 *		Selects the code that an instance runs: the present function, or a copy of
 *		replaced code.
 *
 * An instance is pinned to the code of its first turn, by hash.  As long as the
 * function has that code, the instance runs the function.  If the function was
 * replaced, the instance runs the copy that was kept (kept_code.c).  If it was dropped
 * before the first turn, the instance runs the copy that was kept last.  If there is
 * neither, because the statement was one that keeps no copy, such as ALTER SCHEMA with
 * RENAME, it runs the present function; a turn that does not match its history then
 * suspends it.
 *
 * Called by: execution.c
 * Locks:	none
 * Memory:	HandlerTarget in batch->context, for the unit
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "code_table.h"
#include "error_origin.h"
#include "execution.h"
#include "kept_code.h"
#include "orchestration_code.h"
#include "usercall.h"

static HandlerTarget * known_target(const Batch * batch, const Instance *instance);
static void find_code(HandlerTarget * target);
static bool attempt(HandlerTarget * target);
static Jsonb * resolve_body(void *arg);

Handler *
durable_orchestration_find(Batch * batch, Instance *instance)
{
	HandlerTarget *target = known_target(batch, instance);

	if (target == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(batch->context);

		target = palloc0(sizeof(HandlerTarget));
		target->signature = pstrdup(instance->handler_signature);
		target->wanted = instance->code_hash;
		find_code(target);
		batch->handlers = lappend(batch->handlers, target);
		MemoryContextSwitchTo(old);
	}

	if (target->handler == NULL)
		durable_execution_park(batch, instance, target->problem);
	else if (instance->code_hash == 0)
		instance->code_hash = target->code_hash;
	return target->handler;
}

Handler *
durable_orchestration_find_again(Batch * batch, Instance *instance)
{
	batch->handlers = NIL;
	return durable_orchestration_find(batch, instance);
}

static HandlerTarget *
known_target(const Batch * batch, const Instance *instance)
{
	ListCell   *cell;

	foreach(cell, batch->handlers)
	{
		HandlerTarget *known = lfirst(cell);

		if (known->wanted == instance->code_hash &&
			strcmp(known->signature, instance->handler_signature) == 0)
			return known;
	}
	return NULL;
}

static void
find_code(HandlerTarget * target)
{
	const char *problem;
	Handler    *today;
	int64		hash;

	if (attempt(target) && (target->wanted == 0 || target->code_hash == target->wanted))
		return;

	problem = target->problem;
	today = target->handler;
	hash = target->code_hash;
	target->copy = durable_code_find_copy(target->signature, target->wanted, &target->code_hash);
	if (target->copy != NULL)
		(void) attempt(target);
	else
	{
		target->problem = problem;
		target->handler = today;
		target->code_hash = hash;
	}
}

/* Looking up a dropped function raises an error, so a look-up beyond the cache runs like user code. */
static bool
attempt(HandlerTarget * target)
{
	UserCall	call = {0};

	target->problem = NULL;
	target->handler = target->copy == NULL ? durable_handler_kept(target->signature, &target->code_hash) : NULL;
	if (target->handler != NULL)
		return true;
	call.body = resolve_body;
	call.arg = target;
	call.read_only = true;
	durable_usercall_run(&call);
	if (!call.returned && durable_error_is_infrastructure(call.error))
		ReThrowError(call.error);
	if (!call.returned)
	{
		target->handler = NULL;
		target->problem = call.error->message;
	}
	return call.returned;
}

static Jsonb *
resolve_body(void *arg)
{
	HandlerTarget *target = arg;

	/* The current memory context is the call's. */
	MemoryContextSwitchTo(GetMemoryChunkContext(target));
	if (target->copy != NULL)
		target->handler = durable_kept_code_resolve(target->copy, target->code_hash, target->signature);
	else
	{
		target->handler = durable_handler_resolve(target->signature);
		target->code_hash = durable_handler_code_hash(target->handler);
	}
	return NULL;
}
