/*
 * table_scan.h
 *		Reading the engine's tables through an index or by TID.
 *
 *		DurableScan scan;
 *
 *		durable_scan_open(&scan, &durable_inbox_table, INBOX_BY_KEY, AccessShareLock);
 *		durable_scan_key(&scan, INBOX_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
 *		durable_scan_begin(&scan);
 *		while (durable_scan_next(&scan))
 *			... durable_scan_int8(&scan, INBOX_KEY) ...
 *		durable_scan_close(&scan);
 *
 * Columns and indexes are numbered as in the arrays of the DurableTable.  Each open takes a
 * snapshot as a statement does: under read committed it sees rows that were committed before.
 * On an error the abort of the (sub)transaction releases everything.
 */
#ifndef DURABLE_TABLE_SCAN_H
#define DURABLE_TABLE_SCAN_H

#include "durable.h"
#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "portability/instr_time.h"
#include "table.h"
#include "utils/fmgroids.h"

#define DURABLE_SCAN_MAX_KEYS	4

typedef struct DurableScan
{
	DurableTable *table;
	Relation	heap;
	int			by;				/* number of the index */
	Relation	index;			/* NULL: rows are fetched by TID only */
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* the current row */
	int			nkeys;
	ScanKeyData keys[DURABLE_SCAN_MAX_KEYS];

	/* see durable_scan_limit */
	int64		limit_us;		/* 0: none */
	AttrNumber	limit_by;		/* column of the index */
	int64		limit_after;
	instr_time	began;
	int64		stopped_at;
}			DurableScan;

/* The lock on the table stays until the end of the transaction. */
extern void durable_scan_open(DurableScan *scan, DurableTable *table, int by, LOCKMODE mode);
extern void durable_scan_close(DurableScan *scan);

/* Uses the snapshot of another scan, which is closed later. */
extern void durable_scan_share_snapshot(DurableScan *scan, const DurableScan *other);

/* With the latest snapshot, whatever the isolation level; close_latest releases the lock on the table. */
extern void durable_scan_open_latest(DurableScan *scan, DurableTable *table, int by);
extern void durable_scan_close_latest(DurableScan *scan);

/*
 * Adds a condition: a column of the index, a btree strategy and its function of pg_catalog.
 * forget_keys removes all conditions, for another search in the same scan.
 */
extern void durable_scan_key(DurableScan *scan, int column, StrategyNumber strategy,
							 RegProcedure function, Datum value);
extern void durable_scan_forget_keys(DurableScan *scan);

/*
 * Called before durable_scan_begin.  Limits the time that the scan spends on dead index
 * entries: after us microseconds it ends at such an entry, if the bigint column of the index is
 * greater than "after" there.  stopped_at is the value of the column; INT64_MAX: it did not
 * stop.
 */
extern void durable_scan_limit(DurableScan *scan, int column, int64 after, int64 us);

/* Moves to the next row in the order of the index; false: there is none. */
extern void durable_scan_begin(DurableScan *scan);
extern bool durable_scan_next(DurableScan *scan);

/* Moves to the row with that TID; false: it is not visible to the snapshot. */
extern bool durable_scan_fetch(DurableScan *scan, ItemPointer tid);

/*
 * Locks the current row as FOR NO KEY UPDATE SKIP LOCKED does.  Its newest version becomes the
 * current row.  False: another transaction has locked it, or it was deleted.
 */
extern bool durable_scan_lock(DurableScan *scan);

/* Columns of the current row.  A NULL is 0 for integers, and a NULL pointer for other types. */
extern ItemPointerData durable_scan_tid(DurableScan *scan);
extern TransactionId durable_scan_xmin(DurableScan *scan);
extern Datum durable_scan_datum(DurableScan *scan, int column, bool *isnull);
extern int64 durable_scan_int8(DurableScan *scan, int column);
extern int32 durable_scan_int4(DurableScan *scan, int column);
extern int16 durable_scan_int2(DurableScan *scan, int column);
extern bool durable_scan_bool(DurableScan *scan, int column);
extern char durable_scan_char(DurableScan *scan, int column);
extern Oid	durable_scan_oid(DurableScan *scan, int column);
extern TimestampTz durable_scan_timestamptz(DurableScan *scan, int column);
extern char *durable_scan_text(DurableScan *scan, int column);	/* copied */
extern Jsonb *durable_scan_jsonb(DurableScan *scan, int column);	/* the same, detoasted */

#endif							/* DURABLE_TABLE_SCAN_H */
