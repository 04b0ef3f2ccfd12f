/*-------------------------------------------------------------------------
 *
 * entity_api.c
 *		Functions that reach entities from outside of orchestrations: durable.signal_entity(),
 *		signal_entity_text(), apply_entity(), entity_state() and purge_entity().
 *
 * A signal is a message in the inbox.  Its sender does not look up the entity, which need
 * not exist, so it waits for no other transaction.
 *
 * Owns:	nothing
 * Called by: clients; orchestrations call signal_entity, too
 * Locks:	none beyond a plain insert's; applying and purging lock the entity's row, and wait for it
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client.h"
#include "clock.h"
#include "entity.h"
#include "entity_calls.h"
#include "entity_code.h"
#include "entity_id.h"
#include "entity_table.h"
#include "inbox_table.h"
#include "json.h"
#include "queue_api.h"
#include "registry.h"
#include "sql.h"
#include "timer_table.h"
#include "turn.h"
#include "verbatim.h"
#include "wakeup.h"

static void send(Message *message, TimestampTz deliver_at);
static void refuse_external(const char *id, const Registration *registration);
static void refuse_in_use(const char *id);
static Oid	owner_argument(FunctionCallInfo fcinfo, int argno);
static char *id_argument(FunctionCallInfo fcinfo);

static DurableSql purge = {
	.text = "DELETE FROM durable.entity WHERE entity_id = $1 AND owner = $2 AND locked_by IS NULL AND parked IS NULL "
	"RETURNING key",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql purge_signals = {
	.text = "DELETE FROM durable.entity_operation WHERE owner = $2 AND key = $3 AND "
	"pg_catalog.starts_with(name, $1 || E'\\n') AND pg_catalog.strpos(pg_catalog.substr(name, pg_catalog.length($1) + 2), E'\\n') = 0",
	.nargs = 3,
	.argtypes = {TEXTOID, REGROLEOID, INT8OID}
};

static DurableSql why_not = {
	.text = "SELECT coalesce((SELECT 'It is locked by instance ' || pg_catalog.quote_ident(i.instance_id) || '.' "
	"FROM durable.instance i WHERE i.key = e.locked_by), "
	"'It has ' || coalesce(e.parked, 0) || ' operations that wait.') "
	"FROM durable.entity e WHERE e.entity_id = $1 AND e.owner = $2",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql lock_row = {
	.text = "SELECT FROM durable.entity WHERE entity_id = $1 AND owner = $2 FOR NO KEY UPDATE",
	.nargs = 2,
	.argtypes = {TEXTOID, REGROLEOID}
};

static DurableSql make_row = {
	.text = "INSERT INTO durable.entity (key, created_at, updated_at, owner, entity_id) VALUES ($3, $4, $4, $2, $1) "
	"ON CONFLICT DO NOTHING RETURNING key",
	.nargs = 4,
	.argtypes = {TEXTOID, REGROLEOID, INT8OID, TIMESTAMPTZOID}
};

/* Entities whose operations run in this process because of apply_entity(), the innermost first. */
static List *applying = NIL;

static void lock_entity(const char *id, EntityRow *row);
static bool wait_for_row(const char *id);
static Jsonb *apply(const char *id, const Registration *registration, const char *operation, const Jsonb *input,
					EntityRow *row);
static void store(EntityRow *row, Jsonb *state);

PG_FUNCTION_INFO_V1(durable_signal_entity);
PG_FUNCTION_INFO_V1(durable_signal_entity_text);
PG_FUNCTION_INFO_V1(durable_apply_entity);
PG_FUNCTION_INFO_V1(durable_entity_state);
PG_FUNCTION_INFO_V1(durable_purge_entity);

/* signal_entity(name, key, operation, input, deliver_at) */
Datum
durable_signal_entity(PG_FUNCTION_ARGS)
{
	char	   *id;
	char	   *operation;
	Message		message = {.kind = MESSAGE_SIGNAL, .owner = GetUserId()};

	if (durable_turn_active())
		return durable_turn_signal_entity(fcinfo);
	durable_client_enter("signal_entity", "Use durable.signal_entity().");
	id = id_argument(fcinfo);
	operation = durable_client_name(fcinfo, 2, "operation");
	durable_entity_check_operation(operation);
	durable_registry_load(false);
	durable_entity_require_registered(id, GetUserId());
	durable_client_seed_engine();

	message.key = durable_entity_key(id);
	message.name = durable_entity_address(id, operation);
	message.payload = durable_json_from_any(fcinfo, 3, "input of an operation");
	message.at = durable_clock_now();
	send(&message, PG_ARGISNULL(4) ? 0 : PG_GETARG_TIMESTAMPTZ(4));
	PG_RETURN_VOID();
}

