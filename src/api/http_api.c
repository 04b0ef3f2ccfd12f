/*-------------------------------------------------------------------------
 *
 * http_api.c
 *		durable.http_message: answers an HTTP request in the form in which a gateway sends it.
 *
 * A gateway executes one statement for each request, and it is this function: it sets
 * the role of the request for the rest of the transaction, and then answers with the
 * privileges of that role.  The executor checks privileges for the role that began the
 * statement, so they are checked here once more, for all functions that durable.http
 * would call.
 *
 * http_instance.c answers the route that programs request repeatedly, and durable.http
 * answers all others.
 *
 * Owns:	nothing
 * Called by: gateways (clients/serve/pool_http.c)
 * Locks:	those of durable.http
 * Memory:	in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "client.h"
#include "http_instance.h"

#define HTTP_ARGUMENTS	5

/* Columns of durable.http_response. */
enum
{
	RESPONSE_STATUS = 1, RESPONSE_HEADERS, RESPONSE_BODY
};

/* The functions through which durable.http reads an instance, and their OIDs. */
static struct
{
	const char *name;
	int			nargs;
	Oid			types[HTTP_ARGUMENTS];
	Oid			oid;
}			functions[] = {
	{.name = "http", .nargs = 5, .types = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID}},
	{.name = "http_management", .nargs = 5, .types = {TEXTOID, TEXTARRAYOID, TEXTOID, TEXTOID, JSONBOID}},
	{.name = "http_instance", .nargs = 4, .types = {TEXTOID, JSONBOID, TEXTOID, JSONBOID}},
	{.name = "status", .nargs = 1, .types = {TEXTOID}}
};

#define HTTP	functions[0]

static bool functions_found = false;

static void set_role(Datum role);
static bool may_execute(int function);
static void find_functions(Oid namespace);
static void forget_functions(Datum arg, int cacheid, uint32 hashvalue);
static void ask(FunctionCallInfo fcinfo, StringInfo message);
static void append_response(StringInfo message, HeapTupleHeader response);
static void append_headers(StringInfo message, Jsonb *headers);
static void append_line(StringInfo message, const char *text, int length);

PG_FUNCTION_INFO_V1(durable_http_message);

/* durable.http_message(role, method, path, query, body, headers) */
Datum
durable_http_message(PG_FUNCTION_ARGS)
{
	StringInfoData message;
	HttpRequest request;
	bool		may_read = true;

	if (!PG_ARGISNULL(0))
		set_role(PG_GETARG_DATUM(0));
	find_functions(get_func_namespace(fcinfo->flinfo->fn_oid));
	if (!may_execute(0))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(HTTP.oid));
	for (int i = 1; i < lengthof(functions); i++)
		may_read &= may_execute(i);

	request.method = durable_client_text(fcinfo, 1);
	request.path = durable_client_text(fcinfo, 2);
	request.query = durable_client_text(fcinfo, 3);
	request.headers = PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5);
	initStringInfo(&message);
	if (!may_read || !durable_http_instance(&request, &message))
		ask(fcinfo, &message);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(message.data, message.len));
}

/* --- the role --------------------------------------------------------------------------- */

/* Sets the role as SET LOCAL ROLE does, with the same checks. */
static void
set_role(Datum role)
{
	DirectFunctionCall3(set_config_by_name, CStringGetTextDatum("role"), role, BoolGetDatum(true));
}

static bool
may_execute(int function)
{
	return durable_function_aclcheck(functions[function].oid, GetUserId()) == ACLCHECK_OK;
}

static void
find_functions(Oid namespace)
{
	static bool registered = false;

	if (functions_found)
		return;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, forget_functions, (Datum) 0);
		registered = true;
	}
	functions_found = true;
	for (int i = 0; i < lengthof(functions); i++)
	{
		oidvector  *types = buildoidvector(functions[i].types, functions[i].nargs);

		functions[i].oid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(functions[i].name),
										   PointerGetDatum(types), ObjectIdGetDatum(namespace));
		if (!OidIsValid(functions[i].oid))
		{
			functions_found = false;
			elog(ERROR, "function durable.%s of %d arguments does not exist", functions[i].name, functions[i].nargs);
		}
	}
}

/* A function has changed, perhaps with the extension, so the OIDs are looked up again. */
static void
forget_functions(Datum arg, int cacheid, uint32 hashvalue)
{
	functions_found = false;
}

/* --- durable.http ----------------------------------------------------------------------- */

static void
ask(FunctionCallInfo fcinfo, StringInfo message)
{
	LOCAL_FCINFO(call, HTTP_ARGUMENTS);
	FmgrInfo	http;
	Datum		response;

	InvokeFunctionExecuteHook(HTTP.oid);
	fmgr_info(HTTP.oid, &http);
	InitFunctionCallInfoData(*call, &http, HTTP_ARGUMENTS, InvalidOid, NULL, NULL);
	for (int i = 0; i < HTTP_ARGUMENTS; i++)
		call->args[i] = fcinfo->args[i + 1];
	response = FunctionCallInvoke(call);
	if (call->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("durable.http returned null")));
	append_response(message, DatumGetHeapTupleHeader(response));
}

static void
append_response(StringInfo message, HeapTupleHeader response)
{
	bool		isnull;
	Datum		status = GetAttributeByNum(response, RESPONSE_STATUS, &isnull);
	Datum		value;

	appendStringInfo(message, "%d\n", isnull ? 500 : DatumGetInt32(status));
	value = GetAttributeByNum(response, RESPONSE_HEADERS, &isnull);
	if (!isnull)
		append_headers(message, DatumGetJsonbP(value));
	appendStringInfoChar(message, '\n');
	value = GetAttributeByNum(response, RESPONSE_BODY, &isnull);
	if (!isnull)
	{
		text	   *body = DatumGetTextPP(value);

		appendBinaryStringInfo(message, VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body));
	}
}

/* Appends a line for each member that is not null.  A value that is not a string is written as JSON. */
static void
append_headers(StringInfo message, Jsonb *headers)
{
	JsonbIterator *iterator = JsonbIteratorInit(&headers->root);
	JsonbValue	value;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(headers))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("headers of an HTTP response must be an object")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		JsonbValue	name = value;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		if (value.type == jbvNull)
			continue;
		append_line(message, name.val.string.val, name.val.string.len);
		appendStringInfoString(message, ": ");
		if (value.type == jbvString)
			append_line(message, value.val.string.val, value.val.string.len);
		else
		{
			char	   *json = DatumGetCString(DirectFunctionCall1(jsonb_out, JsonbPGetDatum(JsonbValueToJsonb(&value))));

			append_line(message, json, strlen(json));
		}
		appendStringInfoChar(message, '\n');
	}
}

/* Replaces line ends by blanks, because a line end in a header would begin another header. */
static void
append_line(StringInfo message, const char *text, int length)
{
	int			begin = message->len;

	appendBinaryStringInfo(message, text, length);
	for (int i = begin; i < message->len; i++)
		if (message->data[i] == '\n' || message->data[i] == '\r')
			message->data[i] = ' ';
}
