/*
 * handler.c
 *		Finds and caches functions that users write, by their signatures.
 *
 * A handler is stored as text, schema-qualified and with its argument types, so that
 * dumps and upgrades carry it.  This file makes that text, finds the function for it
 * again, and caches the result, because every turn and every activity needs it.
 *
 * An entry is valid until the system catalogs report that its function, its schema or one
 * of its types has changed; the callbacks only mark it.  The next look-up makes a new
 * entry, and stale ones are kept until the transaction ends, because a function further
 * up the stack may be calling one.
 *
 * Owns:		the cache of handlers of this process
 * Called by:	client API, durable calls, turns, activities and entities; orchestration_code.c,
 *				kept_code.c, ddl_code.c, probe.c, companion_main.c
 * Locks:		none, as PostgreSQL itself locks no function while it runs
 * Memory:		one context for each entry, under CacheMemoryContext
 */
#include "postgres.h"

#include "handler.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/*
 * The fields of a handler that only the cache uses.  The hash values are those of
 * invalidation messages.
 */
typedef struct CachedHandler
{
	Handler		handler;		/* must be first */
	dlist_node	node;			/* in its bucket */
	MemoryContext context;
	bool		stale;
	uint32		function_hash;
	uint32	   *type_hashes;	/* parameters, then result */
}			CachedHandler;

#define BUCKETS 256				/* enough for dozens of handlers, and for thousands */

static dlist_head buckets[BUCKETS];
static bool callbacks_registered = false;
static uint64 invalidations = 0;	/* number of invalidations of any kind */

static dlist_head *cache_bucket(const char *signature);
static CachedHandler *cache_find(const char *signature);
static void cache_sweep(void);
static void cache_delete(void *context);
static void function_changed(Datum arg, int cacheid, uint32 hash);
static void namespace_changed(Datum arg, int cacheid, uint32 hash);
static void type_changed(Datum arg, int cacheid, uint32 hash);
static Handler *handler_build(Oid function, const char *kind);
static CachedHandler *handler_from_tuple(HeapTuple tuple, MemoryContext context);
static void fill_parameters(Handler *handler, HeapTuple tuple, MemoryContext context);
static const char *objection_to(Form_pg_proc function);
static Oid	function_with_signature(const char *signature);
static CatCList *functions_of_name(const char *signature, Oid *namespace);
static Oid	function_grown_from(const char *signature, int *given);
static List *signature_names(const char *signature);
static char *name_of(Form_pg_proc function);
static char *signature_of(Form_pg_proc function);
static char *signature_up_to(Form_pg_proc function, int nargs);
static char *qualified_type(Oid type);

/* --- look-up ---------------------------------------------------------------------------------------------------------- */

Handler *
durable_handler_resolve(const char *signature)
{
	Handler    *handler = durable_handler_lookup(signature);

	if (handler == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function %s does not exist", signature),
				 errhint("Create the function again with the same name and argument types.")));
	return handler;
}

Handler *
durable_handler_lookup(const char *signature)
{
	CachedHandler *entry = cache_find(signature);
	Oid			function;

	if (entry != NULL)
		return &entry->handler;

	function = function_with_signature(signature);
	return OidIsValid(function) ? handler_build(function, "handler") : NULL;
}

bool
durable_handler_is_stale(const Handler *handler)
{
	return ((const CachedHandler *) handler->cached)->stale;
}

Handler *
durable_handler_at_home(const Handler *handler, const char *signature)
{
	Handler    *copy = palloc(sizeof(Handler));
	List	   *names = signature_names(signature);

	*copy = *handler;
	copy->namespace = names != NIL ? get_namespace_oid(linitial(names), true) : InvalidOid;
	if (names != NIL)
		copy->name = quote_qualified_identifier(linitial(names), lsecond(names));
	return copy;
}

