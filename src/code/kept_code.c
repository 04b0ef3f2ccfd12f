/*-------------------------------------------------------------------------
 *
 * kept_code.c
 *		Keeps copies of functions that were replaced while instances were running them.
 *
 * A copy is an ordinary function in schema durable_code.  It belongs to the owner of
 * the original, has the same privileges, and pg_dump dumps it like any other.  It has
 * the name of the original, too, because code may refer to it: PL/pgSQL and SQL
 * interpret "function.parameter" as a parameter.  So if there is a copy of that name
 * and of these argument types already, the next one goes into durable_code_2, and so
 * on.
 *
 * The schemas belong to the owner of the extension, no other role can create objects
 * in them, and a schema that belongs to another role is skipped.  The owner of a copy
 * can alter and drop it.  A copy is run only if its code has the hash that its row
 * has, so an instance cannot run code that it did not begin with.
 *
 * Neither the schemas nor the copies are members of the extension: a dump contains an
 * extension only by its name, and not its objects.
 *
 * Owns:	the schemas durable_code, durable_code_2 and so on
 * Called by: ddl_code.c (keep), orchestration_code.c (resolve), code_api.c (drop),
 *			doctor_findings.c
 * Locks:	a transaction that keeps code waits for no other one, except for one that is
 *			dropping the very copy, as drop_unused_code does.  Names in the schemas are
 *			taken by locks of their own: where another open transaction has the name, the
 *			copy goes to the next schema.  A copy that is to be used again is locked
 *			in ACCESS SHARE mode, which a drop respects.
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "code_table.h"
#include "compat.h"
#include "kept_code.h"
#include "sql.h"

#define SCHEMA	"durable_code"

/* Distinguishes these locks from those of pg_advisory_lock(), which have 1 and 2. */
#define NAME_LOCK	0xD0DE

static Handler *lock_copy(const char *copy);
static bool take_name(const char *schema, const char *function, const oidvector *arguments);
static Oid	schema_for(HeapTuple original);
static Oid	make_copy(HeapTuple original, Oid schema);
static void copy_privileges(Oid copy, HeapTuple original);
static Datum attribute(HeapTuple tuple, AttrNumber number, bool *isnull);
static void copy_context(void *arg);

