/*
 * table_write.h
 *		Writing to the engine's tables without SQL.
 *
 *		static DurableWritable inbox = {.table = &durable_inbox_table, .sequence = "inbox_id_seq"};
 *		DurableWriter *writer = durable_writer_open(&inbox);
 *
 *		durable_writer_set(writer, INBOX_KEY, Int64GetDatum(key));
 *		...
 *		durable_writer_insert(writer);
 *		durable_writer_close(writer);
 *
 * Columns are numbered as in the array of the DurableTable.  A writer is opened and closed in
 * the same (sub)transaction.  While it is open there is an active snapshot, no user code runs,
 * and no other writer is open for the table.  On an error the abort of the (sub)transaction
 * releases everything.
 */
#ifndef DURABLE_TABLE_WRITE_H
#define DURABLE_TABLE_WRITE_H

#include "durable.h"
#include "storage/itemptr.h"
#include "table.h"

typedef struct DurableWriter DurableWriter;

typedef struct DurableWritable
{
	DurableTable *table;		/* all its indexes are maintained */
	uint64		columns;		/* columns that are written, DURABLE_COLUMN_BIT; 0: all */
	const char *sequence;		/* in schema durable, for durable_writer_next; or NULL */
	bool		deletes;		/* rows are also deleted by writers; set in all writables of the table */
	bool		holds;			/* the writer stays open for the next row: see table_write_held.c */
	DurableWriter *held;		/* private to table_write_held.c: the writer of this transaction, or NULL */
	struct WritableState *state;	/* private to table_write.c: NULL until first use */
}			DurableWritable;

#define DURABLE_COLUMN_BIT(column)	(UINT64CONST(1) << (column))

/* Raises 25006 in a read-only transaction, 42704 without the extension. */
extern DurableWriter *durable_writer_open(DurableWritable *writable);

/*
 * Raises 55000 if an object was added to the table that prevents writing without SQL, such as a
 * trigger.  inserts: rows are inserted, not only updated.  Writes nothing.
 */
extern void durable_writer_check(DurableWritable *writable, bool inserts);

/* The next number of the table's sequence. */
extern int64 durable_writer_next(DurableWriter *writer);

/*
 * Sets a column of the next row.  A column that is not set is NULL, also in an update.  Values
 * by reference must stay valid until the writer is closed.  A NULL pointer is NULL.
 */
extern void durable_writer_set(DurableWriter *writer, int column, Datum value);
extern void durable_writer_set_text(DurableWriter *writer, int column, const char *value);
extern void durable_writer_set_jsonb(DurableWriter *writer, int column, const Jsonb *value);

/* In an update: the column keeps its value. */
extern void durable_writer_keep(DurableWriter *writer, int column);

/*
 * Writes the row, and clears its columns for the next one.  Columns that are not written get
 * their defaults in an insert, and keep their values in an update.  Inserted rows may be
 * collected until the writer is closed.
 *
 * The caller holds a lock that prevents other transactions from changing the row that it
 * updates or deletes, and has seen it with a snapshot taken under that lock.  A concurrent
 * change raises 40001 under repeatable read, and XX000 otherwise.
 */
extern void durable_writer_insert(DurableWriter *writer);
extern void durable_writer_update(DurableWriter *writer, ItemPointer tid);
extern void durable_writer_delete(DurableWriter *writer, ItemPointer tid);

/*
 * Inserts the row unless another one has the same key in that unique index of the table.  Waits
 * for no transaction: if the end of another transaction decides, nothing is inserted and the
 * result is KEY_UNDECIDED.  The row is written at once.
 */
typedef enum KeyOutcome
{
	KEY_INSERTED,
	KEY_TAKEN,
	KEY_UNDECIDED
}			KeyOutcome;

extern KeyOutcome durable_writer_insert_unless_taken(DurableWriter *writer, int which_index);

/* The TID of the row, directly after KEY_INSERTED. */
extern ItemPointerData durable_writer_inserted_tid(DurableWriter *writer);

/* Writes the collected rows; later commands of the transaction see them. */
extern void durable_writer_close(DurableWriter *writer);

/*
 * Utility statements must find the tables closed.  release_held closes those that writers have
 * left open (DurableWritable.holds).  Writers leave tables open only after allow_held, which the
 * file calls that calls release_held before utility statements.
 */
extern void durable_writer_release_held(void);
extern void durable_writer_allow_held(void);

#endif							/* DURABLE_TABLE_WRITE_H */
