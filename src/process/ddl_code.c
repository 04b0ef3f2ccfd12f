/*-------------------------------------------------------------------------
 *
 * ddl_code.c
 *		Statements that change or drop functions which unfinished instances run.
 *
 * CREATE OR REPLACE FUNCTION, ALTER FUNCTION (options, RENAME, SET SCHEMA) and DROP
 * FUNCTION: the function is remembered before the statement.  If its code has changed
 * afterwards, or it has been dropped, and instances of it are unfinished, a copy is
 * kept in the same transaction (kept_code.c).  durable.guard_ddl warns of that, or
 * refuses it.
 *
 * DROP SCHEMA, DROP OWNED and the like with CASCADE, and ALTER SCHEMA ... RENAME,
 * affect more than one function, usually also the activities.  No copy is kept then: a
 * copy that cannot call its activities would fail.  The instances are suspended at
 * their next turn, and durable.guard_ddl tells of these statements, too.
 *
 * An instance is seen if its start has been committed.  One that is started by another
 * transaction between the statement and its commit, runs its first turn within that
 * time and is the only unfinished one, has no copy: it continues with the new code,
 * and is suspended if that does not match its history.
 *
 * Called by: ddl.c
 * Locks:	those of kept_code.c
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "code_table.h"
#include "compat.h"
#include "ddl_code.h"
#include "durable.h"
#include "engine.h"
#include "guc.h"
#include "handler.h"
#include "kept_code.h"
#include "sql.h"

static List *functions_of(Node *statement);
static Oid	function_to_replace(const CreateFunctionStmt *statement);
static Oid	function_named(ObjectType type, Node *object);
static bool takes_more(Node *statement);
static void guard(const char *signature, int64 count, bool kept);

/*
 * For a statement that drops other objects than functions: an OldCode without a tuple
 * for each handler that has unfinished instances, and only if durable.guard_ddl is not off.
 */
List *
durable_ddl_code_before(Node *statement)
{
	List	   *functions;
	List	   *result = NIL;
	ListCell   *cell;
	bool		more = durable_guard_ddl != GUARD_OFF && takes_more(statement);

	functions = functions_of(statement);
	if ((functions == NIL && !more) || XactReadOnly || RecoveryInProgress() || IsBinaryUpgrade ||
		!OidIsValid(durable_extension_oid()) ||
		(creating_extension && CurrentExtensionObject == durable_extension_oid()) ||
		(more && !durable_engine_fits()))
		return NIL;

	foreach(cell, functions)
	{
		OldCode    *old = OidIsValid(lfirst_oid(cell)) && durable_owns_function(lfirst_oid(cell), GetUserId()) ?
			durable_kept_code_remember(lfirst_oid(cell)) : NULL;

		if (old != NULL)
			result = lappend(result, old);
	}
	if (more)
		foreach(cell, durable_code_live_handlers())
		{
			OldCode    *old = palloc0(sizeof(OldCode));

			old->signature = lfirst(cell);
			if (durable_handler_lookup(old->signature) != NULL)
				result = lappend(result, old);
		}
	return result;
}

void
durable_ddl_code_after(List *old_code)
{
	ListCell   *cell;

	if (old_code == NIL)
		return;
	CommandCounterIncrement();
	/* The statement may have dropped the extension. */
	if (!OidIsValid(durable_extension_oid()))
		return;

	foreach(cell, old_code)
	{
		OldCode    *old = lfirst(cell);
		int64		count;

		if (old->tuple == NULL ? durable_handler_lookup(old->signature) != NULL :
			!durable_kept_code_has_changed(old))
			continue;
		/* Tables of another version.  No instance runs before the update, which assigns the present code to all. */
		if (!durable_engine_fits())
			return;
		count = durable_code_count_live(old->signature);
		if (count == 0)
			continue;
		guard(old->signature, count, old->tuple != NULL);
		if (old->tuple != NULL)
			durable_kept_code_keep(old);
	}
}

