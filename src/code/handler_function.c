/*
 * handler_function.c
 *		Tells from pg_proc whether a function can be a handler, and hashes its code.
 *
 * Owns:		the hash that identifies a version of a function
 * Called by:	handler.c, signature.c, handler_find.c, kept_code.c
 * Locks:		none
 * Memory:		CurrentMemoryContext
 */
#include "postgres.h"

#include "handler.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "signature.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

const char *
durable_handler_objection(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	const char *result;

	if (!HeapTupleIsValid(tuple))
		return "It does not exist.";

	result = durable_handler_objection_to((Form_pg_proc) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return result;
}

const char *
durable_handler_objection_to(Form_pg_proc function)
{
	if (function->prokind == PROKIND_PROCEDURE)
		return "It is a procedure, but a function is required.";
	if (function->prokind == PROKIND_AGGREGATE)
		return "It is an aggregate function.";
	if (function->prokind == PROKIND_WINDOW)
		return "It is a window function.";
	if (function->prorettype == TRIGGEROID || function->prorettype == EVENT_TRIGGEROID)
		return "It is a trigger function.";
	if (function->proretset)
		return "It returns a set of rows, but a single value is required.";
	if (get_typtype(function->prorettype) == TYPTYPE_PSEUDO &&
		function->prorettype != VOIDOID && function->prorettype != RECORDOID)
		return psprintf("It returns the pseudo-type %s.", format_type_be(function->prorettype));

	for (int i = 0; i < function->pronargs; i++)
		if (get_typtype(function->proargtypes.values[i]) == TYPTYPE_PSEUDO)
			return psprintf("Parameter %d has the pseudo-type %s. Declare it with a concrete type, for example jsonb.",
							i + 1, format_type_be(function->proargtypes.values[i]));

	if (isAnyTempNamespace(function->pronamespace))
		return "It is temporary, so other sessions cannot call it.";

	return NULL;
}

/*
 * The body of an SQL-standard function is a tree that contains object identifiers.  So
 * its text is used, with every name in it qualified and under fixed settings: the same
 * code has the same hash after a dump and restore, and in every session.  64 bits are
 * enough to distinguish the versions of a function.
 */
int64
durable_handler_hash_code(Oid function_oid, bool *may_keep)
{
	static const struct
	{
		AttrNumber	column;
		Oid			output;
	}			parts[] = {
		{Anum_pg_proc_prosrc, F_TEXTOUT},
		{Anum_pg_proc_probin, F_TEXTOUT},
		{Anum_pg_proc_proconfig, F_ARRAY_OUT},
		{Anum_pg_proc_provolatile, F_CHAROUT},
		{Anum_pg_proc_prosecdef, F_BOOLOUT},
		{Anum_pg_proc_proisstrict, F_BOOLOUT},
	};
	Datum		function = ObjectIdGetDatum(function_oid);
	HeapTuple	tuple;
	StringInfoData code;
	bytea	   *hash;
	int64		result = 0;
	int			path;
	int			quoting;
	int			constants = 0;

	tuple = SearchSysCache1(PROCOID, function);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function_oid);

	/* A default or an SQL-standard body may name any object, and an output parameter any type. */
	*may_keep = heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL) &&
		heap_attisnull(tuple, Anum_pg_proc_proargdefaults, NULL) &&
		heap_attisnull(tuple, Anum_pg_proc_proallargtypes, NULL);

	initStringInfo(&code);
	for (int i = 0; i < lengthof(parts); i++)
	{
		bool		isnull;
		Datum		value = SysCacheGetAttr(PROCOID, tuple, parts[i].column, &isnull);

		/* the length is put before each part, so that the boundaries of parts count */
		if (isnull)
			appendStringInfoString(&code, "-:");
		else
		{
			char	   *text = OidOutputFunctionCall(parts[i].output, value);

			appendStringInfo(&code, "%zu:%s", strlen(text), text);
		}
	}
	appendStringInfo(&code, " %s",
					 get_language_name(((Form_pg_proc) GETSTRUCT(tuple))->prolang, false));

	path = durable_search_path_pin();
	quoting = durable_quoting_pin();
	if (!*may_keep)
		constants = durable_json_pin_settings();	/* for those in defaults and bodies */
	appendStringInfo(&code, " (%s) %s",
					 TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTION_ARGUMENTS, function)),
					 TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTION_RESULT, function)));
	if (!heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL))
		appendStringInfo(&code, " %s",
						 TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTION_SQLBODY, function)));
	if (constants > 0)
		AtEOXact_GUC(false, constants);
	durable_quoting_unpin(quoting);
	durable_search_path_unpin(path);

	ReleaseSysCache(tuple);

	/* SHA-256: a server in FIPS mode refuses MD5, and hash_bytes() depends on the byte order. */
	hash = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea,
											   PointerGetDatum(cstring_to_text_with_len(code.data,
																						code.len))));
	for (int i = 0; i < sizeof(result); i++)
		result = (result << 8) | (unsigned char) VARDATA_ANY(hash)[i];
	return result | 1;			/* 0 is for none */
}
