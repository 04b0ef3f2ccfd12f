/*
 * table_write_internal.h
 *		State of a writer; for table_write.c, table_write_held.c and table_write_unique.c only.
 */
#ifndef DURABLE_TABLE_WRITE_INTERNAL_H
#define DURABLE_TABLE_WRITE_INTERNAL_H

#include "access/genam.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "table_write.h"

/* Number of inserted rows that are collected for one call of the table access method. */
#define ROWS_TOGETHER	64

typedef struct WrittenIndex
{
	Oid			oid;
	IndexInfo  *info;
	bool		written;		/* a written column is part of it */
}			WrittenIndex;

typedef struct ColumnDefault
{
	AttrNumber	column;
	bool		required;		/* NOT NULL */
	Datum		value;			/* the default, if expression is NULL */
	ExprState  *expression;
}			ColumnDefault;

/* The cached description of a table for writing. */
typedef struct WritableState
{
	uint64		version;		/* of the DurableTable; 0: not valid */
	MemoryContext context;		/* of the other members; replaced together with them */
	Oid			sequence;
	int			nwritten;		/* columns that are written, as indexes into DurableTable.columns */
	int			written[DURABLE_TABLE_MAX_COLUMNS];
	TupleDesc	row;
	int			nindexes;
	WrittenIndex *indexes;
	int			ndefaults;
	ColumnDefault *defaults;	/* of columns that are not written */
	const char *missing;		/* a NOT NULL column without a value, or NULL */
	EState	   *estate;			/* for defaults, and for expressions and predicates of indexes */
}			WritableState;

struct DurableWriter
{
	DurableTable *table;
	WritableState *state;
	bool		is_held;		/* the table stays open when the writer is closed */
	MemoryContext context;		/* of the writer itself and of its rows */
	Relation	relation;
	Relation   *indexes;		/* a partial index is NULL until a row satisfies its predicate */
	CommandId	command;
	Datum		values[DURABLE_TABLE_MAX_COLUMNS];
	bool		nulls[DURABLE_TABLE_MAX_COLUMNS];
	bool		kept[DURABLE_TABLE_MAX_COLUMNS];
	TupleTableSlot *old;		/* the row that is updated */
	TupleTableSlot *rows[ROWS_TOGETHER];	/* created when they are needed */
	int			nrows;			/* number of collected rows */
};

/* The row to be inserted, with defaults.  Clears the columns for the next row. */
extern TupleTableSlot *durable_writer_form_row(DurableWriter *writer);

/* Creates a writer in the current memory context, and destroys one that has no collected rows. */
extern DurableWriter *durable_writer_make(DurableWritable *writable);
extern void durable_writer_unmake(DurableWriter *writer);

/* The writer that stays open in this transaction, created if need be; NULL: writers must not stay open. */
extern DurableWriter *durable_writer_find_held(DurableWritable *writable);

/* The WritableState is about to be replaced: closes the writer that uses it. */
extern void durable_writer_forget_held(DurableWritable *writable);

/* Writes the collected rows. */
extern void durable_writer_flush(DurableWriter *writer);

/*
 * Inserts the index entry of a row that has been written.  False with UNIQUE_CHECK_PARTIAL if
 * there may be another row with that key.  place is an index into WritableState.indexes.
 */
extern bool durable_writer_insert_into_index(DurableWriter *writer, int place, TupleTableSlot *row,
											 IndexUniqueCheck check, bool unchanged);

/* The default check of that index for uniqueness. */
extern IndexUniqueCheck durable_writer_unique_check(DurableWriter *writer, int place);

#endif							/* DURABLE_TABLE_WRITE_INTERNAL_H */
