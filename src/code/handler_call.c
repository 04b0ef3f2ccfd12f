/*
 * handler_call.c
 *		Calls a function that a user wrote, with jsonb.
 *
 * The function is called directly and not through SQL, because a turn takes only a few
 * microseconds.  So this file repeats the work of SQL around the call: the check of the
 * EXECUTE privilege, strictness, defaults, function statistics, and the hook for access
 * to functions.
 *
 * Owns:		nothing
 * Called by:	turn.c, activity.c, entity_run.c (call); start_api.c, start_calls.c,
 *				context_calls.c, external.c, probe.c (check of an input)
 * Locks:		none
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
#include "usercall.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* The input that is being converted, for the errors. */
typedef struct Binding
{
	Handler    *handler;
	int			parameter;		/* -1: the input as a whole */
	int			given;			/* number of parameters that the input is for; the others get their defaults */
	bool		evaluate;		/* true for a call, which needs the defaults; false for a check of the input */
	NullableDatum *args;
}			Binding;

static const Jsonb *pin_input(const Binding *binding, const Jsonb *input);
static bool must_pin(const HandlerParameter *parameter);
static const Jsonb *pin_value(const Binding *binding, int i);
static void bind_input(Binding *binding, const Jsonb *input);
static void bind_one(Binding *binding, const Jsonb *input);
static void bind_rest(Binding *binding);
static void bind_object(Binding *binding, const Jsonb *input);
static void bind_array(Binding *binding, const Jsonb *input);
static void bind_missing(Binding *binding, int i);
static void bind_value(Binding *binding, int i, JsonbValue *value);
static Datum evaluate_default(Handler *handler, int i, bool *isnull);
static void unknown_member(Handler *handler, const Jsonb *input);
static int parameter_of(Handler *handler, const JsonbValue *name);
static char *parameter_names(Handler *handler);
static char *parameter_label(Handler *handler, int i);
static void binding_context(void *arg);
static Jsonb *invoke(Handler *handler, FunctionCallInfo fcinfo, MemoryContext caller);

Jsonb *
durable_handler_call(Handler *handler, int given, const Jsonb *input)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Binding		binding = {.handler = handler, .given = given < 0 ? handler->nargs : given,
	.evaluate = true, .args = fcinfo->args};
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

	durable_usercall_set_stage(STAGE_CODE);
	pgstat_init_function_usage(fcinfo, &usage);
	value = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);

	MemoryContextSwitchTo(caller);
	return durable_json_from_datum(value, handler->result, fcinfo->isnull);
}

/*
 * The errors of input functions contain neither handler nor parameter, so these are
 * added.  No other code runs between catching the error and raising it again.
 */
const Jsonb *
durable_handler_check_input(Handler *handler, const Jsonb *input)
{
	const Jsonb *volatile pinned = input;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	Binding    *binding;

	context = AllocSetContextCreate(caller, "durable input", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	binding = palloc0(sizeof(Binding));
	binding->handler = handler;
	binding->given = handler->nargs;
	binding->args = palloc(sizeof(NullableDatum) * handler->nargs);

	PG_TRY();
	{
		bind_input(binding, input);
		pinned = pin_input(binding, input);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		if (durable_usercall_get_stage() != STAGE_CODE && binding->parameter >= 0)
			durable_usercall_set_stage(STAGE_VALUE);	/* the error is from the look-up of a function */
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
	if (pinned != input)
		pinned = DatumGetJsonbPCopy(JsonbPGetDatum(pinned));
	MemoryContextDelete(context);
	return pinned;
}

/* Returns the input with pinned values, which are written from the values as they were read. */
static const Jsonb *
pin_input(const Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	JsonbParseState *state = NULL;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	const Jsonb *member = NULL;
	bool		any = false;
	int			position = 0;

	for (int i = 0; i < handler->nargs; i++)
		any |= !binding->args[i].isnull && must_pin(&handler->parameters[i]);
	if (!any || input == NULL)
		return input;
	if (handler->nargs == 1 || JB_ROOT_IS_SCALAR(input))
	{
		member = pin_value(binding, 0);
		return member ? member : input;
	}

	/* The iterator returns members that are containers as a whole. */
	iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &input->root));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
		{
			pushJsonbValue(&state, token, NULL);
			continue;
		}
		if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			return JsonbValueToJsonb(pushJsonbValue(&state, token, NULL));
		if (token == WJB_KEY)
			member = pin_value(binding, parameter_of(handler, &value));
		else
		{
			if (token == WJB_ELEM)
				member = pin_value(binding, position++);
			if (member != NULL)
				durable_json_root(member, &value);
		}
		pushJsonbValue(&state, token, &value);
	}
	return input;
}

