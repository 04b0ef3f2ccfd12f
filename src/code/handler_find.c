/*
 * handler_find.c
 *		Finds functions that users write, by their names.
 *
 * A name is looked up once, when an instance is started, an activity is scheduled or a
 * function is registered; the engine stores the signature.
 *
 * SQL would choose among functions of one name by the types of the arguments.  Here no
 * types are known: the first schema that has a suitable function decides, and two in
 * that schema are ambiguous.  The schema of the orchestration that asks is searched
 * first: so a function in another schema of the owner's search_path, in which other
 * roles may create functions, cannot replace one in the orchestration's own schema.
 * The search_path follows.  pg_catalog comes last, although it is searched first by
 * default, so that its function of the same name does not get in the way of a user's.
 *
 * Owns:		nothing
 * Called by:	start_api.c, registration_api.c, code_api.c; the durable calls; activity.c,
 *				dispatch.c, external.c, probe.c
 * Locks:		AccessShareLock on pg_proc while it looks for similar names
 * Memory:		CurrentMemoryContext
 */
#include "postgres.h"

#include <limits.h>

#include "handler.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "compat.h"
#include "mb/pg_wchar.h"
#include "nodes/value.h"
#include "registry.h"
#include "suggest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#define MAX_VERSIONS_SHOWN	10

/* The parts of a name as it was written. */
typedef struct Written
{
	const char *name;			/* the whole name */
	const char *kind;
	List	   *names;			/* [schema,] function */
	const char *arguments;		/* from the parenthesis on, or NULL */
}			Written;

static bool is_function(const char *name, const char *kind, Oid extra_namespace);
static bool any_suitable(FuncCandidateList candidates);
static bool parse(Written *written, const char *name, const char *kind);
static Oid	find_with_arguments(Written *written, Oid extra_namespace);
static char *schema_to_search(const Written *written, Oid extra_namespace);
static Oid	function_of_signature(const char *signature);
static Oid	find_by_name(Written *written, Oid extra_namespace);
static Oid	choose(Written *written, FuncCandidateList candidates);
pg_noreturn_compat static void not_found(Written *written, const char *name, const char *kind, Oid extra_namespace);
static const char *same_name(Written *written);
static char *clipped(const char *name);
static List *functions_in(Oid namespace, bool qualified, List *names);

Handler *
durable_handler_find(const char *name, const char *kind, Oid extra_namespace)
{
	Written		written = {0};
	Oid			function = InvalidOid;

	if (parse(&written, name, kind))
	{
		if (written.arguments != NULL)
			function = find_with_arguments(&written, extra_namespace);
		else
			function = find_by_name(&written, extra_namespace);
	}
	if (!OidIsValid(function))
		not_found(&written, name, kind, extra_namespace);

	return durable_handler_from_oid(function, kind);
}

const Registration *
durable_handler_registration(const char *name, const char *kind, Oid role, Oid extra_namespace)
{
	const Registration *registration = strcmp(kind, "activity") == 0 ?
		durable_registry_activity(name, role) : durable_registry_orchestration(name, role);

	if (registration != NULL && !durable_registry_is_trusted(registration, role) &&
		is_function(name, kind, extra_namespace))
		return NULL;
	return registration;
}

const Registration *
durable_handler_version(const char *name, const char *version, Oid role)
{
	const Registration *newest = durable_handler_registration(name, "orchestration", role, InvalidOid);
	const Registration *found = newest != NULL ? durable_registry_version(newest, version) : NULL;

	if (newest == NULL)
		name = durable_handler_find(name, "orchestration", InvalidOid)->name;
	if (found == NULL)
		durable_handler_no_version(name, newest, version);
	return found;
}

void
durable_handler_no_version(const char *name, const Registration *newest, const char *version)
{
	StringInfoData list;
	ListCell   *cell;
	List	   *versions = newest != NULL ? durable_registry_versions(newest) : NIL;
	int			shown = 0;

	initStringInfo(&list);
	foreach(cell, versions)
	{
		if (shown++ == MAX_VERSIONS_SHOWN)
		{
			appendStringInfo(&list, " and %d older", list_length(versions) - MAX_VERSIONS_SHOWN);
			break;
		}
		appendStringInfo(&list, "%s\"%s\"", shown > 1 ? ", " : "", clipped(lfirst(cell)));
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("version \"%s\" of orchestration \"%s\" does not exist", clipped(version), clipped(name)),
			 versions != NIL ? errdetail_plural("The registered version is %s.", "The registered versions are %s.",
												list_length(versions), list.data) :
			 newest != NULL ? errdetail("The orchestration is registered without a version.") :
			 errdetail("The orchestration is not registered, and only registrations have versions."),
			 versions != NIL ? errhint("Use a registered version, or register this one with durable.register_orchestration().") :
			 errhint("Omit the version, or register it with durable.register_orchestration().")));
}

