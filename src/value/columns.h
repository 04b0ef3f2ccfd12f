/*
 * columns.h
 *		Rows as one array for each column, for unnest() in the engine's statements.
 */
#ifndef DURABLE_COLUMNS_H
#define DURABLE_COLUMNS_H

#include "durable.h"

#define COLUMNS_MAX		20

typedef struct Columns
{
	int			nrows;
	int			ncols;
	Oid			types[COLUMNS_MAX];	/* of the elements */
	Datum	   *values[COLUMNS_MAX];
	bool	   *nulls[COLUMNS_MAX];
}			Columns;

/* nrows rows of NULLs; types of the elements, ended by InvalidOid. */
extern Columns *durable_columns_create(int nrows, const Oid *types);

extern void durable_columns_set(Columns *columns, int row, int col, Datum value);
extern void durable_columns_set_text(Columns *columns, int row, int col, const char *value);	/* NULL: NULL */
extern void durable_columns_set_jsonb(Columns *columns, int row, int col, const Jsonb *value);	/* same */

/* Stores the arrays of all columns in values[0 .. ncols - 1]. */
extern void durable_columns_arrays(const Columns *columns, Datum *values);

/* An array of n elements of that type. */
extern Datum durable_columns_array(const Datum *values, const bool *nulls, int n, Oid type);

#endif							/* DURABLE_COLUMNS_H */
