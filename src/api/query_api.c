/*-------------------------------------------------------------------------
 *
 * query_api.c
 *		durable.query: finds instances, page by page, the newest first.
 *
 * A page is found by the keys of instances, which grow in the order of creation.
 * The cursor of a row is its key in an opaque text, so the next page begins where
 * this one ended, even if instances have been started or purged since.
 *
 * The statement is put together from the conditions that were given, and planned with
 * their values: a generic plan cannot know whether a name is that of one instance or
 * of a million.  It finds the keys of the page, with the indexes of durable.instance,
 * all of which are over columns that never change.  Another statement reads these rows
 * from the view durable.instances, so that a row has the contents that the view shows
 * to the current role.
 *
 * There is no index on the time of creation, which would take 20 bytes for each
 * instance.  The index instance_sample has the times and keys of every 64th instance.
 * Keys grow with time, unless the clock is set back.  So the page lies between two
 * samples: the last one before the first sample that is new enough, and the first one
 * after the last sample that is old enough.  A clock that was set back makes that range
 * longer.  No instance is omitted if the change lasted for at least 64 starts.
 *
 * For conditions on the status or the name, which no index has, the search goes
 * through ranges of keys that are known to have such instances (tally_ranges.c), unless
 * there is an index for another condition.
 *
 * Owns:	the form of a cursor; the index instance_sample
 * Called by: clients
 * Locks:	those of a SELECT
 * Memory:	the result's tuplestore
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "columns.h"
#include "query_ranges.h"
#include "sql.h"
#include "tally_ranges.h"

#define MAX_PAGE		10000

/* If a search of ranges has not filled the page, the next one is larger by this factor. */
#define MORE_RANGES		4

/* The number of the cursor's form; cursors of another form are refused. */
#define CURSOR_PREFIX	"d1."

/*
 * Parameters of the function.  Those of the statement have the same numbers, counted from 1.
 * In place of the cursor, the statement has the keys between which the page lies.
 */
enum
{
	BY_NAME, BY_STATUSES, FROM_TIME, TO_TIME, BY_PREFIX, BY_TAGS, PAGE_SIZE, AFTER_CURSOR, NARGUMENTS,
	FIRST_KEY = AFTER_CURSOR, LAST_KEY, RANGES_FIRST, RANGES_LAST, NPARAMETERS
};

static Oid	types_of_parameters[NPARAMETERS] = {
	TEXTOID, CHARARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, JSONBOID, INT4OID, INT8OID, INT8OID,
	INT8ARRAYOID, INT8ARRAYOID
};

/*
 * Finds the keys between which instances of some time of creation lie; see above.  Without
 * "+ 0" the planner would scan the primary key for the first match.
 */
static Oid	time_types[1] = {TIMESTAMPTZOID};
static const char first_key[] =
"SELECT max(key) FROM durable.instance WHERE key % 64 = 0 AND key < "
"coalesce((SELECT min(key + 0) FROM durable.instance WHERE key % 64 = 0 AND created_at >= $1), 9223372036854775807)";
static const char last_key[] =
"SELECT min(key) FROM durable.instance WHERE key % 64 = 0 AND key > "
"coalesce((SELECT max(key + 0) FROM durable.instance WHERE key % 64 = 0 AND created_at < $1), 0)";

/*
 * Keys, ids and owners of a page, and its rows.  Conditions that compare with
 * values pass the view's security barrier and find an index; joins do not.
 */
#define PAGE_COLUMNS	3
typedef struct Found
{
	int			n;
	Datum	   *columns[PAGE_COLUMNS];	/* key, instance_id, owner */
}			Found;

static Oid	element_types[PAGE_COLUMNS] = {INT8OID, TEXTOID, REGROLEOID};
static Oid	page_types[PAGE_COLUMNS] = {INT8ARRAYOID, TEXTARRAYOID, REGROLEARRAYOID};
static const char rows_of_page[] =
"SELECT v.*, p.key FROM durable.instances v "
"JOIN unnest($1, $2, $3) AS p (key, instance_id, owner) ON p.instance_id = v.instance_id AND p.owner = v.owner "
"WHERE v.instance_id = ANY ($2) AND v.owner = ANY ($3) ORDER BY p.key DESC";