/* Is there a function of that name, whatever its arguments?  durable_handler_find decides among them. */
static bool
is_function(const char *name, const char *kind, Oid extra_namespace)
{
	Written		written = {0};
	List	   *names = NIL;
	ListCell   *cell;
	Oid			namespace = extra_namespace;

	if (!parse(&written, name, kind))
		return false;
	foreach(cell, written.names)
		names = lappend(names, makeString(lfirst(cell)));

	if (list_length(names) == 2)
	{
		namespace = get_namespace_oid(linitial(written.names), true);
		names = list_delete_first(names);
	}
	else if (any_suitable(durable_functions_named(names)))
		return true;

	return OidIsValid(namespace) && get_namespace_name(namespace) != NULL &&
		durable_schema_aclcheck(namespace, GetUserId(), ACL_USAGE) == ACLCHECK_OK &&
		any_suitable(durable_functions_named(lcons(makeString(get_namespace_name(namespace)), names)));
}

static bool
any_suitable(FuncCandidateList candidates)
{
	for (; candidates != NULL; candidates = candidates->next)
		if (durable_handler_objection(candidates->oid) == NULL)
			return true;
	return false;
}

/*
 * Returns false if the text cannot be the name of a function.  This is not an error of
 * its own: names of registrations can have any form, so the name is reported as one that
 * does not exist.
 */
static bool
parse(Written *written, const char *name, const char *kind)
{
	bool		quoted = false;
	const char *end;

	for (end = name; *end != '\0' && (quoted || *end != '('); end++)
		if (*end == '"')
			quoted = !quoted;

	written->name = name;
	written->kind = kind;
	written->arguments = *end == '(' ? end : NULL;
	if (written->arguments != NULL && name[strlen(name) - 1] != ')')
		return false;

	if (!SplitIdentifierString(pnstrdup(name, end - name), '.', &written->names) ||
		list_length(written->names) > 2)
		written->names = NIL;

	return written->names != NIL;
}

/* --- with an argument list: as SQL's regprocedure ---------------------------------------------------------------------- */

static Oid
find_with_arguments(Written *written, Oid extra_namespace)
{
	char	   *schema = schema_to_search(written, extra_namespace);
	Oid			function = InvalidOid;

	if (schema != NULL)
		function = function_of_signature(psprintf("%s%s",
												  quote_qualified_identifier(schema, linitial(written->names)),
												  written->arguments));
	return OidIsValid(function) ? function : function_of_signature(written->name);
}

/* The schema that comes before the search_path, or NULL. */
static char *
schema_to_search(const Written *written, Oid extra_namespace)
{
	if (!OidIsValid(extra_namespace) || extra_namespace == PG_CATALOG_NAMESPACE ||
		list_length(written->names) > 1 || get_namespace_name(extra_namespace) == NULL ||
		durable_schema_aclcheck(extra_namespace, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		return NULL;
	return get_namespace_name(extra_namespace);
}

static Oid
function_of_signature(const char *signature)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		function;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(cstring_to_text(signature));
	fcinfo->args[0].isnull = false;
	function = to_regprocedure(fcinfo);

	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(function);
}

/* --- without an argument list -------------------------------------------------------------------------------------------- */

static Oid
find_by_name(Written *written, Oid extra_namespace)
{
	char	   *schema = schema_to_search(written, extra_namespace);
	List	   *names = NIL;
	ListCell   *cell;
	Oid			own = InvalidOid;
	Oid			function;

	foreach(cell, written->names)
		names = lappend(names, makeString(lfirst(cell)));

	if (schema != NULL)
		own = choose(written, durable_functions_named(list_make2(makeString(schema), linitial(names))));
	if (OidIsValid(own) && durable_handler_objection(own) == NULL)
		return own;

	function = choose(written, durable_functions_named(names));
	return OidIsValid(function) && (!OidIsValid(own) || durable_handler_objection(function) == NULL) ?
		function : own;
}

/*
 * An unsuitable function is returned only if there is no suitable one, so that the error
 * can tell the reason.
 */
static Oid
choose(Written *written, FuncCandidateList candidates)
{
	Oid			chosen = InvalidOid;
	Oid			unsuitable = InvalidOid;
	int			best = INT_MAX;
	int			count = 0;

	for (FuncCandidateList candidate = candidates; candidate != NULL; candidate = candidate->next)
	{
		HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(candidate->oid));
		Form_pg_proc function;
		int			position;

		if (!HeapTupleIsValid(tuple))
			continue;

		function = (Form_pg_proc) GETSTRUCT(tuple);
		position = function->pronamespace == PG_CATALOG_NAMESPACE ? INT_MAX - 1 : candidate->pathpos;
		if (durable_handler_objection(candidate->oid) != NULL)
			unsuitable = candidate->oid;
		else if (position < best)
		{
			best = position;
			chosen = candidate->oid;
			count = 1;
		}
		else if (position == best)
			count++;
		ReleaseSysCache(tuple);
	}

	if (count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("%s \"%s\" is ambiguous", written->kind, written->name),
				 errdetail("There are %d functions of that name.", count),
				 errhint("Add the argument types, as in \"%s\".",
						 durable_handler_from_oid(chosen, written->kind)->signature)));

	return count == 1 ? chosen : unsuitable;
}

