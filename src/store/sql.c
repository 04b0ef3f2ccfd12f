/*
 * sql.c
 *		Prepares the engine's own SQL statements once, and runs them as the extension's owner.
 *
 * Owns: the cached OIDs of the extension, and the role as which the engine's
 *			statements run.
 * Called by: all files that read or write the engine's tables.
 * Locks: those of the statements.
 * Memory: plans live as long as the process (SPI_keepplan); the rest is in the
 * caller's SPI context.
 *
 * A worker's session user is the owner of the workflows, which has no privileges on
 * the engine's tables.  So each statement runs as the extension's owner, with
 * SECURITY_LOCAL_USERID_CHANGE so that nothing in it can SET ROLE, and under a
 * search_path of pg_catalog alone.  A kept plan remembers the search_path it was made
 * under and is analysed anew under another one, so the fixed path also keeps plans
 * valid.
 *
 * The abort of the (sub)transaction restores the role and the path.  This file records
 * in process memory that they were switched, so callbacks reset that record at the same
 * time.
 */
#include "durable.h"
#include "sql.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "jit/jit.h"
#include "optimizer/cost.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* Settings of the planner while it plans the engine's statements. */
typedef struct PlannerSettings
{
	bool		seqscan;
	bool		bitmapscan;
	bool		hashjoin;
	bool		mergejoin;
	bool		memoize;
	bool		material;
	bool		indexscan;
	bool		indexonlyscan;
	bool		nestloop;
	bool		tidscan;
	bool		sort;
	bool		jit;
	int			cache_mode;
}			PlannerSettings;

static const PlannerSettings engine_settings = {
	.indexscan = true,
	.indexonlyscan = true,
	.nestloop = true,
	.tidscan = true,
	.sort = true,
	.cache_mode = PLAN_CACHE_MODE_FORCE_GENERIC_PLAN
};

static struct
{
	bool		valid;
	Oid			oid;			/* InvalidOid: not in this database */
	Oid			owner;
}			extension;

/* Nest level of the (sub)transaction that switched to the owner; 0: none did. */
static int	role_nest_level = 0;

static bool callbacks_registered = false;

static void look_up_extension(void);
static void register_callbacks(void);
static void forget_extension(Datum arg, int cacheid, uint32 hashvalue);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_subtransaction(SubXactEvent event, SubTransactionId mySubid,
								  SubTransactionId parentSubid, void *arg);
static PlannerSettings planner_settings(void);
static void set_planner_settings(PlannerSettings settings);
static int	execute(DurableSql *sql, Datum *values, const char *nulls,
					bool read_only, long limit);
static Datum get(uint64 row, int col, bool *isnull);
static Datum get_not_null(uint64 row, int col);

uint64
durable_sql_run(DurableSql *sql, Datum *values, const char *nulls, bool read_only, long limit)
{
	PlannerSettings callers = planner_settings();
	MemoryContext context = CurrentMemoryContext;
	DurableRole role;
	volatile int result = 0;

	durable_role_enter(&role);
	PG_TRY();
	{
		set_planner_settings(engine_settings);
		result = execute(sql, values, nulls, read_only, limit);
	}
	PG_FINALLY();
	{
		/* These are plain variables, which an abort does not restore. */
		set_planner_settings(callers);
	}
	PG_END_TRY();
	durable_role_leave(&role);

	/* SPI returns with its own context as the current one; a caller that reads rows needs its own, which lives longer. */
	MemoryContextSwitchTo(context);

	if (result < 0)
		elog(ERROR, "%s in statement \"%s\"", SPI_result_code_string(result), sql->text);
	return SPI_processed;
}

/*
 * The engine's statements are prepared without CURSOR_OPT_PARALLEL_OK, so no setting of
 * parallel query needs to be changed here.
 */
static int
execute(DurableSql *sql, Datum *values, const char *nulls, bool read_only, long limit)
{
	if (sql->plan == NULL || sql->generation != extension.oid)
	{
		SPIPlanPtr	stale = sql->plan;

		Assert(sql->nargs <= DURABLE_SQL_MAX_ARGS);
		sql->plan = NULL;
		if (stale)
			SPI_freeplan(stale);

		stale = SPI_prepare_cursor(sql->text, sql->nargs, sql->argtypes,
								   CURSOR_OPT_GENERIC_PLAN);
		if (stale == NULL)
			return SPI_result;
		SPI_keepplan(stale);
		sql->plan = stale;
		sql->generation = extension.oid;
	}

	return SPI_execute_plan(sql->plan, values, nulls, read_only, limit);
}

static PlannerSettings
planner_settings(void)
{
	return (PlannerSettings) {
		.seqscan = enable_seqscan,
		.bitmapscan = enable_bitmapscan,
		.hashjoin = enable_hashjoin,
		.mergejoin = enable_mergejoin,
		.memoize = enable_memoize,
		.material = enable_material,
		.indexscan = enable_indexscan,
		.indexonlyscan = enable_indexonlyscan,
		.nestloop = enable_nestloop,
		.tidscan = enable_tidscan,
		.sort = enable_sort,
		.jit = jit_enabled,
		.cache_mode = plan_cache_mode
	};
}

