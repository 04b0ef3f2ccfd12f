/*
 * table_write_internal.h
 *		What table_write.c and table_write_unique.c know of a table and of a writer.
 */
#ifndef DURABLE_TABLE_WRITE_INTERNAL_H
#define DURABLE_TABLE_WRITE_INTERNAL_H

#include "access/genam.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "table_write.h"

/* Inserted rows that are collected for one call of the table's access method. */
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
	bool		required;		/* must not be null */
	Datum		value;			/* if there is no expression */
	ExprState  *expression;
}			ColumnDefault;

/* What has to be known for writing. */
typedef struct WritableState
{
	uint64		version;		/* of the DurableTable; 0: nothing is known */
	MemoryContext context;		/* of the rest; it is made anew with it */
	Oid			sequence;
	int			nwritten;		/* columns that are written, by their place in the table's list */
	int			written[DURABLE_TABLE_MAX_COLUMNS];
	TupleDesc	row;
	int			nindexes;
	WrittenIndex *indexes;
	int			ndefaults;
	ColumnDefault *defaults;	/* of columns that are not written */
	const char *missing;		/* a column that is not written and must not be null, or NULL */
	EState	   *estate;			/* for these, and for expressions and predicates of indexes */
}			WritableState;

struct DurableWriter
{
	DurableTable *table;
	WritableState *state;
	bool		is_held;		/* the tables stay open when it is closed */
	MemoryContext context;		/* of the writer itself and of its rows */
	Relation	relation;
	Relation   *indexes;		/* a partial one is NULL until a row belongs into it */
	CommandId	command;
	Datum		values[DURABLE_TABLE_MAX_COLUMNS];
	bool		nulls[DURABLE_TABLE_MAX_COLUMNS];
	bool		kept[DURABLE_TABLE_MAX_COLUMNS];
	TupleTableSlot *old;		/* row to be updated */
	TupleTableSlot *rows[ROWS_TOGETHER];	/* made when they are needed */
	int			nrows;			/* collected */
};

/* The row that is inserted next, with defaults; nothing is set for the next one. */
extern TupleTableSlot *durable_writer_form_row(DurableWriter *writer);

/* A writer in the current memory context, and its end; nothing is set and no row collected. */
extern DurableWriter *durable_writer_make(DurableWritable *writable);
extern void durable_writer_unmake(DurableWriter *writer);

/* The writer that this transaction has left open, or a new one that it will; NULL: it must not. */
extern DurableWriter *durable_writer_find_held(DurableWritable *writable);

/* What is known of its table is about to be replaced. */
extern void durable_writer_forget_held(DurableWritable *writable);

/* Writes the collected rows. */
extern void durable_writer_flush(DurableWriter *writer);

/*
 * The entry of a row that has been written.  False with UNIQUE_CHECK_PARTIAL when there
 * may be another row of that key.  place counts the indexes of the WritableState.
 */
extern bool durable_writer_insert_into_index(DurableWriter *writer, int place, TupleTableSlot *row,
											 IndexUniqueCheck check, bool unchanged);

/* How the uniqueness of an index is checked by default. */
extern IndexUniqueCheck durable_writer_unique_check(DurableWriter *writer, int place);

#endif							/* DURABLE_TABLE_WRITE_INTERNAL_H */
