/*-------------------------------------------------------------------------
 *
 * code_api.c
 *		durable.verify_replay(), repin(), repin_all(), drop_unused_code().
 *
 * An instance continues with the code with which it began (orchestration_code.c).
 * These functions find the instances whose histories match other code, and assign that
 * code to them.
 *
 * Code is run as the owner of the instance, as in units.  The current user has to be this
 * owner.
 *
 * Owns:	column code_hash for clients, through code_table.c
 * Called by: SQL
 * Locks:	verify_replay none; repin and repin_all the rows of the instances, as a unit does
 * Memory:	a context for each instance, deleted after it
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "code_table.h"
#include "history_table.h"
#include "instance_table.h"
#include "kept_code.h"
#include "registry.h"
#include "table_scan.h"
#include "tally.h"
#include "verbatim.h"
#include "verify.h"

/* The number of instances that one query fetches. */
#define CHUNK	1000

/* A handler that was looked up for the instances of a name; usually there is only one. */
typedef struct Code
{
	Handler    *handler;
	int64		hash;
	const char *version;		/* NULL: it is not the handler of a version */
}			Code;

static char *orchestration_name(FunctionCallInfo fcinfo);
static void verify_chunk(ReturnSetInfo *result, List *keys, Handler *code);
static void put(ReturnSetInfo *result, const Instance *instance, Verdict verdict);
static Code code_of(const char *signature);
static Code code_of_version(const char *name, const char *version, Oid owner);
static void pin(Instance *instance, const Code *code);
static bool move(Instance *instance, const Code *code, Verdict *verdict);

PG_FUNCTION_INFO_V1(durable_verify_replay);
PG_FUNCTION_INFO_V1(durable_repin);
PG_FUNCTION_INFO_V1(durable_repin_all);
PG_FUNCTION_INFO_V1(durable_drop_unused_code);

/* verify_replay(name, code, version) -> set of (instance_id, problem, line) */
Datum
durable_verify_replay(PG_FUNCTION_ARGS)
{
	char	   *name;
	Handler    *code = NULL;
	int64		last = 0;
	List	   *keys;

	durable_client_enter("verify_replay", "Call it from an activity.");
	name = orchestration_name(fcinfo);
	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("code and version must not both be specified"),
				 errhint("Specify the function, or the version that has it.")));
	if (!PG_ARGISNULL(1))
	{
		code = durable_handler_from_oid(PG_GETARG_OID(1), "orchestration");
		durable_handler_check_privilege(code);
	}
	if (!PG_ARGISNULL(2))
		code = code_of_version(name, durable_client_text(fcinfo, 2), GetUserId()).handler;
	InitMaterializedSRF(fcinfo, 0);

	while ((keys = durable_instance_find_unfinished(GetUserId(), name, true, last, CHUNK)) != NIL)
	{
		last = *(int64 *) llast(keys);
		verify_chunk((ReturnSetInfo *) fcinfo->resultinfo, keys, code);
	}
	return (Datum) 0;
}

/* Reads row and history with one snapshot, because workers may change them meanwhile. */
static void
verify_chunk(ReturnSetInfo *result, List *keys, Handler *code)
{
	DurableScan instances;
	DurableScan history;
	ListCell   *cell;
	Handler    *handler = code;
	const char *signature = NULL;

	durable_scan_open(&instances, &durable_instance_table, INSTANCE_BY_KEY, AccessShareLock);
	durable_history_open(&history);
	durable_scan_share_snapshot(&history, &instances);
	foreach(cell, keys)
	{
		Instance   *instance = durable_instance_read(&instances, GetUserId(), *(int64 *) lfirst(cell), CurrentMemoryContext);

		CHECK_FOR_INTERRUPTS();
		if (instance == NULL || STATUS_IS_FINISHED(instance->status))
			continue;
		durable_history_load(&history, instance);
		if (code == NULL && (signature == NULL || strcmp(signature, instance->handler_signature) != 0))
		{
			signature = pstrdup(instance->handler_signature);
			handler = code_of(signature).handler;
		}
		put(result, instance, durable_verify_instance(instance, handler));
		MemoryContextDelete(instance->context);
	}
	durable_history_close(&history);
	durable_scan_close(&instances);
}

static void
put(ReturnSetInfo *result, const Instance *instance, Verdict verdict)
{
	Datum		values[3];
	bool		nulls[3] = {false};

	if (verdict.problem == NULL)
		return;
	values[0] = CStringGetTextDatum(instance->instance_id);
	values[1] = CStringGetTextDatum(verdict.problem);
	values[2] = Int32GetDatum(verdict.line);
	nulls[2] = verdict.line == 0;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* repin(instance_id, force, version) */
Datum
durable_repin(PG_FUNCTION_ARGS)
{
	ClientInstance found;
	char	   *instance_id;
	bool		force = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	char	   *version = durable_client_text(fcinfo, 2);
	Instance   *instance;
	Code		code;
	Verdict		verdict = {0};

	durable_client_enter("repin", "Call it from an activity.");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	durable_client_require_unfinished(instance_id, &found);
	if (!force && found.owner != GetUserId())
	{
		const char *owner = quote_identifier(GetUserNameFromId(found.owner, false));

		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot compare code with the history of instance \"%s\" as role \"%s\"",
						instance_id, GetUserNameFromId(GetUserId(), false)),
				 errdetail("The comparison runs the code as the owner of the instance, %s.", owner),
				 errhint("SET ROLE %s first, or use force => true to move the instance without the comparison.", owner)));
	}

	instance = durable_instance_wait_for(found.owner, found.key, CurrentMemoryContext);
	if (instance == NULL)
		durable_client_no_instance(instance_id);
	if (STATUS_IS_FINISHED(instance->status))
		durable_client_require_unfinished(instance_id, &found);
	durable_registry_load(false);
	code = version != NULL ? code_of_version(instance->name, version, found.owner) : code_of(instance->handler_signature);
	if (force)
		pin(instance, &code);
	else if (!move(instance, &code, &verdict))
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_NONDETERMINISTIC),
				 errmsg("the code of %s does not match the history of instance \"%s\"",
						code.handler->signature, instance_id),
				 verdict.line > 0 ?
				 errdetail("At line %d: %s.", verdict.line, verdict.problem) :
				 errdetail("It differs: %s.", verdict.problem),
				 errhint("The instance continues with its present code. Correct the function so that it makes the recorded calls, and try again.")));
	PG_RETURN_VOID();
}