static void
guard(const char *signature, int64 count, bool kept)
{
	const char *number = psprintf(INT64_FORMAT, count);

	if (durable_guard_ddl == GUARD_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot change or drop %s because unfinished instances run it", signature),
				 errdetail_plural("There is %s such instance.", "There are %s such instances.",
								  count, number),
				 kept ?
				 errhint("SET durable.guard_ddl = off allows it: these instances then continue with a copy of the replaced code.") :
				 errhint("SET durable.guard_ddl = off allows it: these instances are then suspended until the function exists again.")));
	if (durable_guard_ddl == GUARD_WARN)
		ereport(WARNING,
				(errmsg("unfinished instances run %s", signature),
				 kept ?
				 errdetail_plural("%s instance continues with a copy of the replaced code.",
								  "%s instances continue with a copy of the replaced code.",
								  count, number) :
				 errdetail_plural("%s instance is suspended until the function exists again.",
								  "%s instances are suspended until the function exists again.",
								  count, number),
				 kept ?
				 errhint("Use durable.verify_replay() to see which of them match the present code, and durable.repin() to move them to it.") : 0));
}

/* --- which functions ------------------------------------------------------------------ */

/* The statement itself reports objects that do not exist; they are left out here. */
static List *
functions_of(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateFunctionStmt:
			return list_make1_oid(function_to_replace((CreateFunctionStmt *) statement));
		case T_AlterFunctionStmt:
			return list_make1_oid(function_named(((AlterFunctionStmt *) statement)->objtype,
												 (Node *) ((AlterFunctionStmt *) statement)->func));
		case T_RenameStmt:
			return list_make1_oid(function_named(((RenameStmt *) statement)->renameType,
												 ((RenameStmt *) statement)->object));
		case T_AlterObjectSchemaStmt:
			return list_make1_oid(function_named(((AlterObjectSchemaStmt *) statement)->objectType,
												 ((AlterObjectSchemaStmt *) statement)->object));
		case T_DropStmt:
			{
				DropStmt   *drop = (DropStmt *) statement;
				List	   *result = NIL;
				ListCell   *cell;

				if (drop->removeType == OBJECT_FUNCTION || drop->removeType == OBJECT_ROUTINE)
					foreach(cell, drop->objects)
						result = lappend_oid(result, function_named(drop->removeType, lfirst(cell)));
				return result;
			}
		default:
			return NIL;
	}
}

static Oid
function_to_replace(const CreateFunctionStmt *statement)
{
	Oid			types[FUNC_MAX_ARGS];
	int			ntypes = 0;
	ListCell   *cell;
	char	   *schema;
	char	   *name;
	Oid			namespace;

	if (!statement->replace || statement->is_procedure)
		return InvalidOid;

	DeconstructQualifiedName(statement->funcname, &schema, &name);
	if (schema != NULL)
		namespace = get_namespace_oid(schema, true);
	else
	{
		List	   *path = fetch_search_path(false);

		namespace = path != NIL ? linitial_oid(path) : InvalidOid;
	}
	if (!OidIsValid(namespace))
		return InvalidOid;

	foreach(cell, statement->parameters)
	{
		FunctionParameter *parameter = lfirst(cell);
		Type		type;

		if (parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE)
			continue;
		type = LookupTypeName(NULL, parameter->argType, NULL, true);
		if (type == NULL || ntypes >= FUNC_MAX_ARGS)
			return InvalidOid;
		types[ntypes++] = typeTypeId(type);
		ReleaseSysCache(type);
	}
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, PointerGetDatum(name),
						   PointerGetDatum(buildoidvector(types, ntypes)), ObjectIdGetDatum(namespace));
}

static Oid
function_named(ObjectType type, Node *object)
{
	if (type != OBJECT_FUNCTION && type != OBJECT_ROUTINE)
		return InvalidOid;
	return LookupFuncWithArgs(type, castNode(ObjectWithArgs, object), true);
}

/* Can the statement drop functions that it does not name? */
static bool
takes_more(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropStmt:
			return ((DropStmt *) statement)->behavior == DROP_CASCADE ||
				((DropStmt *) statement)->removeType == OBJECT_EXTENSION;
		case T_DropOwnedStmt:
			return true;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_SCHEMA ||
				((RenameStmt *) statement)->renameType == OBJECT_TYPE;
		default:
			return false;
	}
}