static bool
must_pin(const HandlerParameter *parameter)
{
	return parameter->pinned ||
		(parameter->reader.kind == JSON_READ_RECORD && durable_json_must_pin(parameter->reader.type));
}

/* Returns the value as it was read, or NULL if the input may stay unchanged. */
static const Jsonb *
pin_value(const Binding *binding, int i)
{
	const HandlerParameter *parameter = &binding->handler->parameters[i];

	if (binding->args[i].isnull || !must_pin(parameter))
		return NULL;
	return durable_json_from_datum(binding->args[i].value, parameter->reader.type, false);
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

	if (binding->given == 0)
		bind_rest(binding);		/* the input is dropped */
	else if (binding->given == 1)
		bind_one(binding, input);
	else if (input == NULL)
		for (int i = 0; i < handler->nargs; i++)
			bind_missing(binding, i);
	else if (JB_ROOT_IS_OBJECT(input))
		bind_object(binding, input);
	else if (JB_ROOT_IS_ARRAY(input) && !JB_ROOT_IS_SCALAR(input))
		bind_array(binding, input);
	else if (handler->nargs - handler->ndefaults <= 1)
		bind_one(binding, input);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input for %s must be an object or an array", handler->signature),
				 errdetail("The function has %d parameters, but the input is a single value.", handler->nargs),
				 errhint("Pass an object with members named after the parameters, or an array of the arguments, as jsonb: '[...]'::jsonb. A literal without a type is a text.")));

	error_context_stack = callback.previous;
}

/* The first parameter gets the input as a whole. */
static void
bind_one(Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	JsonbValue	value;

	if (input == NULL && handler->ndefaults == handler->nargs)
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
	binding->given = 1;
	bind_rest(binding);
}

/* The other parameters get their defaults. */
static void
bind_rest(Binding *binding)
{
	for (int i = binding->given; i < binding->handler->nargs; i++)
		bind_missing(binding, i);
}

static void
bind_object(Binding *binding, const Jsonb *input)
{
	Handler    *handler = binding->handler;
	JsonbContainer *root = unconstify(JsonbContainer *, &input->root);
	int			used = 0;

	/* unknown members are reported first, because a typing error is the likeliest reason for a missing one */
	for (int i = 0; i < handler->nargs; i++)
	{
		JsonbValue	value;
		char	   *name = handler->parameters[i].name;

		if (name == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("input for %s cannot be an object", handler->signature),
					 errdetail("Parameter %d has no name, so no member of the object can match it.", i + 1),
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

	if (length > binding->given)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("input for %s has too many elements", handler->signature),
				 errdetail("The function has %d parameters, but the array has %d elements.",
						   binding->given, length)));

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
	{
		durable_usercall_set_stage(STAGE_VALUE);
		arg->value = evaluate_default(handler, i, &arg->isnull);
		durable_usercall_set_stage(STAGE_BINDING);
	}
	binding->parameter = -1;
}

static void
bind_value(Binding *binding, int i, JsonbValue *value)
{
	NullableDatum *arg = &binding->args[i];

	binding->parameter = i;
	if (binding->evaluate)
		durable_usercall_set_stage(STAGE_VALUE);
	arg->value = durable_json_read(&binding->handler->parameters[i].reader, value, &arg->isnull);
	if (binding->evaluate)
		durable_usercall_set_stage(STAGE_BINDING);
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

char *
durable_handler_problem(const char *kind, const char *name, const ErrorData *error)
{
	StringInfoData problem;

	initStringInfo(&problem);
	appendStringInfo(&problem, "%s \"%s\" cannot be called: %s.", kind, name, durable_clip(error->message));
	if (error->detail)
		appendStringInfo(&problem, " %s", durable_clip(error->detail));
	if (error->hint)
		appendStringInfo(&problem, " %s", durable_clip(error->hint));
	else if (error->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE)
		appendStringInfoString(&problem, " Grant the privilege to the owner of the instance.");
	appendStringInfoString(&problem, " Correct the problem and resume the instance.");
	return problem.data;
}

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

		if (token != WJB_KEY || parameter_of(handler, &value) >= 0)
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

/* The parameter of that name, -1 if there is none. */
static int
parameter_of(Handler *handler, const JsonbValue *name)
{
	for (int i = 0; i < handler->nargs; i++)
	{
		const char *parameter = handler->parameters[i].name;

		if (strlen(parameter) == name->val.string.len &&
			memcmp(parameter, name->val.string.val, name->val.string.len) == 0)
			return i;
	}

	return -1;
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
