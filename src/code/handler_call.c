/*
 * handler_call.c
 *		Calling a function that a user wrote, with jsonb.
 *
 * The function is called directly, not through SQL: a turn is a few microseconds,
 * and so what SQL would do around the call is done here - the check of EXECUTE,
 * strictness, defaults, function statistics, the hook for access to functions.
 *
 * Called by:	turn, activity (call), client API (check of an input)
 * Memory:		a context for each call, deleted at its end; the result goes to the
 *				caller's
 */
#include "postgres.h"

#include "handler.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/readfuncs.h"
#include "pgstat.h"
#include "suggest.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* What is being converted, for errors. */
typedef struct Binding
{
	Handler    *handler;
	int			parameter;		/* -1: the input as a whole */
	bool		evaluate;		/* defaults too, for a call; else it is only a check */
	NullableDatum *args;
}			Binding;

static void bind_input(Binding *binding, const Jsonb *input);
static void bind_one(Binding *binding, const Jsonb *input);
static void bind_object(Binding *binding, const Jsonb *input);
static void bind_array(Binding *binding, const Jsonb *input);
static void bind_missing(Binding *binding, int i);
static void bind_value(Binding *binding, int i, JsonbValue *value);
static Datum evaluate_default(Handler *handler, int i, bool *isnull);
static void unknown_member(Handler *handler, const Jsonb *input);
static bool has_parameter(Handler *handler, const JsonbValue *name);
static char *parameter_names(Handler *handler);
static char *parameter_label(Handler *handler, int i);
static void binding_context(void *arg);
static Jsonb *invoke(Handler *handler, FunctionCallInfo fcinfo, MemoryContext caller);

Jsonb *
durable_handler_call(Handler *handler, const Jsonb *input)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Binding		binding = {.handler = handler, .evaluate = true, .args = fcinfo->args};
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	FmgrInfo	call;
	Jsonb	   *result = NULL;
	bool		skip = false;

	durable_handler_check_privilege(handler);
	InvokeFunctionExecuteHook(handler->function);

	context = AllocSetContextCreate(caller, "durable call", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);

	if (!handler->has_call)
		fmgr_info(handler->function, &call);
	InitFunctionCallInfoData(*fcinfo, handler->has_call ? &handler->call : &call,
							 handler->nargs, handler->collation, NULL, NULL);

	bind_input(&binding, input);

	if (handler->strict)
		for (int i = 0; i < handler->nargs; i++)
			skip |= fcinfo->args[i].isnull;
	if (!skip)
		result = invoke(handler, fcinfo, caller);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}

static Jsonb *
invoke(Handler *handler, FunctionCallInfo fcinfo, MemoryContext caller)
{
	PgStat_FunctionCallUsage usage;
	Datum		value;

	pgstat_init_function_usage(fcinfo, &usage);
	value = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);

	MemoryContextSwitchTo(caller);
	return durable_json_from_datum(value, handler->result, fcinfo->isnull);
}

/*
 * The errors of input functions know neither handler nor parameter, so they are
 * added.  Nothing happens between catching the error and raising it again.
 */
void
durable_handler_check_input(Handler *handler, const Jsonb *input)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	Binding    *binding;

	context = AllocSetContextCreate(caller, "durable input", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	binding = palloc0(sizeof(Binding));
	binding->handler = handler;
	binding->args = palloc(sizeof(NullableDatum) * handler->nargs);

	PG_TRY();
	{
		bind_input(binding, input);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		/* Input functions quote the input, which may be megabytes. */
		error->message = durable_clip(error->message);
		if (error->detail == NULL && binding->parameter >= 0)
			error->detail = psprintf("%s of %s takes a value of type %s.",
									 parameter_label(handler, binding->parameter),
									 handler->signature,
									 format_type_be(handler->parameters[binding->parameter].reader.type));
		ReThrowError(error);
	}
	PG_END_TRY();

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* --- the input's members and the function's parameters ---------------------------------------------------------------- */

static void
bind_input(Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = binding_context,
		.arg = binding
	};

	binding->parameter = -1;
	error_context_stack = &callback;

	if (handler->nargs == 0)
		;						/* dropped */
	else if (handler->nargs == 1)
		bind_one(binding, input);
	else if (input == NULL)
		for (int i = 0; i < handler->nargs; i++)
			bind_missing(binding, i);
	else if (JB_ROOT_IS_OBJECT(input))
		bind_object(binding, input);
	else if (JB_ROOT_IS_ARRAY(input) && !JB_ROOT_IS_SCALAR(input))
		bind_array(binding, input);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input for %s must be an object or an array", handler->signature),
				 errdetail("The function has %d parameters; the input is a single value.", handler->nargs)));

	error_context_stack = callback.previous;
}

static void
bind_one(Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	JsonbValue	value;

	if (input == NULL && handler->ndefaults == 1)
		bind_missing(binding, 0);
	else if (input == NULL)
		bind_value(binding, 0, NULL);
	else if (handler->parameters[0].reader.kind == JSON_READ_JSONB)
	{
		binding->args[0].value = JsonbPGetDatum(unconstify(Jsonb *, input));
		binding->args[0].isnull = false;
	}
	else
	{
		durable_json_root(input, &value);
		bind_value(binding, 0, &value);
	}
}

