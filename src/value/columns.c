/*-------------------------------------------------------------------------
 *
 * columns.c
 *		Makes one array for each column of some rows, for unnest() in the engine's
 *		statements.
 *
 * Owns:	nothing
 * Called by: finished.c, message_rows.c and the *_table.c of store/; files of run/ and api/
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "columns.h"

static void storage_of(Oid type, int16 *length, bool *byval, char *align);

Columns *
durable_columns_create(int nrows, const Oid *types)
{
	Columns    *columns = palloc0(sizeof(Columns));

	columns->nrows = nrows;
	while (types[columns->ncols] != InvalidOid)
	{
		int			col = columns->ncols++;

		columns->types[col] = types[col];
		columns->values[col] = palloc0(nrows * sizeof(Datum));
		columns->nulls[col] = palloc(nrows * sizeof(bool));
		memset(columns->nulls[col], true, nrows * sizeof(bool));
	}
	return columns;
}

void
durable_columns_set(Columns *columns, int row, int col, Datum value)
{
	columns->values[col][row] = value;
	columns->nulls[col][row] = false;
}

void
durable_columns_set_text(Columns *columns, int row, int col, const char *value)
{
	if (value != NULL)
		durable_columns_set(columns, row, col, CStringGetTextDatum(value));
}

void
durable_columns_set_jsonb(Columns *columns, int row, int col, const Jsonb *value)
{
	if (value != NULL)
		durable_columns_set(columns, row, col, PointerGetDatum(value));
}

void
durable_columns_arrays(const Columns *columns, Datum *values)
{
	for (int col = 0; col < columns->ncols; col++)
		values[col] = durable_columns_array(columns->values[col], columns->nulls[col],
											columns->nrows, columns->types[col]);
}

Datum
durable_columns_array(const Datum *values, const bool *nulls, int n, Oid type)
{
	int			dims[1] = {n};
	int			lower[1] = {1};
	int16		length;
	bool		byval;
	char		align;

	storage_of(type, &length, &byval, &align);
	return PointerGetDatum(construct_md_array(unconstify(Datum *, values),
											  unconstify(bool *, nulls),
											  1, dims, lower, type, length, byval, align));
}

static void
storage_of(Oid type, int16 *length, bool *byval, char *align)
{
	*byval = true;
	switch (type)
	{
		case INT8OID:
		case TIMESTAMPTZOID:
			*length = 8;
			*byval = FLOAT8PASSBYVAL;
			*align = TYPALIGN_DOUBLE;
			break;
		case INT4OID:
		case REGROLEOID:
			*length = 4;
			*align = TYPALIGN_INT;
			break;
		case BOOLOID:
		case CHAROID:
			*length = 1;
			*align = TYPALIGN_CHAR;
			break;
		case TIDOID:
			*length = sizeof(ItemPointerData);
			*byval = false;
			*align = TYPALIGN_SHORT;
			break;
		case TEXTOID:
		case JSONBOID:
			*length = -1;
			*byval = false;
			*align = TYPALIGN_INT;
			break;
		default:
			elog(ERROR, "arrays of type %u are not supported", type);
	}
}
