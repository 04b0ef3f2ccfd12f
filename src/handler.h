/*
 * handler.h
 *		Functions that users write: finding one by name, calling it with jsonb.
 */
#ifndef DURABLE_HANDLER_H
#define DURABLE_HANDLER_H

#include "durable.h"

/* A handler that can be called; valid for the current transaction. */
typedef struct Handler
{
	Oid			function;
	char	   *signature;		/* schema-qualified, as stored: app.hello(text,integer) */
	int			nargs;			/* input parameters */
	Oid			argtypes[FUNC_MAX_ARGS];
	char	   *argnames[FUNC_MAX_ARGS];	/* NULL where unnamed */
	int			ndefaults;		/* the last ndefaults parameters have defaults */
	Oid			result;
	Oid			namespace;
	char	   *code_hash;		/* md5 of what makes up the code (source, config, language...) */
}			Handler;

/*
 * Finds a function by what a user wrote: name, schema.name, or either with an
 * argument list.  Searches the current search_path, then extra_namespace (the
 * schema of the orchestration that asks) if that is not InvalidOid.  Raises
 * 42883 if there is none (naming "kind", with a "Did you mean" hint), 42725 if
 * it is ambiguous, 42809 if it is no plain function (procedure, aggregate,
 * window, set-returning, trigger).  Result in CurrentMemoryContext.
 */
extern Handler *durable_handler_find(const char *name, const char *kind, Oid extra_namespace);

/* Same, from a stored signature; 42883 when it is gone. Cached per process, with invalidation. */
extern Handler *durable_handler_resolve(const char *signature);
extern Handler *durable_handler_from_oid(Oid function, const char *kind);

/*
 * Raises 42804/22P02/... "input does not fit" if that input cannot be
 * converted to the handler's parameters (used at start, so that the caller
 * hears of it).
 */
extern void durable_handler_check_input(Handler *handler, const Jsonb *input);

/*
 * Calls it as the current user with the conversions of design 3.1; checks
 * EXECUTE. Result as jsonb in the caller's context (NULL for SQL NULL).  Runs in
 * whatever subtransaction the caller made.
 */
extern Jsonb *durable_handler_call(Handler *handler, const Jsonb *input);

#endif							/* DURABLE_HANDLER_H */