static void run(const char *statement, int nargs, Oid *types, Datum *values, const char *nulls);
static int64 bound(const char *statement, Datum time, int64 otherwise);
static ArrayType *status_letters(ArrayType *words);
static Jsonb *object_of_tags(FunctionCallInfo fcinfo);
static int32 page_size(FunctionCallInfo fcinfo);
static char *make_cursor(int64 key);
static int64 read_cursor(const char *cursor);
static void find_page(Found * page, Datum *values, char *nulls, int32 size);
static bool has_index(const char *nulls);
static void spread(QueryRanges * ranges, const char *name);
static void add_found(Found * page, Datum *values, const char *nulls);
static char *statement_for(const char *nulls);
static void put_rows(ReturnSetInfo *result);

PG_FUNCTION_INFO_V1(durable_query);

Datum
durable_query(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[NPARAMETERS] = {0};
	char		nulls[NPARAMETERS + 1];
	Oid			asking = GetUserId();
	int64		after = PG_INT64_MAX;
	DurableRole role;

	durable_client_refuse_in_turn("query", "Call it from an activity.");
	InitMaterializedSRF(fcinfo, 0);

	memset(nulls, 'n', NPARAMETERS);
	nulls[NPARAMETERS] = '\0';
	for (int i = 0; i < NARGUMENTS; i++)
		if (!PG_ARGISNULL(i))
		{
			nulls[i] = ' ';
			values[i] = PG_GETARG_DATUM(i);
		}
	if (!PG_ARGISNULL(BY_STATUSES))
		values[BY_STATUSES] = PointerGetDatum(status_letters(PG_GETARG_ARRAYTYPE_P(BY_STATUSES)));
	if (!PG_ARGISNULL(BY_TAGS))
		values[BY_TAGS] = JsonbPGetDatum(object_of_tags(fcinfo));
	values[PAGE_SIZE] = Int32GetDatum(page_size(fcinfo));
	nulls[PAGE_SIZE] = ' ';
	if (!PG_ARGISNULL(AFTER_CURSOR))
		after = read_cursor(text_to_cstring(PG_GETARG_TEXT_PP(AFTER_CURSOR)));

	durable_sql_connect();
	durable_role_enter(&role);
	durable_client_ask_as(asking);
	PG_TRY();
	{
		Found		page = {0};
		Datum		arrays[PAGE_COLUMNS];
		int64		last = nulls[TO_TIME] == 'n' ? after : bound(last_key, values[TO_TIME], PG_INT64_MAX);

		values[FIRST_KEY] = Int64GetDatum(nulls[FROM_TIME] == 'n' ? 0 : bound(first_key, values[FROM_TIME], 0));
		values[LAST_KEY] = Int64GetDatum(Min(after, last));
		nulls[FIRST_KEY] = nulls[LAST_KEY] = ' ';
		find_page(&page, values, nulls, DatumGetInt32(values[PAGE_SIZE]));
		for (int i = 0; i < PAGE_COLUMNS && page.n > 0; i++)
			arrays[i] = durable_columns_array(page.columns[i], NULL, page.n, element_types[i]);
		if (page.n > 0)
		{
			run(rows_of_page, PAGE_COLUMNS, page_types, arrays, NULL);
			put_rows(result);
		}
	}
	PG_FINALLY();
	{
		durable_client_ask_as(InvalidOid);
	}
	PG_END_TRY();
	durable_role_leave(&role);
	durable_sql_finish();
	return (Datum) 0;
}

static void
run(const char *statement, int nargs, Oid *types, Datum *values, const char *nulls)
{
	int			done = SPI_execute_with_args(statement, nargs, types, values, nulls, true, 0);

	if (done != SPI_OK_SELECT)
		elog(ERROR, "%s in statement \"%s\"", SPI_result_code_string(done), statement);
}

static int64
bound(const char *statement, Datum time, int64 otherwise)
{
	bool		isnull;
	Datum		key;

	run(statement, 1, time_types, &time, NULL);
	key = durable_sql_datum(0, 1, &isnull);
	return isnull ? otherwise : DatumGetInt64(key);
}

