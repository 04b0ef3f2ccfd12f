/*-------------------------------------------------------------------------
 *
 * entity_calls.c
 *		Durable calls that concern entities.
 *
 * A critical section begins when the locks have been granted and ends with
 * unlock_entities().  In it, only the entities that it has locked can be called.  Whether a
 * call is forbidden depends on the calls that the orchestration has made before, so an error
 * here is the same in every replay and is not recorded.
 *
 * Called by: user code, in a turn; entity_api.c (signal_entity)
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "calls.h"
#include "decision.h"
#include "entity_calls.h"
#include "entity_id.h"
#include "json.h"
#include "registry.h"
#include "suggest.h"

static char *entity_argument(FunctionCallInfo fcinfo);
static void read_operation(NewCall *call);
static void check_target(Turn *turn, const char *id, const HistoryEvent *recorded, bool is_call);
static bool has_locked(const Turn *turn, const char *id);
static char **lock_set(FunctionCallInfo fcinfo, Turn *turn, int *nids);

PG_FUNCTION_INFO_V1(durable_call_entity);
PG_FUNCTION_INFO_V1(durable_lock_entities);
PG_FUNCTION_INFO_V1(durable_unlock_entities);
PG_FUNCTION_INFO_V1(durable_in_critical_section);

/* call_entity(name, key, operation, input) -> jsonb */
Datum
durable_call_entity(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("call_entity");
	char	   *id = entity_argument(fcinfo);
	char	   *operation = durable_call_name(fcinfo, 2, "operation");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = operation, .instance_id = id};
	HistoryEvent *recorded;
	int			task;

	durable_entity_check_operation(operation);
	if (turn->instance->replay.section != 0 && !has_locked(turn, id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("entity \"%s\" is not locked by this critical section", id),
				 errdetail("In a critical section only the entities that it has locked can be called."),
				 errhint("Pass its id to durable.lock_entities(), or call it after durable.unlock_entities().")));
	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_ENTITY_CALLED, read_operation);
	task = durable_turn_record(turn, HISTORY_ENTITY_CALLED, operation, call.extra, call.payload, &recorded);
	durable_call_refuse_again(turn, task, recorded);
	check_target(turn, id, recorded, true);
	return durable_call_answer(fcinfo, turn, task);
}

/* signal_entity(name, key, operation, input, deliver_at), when an orchestration calls it */
Datum
durable_turn_signal_entity(FunctionCallInfo fcinfo)
{
	Turn	   *turn = durable_turn_current("signal_entity");
	char	   *id = entity_argument(fcinfo);
	char	   *operation = durable_call_name(fcinfo, 2, "operation");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = operation, .instance_id = id};
	HistoryEvent *recorded;
	int			task;

	durable_entity_check_operation(operation);
	if (turn->instance->replay.section != 0 && has_locked(turn, id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("entity \"%s\" is locked by this critical section and cannot be signaled", id),
				 errdetail("The signal would wait for the end of the critical section."),
				 errhint("Use durable.call_entity().")));
	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_ENTITY_SIGNALED, read_operation);
	task = durable_turn_record(turn, HISTORY_ENTITY_SIGNALED, operation, call.extra, call.payload, &recorded);
	durable_call_refuse_again(turn, task, recorded);
	check_target(turn, id, recorded, false);
	PG_RETURN_VOID();
}

/* The arguments name and key, in that order. */
static char *
entity_argument(FunctionCallInfo fcinfo)
{
	char	   *name = durable_call_name(fcinfo, 0, "name of an entity");

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key of an entity must not be null")));
	return durable_entity_id(name, text_to_cstring(PG_GETARG_TEXT_PP(1)));
}

void
durable_entity_require_registered(const char *id, Oid role)
{
	char	   *name = durable_entity_name(id);
	const char *like;

	if (durable_registry_entity(name, role) != NULL)
		return;
	like = durable_suggest(name, durable_registry_names("entity", role));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("entity \"%s\" is not registered", name),
			 like != NULL ? errhint("Did you mean \"%s\"?", like) :
			 errhint("Use durable.register_entity() to register its handler.")));
}

