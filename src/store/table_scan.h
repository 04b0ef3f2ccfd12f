/*
 * table_scan.h
 *		Reading the engine's tables through an index, or by the place of a row.
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
 * Columns and indexes are those of the DurableTable, by the place in its arrays.  Each
 * open takes a snapshot as a statement does: under read committed, rows that were
 * committed before are seen.  On an error the abort of the (sub)transaction lets go of
 * everything.
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
	int			by;				/* which of its indexes */
	Relation	index;			/* NULL: rows are fetched by their place only */
	Snapshot	snapshot;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* the row at hand */
	int			nkeys;
	ScanKeyData keys[DURABLE_SCAN_MAX_KEYS];

	/* durable_scan_limit */
	int64		limit_us;		/* 0: none */
	AttrNumber	limit_by;		/* in the index */
	int64		limit_after;
	instr_time	began;
	int64		stopped_at;
}			DurableScan;

/* The lock on the table stays until the end of the transaction. */
extern void durable_scan_open(DurableScan *scan, DurableTable *table, int by, LOCKMODE mode);
extern void durable_scan_close(DurableScan *scan);

/* From now on it sees what the other one sees, which is closed after it. */
extern void durable_scan_share_snapshot(DurableScan *scan, const DurableScan *other);

/* How things are now, whatever the isolation level; no lock is left behind. */
extern void durable_scan_open_latest(DurableScan *scan, DurableTable *table, int by);
extern void durable_scan_close_latest(DurableScan *scan);

/*
 * What is looked for: a column of the index, and a function of pg_catalog with the
 * btree strategy that it stands for.  Forget makes room for the keys of another
 * search in the same scan.
 */
extern void durable_scan_key(DurableScan *scan, int column, StrategyNumber strategy,
							 RegProcedure function, Datum value);
extern void durable_scan_forget_keys(DurableScan *scan);

/*
 * Before durable_scan_begin: let the scan end when it has been going for so long and
 * is among remains of what is gone, with a bigint column of the index above that
 * value.  stopped_at is what the column was there, INT64_MAX when it did not stop.
 */
extern void durable_scan_limit(DurableScan *scan, int column, int64 after, int64 us);

/* Rows in the order of the index; false: there is no more. */
extern void durable_scan_begin(DurableScan *scan);
extern bool durable_scan_next(DurableScan *scan);

/* The row at that place; false: it is not there, or no longer, for this snapshot. */
extern bool durable_scan_fetch(DurableScan *scan, ItemPointer tid);

/*
 * Locks the row at hand as FOR NO KEY UPDATE SKIP LOCKED does; then its newest version
 * is at hand.  False: another transaction holds it, or it is gone.
 */
extern bool durable_scan_lock(DurableScan *scan);

/* The row at hand; integers that are NULL read as 0, others as NULL. */
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
extern Jsonb *durable_scan_jsonb(DurableScan *scan, int column);	/* same, detoasted */

#endif							/* DURABLE_TABLE_SCAN_H */
