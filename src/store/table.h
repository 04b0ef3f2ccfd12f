/*
 * table.h
 *		Access to the engine's tables without SQL: opening them, and their columns.
 *
 * A DurableTable, in the file that owns the table, has its name, the indexes that are used for
 * searches, and its columns in the order of an enum in that file's header.  OIDs and attribute
 * numbers are looked up at first use and cached.
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

	/* private to table.c */
	bool		known;			/* the members below are valid */
	bool		watched;
	uint64		version;		/* incremented whenever they are looked up */
	Oid			oid;
	Oid			index_oids[DURABLE_TABLE_MAX_INDEXES];
	AttrNumber	attnums[DURABLE_TABLE_MAX_COLUMNS];
	struct DurableTable *next;
}			DurableTable;

/*
 * Opens and locks the table; the caller closes it with table_close.  No privileges are checked:
 * users have none on these tables, and the callers decide which rows a user may access.  Raises
 * 42704 if the database does not have the extension.
 */
extern Relation durable_table_open(DurableTable *table, LOCKMODE mode);

/* Opens one of its indexes with AccessShareLock.  The table is open. */
extern Relation durable_table_open_index(DurableTable *table, int which);

#endif							/* DURABLE_TABLE_H */
