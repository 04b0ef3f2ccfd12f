/*-------------------------------------------------------------------------
 *
 * code_table.c
 *		The table durable.code: the functions that hold replaced code.
 *
 * There is a row for each definition of a handler that was replaced or dropped while
 * instances of it were unfinished.  The hash is that of handler_function.c; an instance
 * has the hash of its code in instance.code_hash.
 *
 * When a function is replaced, this file finds out from durable.tally which handlers
 * have unfinished instances, so that a million finished ones take no time.
 *
 * Owns:	durable.code; columns code_hash, handler and version of durable.instance are
 *			instance_table.c's, and are set here for clients
 * Called by: kept_code.c, ddl_code.c, orchestration_code.c, code_api.c, doctor_findings.c
 * Locks:	the row of a kept code; the row of an instance that is moved to other code
 * Memory:	results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "code_table.h"
#include "columns.h"
#include "instance_table.h"
#include "sql.h"
#include "tally.h"

#define UNFINISHED	"('P', 'R', 'S')"

#define SIGNATURE(t) \
	"CASE WHEN starts_with(" #t ".handler, '(') THEN " #t ".name || " #t ".handler ELSE " #t ".handler END"

static DurableSql live_handlers = {
	.text = "SELECT " SIGNATURE(t) " FROM durable.tally t WHERE t.name IS NOT NULL AND t.status IN " UNFINISHED
	" AND t.handler NOT LIKE '-%' GROUP BY 1 HAVING pg_catalog.sum(t.n) > 0",
};

static DurableSql count_live = {
	.text = "SELECT coalesce(pg_catalog.sum(t.n), 0)::bigint FROM durable.tally t"
	" WHERE t.name IS NOT NULL AND t.status IN " UNFINISHED " AND " SIGNATURE(t) " = $1",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static DurableSql find_copy = {
	.text = "SELECT copy, code_hash FROM durable.code WHERE signature = $1 AND (code_hash = $2 OR $2 = 0)"
	" ORDER BY id DESC LIMIT 1",
	.nargs = 2,
	.argtypes = {TEXTOID, INT8OID}
};

static DurableSql insert_row = {
	.text = "INSERT INTO durable.code (signature, code_hash, copy, owner) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (signature, code_hash) DO UPDATE SET"
	" id = nextval('durable.code_id_seq'), copy = excluded.copy, owner = excluded.owner, replaced_at = excluded.replaced_at",
	.nargs = 4,
	.argtypes = {TEXTOID, INT8OID, TEXTOID, REGROLEOID}
};

static DurableSql pin = {
	.text = "UPDATE durable.instance SET code_hash = $2 WHERE key = $1",
	.nargs = 2,
	.argtypes = {INT8OID, INT8OID}
};

static DurableSql pin_version = {
	.text = "UPDATE durable.instance SET code_hash = $2, handler = $3, version = $4 WHERE key = $1",
	.nargs = 4,
	.argtypes = {INT8OID, INT8OID, TEXTOID, TEXTOID}
};

/* Walks once through all instances. An instance without a hash of its own would take the newest copy. */
#define USED \
	"WITH used (signature, hash) AS MATERIALIZED (" \
	" SELECT DISTINCT " SIGNATURE(i) "," \
	"  coalesce(i.code_hash, 0)" \
	" FROM durable.instance i WHERE i.status IN " UNFINISHED ")"
#define IS_UNUSED \
	"NOT EXISTS (SELECT FROM used u" \
	"  WHERE u.signature = c.signature AND (u.hash = c.code_hash OR u.hash = 0))"

static DurableSql lock_unused = {
	.text = USED " SELECT c.copy FROM durable.code c WHERE " IS_UNUSED " FOR UPDATE OF c SKIP LOCKED",
};

static DurableSql delete_unused = {
	.text = USED " DELETE FROM durable.code c WHERE c.copy = ANY ($1) AND " IS_UNUSED " RETURNING c.copy",
	.nargs = 1,
	.argtypes = {TEXTARRAYOID}
};

