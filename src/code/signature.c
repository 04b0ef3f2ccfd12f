/*
 * signature.c
 *		Writes the signature of a function, and finds the function of a signature.
 *
 * A function is found by writing the signatures of all functions of its name, and
 * comparing.  So there is one rule for the form of a signature, which no setting
 * influences, and schemas on which the current user has no USAGE privilege are searched
 * too: privileges are checked when the function is called.
 *
 * Owns:		the form of signatures
 * Called by:	handler.c; handler_function.c (quoting)
 * Locks:		none
 * Memory:		CurrentMemoryContext
 */
#include "postgres.h"

#include "signature.h"

#include "access/htup_details.h"
#include "handler.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

static CatCList *functions_of_name(const char *signature, Oid *namespace);
static char *signature_up_to(Form_pg_proc function, int nargs);
static char *qualified_type(Oid type);

Oid
durable_signature_find(const char *signature)
{
	Oid			namespace;
	CatCList   *candidates = functions_of_name(signature, &namespace);
	Oid			result = InvalidOid;

	if (candidates == NULL)
		return InvalidOid;
	for (int i = 0; i < candidates->n_members && !OidIsValid(result); i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&candidates->members[i]->tuple);

		if (function->pronamespace == namespace && strcmp(durable_signature_of(function), signature) == 0)
			result = function->oid;
	}
	ReleaseSysCacheList(candidates);

	return result;
}

Oid
durable_signature_find_grown(const char *signature, int *given)
{
	Oid			namespace;
	CatCList   *candidates = functions_of_name(signature, &namespace);
	Oid			result = InvalidOid;
	int			count = 0;

	if (candidates == NULL)
		return InvalidOid;
	for (int i = 0; i < candidates->n_members; i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&candidates->members[i]->tuple);

		if (function->pronamespace != namespace || durable_handler_objection_to(function) != NULL)
			continue;
		for (int nargs = function->pronargs - function->pronargdefaults; nargs < function->pronargs; nargs++)
			if (strcmp(signature_up_to(function, nargs), signature) == 0)
			{
				result = function->oid;
				*given = nargs;
				count++;
			}
	}
	ReleaseSysCacheList(candidates);

	return count == 1 ? result : InvalidOid;
}

/* All functions of that name, in any schema; NULL if the text is not a signature. */
static CatCList *
functions_of_name(const char *signature, Oid *namespace)
{
	List	   *names = durable_signature_names(signature);

	if (names == NIL)
		return NULL;
	*namespace = get_namespace_oid(linitial(names), true);
	return SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(lsecond(names)));
}

List *
durable_signature_names(const char *signature)
{
	bool		quoted = false;
	const char *end;
	List	   *names;

	for (end = signature; *end != '\0' && (quoted || *end != '('); end++)
		if (*end == '"')
			quoted = !quoted;

	if (!SplitIdentifierString(pnstrdup(signature, end - signature), '.', &names) ||
		list_length(names) != 2)
		return NIL;
	return names;
}

char *
durable_signature_name(Form_pg_proc function)
{
	return durable_signature_qualify(get_namespace_name(function->pronamespace), NameStr(function->proname));
}

char *
durable_signature_qualify(const char *schema, const char *function)
{
	int			quoting = durable_quoting_pin();
	char	   *name = quote_qualified_identifier(schema, function);

	durable_quoting_unpin(quoting);
	return name;
}

char *
durable_signature_of(Form_pg_proc function)
{
	return signature_up_to(function, function->pronargs);
}

/* Returns the signature that the function would have with only its first parameters. */
static char *
signature_up_to(Form_pg_proc function, int nargs)
{
	StringInfoData signature;
	int			quoting = durable_quoting_pin();

	initStringInfo(&signature);
	appendStringInfo(&signature, "%s(", durable_signature_name(function));
	for (int i = 0; i < nargs; i++)
		appendStringInfo(&signature, "%s%s", i > 0 ? "," : "",
						 qualified_type(function->proargtypes.values[i]));
	appendStringInfoChar(&signature, ')');
	durable_quoting_unpin(quoting);

	return signature.data;
}

/* Returns a type's name, qualified unless it is a type of pg_catalog. */
static char *
qualified_type(Oid type)
{
	static const char system[] = "pg_catalog.";
	char	   *name = format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);

	return strncmp(name, system, strlen(system)) == 0 ? name + strlen(system) : name;
}

int
durable_quoting_pin(void)
{
	int			level;

	if (!quote_all_identifiers)
		return 0;
	level = NewGUCNestLevel();
	(void) set_config_option("quote_all_identifiers", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

void
durable_quoting_unpin(int level)
{
	if (level > 0)
		AtEOXact_GUC(false, level);
}
