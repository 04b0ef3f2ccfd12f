/*
 * table.h
 *		The engine's tables without SQL: opening them, and their columns by name.
 *
 * A table is one DurableTable, of the file that owns it: its name, the indexes that
 * it is searched by, and its columns, in the order of an enum in that file's header.
 * Where the columns are is found out at first use and remembered.
 */
#ifndef DURABLE_TABLE_H
#define DURABLE_TABLE_H

#include "durable.h"
#include "utils/rel.h"

#define DURABLE_TABLE_MAX_COLUMNS	48
#define DURABLE_TABLE_MAX_INDEXES	2

typedef struct DurableTable
{
	const char *name;			/* in schema durable */
	const char *indexes[DURABLE_TABLE_MAX_INDEXES];	/* same; NULL: no more are used */
	int			ncolumns;
	const char *columns[DURABLE_TABLE_MAX_COLUMNS];

	/* table.c's: */
	bool		known;			/* the rest is right */
	bool		watched;
	uint64		version;		/* counted up whenever it is found out anew */
	Oid			oid;
	Oid			index_oids[DURABLE_TABLE_MAX_INDEXES];
	AttrNumber	attnums[DURABLE_TABLE_MAX_COLUMNS];
	struct DurableTable *next;
}			DurableTable;

/*
 * The table, locked; the caller closes it with table_close.  No rights are
 * checked: nobody has any on these tables, and what may be read or written is
 * decided before.  Raises 42704 when the extension is not in this database.
 */
extern Relation durable_table_open(DurableTable *table, LOCKMODE mode);

/* One of its indexes, when the table is open; AccessShareLock as every scan takes. */
extern Relation durable_table_open_index(DurableTable *table, int which);

#endif							/* DURABLE_TABLE_H */
