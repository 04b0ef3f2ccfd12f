/*
 * json.c
 *		Converts values of any type to jsonb and back.
 *
 * Inputs, results and events are converted between SQL types and jsonb only in this file.
 * The common types have code of their own, because a turn does this for every call; all
 * other types are converted by to_jsonb and jsonb_to_record, so that the rules are those
 * of PostgreSQL.
 *
 * to_jsonb itself follows the session's settings for a few types; json_pin.c prevents
 * this.
 *
 * Owns:		nothing
 * Called by:	files of all higher layers
 * Locks:		none
 * Memory:		results in CurrentMemoryContext, along with memory that the conversion
 *				functions do not free
 */
#include "postgres.h"

#include "json.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "guc.h"
#include "nodes/execnodes.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

static Jsonb *text_to_jsonb(const char *text, int length);
static Jsonb *numeric_to_jsonb(Numeric number);
static Jsonb *float_to_jsonb(double number, char *digits);
static Jsonb *other_to_jsonb(Datum value, Oid type);
static Datum read_as_record(JsonReader *reader, JsonbValue *value, bool *isnull);
static char *value_to_cstring(JsonbValue *value);
static char *container_to_cstring(JsonbContainer *container);

/* --- to jsonb ---------------------------------------------------------------------------------------------------- */

Jsonb *
durable_json_from_any(FunctionCallInfo fcinfo, int argno, const char *what)
{
	Oid			type;
	Jsonb	   *result;

	if (PG_ARGISNULL(argno))
		return NULL;

	type = get_fn_expr_argtype(fcinfo->flinfo, argno);
	if (!OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine the type of the %s", what)));

	result = durable_json_from_datum(PG_GETARG_DATUM(argno), type, false);
	durable_json_check_size(result, what);
	return result;
}

Jsonb *
durable_json_from_datum(Datum value, Oid type, bool isnull)
{
	char		digits[FLOAT_SHORTEST_DECIMAL_LEN > DOUBLE_SHORTEST_DECIMAL_LEN ?
					   FLOAT_SHORTEST_DECIMAL_LEN : DOUBLE_SHORTEST_DECIMAL_LEN];

	if (isnull)
		return NULL;

	switch (type)
	{
		case JSONBOID:
			return DatumGetJsonbPCopy(value);

		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			{
				text	   *string = DatumGetTextPP(value);

				return text_to_jsonb(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
			}

		case UNKNOWNOID:
		case CSTRINGOID:
			return durable_json_text(DatumGetCString(value));

		case BOOLOID:
			{
				JsonbValue	boolean;

				boolean.type = jbvBool;
				boolean.val.boolean = DatumGetBool(value);
				return JsonbValueToJsonb(&boolean);
			}

		case INT2OID:
			return numeric_to_jsonb(int64_to_numeric(DatumGetInt16(value)));
		case INT4OID:
			return numeric_to_jsonb(int64_to_numeric(DatumGetInt32(value)));
		case INT8OID:
			return numeric_to_jsonb(int64_to_numeric(DatumGetInt64(value)));
		case NUMERICOID:
			return numeric_to_jsonb(DatumGetNumeric(value));

		case FLOAT4OID:
			float_to_shortest_decimal_buf(DatumGetFloat4(value), digits);
			return float_to_jsonb(DatumGetFloat4(value), digits);
		case FLOAT8OID:
			double_to_shortest_decimal_buf(DatumGetFloat8(value), digits);
			return float_to_jsonb(DatumGetFloat8(value), digits);

		case TIMESTAMPTZOID:
			{
				char		buffer[MAXDATELEN + 1];
				int			utc = 0;

				JsonEncodeDateTime(buffer, value, TIMESTAMPTZOID, &utc);
				return text_to_jsonb(buffer, strlen(buffer));
			}

		case VOIDOID:
			return NULL;

		default:
			return other_to_jsonb(value, type);
	}
}

Jsonb *
durable_json_text(const char *value)
{
	JsonbValue	null;

	if (value != NULL)
		return text_to_jsonb(value, strlen(value));

	null.type = jbvNull;
	return JsonbValueToJsonb(&null);
}

void
durable_json_check_size(const Jsonb *value, const char *what)
{
	Size		size;

	if (value == NULL)
		return;

	size = VARSIZE(value);
	if (size > (Size) durable_max_payload * 1024)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_PAYLOAD_TOO_LARGE),
				 errmsg("%s is too large", what),
				 errdetail("Its size is %zu kB, but durable.max_payload allows %d kB.",
						   (size + 1023) / 1024, durable_max_payload),
				 errhint("Keep large values in a table and pass their keys.")));
}

