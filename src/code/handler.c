/*
 * handler.c
 *		Caches functions that users write, by their signatures.
 *
 * A handler is stored as text (signature.c).  Every turn and every activity needs the
 * function for it, so the results of look-ups are kept.
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
#include "signature.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "compat.h"
#include "funcapi.h"
#include "lib/ilist.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

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
	int64		code_hash;		/* 0: not computed, or computed anew each time */
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
static void all_changed(Datum arg, int cacheid, uint32 hash);
static void type_changed(Datum arg, int cacheid, uint32 hash);
static Handler *handler_build(Oid function, const char *kind);
static CachedHandler *handler_from_tuple(HeapTuple tuple, MemoryContext context);
static void fill_parameters(Handler *handler, HeapTuple tuple, MemoryContext context);

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

	function = durable_signature_find(signature);
	return OidIsValid(function) ? handler_build(function, "handler") : NULL;
}

Handler *
durable_handler_kept(const char *signature, int64 *code_hash)
{
	CachedHandler *entry = cache_find(signature);

	if (entry == NULL || entry->code_hash == 0)
		return NULL;
	*code_hash = entry->code_hash;
	return &entry->handler;
}

/* Computing the hash costs as many instructions as a tenth of a short workflow. */
int64
durable_handler_code_hash(const Handler *handler)
{
	CachedHandler *entry = (CachedHandler *) handler->cached;
	uint64		before = invalidations;
	bool		may_keep;
	int64		hash;

	if (entry->code_hash != 0 && !entry->stale)
		return entry->code_hash;
	hash = durable_handler_hash_code(handler->function, &may_keep);
	if (may_keep && !entry->stale && invalidations == before)
		entry->code_hash = hash;
	return hash;
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
	List	   *names = durable_signature_names(signature);

	*copy = *handler;
	copy->namespace = names != NIL ? get_namespace_oid(linitial(names), true) : InvalidOid;
	if (names != NIL)
		copy->name = durable_signature_qualify(linitial(names), lsecond(names));
	return copy;
}

Handler *
durable_handler_resolve_call(const char *signature, int *given)
{
	Oid			function;

	*given = -1;
	if (cache_find(signature) != NULL || OidIsValid(durable_signature_find(signature)))
		return durable_handler_resolve(signature);
	function = durable_signature_find_grown(signature, given);
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
	signature = durable_signature_of((Form_pg_proc) GETSTRUCT(tuple));
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

/* A schema or a language. */
static void
all_changed(Datum arg, int cacheid, uint32 hash)
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
		CacheRegisterSyscacheCallback(NAMESPACEOID, all_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(LANGOID, all_changed, (Datum) 0);
		CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
		callbacks_registered = true;
	}
	cache_sweep();

	before = invalidations;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	objection = durable_handler_objection_to((Form_pg_proc) GETSTRUCT(tuple));
	if (objection != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot use %s as %s", durable_signature_of((Form_pg_proc) GETSTRUCT(tuple)), kind),
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
	handler->signature = durable_signature_of(function);
	handler->name = durable_signature_name(function);
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
