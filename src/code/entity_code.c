/*-------------------------------------------------------------------------
 *
 * entity_code.c
 *		Calls the function that is the code of an entity.
 *
 * The function is called directly, as those of orchestrations and activities are, with
 * the state, the name of the operation and its input.
 *
 * Called by: entity_run.c (calls), registration_api.c and entity_api.c (the check)
 * Locks:	none
 * Memory:	a context for each call, deleted at its end; results in call->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "entity_code.h"
#include "json.h"
#include "usercall.h"

#define NARGS	3

static bool has_form(const Handler *handler);
static Oid	result_type(void);
static Jsonb *take(HeapTupleHeader row, AttrNumber column, MemoryContext context);

void
durable_entity_code_check(const Handler *handler)
{
	if (!has_form(handler))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be the handler of an entity", handler->signature),
				 errdetail("A handler has the parameters (state jsonb, operation text, input jsonb) and returns durable.entity_result.")));
	if (handler->strict)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s cannot be the handler of an entity", handler->signature),
				 errdetail("It is declared STRICT, but the state of a new entity is null."),
				 errhint("Declare it CALLED ON NULL INPUT.")));
}

static bool
has_form(const Handler *handler)
{
	return handler->nargs == NARGS &&
		handler->parameters[0].reader.type == JSONBOID &&
		handler->parameters[1].reader.type == TEXTOID &&
		handler->parameters[2].reader.type == JSONBOID &&
		handler->result == result_type();
}

static Oid
result_type(void)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("entity_result"),
						   ObjectIdGetDatum(get_namespace_oid("durable", false)));
}

void
durable_entity_code_call(EntityCall *call)
{
	LOCAL_FCINFO(fcinfo, NARGS);
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "durable entity", ALLOCSET_SMALL_SIZES);
	Handler    *handler;
	FmgrInfo	function;
	PgStat_FunctionCallUsage usage;
	Datum		value;

	MemoryContextSwitchTo(context);
	handler = durable_handler_resolve(call->signature);
	durable_entity_code_check(handler);
	durable_handler_check_privilege(handler);
	InvokeFunctionExecuteHook(handler->function);

	if (!handler->has_call)
		fmgr_info(handler->function, &function);
	InitFunctionCallInfoData(*fcinfo, handler->has_call ? &handler->call : &function, NARGS,
							 handler->collation, NULL, NULL);
	fcinfo->args[0] = (NullableDatum) {PointerGetDatum(call->state), call->state == NULL};
	fcinfo->args[1] = (NullableDatum) {CStringGetTextDatum(call->operation), false};
	fcinfo->args[2] = (NullableDatum) {PointerGetDatum(call->input), call->input == NULL};

	durable_usercall_set_stage(STAGE_CODE);
	pgstat_init_function_usage(fcinfo, &usage);
	value = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);

	call->new_state = call->result = NULL;
	if (!fcinfo->isnull)
	{
		HeapTupleHeader row = DatumGetHeapTupleHeader(value);

		call->new_state = take(row, 1, call->context);
		call->result = take(row, 2, call->context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);

	durable_json_check_size(call->new_state, "state of an entity");
	durable_json_check_size(call->result, "result of an operation");
}

static Jsonb *
take(HeapTupleHeader row, AttrNumber column, MemoryContext context)
{
	bool		isnull;
	Datum		value = GetAttributeByNum(row, column, &isnull);
	MemoryContext old;
	Jsonb	   *result;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(context);
	result = DatumGetJsonbPCopy(value);
	MemoryContextSwitchTo(old);
	return result;
}