static void
bind_object(Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	JsonbContainer *root = unconstify(JsonbContainer *, &input->root);
	int			used = 0;

	/* members that fit nothing first: a typo is the likeliest reason for one that is missing */
	for (int i = 0; i < handler->nargs; i++)
	{
		JsonbValue	value;
		char	   *name = handler->parameters[i].name;

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("input for %s cannot be an object", handler->signature),
					 errdetail("Parameter %d has no name that a member could match.", i + 1),
					 errhint("Pass an array of the arguments.")));
		if (getKeyJsonValueFromContainer(root, name, strlen(name), &value) != NULL)
			used++;
	}
	if (used < JsonContainerSize(root))
		unknown_member(handler, input);

	for (int i = 0; i < handler->nargs; i++)
	{
		JsonbValue	value;
		char	   *name = handler->parameters[i].name;

		if (getKeyJsonValueFromContainer(root, name, strlen(name), &value) != NULL)
			bind_value(binding, i, &value);
		else
			bind_missing(binding, i);
	}
}

static void
bind_array(Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	JsonbContainer *root = unconstify(JsonbContainer *, &input->root);
	int			length = JsonContainerSize(root);

	if (length > handler->nargs)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input for %s has too many elements", handler->signature),
				 errdetail("The function has %d parameters; the array has %d elements.",
						   handler->nargs, length)));

	for (int i = 0; i < handler->nargs; i++)
	{
		if (i < length)
			bind_value(binding, i, getIthJsonbValueFromContainer(root, i));
		else
			bind_missing(binding, i);
	}
}

static void
bind_missing(Binding *binding, int i)
{
	Handler    *handler = binding->handler;
	NullableDatum *arg = &binding->args[i];

	if (i < handler->nargs - handler->ndefaults)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input for %s is incomplete", handler->signature),
				 errdetail("%s has no value and no default.", parameter_label(handler, i)),
				 errhint("Pass an object with members named after the parameters, or an array of the arguments.")));

	binding->parameter = i;
	arg->isnull = true;
	if (binding->evaluate)
		arg->value = evaluate_default(handler, i, &arg->isnull);
	binding->parameter = -1;
}

static void
bind_value(Binding *binding, int i, JsonbValue *value)
{
	NullableDatum *arg = &binding->args[i];

	binding->parameter = i;
	arg->value = durable_json_read(&binding->handler->parameters[i].reader, value, &arg->isnull);
	binding->parameter = -1;
}

/* A default is an expression without variables, already of the parameter's type. */
static Datum
evaluate_default(Handler *handler, int i, bool *isnull)
{
	int			position = i - (handler->nargs - handler->ndefaults);
	JsonReader *type = &handler->parameters[i].reader;
	HeapTuple	tuple;
	Datum		tree;
	Expr	   *expression;
	EState	   *estate;
	ExprState  *state;
	Datum		value;
	int16		length;
	bool		byval;

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler->function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", handler->function);
	tree = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, isnull);
	if (*isnull)
		elog(ERROR, "function %u has no defaults", handler->function);
	expression = list_nth(castNode(List, stringToNode(TextDatumGetCString(tree))), position);
	ReleaseSysCache(tuple);

	estate = CreateExecutorState();
	state = ExecPrepareExpr(expression, estate);
	value = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate), isnull);
	if (!*isnull)
	{
		get_typlenbyval(type->type, &length, &byval);
		value = datumCopy(value, byval, length);
	}
	FreeExecutorState(estate);

	return value;
}

/* --- errors -------------------------------------------------------------------------------------------------------------- */

static void
unknown_member(Handler *handler, const Jsonb *input)
{
	JsonbIterator *iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &input->root));
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char	   *member;
		const char *like;
		List	   *names = NIL;

		if (token != WJB_KEY || has_parameter(handler, &value))
			continue;

		member = pnstrdup(value.val.string.val, value.val.string.len);
		for (int i = 0; i < handler->nargs; i++)
			names = lappend(names, handler->parameters[i].name);
		like = durable_suggest(member, names);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s has no parameter \"%s\"", handler->signature, durable_clip(member)),
				 errdetail("Its parameters are %s.", parameter_names(handler)),
				 like ? errhint("Did you mean \"%s\"?", like) : 0));
	}
}

static bool
has_parameter(Handler *handler, const JsonbValue *name)
{
	for (int i = 0; i < handler->nargs; i++)
	{
		const char *parameter = handler->parameters[i].name;

		if (strlen(parameter) == name->val.string.len &&
			memcmp(parameter, name->val.string.val, name->val.string.len) == 0)
			return true;
	}

	return false;
}

static char *
parameter_names(Handler *handler)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < handler->nargs; i++)
		appendStringInfo(&names, "%s\"%s\"", i > 0 ? ", " : "", handler->parameters[i].name);
	return names.data;
}

static char *
parameter_label(Handler *handler, int i)
{
	if (handler->parameters[i].name != NULL)
		return psprintf("Parameter \"%s\"", handler->parameters[i].name);
	return psprintf("Parameter %d", i + 1);
}

static void
binding_context(void *arg)
{
	Binding    *binding = arg;

	if (binding->parameter >= 0 && binding->handler->parameters[binding->parameter].name != NULL)
		errcontext("input of %s, parameter \"%s\"", binding->handler->signature,
				   binding->handler->parameters[binding->parameter].name);
	else if (binding->parameter >= 0)
		errcontext("input of %s, parameter %d", binding->handler->signature,
				   binding->parameter + 1);
}