/* --- arguments ------------------------------------------------------------------------ */

static ArrayType *
status_letters(ArrayType *words)
{
	static const char letters[] = {
		STATUS_PENDING, STATUS_RUNNING, STATUS_SUSPENDED, STATUS_COMPLETED, STATUS_FAILED, STATUS_TERMINATED
	};
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	Datum		chosen[lengthof(letters)];
	bool		is_chosen[lengthof(letters)] = {0};
	int			nchosen = 0;

	deconstruct_array(words, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *word = nulls[i] ? "null" : TextDatumGetCString(elements[i]);
		int			status = 0;

		while (status < lengthof(letters) &&
			   strcmp(word, durable_client_status_word(letters[status])) != 0)
			status++;
		if (status == lengthof(letters))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" is not the status of an instance", durable_client_shown(word)),
					 errhint("Valid statuses are Pending, Running, Suspended, Completed, Failed, and Terminated.")));
		is_chosen[status] = true;
	}
	for (int i = 0; i < lengthof(letters); i++)
		if (is_chosen[i])
			chosen[nchosen++] = CharGetDatum(letters[i]);
	return construct_array(chosen, nchosen, CHAROID, 1, true, TYPALIGN_CHAR);
}

static Jsonb *
object_of_tags(FunctionCallInfo fcinfo)
{
	Jsonb	   *tags = PG_GETARG_JSONB_P(BY_TAGS);

	if (!JB_ROOT_IS_OBJECT(tags))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tags must be a JSON object"),
				 errdetail("An instance matches if its tags contain all members of this object."),
				 errhint("For example, use '{\"customer\": \"Pat\"}'.")));
	return tags;
}

static int32
page_size(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(PAGE_SIZE) || PG_GETARG_INT32(PAGE_SIZE) < 1 || PG_GETARG_INT32(PAGE_SIZE) > MAX_PAGE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("page_size must be between 1 and %d", MAX_PAGE),
				 PG_ARGISNULL(PAGE_SIZE) ? errdetail("It is null.") :
				 errdetail("It is %d.", PG_GETARG_INT32(PAGE_SIZE)),
				 errhint("To fetch the next page, pass the page_cursor of the last row as the parameter \"after\".")));
	return PG_GETARG_INT32(PAGE_SIZE);
}

/* --- cursors -------------------------------------------------------------------------- */

static char *
make_cursor(int64 key)
{
	return psprintf(CURSOR_PREFIX "%08x%08x", (uint32) ((uint64) key >> 32), (uint32) key);
}

static int64
read_cursor(const char *cursor)
{
	const char *digits = cursor + strlen(CURSOR_PREFIX);

	if (strncmp(cursor, CURSOR_PREFIX, strlen(CURSOR_PREFIX)) != 0 ||
		strlen(digits) != 16 || strspn(digits, "0123456789abcdef") != 16 || *digits >= '8')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid page cursor \"%s\"", durable_client_shown(cursor)),
				 errhint("Use the page_cursor of the last row of the previous page, or null for the first page.")));
	return (int64) strtoull(digits, NULL, 16);
}

/* --- the page ------------------------------------------------------------------------- */

static void
find_page(Found * page, Datum *values, char *nulls, int32 size)
{
	QueryRanges ranges = {0};
	char	   *name = nulls[BY_NAME] == 'n' ? NULL : text_to_cstring(DatumGetTextPP(values[BY_NAME]));
	ArrayType  *statuses = nulls[BY_STATUSES] == 'n' ? NULL : DatumGetArrayTypeP(values[BY_STATUSES]);

	for (int i = 0; i < PAGE_COLUMNS; i++)
		page->columns[i] = palloc(size * sizeof(Datum));
	if (has_index(nulls))
	{
		add_found(page, values, nulls);
		return;
	}
	if (durable_tally_count(name, statuses, NULL) <= 0)
		return;

	durable_tally_find_ranges(&ranges.all, name, statuses, DatumGetInt64(values[FIRST_KEY]),
							  DatumGetInt64(values[LAST_KEY]), true);
	if (name != NULL)
		spread(&ranges, name);
	nulls[RANGES_FIRST] = nulls[RANGES_LAST] = ' ';
	for (int64 instances = size; page->n < size; instances *= MORE_RANGES)
	{
		CHECK_FOR_INTERRUPTS();
		if (!durable_query_next_ranges(&ranges, instances, &values[RANGES_FIRST], &values[RANGES_LAST]))
			break;
		values[PAGE_SIZE] = Int32GetDatum(size - page->n);
		add_found(page, values, nulls);
	}
}

