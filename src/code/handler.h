/*
 * handler.h
 *		Functions that users write: finding one by its name, and calling it with jsonb.
 *
 * handler.c			caches functions by their signatures
 * signature.c			finds a function by its signature
 * handler_find.c		finds a function by the name that a user wrote
 * handler_function.c	checks whether a function can be a handler, and hashes its code
 * handler_call.c		calls it
 */
#ifndef DURABLE_HANDLER_H
#define DURABLE_HANDLER_H

#include "durable.h"

#include "catalog/pg_proc.h"
#include "json.h"

/* An input parameter. */
typedef struct HandlerParameter
{
	char	   *name;			/* NULL: it has none */
	JsonReader	reader;			/* its type, and how a value of it is read */
	bool		pinned;			/* see durable_json_must_pin; not set for arrays and composites, which may change */
}			HandlerParameter;

/*
 * A handler that can be called.  It belongs to the cache of handler.c, and is valid until the
 * end of the transaction.
 */
typedef struct Handler
{
	Oid			function;
	Oid			namespace;
	const char *signature;		/* schema-qualified, as stored: app.hello(text,integer) */
	const char *name;			/* the same without the argument list: app.hello */
	Oid			result;
	int			nargs;			/* input parameters */
	int			ndefaults;		/* the last ndefaults parameters have defaults */
	HandlerParameter *parameters;

	const struct Handler *cached;	/* itself, or the handler from which it was copied; for is_stale */

	/* for handler_call.c */
	Oid			collation;
	bool		strict;
	bool		has_call;		/* "call" is set, and can be used for each call */
	FmgrInfo	call;
}			Handler;

/*
 * Finds a function by the name that a user wrote: name, schema.name, or either with an
 * argument list.  Searches extra_namespace (the schema of the calling orchestration) unless it
 * is InvalidOid, and then the search_path, with pg_catalog last; the first schema that has such
 * a function counts.
 *
 * Raises 42883 if there is none (the message has "kind", which is "orchestration" or
 * "activity"; the hint suggests a similar name), 42725 if the name is ambiguous, and 42809 if
 * the function cannot be a handler: a procedure, aggregate, window, set-returning, trigger,
 * polymorphic or temporary function.
 *
 * Registered names take precedence; the caller looks them up before.
 */
extern Handler *durable_handler_find(const char *name, const char *kind, Oid extra_namespace);

/*
 * The registration that the name refers to; NULL: the name is that of a function.  A
 * registration that applies only because of a role membership does not hide a function.
 * Otherwise a role could replace the code that a role with more privileges means to run.
 */
extern const struct Registration *durable_handler_registration(const char *name, const char *kind,
															  Oid role, Oid extra_namespace);

/*
 * The registration of that version of an orchestration.  Raises 22023 if it does not exist, by
 * no_version, where newest is a registration of the name, or NULL.
 */
extern const struct Registration *durable_handler_version(const char *name, const char *version, Oid role);
pg_noreturn_compat extern void durable_handler_no_version(const char *name, const struct Registration *newest,
														  const char *version);

/*
 * The handler with a stored signature; raises 42883 if the function does not exist.  Depends
 * neither on the search_path nor on privileges.
 */
extern Handler *durable_handler_resolve(const char *signature);

/*
 * The same for a call that was recorded with that signature.  If the function does not exist
 * any more, a function of the same name that has additional parameters with defaults takes its
 * place.  *given: the number of parameters that the input is for; -1: all.
 */
extern Handler *durable_handler_resolve_call(const char *signature, int *given);
extern Handler *durable_handler_from_oid(Oid function, const char *kind);

/* Like resolve; NULL if the function does not exist. */
extern Handler *durable_handler_lookup(const char *signature);

/* Like lookup, with the hash of its code; NULL unless the cache has both.  Raises no error. */
extern Handler *durable_handler_kept(const char *signature, int64 *code_hash);

/* Has the function, or an object that it depends on, changed since it was looked up? */
extern bool durable_handler_is_stale(const Handler *handler);

/*
 * A copy of the handler, in CurrentMemoryContext, with the namespace and the name of that
 * signature: its calls look names up in that schema first.
 */
extern Handler *durable_handler_at_home(const Handler *handler, const char *signature);

/*
 * A sentence that says why the function cannot be a handler; NULL if it can.  A handler must
 * be callable with values converted from jsonb, and return a single value.
 */
extern const char *durable_handler_objection(Oid function);
extern const char *durable_handler_objection_to(Form_pg_proc function);

/*
 * A hash of the code: source, language, configuration, parameters and so on.  hash_code
 * computes it; code_hash caches it with the handler if *may_keep.  That is so if the hash
 * depends only on the function, the types of its parameters and result, and the names of
 * schemas and languages, because the cache is invalidated by changes of these.
 */
extern int64 durable_handler_code_hash(const Handler *handler);
extern int64 durable_handler_hash_code(Oid function, bool *may_keep);

/* Raises 42501 unless the current user may EXECUTE it. */
extern void durable_handler_check_privilege(const Handler *handler);

/*
 * Checks at the start of an instance whether the input can be converted to the handler's
 * parameters.  If not, raises the error of the conversion (such as 22P02, 22003 or 23514) or
 * 22023, with a detail that names the handler and the parameter.
 *
 * Returns the input to be stored.  Texts whose meaning depends on settings, such as
 * '01/02/2026' for a date, are replaced in it by their meaning in this session.  The result is
 * the input itself if there are none, else it is in CurrentMemoryContext.
 */
extern const Jsonb *durable_handler_check_input(Handler *handler, const Jsonb *input);

/*
 * Calls the handler as the current user, after a check of its EXECUTE privilege, in the
 * caller's subtransaction and with the active snapshot.  Returns the result as jsonb in
 * CurrentMemoryContext; NULL for SQL NULL and for void.
 *
 * The number of parameters decides how the input is passed:
 *	none		the input is ignored
 *	one			it gets the input; without an input (NULL) it gets its default
 *	several		the members of an object are matched by name, the elements of an array by
 *				position; any other value is the first argument, if the other parameters
 *				have defaults
 * A parameter without a value gets its default, or it is an error if it has none.  A value
 * without a parameter is an error.  Only the first "given" parameters get values, the others
 * their defaults; -1: all.
 */
extern Jsonb *durable_handler_call(Handler *handler, int given, const Jsonb *input);

/*
 * A text for an administrator, from an error of STAGE_BINDING: why that orchestration or
 * activity cannot be called.
 */
extern char *durable_handler_problem(const char *kind, const char *name, const ErrorData *error);

#endif							/* DURABLE_HANDLER_H */