static Jsonb *
text_to_jsonb(const char *text, int length)
{
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.val = unconstify(char *, text);
	string.val.string.len = length;
	return JsonbValueToJsonb(&string);
}

/* JSON has no NaN and no infinities; to_jsonb makes strings of them, too. */
static Jsonb *
numeric_to_jsonb(Numeric number)
{
	JsonbValue	value;

	if (numeric_is_nan(number) || numeric_is_inf(number))
		return durable_json_text(DatumGetCString(DirectFunctionCall1(numeric_out,
																	 NumericGetDatum(number))));

	value.type = jbvNumeric;
	value.val.numeric = number;
	return JsonbValueToJsonb(&value);
}

/* Writes the shortest digits that are read as the same number, independently of extra_float_digits. */
static Jsonb *
float_to_jsonb(double number, char *digits)
{
	if (isnan(number) || isinf(number))
		return durable_json_text(isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");

	return numeric_to_jsonb(DatumGetNumeric(DirectFunctionCall3(numeric_in,
																CStringGetDatum(digits),
																ObjectIdGetDatum(InvalidOid),
																Int32GetDatum(-1))));
}

static Jsonb *
other_to_jsonb(Datum value, Oid type)
{
	FmgrInfo	function;
	Const	   *argument;
	Datum		result;
	int			level;

	/* the function gets the type of its argument from the call's expression */
	fmgr_info(F_TO_JSONB, &function);
	argument = makeNullConst(type, -1, InvalidOid);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &function);

	level = durable_json_pin(value, type);
	result = FunctionCall1(&function, value);
	if (level > 0)
		AtEOXact_GUC(false, level);

	return DatumGetJsonbP(result);
}

/* --- from jsonb ---------------------------------------------------------------------------------------------------- */

Datum
durable_json_to_datum(const Jsonb *value, Oid type, int32 typmod, bool *isnull)
{
	JsonReader	reader;
	JsonbValue	root;

	durable_json_reader_init(&reader, type, typmod, CurrentMemoryContext);
	if (value == NULL)
		return durable_json_read(&reader, NULL, isnull);

	durable_json_root(value, &root);
	return durable_json_read(&reader, &root, isnull);
}

void
durable_json_root(const Jsonb *jsonb, JsonbValue *value)
{
	JsonbContainer *root = unconstify(JsonbContainer *, &jsonb->root);

	if (JsonbExtractScalar(root, value))
		return;

	value->type = jbvBinary;
	value->val.binary.data = root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}

void
durable_json_reader_init(JsonReader *reader, Oid type, int32 typmod, MemoryContext context)
{
	char		typtype;
	Oid			function;

	reader->type = type;
	reader->typmod = typmod;

	if (type == JSONBOID)
		reader->kind = JSON_READ_JSONB;
	else if (type == JSONOID)
		reader->kind = JSON_READ_JSON;
	else if (type == TEXTOID || (type == VARCHAROID && typmod < 0))
		reader->kind = JSON_READ_TEXT;
	else if ((typtype = get_typtype(type)) == TYPTYPE_DOMAIN || typtype == TYPTYPE_COMPOSITE ||
			 OidIsValid(get_element_type(type)))
		reader->kind = JSON_READ_RECORD;
	else
	{
		reader->kind = JSON_READ_INPUT;
		getTypeInputInfo(type, &function, &reader->ioparam);
		fmgr_info_cxt(function, &reader->input, context);
	}
}