static List *copies_of(DurableSql *sql, const Datum *values);

List *
durable_code_live_handlers(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;
	const TallyDifference *difference;
	uint64		nrows;

	durable_sql_connect();
	MemoryContextSwitchTo(caller);
	nrows = durable_sql_run(&live_handlers, NULL, NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
		result = lappend(result, durable_sql_text(i, 1));
	durable_sql_finish();
	for (int i = 0; (difference = durable_tally_pending(i)) != NULL; i++)
		if (difference->n > 0 && !STATUS_IS_FINISHED(difference->status))
			result = lappend(result, durable_instance_lengthen(difference->handler, difference->name));
	return result;
}

int64
durable_code_count_live(const char *signature)
{
	Datum		values[1] = {CStringGetTextDatum(signature)};
	const TallyDifference *difference;
	int64		result;

	durable_sql_connect();
	(void) durable_sql_run(&count_live, values, NULL, false, 0);
	result = durable_sql_int8(0, 1);
	durable_sql_finish();
	for (int i = 0; (difference = durable_tally_pending(i)) != NULL; i++)
		if (!STATUS_IS_FINISHED(difference->status) &&
			strcmp(durable_instance_lengthen(difference->handler, difference->name), signature) == 0)
			result += difference->n;
	return Max(result, 0);
}

char *
durable_code_find_copy(const char *signature, int64 wanted, int64 *hash)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[2] = {CStringGetTextDatum(signature), Int64GetDatum(wanted)};
	char	   *copy = NULL;

	durable_sql_connect();
	MemoryContextSwitchTo(caller);
	if (durable_sql_run(&find_copy, values, NULL, false, 0) > 0)
	{
		copy = durable_sql_text(0, 1);
		*hash = durable_sql_int8(0, 2);
	}
	durable_sql_finish();
	return copy;
}

void
durable_code_insert(const char *signature, int64 hash, const char *copy, Oid owner)
{
	Datum		values[4] = {CStringGetTextDatum(signature), Int64GetDatum(hash),
	CStringGetTextDatum(copy), ObjectIdGetDatum(owner)};

	durable_sql_connect();
	(void) durable_sql_run(&insert_row, values, NULL, false, 0);
	durable_sql_finish();
}

void
durable_code_pin(int64 key, int64 hash)
{
	Datum		values[2] = {Int64GetDatum(key), Int64GetDatum(hash)};

	durable_sql_connect();
	(void) durable_sql_run(&pin, values, NULL, false, 0);
	durable_sql_finish();
}

void
durable_code_pin_version(int64 key, int64 hash, const char *handler, const char *version)
{
	Datum		values[4] = {Int64GetDatum(key), Int64GetDatum(hash), CStringGetTextDatum(handler), CStringGetTextDatum(version)};

	durable_sql_connect();
	(void) durable_sql_run(&pin_version, values, NULL, false, 0);
	durable_sql_finish();
}

List *
durable_code_lock_unused(void)
{
	return copies_of(&lock_unused, NULL);
}

List *
durable_code_delete_unused(const List *copies)
{
	Datum	   *datums = palloc(list_length(copies) * sizeof(Datum));
	Datum		values[1];
	ListCell   *cell;

	foreach(cell, copies)
		datums[foreach_current_index(cell)] = CStringGetTextDatum(lfirst(cell));
	values[0] = durable_columns_array(datums, NULL, list_length(copies), TEXTOID);
	return copies_of(&delete_unused, values);
}

static List *
copies_of(DurableSql *sql, const Datum *values)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;
	uint64		nrows;

	durable_sql_connect();
	MemoryContextSwitchTo(caller);
	nrows = durable_sql_run(sql, unconstify(Datum *, values), NULL, false, 0);
	for (uint64 i = 0; i < nrows; i++)
		result = lappend(result, durable_sql_text(i, 1));
	durable_sql_finish();
	return result;
}
