/*
 * json.h
 *		Values of any type to jsonb and back.
 *
 * Encoding is fixed, whatever the session's DateStyle, IntervalStyle,
 * extra_float_digits, bytea_output, TimeZone and search_path say: what goes into
 * history must read the same in every session.  Timestamps with time zone are
 * written in UTC, intervals in the style "postgres", regclass and the like
 * qualified.  What was written so also reads back the same everywhere.  Texts
 * that users wrote are read as a cast would read them ('2024-06-01 12:00' in the
 * session's time zone), and the input of an orchestration is stored as it was read
 * (durable_handler_check_input).
 */
#ifndef DURABLE_JSON_H
#define DURABLE_JSON_H

#include "durable.h"
#include "fmgr.h"

/*
 * Argument argno of a function with an "any" parameter, as jsonb; NULL for SQL
 * NULL.  An untyped literal is text; jsonb and json are taken as they are.
 * Raises WF006 when larger than durable.max_payload ("what" names it in the error).
 * Always a copy in CurrentMemoryContext.
 */
extern Jsonb *durable_json_from_any(FunctionCallInfo fcinfo, int argno, const char *what);

/* NULL if isnull, and for void. Always a copy in CurrentMemoryContext. */
extern Jsonb *durable_json_from_datum(Datum value, Oid type, bool isnull);

/*
 * jsonb to a value of the given type.  A NULL pointer is SQL NULL, and so is JSON
 * null, except for parameters of type jsonb and json, which get it as it is.
 * Scalars go through the type's input function, from a string or the text of a
 * number or boolean; composites, arrays and domains go as jsonb_to_record does.
 * The result may point into the value.
 */
extern Datum durable_json_to_datum(const Jsonb *value, Oid type, int32 typmod, bool *isnull);

/* Both ways again, for who converts the same type often and keeps what was looked up. */
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

/* A whole jsonb as a value: a scalar, or a container by reference. */
extern void durable_json_root(const Jsonb *jsonb, JsonbValue *value);

extern void durable_json_check_size(const Jsonb *value, const char *what);	/* WF006 */

/* Small constructors, in CurrentMemoryContext. */
extern Jsonb *durable_json_text(const char *value);		/* NULL: JSON null */

/* Object member as text, or NULL when it is missing, JSON null, or there is no object. */
extern char *durable_json_get_text(const Jsonb *object, const char *member);

/* Object member, or NULL when it is missing, JSON null, or there is no object. */
extern Jsonb *durable_json_get_member(const Jsonb *object, const char *member);

/* A member of an object that is being built, none if value is NULL. */
extern void durable_json_push_member(JsonbParseState **state, const char *member, const Jsonb *value);

/* json_pin.c: the GUC nest level to leave after to_jsonb, 0 if nothing had to be set. */
extern int	durable_json_pin(Datum value, Oid type);

/*
 * Does a text of that type mean another value under other settings, and is there a
 * text for each value that does not?  Then the value is what to store.
 */
extern bool durable_json_must_pin(Oid type);

/*
 * An error as jsonb: {sqlstate, message, detail, hint, context, schema, table,
 * column, datatype, constraint, activity, attempt}; members without a value are left out (attempt when 0); texts are cut
 * at character boundaries (message 8 kB, detail 8 kB, hint 2 kB, context 4 kB).
 * durable_json_failure and durable_json_throw_failure are in failure.c.
 */
extern Jsonb *durable_json_failure(const ErrorData *edata, const char *activity, int attempt);

/* The same for an attempt that is repeated without using one up, and how often that has been done. */
extern Jsonb *durable_json_failure_repeated(const ErrorData *edata, const char *activity, int attempt,
											int repeats);

/*
 * A text of any size for a message, which is quoted in the server's log: all of it, or
 * the beginning and how long it is.
 */
extern char *durable_clip(const char *text);

/* A failure that the engine itself found. */
extern Jsonb *durable_json_make_failure(int sqlerrcode, const char *message);

/* Raises that failure, with all of that except activity and attempt. */
pg_noreturn_compat extern void durable_json_throw_failure(const Jsonb *failure);

#endif							/* DURABLE_JSON_H */