Handler *
durable_handler_resolve_call(const char *signature, int *given)
{
	Oid			function;

	*given = -1;
	if (cache_find(signature) != NULL || OidIsValid(function_with_signature(signature)))
		return durable_handler_resolve(signature);
	function = function_grown_from(signature, given);
	if (!OidIsValid(function))
		return durable_handler_resolve(signature);	/* raises */
	return durable_handler_from_oid(function, "handler");
}

Handler *
durable_handler_from_oid(Oid function, const char *kind)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	char	   *signature;
	CachedHandler *entry;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	signature = signature_of((Form_pg_proc) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);

	entry = cache_find(signature);
	if (entry != NULL && entry->handler.function == function)
		return &entry->handler;

	return handler_build(function, kind);
}

void
durable_handler_check_privilege(const Handler *handler)
{
	if (durable_function_aclcheck(handler->function, GetUserId()) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", handler->name),
				 errhint("GRANT EXECUTE ON FUNCTION %s TO %s; gives the privilege.", handler->signature,
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

/*
 * The body of an SQL-standard function is a tree that contains object identifiers.  So
 * its text is used, with every name in it qualified: the same code has the same hash
 * after a dump and restore, and in every session.  64 bits are enough to distinguish the
 * versions of a function.
 */
int64
durable_handler_code_hash(const Handler *handler)
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
	Datum		function = ObjectIdGetDatum(handler->function);
	HeapTuple	tuple;
	StringInfoData code;
	bytea	   *hash;
	int64		result = 0;
	int			path;

	tuple = SearchSysCache1(PROCOID, function);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", handler->function);

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
	appendStringInfo(&code, " (%s) %s",
					 TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTION_ARGUMENTS, function)),
					 TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTION_RESULT, function)));
	if (!heap_attisnull(tuple, Anum_pg_proc_prosqlbody, NULL))
		appendStringInfo(&code, " %s",
						 TextDatumGetCString(OidFunctionCall1(F_PG_GET_FUNCTION_SQLBODY, function)));
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

/* --- cache -------------------------------------------------------------------------------------------------------------- */

static dlist_head *
cache_bucket(const char *signature)
{
	return &buckets[hash_bytes((const unsigned char *) signature, strlen(signature)) % BUCKETS];
}

static CachedHandler *
cache_find(const char *signature)
{
	dlist_iter	iter;

	dlist_foreach(iter, cache_bucket(signature))
	{
		CachedHandler *entry = dlist_container(CachedHandler, node, iter.cur);

		if (!entry->stale && strcmp(entry->handler.signature, signature) == 0)
			return entry;
	}

	return NULL;
}

/* Removes stale entries.  They may be in use in this transaction, so they are freed at its end. */
static void
cache_sweep(void)
{
	dlist_mutable_iter iter;

	for (int i = 0; i < BUCKETS; i++)
	{
		dlist_foreach_modify(iter, &buckets[i])
		{
			CachedHandler *entry = dlist_container(CachedHandler, node, iter.cur);
			MemoryContextCallback *callback;

			if (!entry->stale)
				continue;

			callback = MemoryContextAlloc(TopTransactionContext, sizeof(MemoryContextCallback));
			callback->func = cache_delete;
			callback->arg = entry->context;
			MemoryContextRegisterResetCallback(TopTransactionContext, callback);
			dlist_delete(&entry->node);
		}
	}
}

static void
cache_delete(void *context)
{
	MemoryContextDelete(context);
}

/* In the callbacks, hash 0 stands for "anything may have changed". */
static void
function_changed(Datum arg, int cacheid, uint32 hash)
{
	dlist_iter	iter;

	invalidations++;
	for (int i = 0; i < BUCKETS; i++)
		dlist_foreach(iter, &buckets[i])
		{
			CachedHandler *entry = dlist_container(CachedHandler, node, iter.cur);

			if (hash == 0 || entry->function_hash == hash)
				entry->stale = true;
		}
}