static void
read_operation(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	Decision	decision = {.kind = DECISION_ENTITY_SIGNAL, .instance_id = call->instance_id};

	durable_entity_require_registered(call->instance_id, call->turn->instance->owner);
	call->payload = durable_json_from_any(fcinfo, 3, "input of an operation");
	if (fcinfo->nargs > 4 && !PG_ARGISNULL(4))
		decision.due = PG_GETARG_TIMESTAMPTZ(4);
	call->extra = durable_decision_extra(&decision, call->name);
}

/* The name of the operation has been compared with the history; this compares the entity as well. */
static void
check_target(Turn *turn, const char *id, const HistoryEvent *recorded, bool is_call)
{
	char	   *recorded_id = recorded ? durable_json_get_text(recorded->extra, "id") : NULL;
	MemoryContext old;

	if (recorded_id == NULL || strcmp(recorded_id, id) == 0)
		return;
	old = MemoryContextSwitchTo(turn->instance->context);
	turn->result.mismatch = psprintf("history has operation \"%s\" of entity \"%s\", but the code now %s entity \"%s\"",
									 recorded->name, recorded_id, is_call ? "calls" : "signals", id);
	MemoryContextSwitchTo(old);
	durable_turn_stop(turn, TURN_MISMATCH);
}

/* --- critical sections -------------------------------------------------------------------- */

/* lock_entities(VARIADIC ids) */
Datum
durable_lock_entities(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("lock_entities");
	Replay	   *replay = &turn->instance->replay;
	HistoryEvent *recorded;
	char	  **ids;
	int			nids;
	int			task;

	if (replay->section != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("orchestration is already in a critical section"),
				 errdetail("Critical sections cannot be nested."),
				 errhint("Lock all entities with one call, or call durable.unlock_entities() first.")));
	ids = lock_set(fcinfo, turn, &nids);
	task = durable_turn_record(turn, HISTORY_ENTITY_LOCK_REQUESTED, durable_entity_ids_join(ids, nids), NULL,
							   durable_entity_ids_json(ids, nids), &recorded);
	(void) durable_turn_await(turn, task);
	replay->section = task;
	PG_RETURN_VOID();
}

/* unlock_entities(): has no effect outside of a critical section */
Datum
durable_unlock_entities(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("unlock_entities");
	Replay	   *replay = &turn->instance->replay;
	HistoryEvent *recorded;

	if (replay->section != 0)
		(void) durable_turn_record(turn, HISTORY_ENTITY_UNLOCKED, NULL, NULL,
								   durable_history_number(replay->section), &recorded);
	replay->section = 0;
	PG_RETURN_VOID();
}

/* in_critical_section() -> boolean */
Datum
durable_in_critical_section(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(durable_turn_current("in_critical_section")->instance->replay.section != 0);
}

/* Is the entity one of those that the critical section has locked? */
static bool
has_locked(const Turn *turn, const char *id)
{
	const Replay *replay = &turn->instance->replay;
	JsonbContainer *ids = &replay->events[replay->calls[replay->section - 1]]->payload->root;
	JsonbValue	value = {.type = jbvString};

	value.val.string.val = unconstify(char *, id);
	value.val.string.len = strlen(id);
	return findJsonbValueFromContainer(ids, JB_FARRAY, &value) != NULL;
}

/* Sorts the ids in the order in which all sections lock, and removes duplicates. */
static char **
lock_set(FunctionCallInfo fcinfo, Turn *turn, int *nids)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;
	char	  **ids;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("ids must not be null")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	if (n == 0 || n > ENTITY_MAX_LOCKS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a critical section must lock 1 to %d entities", ENTITY_MAX_LOCKS)));
	ids = palloc(n * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("ids must not be null")));
		ids[i] = durable_entity_id_parse(TextDatumGetCString(values[i]));
	}
	*nids = durable_entity_ids_sort(ids, n);
	return ids;
}