/* signal_entity_text(entity_id, operation, input, deliver_at, queue) */
Datum
durable_signal_entity_text(PG_FUNCTION_ARGS)
{
	char	   *id;
	char	   *operation;
	char	   *queue;
	Jsonb	   *input;
	Message		message = {.kind = MESSAGE_SIGNAL, .owner = GetUserId(), .is_text = true};

	durable_client_enter("signal_entity_text", "Use durable.signal_entity().");
	id = durable_entity_id_parse(durable_client_name(fcinfo, 0, "id of an entity"));
	operation = durable_client_name(fcinfo, 1, "operation");
	durable_entity_check_operation(operation);
	input = durable_verbatim_wrap(durable_client_text(fcinfo, 2));
	durable_json_check_size(input, "input of an operation");
	queue = durable_client_text(fcinfo, 4);
	durable_registry_load(false);
	if (queue == NULL)
		durable_entity_require_registered(id, GetUserId());
	else
	{
		durable_client_check_name(queue, "queue name");
		durable_queue_require_or_make(queue, false);
	}
	durable_client_seed_engine();

	message.key = durable_entity_key(id);
	message.name = durable_entity_address(id, operation);
	message.payload = durable_entity_text(input, queue);
	message.at = durable_clock_now();
	send(&message, PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3));
	PG_RETURN_VOID();
}

/* Puts the signal into the inbox, or, if its time is in the future, into durable.entity_operation. */
static void
send(Message *message, TimestampTz deliver_at)
{
	if (deliver_at > message->at)
	{
		TimerRow	timer = {.key = message->key, .execution = TIMER_OF_ENTITY, .due = deliver_at};

		message->due = timer.due;
		durable_operation_insert(list_make1(message));
		durable_timer_insert(message->owner, list_make1(&timer));
	}
	else
		durable_inbox_insert(list_make1(message));
}

/* --- in the caller's transaction ---------------------------------------------------------- */

/* apply_entity(name, key, operation, input) -> jsonb */
Datum
durable_apply_entity(PG_FUNCTION_ARGS)
{
	char	   *id;
	char	   *operation;
	Jsonb	   *input;
	EntityRow	row;
	Jsonb	   *result;

	durable_client_enter("apply_entity", "Use durable.call_entity().");
	id = id_argument(fcinfo);
	operation = durable_client_name(fcinfo, 2, "operation");
	durable_entity_check_operation(operation);
	input = durable_json_from_any(fcinfo, 3, "input of an operation");
	durable_registry_load(false);
	durable_entity_require_registered(id, GetUserId());
	refuse_external(id, durable_registry_entity(durable_entity_name(id), GetUserId()));
	durable_client_seed_engine();

	lock_entity(id, &row);
	result = apply(id, durable_registry_entity(durable_entity_name(id), GetUserId()), operation, input, &row);

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

static void
refuse_external(const char *id, const Registration *registration)
{
	if (registration->handler == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("operations of entity \"%s\" run outside of the database", durable_client_shown(id)),
				 errhint("Use durable.signal_entity(), or durable.call_entity() in an orchestration.")));
}

/*
 * Waits for other transactions, as an UPDATE would.  If the caller is an activity of a batch
 * that has the entity's state in memory, the activity is run again in a transaction of its
 * own.
 */
static void
lock_entity(const char *id, EntityRow *row)
{
	ListCell   *cell;
	bool		is_new;

	foreach(cell, applying)
		if (strcmp(lfirst(cell), id) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("an operation of entity \"%s\" is running in this session", durable_client_shown(id))));
	if (durable_entity_is_in_batch(id))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("entity \"%s\" is in use by the batch in which this activity runs", durable_client_shown(id))));
	do
		(void) wait_for_row(id);
	while (!durable_entity_lock(GetUserId(), id, durable_clock_now(), row, &is_new));
	if (row->locked_by != 0 || row->is_out)
		refuse_in_use(id);
}

/* Waits until this transaction has locked the row.  Returns whether it had to insert the row. */
static bool
wait_for_row(const char *id)
{
	Datum		values[4] = {CStringGetTextDatum(id), ObjectIdGetDatum(GetUserId()), Int64GetDatum(durable_entity_key(id)),
	TimestampTzGetDatum(durable_clock_now())};
	bool		locked = false;
	bool		made = false;

	/* A unit that finds the row locked skips the messages of the entity. */
	durable_wakeup_released(GetUserId(), DatumGetInt64(values[2]));
	while (!locked && !made)
	{
		CHECK_FOR_INTERRUPTS();
		durable_sql_connect();
		locked = durable_sql_run(&lock_row, values, NULL, false, 0) > 0;
		if (!locked)
			made = durable_sql_run(&make_row, values, NULL, false, 0) > 0;
		durable_sql_finish();
	}
	return made;
}