Datum
durable_json_read(JsonReader *reader, JsonbValue *value, bool *isnull)
{
	*isnull = value == NULL;

	/* even NULL has to pass the constraints of a domain */
	if (reader->kind == JSON_READ_RECORD)
		return read_as_record(reader, value, isnull);

	if (value == NULL)
		return (Datum) 0;

	if (reader->kind == JSON_READ_JSONB)
		return JsonbPGetDatum(JsonbValueToJsonb(value));
	if (reader->kind == JSON_READ_JSON)
		return PointerGetDatum(cstring_to_text(container_to_cstring(&JsonbValueToJsonb(value)->root)));

	if (value->type == jbvNull)
	{
		*isnull = true;
		return (Datum) 0;
	}

	if (reader->kind == JSON_READ_TEXT)
	{
		if (value->type == jbvString)
			return PointerGetDatum(cstring_to_text_with_len(value->val.string.val,
															value->val.string.len));
		return PointerGetDatum(cstring_to_text(value_to_cstring(value)));
	}

	return InputFunctionCall(&reader->input, value_to_cstring(value), reader->ioparam, reader->typmod);
}

/*
 * Does the same as SELECT v FROM jsonb_to_record('{"v": ...}') AS r(v type), without the
 * SELECT.  The function's look-ups are repeated each time, because a kept result would
 * not notice that a composite type has changed.
 */
static Datum
read_as_record(JsonReader *reader, JsonbValue *value, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	function;
	ReturnSetInfo result_info = {.type = T_ReturnSetInfo};
	JsonbParseState *state = NULL;
	JsonbValue	key;
	JsonbValue	null;
	Datum		record;
	HeapTupleData tuple;

	key.type = jbvString;
	key.val.string.val = "v";
	key.val.string.len = 1;
	null.type = jbvNull;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_VALUE, value != NULL ? value : &null);

	result_info.expectedDesc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(result_info.expectedDesc, 1, "v", reader->type, reader->typmod, 0);

	fmgr_info(F_JSONB_TO_RECORD, &function);
	InitFunctionCallInfoData(*fcinfo, &function, 1, DEFAULT_COLLATION_OID, NULL, (Node *) &result_info);
	fcinfo->args[0].value =
		JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	fcinfo->args[0].isnull = false;

	record = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		elog(ERROR, "jsonb_to_record returned NULL");

	tuple.t_data = DatumGetHeapTupleHeader(record);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	return heap_getattr(&tuple, 1, result_info.expectedDesc, isnull);
}

/* Returns the text for an input function. */
static char *
value_to_cstring(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return container_to_cstring(&JsonbValueToJsonb(value)->root);
	}
}

static char *
container_to_cstring(JsonbContainer *container)
{
	return JsonbToCString(NULL, container, 0);
}

char *
durable_json_get_text(const Jsonb *object, const char *member)
{
	JsonbValue	buffer;
	JsonbValue *value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;

	value = getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &object->root),
										 member, strlen(member), &buffer);
	if (value == NULL || value->type == jbvNull)
		return NULL;

	return value_to_cstring(value);
}

Jsonb *
durable_json_get_member(const Jsonb *object, const char *member)
{
	JsonbValue	key;
	JsonbValue *value;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return NULL;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, member);
	key.val.string.len = strlen(member);
	value = findJsonbValueFromContainer(unconstify(JsonbContainer *, &object->root),
										JB_FOBJECT, &key);
	if (value == NULL || value->type == jbvNull)
		return NULL;
	return JsonbValueToJsonb(value);
}

void
durable_json_push_member(JsonbParseState **state, const char *member, const Jsonb *value)
{
	JsonbValue	key;
	JsonbValue	pushed;

	if (value == NULL)
		return;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, member);
	key.val.string.len = strlen(member);
	pushJsonbValue(state, WJB_KEY, &key);
	durable_json_root(value, &pushed);
	pushJsonbValue(state, WJB_VALUE, &pushed);
}