static void
namespace_changed(Datum arg, int cacheid, uint32 hash)
{
	dlist_iter	iter;

	invalidations++;
	for (int i = 0; i < BUCKETS; i++)
		dlist_foreach(iter, &buckets[i])
			dlist_container(CachedHandler, node, iter.cur)->stale = true;
}

static void
type_changed(Datum arg, int cacheid, uint32 hash)
{
	dlist_iter	iter;

	invalidations++;
	for (int i = 0; i < BUCKETS; i++)
		dlist_foreach(iter, &buckets[i])
		{
			CachedHandler *entry = dlist_container(CachedHandler, node, iter.cur);

			for (int j = 0; j <= entry->handler.nargs; j++)
				if (hash == 0 || entry->type_hashes[j] == hash)
					entry->stale = true;
		}
}

/* --- making an entry ------------------------------------------------------------------------------------------------------ */

static Handler *
handler_build(Oid function, const char *kind)
{
	HeapTuple	tuple;
	MemoryContext context;
	CachedHandler *entry;
	const char *objection;
	uint64		before;

	if (!callbacks_registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, namespace_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
		callbacks_registered = true;
	}
	cache_sweep();

	before = invalidations;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	objection = objection_to((Form_pg_proc) GETSTRUCT(tuple));
	if (objection != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot use %s as %s", signature_of((Form_pg_proc) GETSTRUCT(tuple)), kind),
				 errdetail_internal("%s", objection)));

	/* an error leaves it to the transaction's end, success moves it */
	context = AllocSetContextCreate(CurrentMemoryContext, "durable handler", ALLOCSET_SMALL_SIZES);
	entry = handler_from_tuple(tuple, context);
	ReleaseSysCache(tuple);

	/* if anything has changed during the look-up, the entry is used only once */
	entry->stale = invalidations != before;
	MemoryContextSetParent(context, CacheMemoryContext);
	MemoryContextSetIdentifier(context, entry->handler.signature);
	dlist_push_head(cache_bucket(entry->handler.signature), &entry->node);

	return &entry->handler;
}

static CachedHandler *
handler_from_tuple(HeapTuple tuple, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	Form_pg_proc function = (Form_pg_proc) GETSTRUCT(tuple);
	CachedHandler *entry = palloc0(sizeof(CachedHandler));
	Handler    *handler = &entry->handler;
	char	   *language = get_language_name(function->prolang, false);

	handler->cached = handler;
	handler->function = function->oid;
	handler->namespace = function->pronamespace;
	handler->signature = signature_of(function);
	handler->name = name_of(function);
	handler->result = function->prorettype;
	handler->nargs = function->pronargs;
	handler->ndefaults = function->pronargdefaults;
	handler->strict = function->proisstrict;
	fill_parameters(handler, tuple, context);

	/*
	 * A function's call information belongs to one query: functions keep data there
	 * that is not valid after its end, and those in SQL plan anew in each transaction.
	 * PL/pgSQL is known to check its data there at each call, and it is the language
	 * for which a saved look-up matters.
	 */
	handler->has_call = strcmp(language, "plpgsql") == 0;
	if (handler->has_call)
		fmgr_info_cxt(function->oid, &handler->call, context);

	entry->context = context;
	entry->function_hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function->oid));
	entry->type_hashes = palloc(sizeof(uint32) * (handler->nargs + 1));
	for (int i = 0; i < handler->nargs; i++)
		entry->type_hashes[i] =
			GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(handler->parameters[i].reader.type));
	entry->type_hashes[handler->nargs] =
		GetSysCacheHashValue1(TYPEOID, ObjectIdGetDatum(handler->result));

	MemoryContextSwitchTo(caller);
	return entry;
}