/* --- not found ------------------------------------------------------------------------------------------------------------- */

static void
not_found(Written *written, const char *name, const char *kind, Oid extra_namespace)
{
	List	   *names = durable_registry_names(kind, GetUserId());
	const char *like = same_name(written);

	if (like != NULL)
		names = NIL;
	else if (list_length(written->names) == 2)
	{
		Oid			namespace = get_namespace_oid(linitial(written->names), true);

		if (OidIsValid(namespace))
			names = functions_in(namespace, true, names);
	}
	else
	{
		List	   *path = fetch_search_path(false);
		ListCell   *cell;

		foreach(cell, path)
			names = functions_in(lfirst_oid(cell), false, names);
		if (OidIsValid(extra_namespace) && !list_member_oid(path, extra_namespace))
			names = functions_in(extra_namespace, false, names);
	}

	/* a name that needs quotes as a function's name has them already */
	if (like == NULL)
		like = durable_suggest(name, names);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("%s \"%s\" does not exist", kind, clipped(name)),
			 list_length(written->names) == 2
			 ? errdetail("There is no registration and no function with that name.")
			 : OidIsValid(extra_namespace)
			 ? errdetail("There is no registration with that name, and no function with that name in the schema of the orchestration or in the search_path.")
			 : errdetail("There is no registration with that name, and no function with that name in the search_path."),
			 like == NULL ? 0 : like[0] == '"'
			 ? errhint("Did you mean %s?", like)
			 : errhint("Did you mean \"%s\"?", like)));
}

/* Finds a function with exactly this name, in another schema or with other arguments; NULL if there is none. */
static const char *
same_name(Written *written)
{
	CatCList   *list;
	const char *same = NULL;

	if (written->names == NIL)
		return NULL;

	list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(llast(written->names)));
	for (int i = 0; i < list->n_members && same == NULL; i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);
		char	   *schema = get_namespace_name(function->pronamespace);

		if (schema == NULL || function->pronamespace == PG_CATALOG_NAMESPACE ||
			(list_length(written->names) == 2 && strcmp(schema, linitial(written->names)) != 0) ||
			durable_schema_aclcheck(function->pronamespace, GetUserId(), ACL_USAGE) != ACLCHECK_OK ||
			durable_function_aclcheck(function->oid, GetUserId()) != ACLCHECK_OK ||
			durable_handler_objection(function->oid) != NULL)
			continue;

		same = written->arguments != NULL
			? durable_handler_from_oid(function->oid, written->kind)->signature
			: quote_qualified_identifier(schema, NameStr(function->proname));
	}
	ReleaseSysCacheList(list);

	return same;
}

/* Names come from users and may be of any length. */
static char *
clipped(const char *name)
{
	int			length = strlen(name);

	if (length <= DURABLE_MAX_NAME)
		return pstrdup(name);
	return psprintf("%.*s...", pg_mbcliplen(name, length, 100), name);
}

/* Adds the names of functions that can be called, in the form in which they must be written. */
static List *
functions_in(Oid namespace, bool qualified, List *names)
{
	Relation	procs;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *schema = get_namespace_name(namespace);

	if (schema == NULL || namespace == PG_CATALOG_NAMESPACE ||
		durable_schema_aclcheck(namespace, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		return names;

	procs = table_open(ProcedureRelationId, AccessShareLock);
	scan = systable_beginscan(procs, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (function->pronamespace != namespace || durable_handler_objection(function->oid) != NULL ||
			durable_function_aclcheck(function->oid, GetUserId()) != ACLCHECK_OK)
			continue;

		names = lappend(names, qualified
						? quote_qualified_identifier(schema, NameStr(function->proname))
						: pstrdup(quote_identifier(NameStr(function->proname))));
	}
	systable_endscan(scan);
	table_close(procs, AccessShareLock);

	return names;
}