/* repin_all(name, version) -> number of moved instances */
Datum
durable_repin_all(PG_FUNCTION_ARGS)
{
	char	   *name;
	char	   *version = durable_client_text(fcinfo, 1);
	Code		code = {0};
	int64		last = 0;
	int64		moved = 0;
	List	   *keys;
	ListCell   *cell;

	durable_client_enter("repin_all", "Call it from an activity.");
	name = orchestration_name(fcinfo);
	if (version != NULL)
		code = code_of_version(name, version, GetUserId());
	/* Instances that have not begun take the present code at their first turn, but not that of another version. */
	while ((keys = durable_instance_find_unfinished(GetUserId(), name, version == NULL, last, CHUNK)) != NIL)
	{
		last = *(int64 *) llast(keys);
		foreach(cell, keys)
		{
			Instance   *instance = durable_instance_wait_for(GetUserId(), *(int64 *) lfirst(cell), CurrentMemoryContext);
			Verdict		verdict;

			CHECK_FOR_INTERRUPTS();
			if (instance == NULL)
				continue;
			if (version == NULL)
				code = code_of(instance->handler_signature);
			if (!STATUS_IS_FINISHED(instance->status) && move(instance, &code, &verdict))
				moved++;
			MemoryContextDelete(instance->context);
		}
	}
	PG_RETURN_INT64(moved);
}

/* Returns false when the code does not match the history. */
static bool
move(Instance *instance, const Code *code, Verdict *verdict)
{
	DurableScan history;

	durable_history_open(&history);
	durable_history_load(&history, instance);
	durable_history_close(&history);
	*verdict = durable_verify_instance(instance, code->handler);
	if (verdict->problem != NULL)
		return false;
	if (code->hash != instance->code_hash || code->version != NULL)
		pin(instance, code);
	return true;
}

static void
pin(Instance *instance, const Code *code)
{
	if (code->version == NULL)
		durable_code_pin(instance->key, code->hash);
	else
	{
		const char *handler = durable_instance_shorten(code->handler->signature, instance->name);

		durable_code_pin_version(instance->key, code->hash, handler, code->version);
		durable_tally_move_handler(instance->owner, instance->name, instance->key, instance->status,
								   durable_instance_shorten(instance->handler_signature, instance->name), handler);
	}
}

static Code
code_of_version(const char *name, const char *version, Oid owner)
{
	const Registration *registration = durable_handler_version(name, version, owner);
	Code		code = code_of(registration->handler);

	code.version = registration->version;
	return code;
}

static Code
code_of(const char *signature)
{
	Code		code = {0};

	if (durable_verbatim_queue(signature) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the instance belongs to an external orchestration"),
				 errdetail("Its code is outside of the database.")));
	code.handler = durable_handler_resolve(signature);
	code.hash = durable_handler_code_hash(code.handler);
	durable_handler_check_privilege(code.handler);
	return code;
}

/* Returns the name in the form in which instances store it, even if a registration or a function was dropped. */
static char *
orchestration_name(FunctionCallInfo fcinfo)
{
	char	   *name = durable_client_name(fcinfo, 0, "name of an orchestration");

	durable_registry_load(false);
	if (durable_handler_registration(name, "orchestration", GetUserId(), InvalidOid) != NULL ||
		durable_instance_find_unfinished(GetUserId(), name, true, 0, 1) != NIL)
		return name;
	return pstrdup(durable_handler_find(name, "orchestration", InvalidOid)->name);
}

/* drop_unused_code() -> number of deleted copies */
Datum
durable_drop_unused_code(PG_FUNCTION_ARGS)
{
	List	   *claimed = NIL;
	List	   *copies;
	ListCell   *cell;

	durable_client_enter("drop_unused_code", "Call it from an activity.");
	copies = durable_code_lock_unused();
	foreach(cell, copies)
		if (durable_kept_code_claim(lfirst(cell)))
			claimed = lappend(claimed, lfirst(cell));
	/* An instance may have begun to use a copy before it was claimed, so look again. */
	copies = claimed != NIL ? durable_code_delete_unused(claimed) : NIL;
	foreach(cell, copies)
		durable_kept_code_drop(lfirst(cell));
	PG_RETURN_INT64(list_length(copies));
}
