/*
 * json.h
 *		Conversion of values of any type to jsonb and back.
 *
 * Values in the history must mean the same in every session.  So the encoding does not
 * depend on DateStyle, IntervalStyle, extra_float_digits, bytea_output, TimeZone and
 * search_path: timestamps with time zone are written in UTC, intervals in the style
 * "postgres", and regclass and the like with their schema.  Texts that users wrote are read
 * as a cast reads them, for example '2024-06-01 12:00' in the session's time zone; the input
 * of an orchestration is stored as it was read (durable_handler_check_input).
 */
#ifndef DURABLE_JSON_H
#define DURABLE_JSON_H

#include "durable.h"
#include "fmgr.h"

/*
 * Argument argno of a function with an "any" parameter, as jsonb; NULL for SQL NULL.  An
 * untyped literal is text; jsonb and json are not converted.  Raises WF006 if it is larger
 * than durable.max_payload; "what" names it in the error.  The result is a copy in
 * CurrentMemoryContext.
 */
extern Jsonb *durable_json_from_any(FunctionCallInfo fcinfo, int argno, const char *what);

/* NULL if isnull, and for void.  The result is a copy in CurrentMemoryContext. */
extern Jsonb *durable_json_from_datum(Datum value, Oid type, bool isnull);

/*
 * Converts jsonb to a value of the given type.  A NULL pointer is SQL NULL, and so is JSON
 * null, except for the types jsonb and json.  Scalars are read by the type's input function
 * from the text of a string, number or boolean; composites, arrays and domains are read as
 * jsonb_to_record reads them.  The result may point into the argument.
 */
extern Datum durable_json_to_datum(const Jsonb *value, Oid type, int32 typmod, bool *isnull);

/* The same conversion for callers that read the same type often: the catalog look-ups are kept. */
typedef enum JsonReadKind
{
	JSON_READ_JSONB,
	JSON_READ_JSON,
	JSON_READ_TEXT,
	JSON_READ_INPUT,			/* the type's input function */
	JSON_READ_RECORD			/* jsonb_to_record */
}			JsonReadKind;

typedef struct JsonReader
{
	Oid			type;
	int32		typmod;
	JsonReadKind kind;
	Oid			ioparam;
	FmgrInfo	input;
}			JsonReader;

extern void durable_json_reader_init(JsonReader *reader, Oid type, int32 typmod, MemoryContext context);
extern Datum durable_json_read(JsonReader *reader, JsonbValue *value, bool *isnull);

/* A whole jsonb as a JsonbValue.  A container is not copied. */
extern void durable_json_root(const Jsonb *jsonb, JsonbValue *value);

extern void durable_json_check_size(const Jsonb *value, const char *what);	/* raises WF006 */

/* A JSON string in CurrentMemoryContext; NULL: JSON null. */
extern Jsonb *durable_json_text(const char *value);

/* A member of an object as text; NULL if it is missing or JSON null, or if there is no object. */
extern char *durable_json_get_text(const Jsonb *object, const char *member);

/* The same as jsonb. */
extern Jsonb *durable_json_get_member(const Jsonb *object, const char *member);

/* Adds a member to an object that is being built, unless value is NULL. */
extern void durable_json_push_member(JsonbParseState **state, const char *member, const Jsonb *value);

/*
 * json_pin.c: sets the settings that to_jsonb of the value depends on.  Returns the GUC nest
 * level that the caller leaves afterwards; 0: nothing had to be set.
 */
extern int	durable_json_pin(Datum value, Oid type);

/* The same for texts of any values: the settings that output functions follow. */
extern int	durable_json_pin_settings(void);

/*
 * Does the meaning of a text of that type depend on settings, and has each value also a text
 * that does not?  Then the latter is stored.
 */
extern bool durable_json_must_pin(Oid type);

/*
 * Failures are in failure.c.
 *
 * An error as jsonb: {sqlstate, message, detail, hint, context, schema, table, column,
 * datatype, constraint, activity, attempt}.  Members without a value, and an attempt of 0,
 * are left out.  Texts are cut at character boundaries: message and detail at 8 kB, hint at
 * 2 kB, context at 4 kB.
 */
extern Jsonb *durable_json_failure(const ErrorData *edata, const char *activity, int attempt);

/* The same for an attempt that is repeated without being counted; repeats: how often so far. */
extern Jsonb *durable_json_failure_repeated(const ErrorData *edata, const char *activity, int attempt,
											int repeats);

/* Shortens a text for a message in the server's log: all of it, or its beginning and its length. */
extern char *durable_clip(const char *text);

/* A failure that the engine itself reports. */
extern Jsonb *durable_json_make_failure(int sqlerrcode, const char *message);

/* Raises the failure as an error with all its members except activity and attempt. */
pg_noreturn_compat extern void durable_json_throw_failure(const Jsonb *failure);

#endif							/* DURABLE_JSON_H */
