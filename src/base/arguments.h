/*
 * arguments.h
 *		Guards functions whose SQL declaration has gained parameters.
 *
 * After a restart with a new library and until ALTER EXTENSION durable UPDATE, the library
 * is newer than the extension.  Such a function may then be called through its older
 * declaration, with fewer arguments than its code reads.
 */
#ifndef DURABLE_ARGUMENTS_H
#define DURABLE_ARGUMENTS_H

#include "fmgr.h"
#include "utils/lsyscache.h"

/* Raises 55000 if the call has fewer than nargs arguments. */
static inline void
durable_require_arguments(FunctionCallInfo fcinfo, int nargs)
{
	if (PG_NARGS() < nargs)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function durable.%s() is of an older version than the library",
						get_func_name(fcinfo->flinfo->fn_oid)),
				 errhint("ALTER EXTENSION durable UPDATE; updates the extension.")));
}

#endif							/* DURABLE_ARGUMENTS_H */
