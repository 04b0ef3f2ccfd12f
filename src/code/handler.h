/*
 * handler.h
 *		Functions that users write: finding one by name, calling it with jsonb.
 *
 * handler.c caches functions by their signatures, signature.c finds them by these,
 * handler_find.c finds them by the name that a user wrote, handler_function.c checks and
 * hashes them, handler_call.c calls them.
 */
#ifndef DURABLE_HANDLER_H
#define DURABLE_HANDLER_H

#include "durable.h"

#include "catalog/pg_proc.h"
#include "json.h"

/* An input parameter. */
typedef struct HandlerParameter
{
	char	   *name;			/* NULL where unnamed */
	JsonReader	reader;			/* its type, and how to read a value of it */
	bool		pinned;			/* see durable_json_must_pin; not known of arrays and composites, which change */
}			HandlerParameter;

/*
 * A handler that can be called.  All of them belong to the cache of handler.c,
 * and are valid for the current transaction.
 */
typedef struct Handler
{
	Oid			function;
	Oid			namespace;
	const char *signature;		/* schema-qualified, as stored: app.hello(text,integer) */
	const char *name;			/* same without the argument list: app.hello */
	Oid			result;
	int			nargs;			/* input parameters */
	int			ndefaults;		/* the last ndefaults parameters have defaults */
	HandlerParameter *parameters;

	const struct Handler *cached;	/* itself, or what it was copied from: for is_stale */

	/* for handler_call.c */
	Oid			collation;
	bool		strict;
	bool		has_call;		/* call is filled, and good for every call */
	FmgrInfo	call;
}			Handler;

/*
 * Finds a function by what a user wrote: name, schema.name, or either with an
 * argument list.  Searches extra_namespace (the schema of the orchestration that
 * asks) if that is not InvalidOid, then the current search_path (the first schema
 * that has such a function counts; pg_catalog is the last).  Raises
 * 42883 if there is none (naming "kind", "orchestration" or "activity", with a
 * "Did you mean" hint), 42725 if it is ambiguous, 42809 if it cannot be a handler
 * (procedure, aggregate, window, set-returning, trigger, polymorphic, temporary).
 *
 * Registered names come first, but that is for the caller; they are only
 * suggested here.
 */
extern Handler *durable_handler_find(const char *name, const char *kind, Oid extra_namespace);

/*
 * The registration that the name stands for, or NULL: then it is a function's.  One
 * that counts only by membership does not hide a function, so nobody can put code
 * of his own in the place of what a role with more rights means to run.
 */
extern const struct Registration *durable_handler_registration(const char *name, const char *kind,
															  Oid role, Oid extra_namespace);

/*
 * That version of the orchestration of that name; raises 22023 if it does not exist.
 * no_version raises that; newest: a registration of the name, or NULL.
 */
extern const struct Registration *durable_handler_version(const char *name, const char *version, Oid role);
pg_noreturn_compat extern void durable_handler_no_version(const char *name, const struct Registration *newest,
														  const char *version);

/*
 * Same, from a stored signature; 42883 when it is gone.  Depends neither on the
 * search_path nor on privileges.
 */
extern Handler *durable_handler_resolve(const char *signature);

/*
 * Same, for a call that was recorded with that signature.  If the function is gone, it
 * is the one that has taken its place with more parameters, which have defaults.  *given:
 * the number of parameters that the input is for; -1: all.
 */
extern Handler *durable_handler_resolve_call(const char *signature, int *given);
extern Handler *durable_handler_from_oid(Oid function, const char *kind);

/* As resolve; NULL when it is gone. */
extern Handler *durable_handler_lookup(const char *signature);

/* As lookup, with the hash of its code; NULL unless the cache has both.  Raises nothing. */
extern Handler *durable_handler_kept(const char *signature, int64 *code_hash);

/* Has the function, or what it depends on, changed since it was found?  Then it may have run as other code. */
extern bool durable_handler_is_stale(const Handler *handler);

/*
 * A copy of the function with that signature, as if it stood in that one's schema: names are
 * looked up there first.  In CurrentMemoryContext.
 */
extern Handler *durable_handler_at_home(const Handler *handler, const char *signature);

/*
 * Why that function cannot be a handler, as a sentence; NULL if it can.  A handler can be
 * called with values converted from jsonb, and returns a single value.
 */
extern const char *durable_handler_objection(Oid function);
extern const char *durable_handler_objection_to(Form_pg_proc function);

/*
 * A hash of the code: source, language, configuration, parameters and so on.
 * hash_code computes it; code_hash keeps it with the handler where it may.  *may_keep: the
 * hash depends on nothing but the function, the types of its parameters and result, and
 * the names of schemas and languages, of whose changes the cache is told.
 */
extern int64 durable_handler_code_hash(const Handler *handler);
extern int64 durable_handler_hash_code(Oid function, bool *may_keep);

/* Raises 42501 unless the current user may EXECUTE it. */
extern void durable_handler_check_privilege(const Handler *handler);

/*
 * Raises if that input cannot be converted to the handler's parameters (used at
 * start, so that the caller hears of it): what the conversion says (22P02, 22003,
 * 23514, ...), or 22023, with a detail that names handler and parameter.  Returns
 * the input to store, in which texts that are read differently in other sessions,
 * such as '01/02/2026' for a date, are replaced by what they mean here.  It is the
 * input itself where there are none, else in CurrentMemoryContext.
 */
extern const Jsonb *durable_handler_check_input(Handler *handler, const Jsonb *input);

/*
 * Calls it as the current user; checks EXECUTE.  Result as jsonb in the caller's
 * context (NULL for SQL NULL and for void).  Runs in whatever subtransaction the
 * caller made, with whatever snapshot is active.
 *
 * No parameter: the input is dropped.  One: it gets the input, of which no input
 * at all (NULL) takes the parameter's default.  Several: an object is matched by
 * name, an array by position; what is missing takes its default, or is an error,
 * and so is what fits no parameter.  A single value is the first one's, if all others
 * have defaults.  Only the first "given" parameters count for that, the others take
 * their defaults; -1: all count.
 */
extern Jsonb *durable_handler_call(Handler *handler, int given, const Jsonb *input);

/*
 * For an administrator: what keeps that orchestration or activity from being called,
 * from an error of STAGE_BINDING.
 */
extern char *durable_handler_problem(const char *kind, const char *name, const ErrorData *error);

#endif							/* DURABLE_HANDLER_H */