OldCode *
durable_kept_code_remember(Oid function)
{
	HeapTuple	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
	OldCode    *old;
	Handler    *handler;

	/* No instance can have run code that this transaction has created. */
	if (!HeapTupleIsValid(tuple) || durable_handler_objection(function) != NULL ||
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
		return NULL;

	handler = durable_handler_from_oid(function, "handler");
	old = palloc(sizeof(OldCode));
	old->tuple = tuple;
	old->signature = pstrdup(handler->signature);
	old->hash = durable_handler_code_hash(handler);
	return old;
}

bool
durable_kept_code_has_changed(const OldCode *old)
{
	Handler    *handler = durable_handler_lookup(old->signature);

	return handler == NULL || durable_handler_code_hash(handler) != old->hash;
}

void
durable_kept_code_keep(const OldCode *old)
{
	bool		in_extension = creating_extension;
	Oid			owner = ((Form_pg_proc) GETSTRUCT(old->tuple))->proowner;
	int64		hash;
	char	   *copy;
	Handler    *handler;

	copy = durable_code_find_copy(old->signature, old->hash, &hash);
	if (copy != NULL && (handler = lock_copy(copy)) != NULL &&
		durable_handler_code_hash(handler) == old->hash)
	{
		durable_code_insert(old->signature, old->hash, copy, owner);	/* now it is the newest */
		return;
	}

	/* An extension that replaces its function must not get the copy as a member. */
	creating_extension = false;
	PG_TRY();
	{
		ErrorContextCallback callback = {
			.previous = error_context_stack,
			.callback = copy_context,
			.arg = unconstify(OldCode *, old)
		};

		error_context_stack = &callback;
		handler = durable_handler_from_oid(make_copy(old->tuple, schema_for(old->tuple)), "handler");
		error_context_stack = callback.previous;
	}
	PG_FINALLY();
	{
		creating_extension = in_extension;
	}
	PG_END_TRY();
	durable_code_insert(old->signature, old->hash, handler->signature, owner);
}

static void
copy_context(void *arg)
{
	errcontext("while the replaced code of %s was kept for its unfinished instances",
			   ((OldCode *) arg)->signature);
}

/* Returns NULL if the copy has been dropped.  Otherwise it cannot be dropped until the end of the transaction. */
static Handler *
lock_copy(const char *copy)
{
	for (;;)
	{
		Handler    *handler = durable_handler_lookup(copy);
		Oid			function;

		if (handler == NULL)
			return NULL;
		function = handler->function;
		LockDatabaseObject(ProcedureRelationId, function, 0, AccessShareLock);
		handler = durable_handler_lookup(copy);
		if (handler == NULL || handler->function == function)
			return handler;
		UnlockDatabaseObject(ProcedureRelationId, function, 0, AccessShareLock);
	}
}

/*
 * Takes a name until the end of the transaction; false if another transaction has it.  A
 * name with the same hash only makes the copy go to another schema.
 */
static bool
take_name(const char *schema, const char *function, const oidvector *arguments)
{
	LOCKTAG		tag;
	uint64		hash = hash_bytes_extended((const unsigned char *) schema, strlen(schema), 0);

	hash = hash_bytes_extended((const unsigned char *) function, strlen(function), hash);
	if (arguments != NULL)
		hash = hash_bytes_extended((const unsigned char *) arguments->values, arguments->dim1 * sizeof(Oid), hash);
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, NAME_LOCK);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();	/* the changes that the last holder of the lock has committed */
	return true;
}

/* Returns the engine's first schema in which there is no function of that name with these arguments. */
static Oid
schema_for(HeapTuple original)
{
	Form_pg_proc function = (Form_pg_proc) GETSTRUCT(original);
	Oid			owner = durable_extension_owner();
	bool		isnull;
	Datum		arguments = attribute(original, Anum_pg_proc_proargtypes, &isnull);
	const oidvector *types = (const oidvector *) DatumGetPointer(arguments);

	for (int i = 1;; i++)
	{
		char	   *name = i == 1 ? pstrdup(SCHEMA) : psprintf(SCHEMA "_%d", i);
		Oid			schema = get_namespace_oid(name, true);
		HeapTuple	tuple;
		bool		ours;

		CHECK_FOR_INTERRUPTS();
		if (!OidIsValid(schema))
		{
			if (!take_name(name, "", NULL))
				continue;
			schema = get_namespace_oid(name, true);
		}
		if (!OidIsValid(schema))
		{
			schema = NamespaceCreate(name, owner, false);
			CommandCounterIncrement();
			return schema;
		}
		tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for namespace %u", schema);
		ours = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner == owner;
		ReleaseSysCache(tuple);
		if (ours && take_name(name, NameStr(function->proname), types) &&
			!SearchSysCacheExists3(PROCNAMEARGSNSP, NameGetDatum(&function->proname),
								   arguments, ObjectIdGetDatum(schema)))
			return schema;
	}
}

