/*-------------------------------------------------------------------------
 *
 * call_sql.c
 *		The built-in activity behind durable.call_sql(): runs one SQL statement.
 *
 * The types of $1, $2 and so on are those that the statement gives them, as with
 * PREPARE without types; the members of params are converted to them.
 *
 * Owns:	nothing
 * Called by: activity.c, inside the activity's subtransaction, as the owner; wait_until.c
 * Locks:	those that the statement takes
 * Memory:	result in the context that is current at the call
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "access/htup_details.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"

#include "call_sql.h"
#include "compat.h"
#include "json.h"

static int	parameter_types(const char *query, Oid **types);
static void check_columns(TupleDesc desc);
static Jsonb *rows_to_jsonb(MemoryContext outer);

Jsonb *
durable_call_sql(const Jsonb *input)
{
	MemoryContext outer = CurrentMemoryContext;
	char	   *query = durable_json_get_text(input, "query");
	JsonbValue	key = {.type = jbvString,.val.string = {.val = "params",.len = 6}};
	JsonbValue *params;
	Oid		   *types;
	int			nparams;
	int			ngiven = 0;
	Datum	   *values = NULL;
	char	   *nulls = NULL;
	SPIPlanPtr	plan;
	int			rc;
	Jsonb	   *result;

	if (query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query must not be null")));

	params = findJsonbValueFromContainer((JsonbContainer *) &input->root, JB_FOBJECT, &key);
	if (params != NULL && params->type == jbvNull)
		params = NULL;
	if (params != NULL)
	{
		if (params->type != jbvBinary || !JsonContainerIsArray(params->val.binary.data))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("params must be an array")));
		ngiven = JsonContainerSize(params->val.binary.data);
	}

	nparams = parameter_types(query, &types);
	if (nparams != ngiven)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("query has %d parameters, but params has %d members", nparams, ngiven)));

	if (nparams > 0)
	{
		values = palloc(nparams * sizeof(Datum));
		nulls = palloc(nparams);
		for (int i = 0; i < nparams; i++)
		{
			JsonbValue *value = getIthJsonbValueFromContainer(params->val.binary.data, i);
			bool		isnull;

			values[i] = durable_json_to_datum(JsonbValueToJsonb(value), types[i], -1, &isnull);
			nulls[i] = isnull ? 'n' : ' ';
		}
	}

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	plan = SPI_prepare(query, nparams, types);
	if (plan == NULL)
		elog(ERROR, "could not prepare the query: %s", SPI_result_code_string(SPI_result));
	rc = SPI_execute_plan(plan, values, nulls, false, 0);
	if (rc < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not run the query: %s", SPI_result_code_string(rc))));
	result = rows_to_jsonb(outer);
	SPI_finish();
	return result;
}

/* Finds the types that the statement gives to $1, $2 and so on.  There must be one statement only. */
static int
parameter_types(const char *query, Oid **types)
{
	List	   *statements = pg_parse_query(query);
	RawStmt    *raw;
	int			count = 0;

	*types = NULL;
	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query must contain exactly one statement"),
				 errdetail("It contains %d statements.", list_length(statements))));
	raw = linitial_node(RawStmt, statements);

	/* Utility commands have no parameters. */
	if (!analyze_requires_snapshot(raw))
		return 0;

	(void) parse_analyze_varparams(raw, query, types, &count, NULL);
	for (int i = 0; i < count; i++)
		if ((*types)[i] == InvalidOid || (*types)[i] == UNKNOWNOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine data type of parameter $%d", i + 1),
					 errhint("Add an explicit cast, for example $%d::text.", i + 1)));
	return count;
}

/* An object has only one member of each name, so the other column would be lost. */
static void
check_columns(TupleDesc desc)
{
	for (int i = 1; i < desc->natts; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), NameStr(TupleDescAttr(desc, j)->attname)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column name \"%s\" appears more than once in the result of the query",
								NameStr(TupleDescAttr(desc, i)->attname)),
						 errdetail("Each row becomes a JSON object with one member for each column name."),
						 errhint("Use AS to give each column a different name.")));
}

static Jsonb *
rows_to_jsonb(MemoryContext outer)
{
	JsonbParseState *state = NULL;
	MemoryContext old;
	Jsonb	   *result;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	if (SPI_tuptable != NULL)
	{
		TupleDesc	desc = BlessTupleDesc(SPI_tuptable->tupdesc);

		check_columns(desc);
		for (uint64 row = 0; row < SPI_tuptable->numvals; row++)
		{
			Datum		record = heap_copy_tuple_as_datum(SPI_tuptable->vals[row], desc);
			Jsonb	   *object = durable_json_from_datum(record, RECORDOID, false);
			JsonbValue	binary;

			CHECK_FOR_INTERRUPTS();
			binary.type = jbvBinary;
			binary.val.binary.data = &object->root;
			binary.val.binary.len = VARSIZE(object) - VARHDRSZ;
			pushJsonbValue(&state, WJB_ELEM, &binary);
		}
	}
	old = MemoryContextSwitchTo(outer);
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
	MemoryContextSwitchTo(old);
	return result;
}