static void
fill_parameters(Handler *handler, HeapTuple tuple, MemoryContext context)
{
	Form_pg_proc function = (Form_pg_proc) GETSTRUCT(tuple);
	Datum		argnames;
	Datum		argmodes;
	bool		no_names;
	bool		no_modes;
	char	  **names = NULL;
	int			nnames = 0;

	argnames = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargnames, &no_names);
	argmodes = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargmodes, &no_modes);
	if (!no_names)
		nnames = get_func_input_arg_names(argnames, no_modes ? PointerGetDatum(NULL) : argmodes, &names);

	handler->parameters = palloc0(sizeof(HandlerParameter) * handler->nargs);
	for (int i = 0; i < handler->nargs; i++)
	{
		HandlerParameter *parameter = &handler->parameters[i];
		Oid			type = function->proargtypes.values[i];

		parameter->name = i < nnames ? names[i] : NULL;
		durable_json_reader_init(&parameter->reader, type, -1, context);
		parameter->pinned = parameter->reader.kind == JSON_READ_INPUT && durable_json_must_pin(type);
		if (type_is_collatable(type))
			handler->collation = DEFAULT_COLLATION_OID;
	}
}

const char *
durable_handler_objection(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	const char *result;

	if (!HeapTupleIsValid(tuple))
		return "It does not exist.";

	result = objection_to((Form_pg_proc) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return result;
}

/* Can the function be called with values converted from jsonb, and does it return a single value? */
static const char *
objection_to(Form_pg_proc function)
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

/* --- signatures -------------------------------------------------------------------------------------------------------------- */

/*
 * Finds the function of a signature by writing the signatures of all functions of that
 * name, and comparing.  So there is one rule for the form of a signature, which no
 * search_path influences, and schemas on which the current user has no USAGE privilege
 * are searched too: privileges are checked when the function is called.
 */
static Oid
function_with_signature(const char *signature)
{
	Oid			namespace;
	CatCList   *candidates = functions_of_name(signature, &namespace);
	Oid			result = InvalidOid;

	if (candidates == NULL)
		return InvalidOid;
	for (int i = 0; i < candidates->n_members && !OidIsValid(result); i++)
	{
		Form_pg_proc function = (Form_pg_proc) GETSTRUCT(&candidates->members[i]->tuple);

		if (function->pronamespace == namespace && strcmp(signature_of(function), signature) == 0)
			result = function->oid;
	}
	ReleaseSysCacheList(candidates);

	return result;
}

/*
 * Returns the function of that name whose first parameters are those of the signature, and
 * whose other parameters have defaults; invalid if there is none, or several.
 */
static Oid
function_grown_from(const char *signature, int *given)
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

		if (function->pronamespace != namespace || objection_to(function) != NULL)
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

/* NULL if it cannot be a signature. */
static CatCList *
functions_of_name(const char *signature, Oid *namespace)
{
	bool		quoted = false;
	const char *end;
	List	   *names;

	for (end = signature; *end != '\0' && (quoted || *end != '('); end++)
		if (*end == '"')
			quoted = !quoted;

	if (!SplitIdentifierString(pnstrdup(signature, end - signature), '.', &names) ||
		list_length(names) != 2)
		return NULL;

	*namespace = get_namespace_oid(linitial(names), true);
	return SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(lsecond(names)));
}

/* Schema and function, without quotes; NIL if it is no signature. */
static List *
signature_names(const char *signature)
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

static char *
name_of(Form_pg_proc function)
{
	return quote_qualified_identifier(get_namespace_name(function->pronamespace),
									  NameStr(function->proname));
}

static char *
signature_of(Form_pg_proc function)
{
	return signature_up_to(function, function->pronargs);
}

/* Returns the signature that the function would have with only its first parameters. */
static char *
signature_up_to(Form_pg_proc function, int nargs)
{
	StringInfoData signature;

	initStringInfo(&signature);
	appendStringInfo(&signature, "%s(", name_of(function));
	for (int i = 0; i < nargs; i++)
		appendStringInfo(&signature, "%s%s", i > 0 ? "," : "",
						 qualified_type(function->proargtypes.values[i]));
	appendStringInfoChar(&signature, ')');

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