static Oid
make_copy(HeapTuple original, Oid schema)
{
	Form_pg_proc function = (Form_pg_proc) GETSTRUCT(original);
	Datum		values[Natts_pg_proc];
	bool		nulls[Natts_pg_proc];
	ObjectAddress address;

#define VALUE(column)	values[Anum_pg_proc_##column - 1]
#define IS_NULL(column)	nulls[Anum_pg_proc_##column - 1]
#define TEXT(column)	(IS_NULL(column) ? NULL : TextDatumGetCString(VALUE(column)))
#define TREE(column)	(IS_NULL(column) ? NULL : stringToNode(TextDatumGetCString(VALUE(column))))
#define OR_NULL(column)	(IS_NULL(column) ? PointerGetDatum(NULL) : VALUE(column))

	for (int i = 0; i < Natts_pg_proc; i++)
		values[i] = attribute(original, i + 1, &nulls[i]);

	/* The validator is not called, because it might refuse old code today. */
	address = ProcedureCreate(NameStr(function->proname), schema, false, function->proretset,
							  function->prorettype, function->proowner, function->prolang, InvalidOid,
							  TEXT(prosrc), TEXT(probin), (Node *) TREE(prosqlbody),
							  function->prokind, function->prosecdef, function->proleakproof,
							  function->proisstrict, function->provolatile, function->proparallel,
							  (oidvector *) DatumGetPointer(VALUE(proargtypes)),
							  OR_NULL(proallargtypes), OR_NULL(proargmodes), OR_NULL(proargnames),
							  (List *) TREE(proargdefaults), DURABLE_TRANSFORMS(OR_NULL(protrftypes)),
							  OR_NULL(proconfig), function->prosupport,
							  function->procost, function->prorows);
	CommandCounterIncrement();
	copy_privileges(address.objectId, original);
	return address.objectId;
}

/* Roles that may execute the original may execute the copy; default privileges do not apply. */
static void
copy_privileges(Oid copy, HeapTuple original)
{
	Relation	procs = table_open(ProcedureRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(copy));
	Datum		values[Natts_pg_proc] = {0};
	bool		nulls[Natts_pg_proc] = {0};
	bool		replaces[Natts_pg_proc] = {0};
	bool		had_none;
	Datum		had = attribute(tuple, Anum_pg_proc_proacl, &had_none);
	Datum		has = attribute(original, Anum_pg_proc_proacl, &nulls[Anum_pg_proc_proacl - 1]);
	Oid		   *old_members = NULL;
	Oid		   *members = NULL;
	int			nold = had_none ? 0 : aclmembers(DatumGetAclP(had), &old_members);
	int			nmembers = nulls[Anum_pg_proc_proacl - 1] ? 0 : aclmembers(DatumGetAclP(has), &members);

	values[Anum_pg_proc_proacl - 1] = has;
	replaces[Anum_pg_proc_proacl - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(procs), values, nulls, replaces);
	CatalogTupleUpdate(procs, &tuple->t_self, tuple);
	updateAclDependencies(ProcedureRelationId, copy, 0, ((Form_pg_proc) GETSTRUCT(original))->proowner,
						  nold, old_members, nmembers, members);
	table_close(procs, RowExclusiveLock);
	CommandCounterIncrement();
}

static Datum
attribute(HeapTuple tuple, AttrNumber number, bool *isnull)
{
	return SysCacheGetAttr(PROCOID, tuple, number, isnull);
}

Handler *
durable_kept_code_resolve(const char *copy, int64 hash, const char *signature)
{
	Handler    *handler = durable_handler_resolve(copy);
	Handler    *original = durable_handler_lookup(signature);

	if (durable_handler_code_hash(handler) != hash)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("function %s has been altered", copy),
				 errdetail("It contains the replaced code with which unfinished instances of %s began.", signature),
				 errhint("Undo the change with ALTER FUNCTION, or move the instances to the present code with durable.repin().")));

	/* Privileges that were revoked from the original are not granted on the copy. */
	if (original != NULL)
		durable_handler_check_privilege(original);
	return durable_handler_at_home(handler, signature);
}

bool
durable_kept_code_claim(const char *copy)
{
	Handler    *handler = durable_handler_lookup(copy);
	LOCKTAG		tag;

	if (handler == NULL)
		return true;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ProcedureRelationId, handler->function, 0);
	if (LockAcquire(&tag, AccessExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

void
durable_kept_code_drop(const char *copy)
{
	Handler    *handler = durable_handler_lookup(copy);
	ObjectAddress address;

	if (handler == NULL)
		return;
	ObjectAddressSet(address, ProcedureRelationId, handler->function);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}