static void
set_planner_settings(PlannerSettings settings)
{
	enable_seqscan = settings.seqscan;
	enable_bitmapscan = settings.bitmapscan;
	enable_hashjoin = settings.hashjoin;
	enable_mergejoin = settings.mergejoin;
	enable_memoize = settings.memoize;
	enable_material = settings.material;
	enable_indexscan = settings.indexscan;
	enable_indexonlyscan = settings.indexonlyscan;
	enable_nestloop = settings.nestloop;
	enable_tidscan = settings.tidscan;
	enable_sort = settings.sort;
	jit_enabled = settings.jit;
	plan_cache_mode = settings.cache_mode;
}

/*
 * The active snapshot is the right one for read-only statements of a function in
 * a query.  It is pushed once more, so that the code need not remember whether
 * there was one.
 */
void
durable_sql_connect(void)
{
	int			result = SPI_connect();

	if (result != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(result));
	PushActiveSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() : GetTransactionSnapshot());
}

void
durable_sql_finish(void)
{
	PopActiveSnapshot();
	SPI_finish();
}

/* --- the role that runs statements ------------------------------------------------ */

void
durable_role_enter(DurableRole *saved)
{
	Oid			owner = durable_extension_require();

	GetUserIdAndSecContext(&saved->user, &saved->context);
	saved->level = 0;
	saved->entered = role_nest_level == 0;
	if (!saved->entered)
		return;

	SetUserIdAndSecContext(owner, saved->context | SECURITY_LOCAL_USERID_CHANGE);
	role_nest_level = GetCurrentTransactionNestLevel();
	saved->level = durable_search_path_pin();
}

void
durable_role_leave(const DurableRole *saved)
{
	if (!saved->entered)
		return;
	durable_search_path_unpin(saved->level);
	role_nest_level = 0;
	SetUserIdAndSecContext(saved->user, saved->context);
}

Oid
durable_extension_oid(void)
{
	look_up_extension();
	return extension.oid;
}

Oid
durable_extension_owner(void)
{
	look_up_extension();
	return extension.owner;
}

Oid
durable_extension_require(void)
{
	look_up_extension();
	if (!OidIsValid(extension.oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"durable\" is not installed in this database"),
				 errhint("Use CREATE EXTENSION durable.")));
	return extension.owner;
}

/* There is no system cache for pg_extension, and every statement needs these OIDs. */
static void
look_up_extension(void)
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (extension.valid)
		return;
	register_callbacks();

	/* This is set before the scan, so that an invalidation that arrives during it is not lost. */
	extension.valid = true;
	extension.oid = InvalidOid;
	extension.owner = InvalidOid;

	PG_TRY();
	{
		Oid			oid = InvalidOid;
		Oid			owner = InvalidOid;

		rel = table_open(ExtensionRelationId, AccessShareLock);
		ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
					CStringGetDatum("durable"));
		scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
		tuple = systable_getnext(scan);
		if (HeapTupleIsValid(tuple))
		{
			Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

			oid = form->oid;
			owner = form->extowner;
		}
		systable_endscan(scan);
		table_close(rel, AccessShareLock);
		extension.oid = oid;
		extension.owner = owner;

		/*
		 * The absence of the extension is not cached: a row of pg_extension becomes
		 * visible shortly before the invalidations of its transaction are sent.
		 */
		if (!OidIsValid(oid))
			extension.valid = false;
	}
	PG_CATCH();
	{
		extension.valid = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* --- callbacks -------------------------------------------------------------------- */

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;

	/*
	 * pg_extension itself sends no invalidations, but creating, dropping or
	 * reassigning our extension changes functions in pg_proc.
	 */
	CacheRegisterSyscacheCallback(PROCOID, forget_extension, (Datum) 0);
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	callbacks_registered = true;
}

static void
forget_extension(Datum arg, int cacheid, uint32 hashvalue)
{
	extension.valid = false;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT &&
		event != XACT_EVENT_PRE_PREPARE)
		role_nest_level = 0;
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mySubid,
					  SubTransactionId parentSubid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && role_nest_level >= GetCurrentTransactionNestLevel())
		role_nest_level = 0;
}

/* --- typed getters ---------------------------------------------------------------- */

int64
durable_sql_int8(uint64 row, int col)
{
	return DatumGetInt64(get_not_null(row, col));
}

int32
durable_sql_int4(uint64 row, int col)
{
	return DatumGetInt32(get_not_null(row, col));
}

char
durable_sql_char(uint64 row, int col)
{
	return DatumGetChar(get_not_null(row, col));
}

Oid
durable_sql_oid(uint64 row, int col)
{
	return DatumGetObjectId(get_not_null(row, col));
}

TimestampTz
durable_sql_timestamptz(uint64 row, int col, bool *isnull)
{
	Datum		value = get(row, col, isnull);

	return *isnull ? 0 : DatumGetTimestampTz(value);
}

char *
durable_sql_text(uint64 row, int col)
{
	bool		isnull;
	Datum		value = get(row, col, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Jsonb *
durable_sql_jsonb(uint64 row, int col)
{
	bool		isnull;
	Datum		value = get(row, col, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

Datum
durable_sql_datum(uint64 row, int col, bool *isnull)
{
	return get(row, col, isnull);
}

static Datum
get_not_null(uint64 row, int col)
{
	bool		isnull;
	Datum		value = get(row, col, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d of the engine's query", col);
	return value;
}

static Datum
get(uint64 row, int col, bool *isnull)
{
	Assert(SPI_tuptable != NULL && row < SPI_tuptable->numvals);
	Assert(col >= 1 && col <= SPI_tuptable->tupdesc->natts);
	return heap_getattr(SPI_tuptable->vals[row], col, SPI_tuptable->tupdesc, isnull);
}