static Jsonb *
apply(const char *id, const Registration *registration, const char *operation, const Jsonb *input, EntityRow *row)
{
	EntityCall	call = {.signature = pstrdup(registration->handler),
	.state = durable_verbatim_convert(row->state, row->is_text, false), .operation = operation,
	.input = input, .context = CurrentMemoryContext};
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	List	   *before = applying;

	applying = lcons(pstrdup(id), list_copy(applying));
	MemoryContextSwitchTo(old);
	PG_TRY();
	{
		durable_entity_code_call(&call);
	}
	PG_FINALLY();
	{
		applying = before;
	}
	PG_END_TRY();
	store(row, call.new_state);
	return call.result;
}

static void
store(EntityRow *row, Jsonb *state)
{
	bool		changes = (row->state == NULL) != (state == NULL) || row->is_text ||
		(state != NULL && (VARSIZE(state) != VARSIZE(row->state) || memcmp(state, row->state, VARSIZE(state)) != 0));

	if (changes)
		row->updated_at = durable_clock_now();
	row->state = state;
	row->is_text = false;
	if (state == NULL && row->parked == 0 && row->problem_at == 0 && row->failure == NULL && row->crashes == 0)
		durable_entity_delete(list_make1(row));
	else if (changes)
		durable_entity_update(list_make1(row));
}

/* --- states ------------------------------------------------------------------------------- */

/* entity_state(name, key, owner) -> jsonb */
Datum
durable_entity_state(PG_FUNCTION_ARGS)
{
	Oid			owner;
	Jsonb	   *state;

	durable_client_refuse_in_turn("entity_state", "Use durable.call_entity() with an operation that returns the state.");
	owner = owner_argument(fcinfo, 2);
	if (!durable_entity_state_of(owner, id_argument(fcinfo), &state))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(state);
}

/* purge_entity(name, key) -> boolean */
Datum
durable_purge_entity(PG_FUNCTION_ARGS)
{
	char	   *id;
	Datum		values[3];
	bool		made;
	bool		purged;

	durable_client_enter("purge_entity", "Call it from an activity.");
	id = id_argument(fcinfo);
	values[0] = CStringGetTextDatum(id);
	values[1] = ObjectIdGetDatum(GetUserId());
	values[2] = Int64GetDatum(durable_entity_key(id));

	/* A unit must not be about to take the signals. */
	made = wait_for_row(id);
	durable_sql_connect();
	if (durable_sql_run(&purge, values, NULL, false, 0) == 0)
		refuse_in_use(id);
	purged = !made;
	purged |= durable_sql_run(&purge_signals, values, NULL, false, 0) > 0;
	durable_sql_finish();

	PG_RETURN_BOOL(purged);
}

/* Raises an error with the reason if the entity can be neither purged nor used now. */
static void
refuse_in_use(const char *id)
{
	Datum		values[2] = {CStringGetTextDatum(id), ObjectIdGetDatum(GetUserId())};
	MemoryContext caller = CurrentMemoryContext;
	char	   *reason = NULL;

	durable_sql_connect();
	MemoryContextSwitchTo(caller);
	if (durable_sql_run(&why_not, values, NULL, false, 0) > 0)
		reason = durable_sql_text(0, 1);
	durable_sql_finish();
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("entity \"%s\" is in use", durable_client_shown(id)),
				 errdetail("%s", reason)));
}

static char *
id_argument(FunctionCallInfo fcinfo)
{
	char	   *name = durable_client_name(fcinfo, 0, "name of an entity");

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key of an entity must not be null")));
	return durable_entity_id(name, text_to_cstring(PG_GETARG_TEXT_PP(1)));
}

/* Returns a role whose entities the current user may read; by default the current user. */
static Oid
owner_argument(FunctionCallInfo fcinfo, int argno)
{
	Oid			owner = PG_ARGISNULL(argno) ? GetUserId() : PG_GETARG_OID(argno);

	if (!durable_client_may_act_for(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read entities of role \"%s\"",
						GetUserNameFromId(owner, true) ? GetUserNameFromId(owner, true) : "(gone)")));
	return owner;
}
