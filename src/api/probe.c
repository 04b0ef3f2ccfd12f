/*
 * probe.c
 *		Functions by which the regression tests call code that does not access the database.
 *
 * The conversion of values to jsonb and back, histories, handlers and retry policies take
 * values and return values, so they are tested without a workflow.  The extension has no SQL
 * functions for them.  A test creates the functions that it needs, as a superuser.
 *
 * Called by:	sql/json_values.sql, sql/history_format.sql, sql/handlers.sql, sql/retry_policies.sql
 * Locks:		none
 * Memory:		the caller's
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "handler.h"
#include "history.h"
#include "json.h"
#include "retry.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

static Jsonb *jsonb_or_null(FunctionCallInfo fcinfo, int argno);
static Handler *handler_named(FunctionCallInfo fcinfo);

/* (value "any") returns jsonb */
PG_FUNCTION_INFO_V1(durable_probe_encode);

Datum
durable_probe_encode(PG_FUNCTION_ARGS)
{
	Jsonb	   *result = durable_json_from_any(fcinfo, 0, "value");

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

/* (failure jsonb) raises it */
PG_FUNCTION_INFO_V1(durable_probe_throw);

Datum
durable_probe_throw(PG_FUNCTION_ARGS)
{
	durable_json_throw_failure(PG_GETARG_JSONB_P(0));
}

/* (name text, extra_schema regnamespace) returns text: the signature */
PG_FUNCTION_INFO_V1(durable_probe_find);

Datum
durable_probe_find(PG_FUNCTION_ARGS)
{
	Oid			extra = PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1);
	Handler    *handler = durable_handler_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), "activity", extra);

	PG_RETURN_TEXT_P(cstring_to_text(handler->signature));
}

/* (signature text) returns regprocedure */
PG_FUNCTION_INFO_V1(durable_probe_resolve);

Datum
durable_probe_resolve(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(durable_handler_resolve(text_to_cstring(PG_GETARG_TEXT_PP(0)))->function);
}

/* (name text) returns bigint */
PG_FUNCTION_INFO_V1(durable_probe_code_hash);

Datum
durable_probe_code_hash(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(durable_handler_code_hash(handler_named(fcinfo)));
}

/* (name text, input jsonb) returns jsonb */
PG_FUNCTION_INFO_V1(durable_probe_call);

Datum
durable_probe_call(PG_FUNCTION_ARGS)
{
	Jsonb	   *result = durable_handler_call(handler_named(fcinfo), -1, jsonb_or_null(fcinfo, 1));

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}

/* (name text, input jsonb) returns void */
PG_FUNCTION_INFO_V1(durable_probe_check_input);

Datum
durable_probe_check_input(PG_FUNCTION_ARGS)
{
	durable_handler_check_input(handler_named(fcinfo), jsonb_or_null(fcinfo, 1));
	PG_RETURN_VOID();
}

/*
 * (retry jsonb, attempt integer, first_scheduled timestamptz, now timestamptz, sqlstate text) returns bigint:
 * microseconds, or NULL for no more attempts
 */
PG_FUNCTION_INFO_V1(durable_probe_retry);

Datum
durable_probe_retry(PG_FUNCTION_ARGS)
{
	char	   *code = text_to_cstring(PG_GETARG_TEXT_PP(4));
	RetryPolicy policy;
	int64		delay;

	durable_retry_parse(PG_GETARG_JSONB_P(0), &policy);
	if (!durable_retry_next(&policy, PG_GETARG_INT32(1), PG_GETARG_TIMESTAMPTZ(2),
							PG_GETARG_TIMESTAMPTZ(3),
							MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]), &delay))
		PG_RETURN_NULL();
	PG_RETURN_INT64(delay);
}

/* (type integer, task integer, name text, payload jsonb, at timestamptz) returns jsonb: a row with that event */
PG_FUNCTION_INFO_V1(durable_probe_history_encode);

Datum
durable_probe_history_encode(PG_FUNCTION_ARGS)
{
	HistoryEvent event = {
		.type = (HistoryType) PG_GETARG_INT32(0),
		.task = PG_GETARG_INT32(1),
		.name = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
		.payload = jsonb_or_null(fcinfo, 3),
		.time = PG_GETARG_TIMESTAMPTZ(4)
	};
	HistoryEvent *events[1] = {&event};

	PG_RETURN_JSONB_P(durable_history_encode(events, 1, 0));
}

/* (row jsonb, format "char") returns text: a description of its events */
PG_FUNCTION_INFO_V1(durable_probe_history_decode);

Datum
durable_probe_history_decode(PG_FUNCTION_ARGS)
{
	HistoryEvent **events = NULL;
	int			nevents = 0;
	int			allocated = 0;
	StringInfoData out;

	durable_history_decode(PG_GETARG_JSONB_P(0), PG_GETARG_CHAR(1), 0, &events, &nevents, &allocated);
	initStringInfo(&out);
	for (int i = 0; i < nevents; i++)
		appendStringInfo(&out, "%s%s %d %s %s " INT64_FORMAT, i > 0 ? "; " : "",
						 durable_history_type_name(events[i]->type), events[i]->task,
						 events[i]->name ? events[i]->name : "-",
						 events[i]->payload ? JsonbToCString(NULL, &events[i]->payload->root, 0) : "-",
						 events[i]->time);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

static Jsonb *
jsonb_or_null(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_GETARG_JSONB_P(argno);
}

static Handler *
handler_named(FunctionCallInfo fcinfo)
{
	return durable_handler_find(text_to_cstring(PG_GETARG_TEXT_PP(0)), "activity", InvalidOid);
}
