/*
 * table.h - results as tables.
 */
#ifndef CLIENTS_TABLE_H
#define CLIENTS_TABLE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "print.h"

typedef enum ColumnKind
{
	COLUMN_TEXT,
	COLUMN_LONG,				/* text that may be cut where the terminal ends */
	COLUMN_NUMBER,
	COLUMN_DURATION,			/* microseconds */
	COLUMN_STATUS
} ColumnKind;

typedef struct Column
{
	const char *title;
	ColumnKind	kind;
} Column;

/*
 * Prints a result whose first columns are these.  On a terminal it is no wider than
 * that.  With names only (-q): the first column, nothing else.
 */
extern void table_print(const PGresult *res, const Column *columns, int ncolumns, bool names_only);

/* Prints a column of JSON, one value a line. */
extern void table_print_json(const PGresult *res, int column);

/* "1.2 s", "3 min 12 s", "2 d 4 h"; in a static buffer. */
extern const char *table_duration(int64_t us);

/* How a status is shown. */
extern Style table_status_style(const char *status);

/* Size of the terminal, or 0 if the output is none. */
extern int	table_screen_width(void);
extern int	table_screen_height(void);

/* Writes text into so many columns: harmless, cut if it is too long (the end is marked), padded if pad. */
extern void table_cell(FILE *out, const char *text, int width, bool pad, bool right);

#endif
