/*
 * arguments.h
 *		Functions whose SQL declaration has got more parameters.
 *
 * While the library is newer than the extension, which is so from the restart with a new
 * library until ALTER EXTENSION durable UPDATE, such a function may be called by its older
 * declaration, and has fewer arguments than its code reads.
 */
#ifndef DURABLE_ARGUMENTS_H
#define DURABLE_ARGUMENTS_H

#include "fmgr.h"
#include "utils/lsyscache.h"

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
