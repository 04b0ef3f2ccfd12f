/*
 * json.h
 *		Values of any type to jsonb and back.
 *
 * Encoding is fixed, whatever the session's DateStyle, IntervalStyle,
 * extra_float_digits, bytea_output and TimeZone say: what goes into history
 * must read the same in every session.
 */
#ifndef DURABLE_JSON_H
#define DURABLE_JSON_H

#include "durable.h"
#include "fmgr.h"

/*
 * Argument argno of a function with an "any" parameter, as jsonb; NULL for SQL
 * NULL.  An untyped literal is text; jsonb and json are taken as they are.
 * Raises WF006 when larger than durable.max_payload ("what" names it in the error).
 */
extern Jsonb *durable_json_from_any(FunctionCallInfo fcinfo, int argno, const char *what);

extern Jsonb *durable_json_from_datum(Datum value, Oid type, bool isnull);	/* NULL if isnull */

/*
 * jsonb to a value of the given type (SQL NULL for a NULL pointer or JSON
 * null).  Scalars by the type's input function, from a string or the text of a
 * number or boolean; composites, arrays and domains as jsonb_to_record does.
 */
extern Datum durable_json_to_datum(const Jsonb *value, Oid type, int32 typmod, bool *isnull);

extern void durable_json_check_size(const Jsonb *value, const char *what);	/* WF006 */

/* Small constructors, in CurrentMemoryContext. */
extern Jsonb *durable_json_text(const char *value);		/* NULL: JSON null */

/* Object member as text, or NULL. */
extern char *durable_json_get_text(const Jsonb *object, const char *member);

/*
 * An error as jsonb: {sqlstate, message, detail, hint, context, activity,
 * attempt}; members without a value are left out; texts are cut at character
 * boundaries (message 8 kB, detail 8 kB, hint 2 kB, context 4 kB).
 */
extern Jsonb *durable_json_failure(const ErrorData *edata, const char *activity, int attempt);

/* Raises that failure with its own SQLSTATE, message, detail and hint. */
extern void durable_json_throw_failure(const Jsonb *failure) pg_attribute_noreturn();

#endif							/* DURABLE_JSON_H */
