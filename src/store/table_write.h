/*
 * table_write.h
 *		Writing to the engine's tables without a statement.
 *
 *		static DurableWritable inbox = {.table = &durable_inbox_table, .sequence = "inbox_id_seq"};
 *		DurableWriter *writer = durable_writer_open(&inbox);
 *
 *		durable_writer_set(writer, INBOX_KEY, Int64GetDatum(key));
 *		...
 *		durable_writer_insert(writer);
 *		durable_writer_close(writer);
 *
 * Columns are those of the DurableTable, by the place in its array.  A writer is open
 * for as long as rows are written, within one (sub)transaction; there is an active
 * snapshot, no user code runs, and there is one writer at a time for a table.  On
 * an error the abort of the (sub)transaction lets go of everything.
 */
#ifndef DURABLE_TABLE_WRITE_H
#define DURABLE_TABLE_WRITE_H

#include "durable.h"
#include "storage/itemptr.h"
#include "table.h"

typedef struct DurableWriter DurableWriter;

typedef struct DurableWritable
{
	DurableTable *table;		/* all its indexes are kept up */
	uint64		columns;		/* those that are written, a bit for each; 0: all */
	const char *sequence;		/* in schema durable; for durable_writer_next, or NULL */
	bool		deletes;		/* rows go without statements, too: in all of those of the table */
	bool		holds;			/* clients write row after row: see table_write_held.c */
	DurableWriter *held;		/* table_write_held.c's: NULL, or the writer of this transaction */
	struct WritableState *state;	/* table_write.c's: NULL until first use */
}			DurableWritable;

#define DURABLE_COLUMN_BIT(column)	(UINT64CONST(1) << (column))

/* Raises 25006 in a read-only transaction, 42704 without the extension. */
extern DurableWriter *durable_writer_open(DurableWritable *writable);

/*
 * Raises 55000 when something has been added to the table that keeps it from being
 * written; rows are also inserted, or only updated.  Only reads.
 */
extern void durable_writer_check(DurableWritable *writable, bool inserts);

/* The next number of the table's sequence. */
extern int64 durable_writer_next(DurableWriter *writer);

/*
 * A value of the row that is written next; column counts those of the table
 * from 0.  One that is not set is NULL, in an update too.  Values by reference must
 * stay where they are until the writer is closed.  A NULL pointer is NULL.
 */
extern void durable_writer_set(DurableWriter *writer, int column, Datum value);
extern void durable_writer_set_text(DurableWriter *writer, int column, const char *value);
extern void durable_writer_set_jsonb(DurableWriter *writer, int column, const Jsonb *value);

/* In an update: what the row has there already. */
extern void durable_writer_keep(DurableWriter *writer, int column);

/*
 * Writes the row; nothing is set afterwards.  Columns that the writer does not write
 * get their defaults in an insert, and stay as they are in an update.  Inserted
 * rows may be collected until the writer is closed.
 *
 * The row of an update or delete must be one that nobody else can change: it was
 * seen with a snapshot taken under a lock that keeps others away.  If somebody
 * did, that is 40001 under repeatable read, and XX000 otherwise.
 */
extern void durable_writer_insert(DurableWriter *writer);
extern void durable_writer_update(DurableWriter *writer, ItemPointer tid);
extern void durable_writer_delete(DurableWriter *writer, ItemPointer tid);

/*
 * Inserts the row unless another one has the same key in that unique index of the
 * table, and waits for no transaction: where the end of another transaction decides it, nothing
 * is inserted and KEY_UNDECIDED returned.  The row is written at once.
 */
typedef enum KeyOutcome
{
	KEY_INSERTED,
	KEY_TAKEN,
	KEY_UNDECIDED
}			KeyOutcome;

extern KeyOutcome durable_writer_insert_unless_taken(DurableWriter *writer, int which_index);

/* Where it is, right after KEY_INSERTED. */
extern ItemPointerData durable_writer_inserted_tid(DurableWriter *writer);

/* After it, the rows are seen by what this transaction does next. */
extern void durable_writer_close(DurableWriter *writer);

/*
 * Closes the tables that writers have left open.  A utility statement must find them
 * closed; writers leave none open unless it has been said that it will.
 */
extern void durable_writer_release_held(void);
extern void durable_writer_allow_held(void);

#endif							/* DURABLE_TABLE_WRITE_H */