static bool
has_index(const char *nulls)
{
	return (nulls[BY_STATUSES] == 'n' && nulls[BY_NAME] == 'n') || nulls[BY_PREFIX] != 'n' || nulls[BY_TAGS] != 'n';
}

/* Assumes an even distribution, because the number of instances with that name in a range is not known. */
static void
spread(QueryRanges * ranges, const char *name)
{
	int64		each = durable_tally_count(name, NULL, NULL) / Max(ranges->all.n, 1);

	for (int i = 0; i < ranges->all.n; i++)
		ranges->all.instances[i] = Max(Min(each, ranges->all.instances[i] > 1 ? ranges->all.instances[i] : each), 1);
}

static void
add_found(Found * page, Datum *values, const char *nulls)
{
	run(statement_for(nulls), NPARAMETERS, types_of_parameters, values, nulls);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		for (int i = 0; i < PAGE_COLUMNS; i++)
			page->columns[i][page->n] = durable_sql_datum(row, i + 1, &isnull);
		page->n++;
	}
}

/* --- the statement -------------------------------------------------------------------- */

/* The existence of instances is visible without the privilege to read their tags. */
static char *
statement_for(const char *nulls)
{
	static const char *const conditions[NPARAMETERS] = {
		[BY_NAME] = "i.name = $1",
		[BY_STATUSES] = "i.status = ANY ($2)",
		[FROM_TIME] = "i.created_at >= $3",
		[TO_TIME] = "i.created_at < $4",
		[BY_PREFIX] = "i.instance_id ^@ $5",
		[BY_TAGS] = "i.tags @> $6 AND durable.may_read(i.owner)",
		[FIRST_KEY] = "i.key > $8",
		[LAST_KEY] = "i.key < $9"
	};
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, nulls[RANGES_FIRST] == 'n' ? "SELECT i.key, i.instance_id, i.owner" :
						   "SELECT f.* FROM unnest($10, $11) AS r (first, last), LATERAL ("
						   "SELECT i.key, i.instance_id, i.owner");
	appendStringInfoString(&text, " FROM durable.instance i WHERE durable.may_see(i.owner)");
	for (int i = 0; i < NPARAMETERS; i++)
		if (nulls[i] != 'n' && conditions[i] != NULL)
			appendStringInfo(&text, " AND %s", conditions[i]);
	if (nulls[RANGES_FIRST] != 'n')
		appendStringInfoString(&text, " AND i.key >= r.first AND i.key <= r.last ORDER BY i.key DESC LIMIT $7) f"
							   " ORDER BY f.key DESC LIMIT $7");
	else
		appendStringInfoString(&text, " ORDER BY i.key DESC LIMIT $7");
	return text.data;
}

/* The last column of the rows found is the key; the last column of the result is the cursor. */
static void
put_rows(ReturnSetInfo *result)
{
	TupleDesc	found = SPI_tuptable->tupdesc;
	int			natts = result->setDesc->natts;
	Datum	   *values = palloc(natts * sizeof(Datum));
	bool	   *nulls = palloc(natts * sizeof(bool));

	if (found->natts != natts)
		elog(ERROR, "durable.instances has %d columns, durable.query() expects %d", found->natts - 1, natts - 1);
	for (int i = 0; i < natts - 1; i++)
		if (TupleDescAttr(found, i)->atttypid != TupleDescAttr(result->setDesc, i)->atttypid)
			elog(ERROR, "column %d of durable.query() has another type than in durable.instances", i + 1);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		heap_deform_tuple(SPI_tuptable->vals[row], found, values, nulls);
		values[natts - 1] = CStringGetTextDatum(make_cursor(DatumGetInt64(values[natts - 1])));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}
