/*
 * table_scan.c
 *		Reads the engine's tables through an index, or by the ctid of a row.
 *
 * These functions do the same as the executor's nodes for index scan, TID scan and row
 * locks, in the same order; see nodeIndexscan.c, nodeTidscan.c and nodeLockRows.c of
 * PostgreSQL.  The scan marks index entries of rows that are dead to all transactions,
 * as usual, so the next scan does not visit them.
 *
 * Owns: nothing.
 * Called by: the *_table.c, which own the tables; client.c, status_row.c, http_instance.c, code_api.c,
 * turn_api.c
 * Locks: on the table the mode that the caller gives, AccessShareLock on the index;
 * FOR NO KEY UPDATE on rows.
 * Memory: CurrentMemoryContext, until the scan is closed.
 */
#include "durable.h"
#include "table_scan.h"

#include "access/relscan.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* The number of index entries after which the time is checked again. */
#define VISITS_BETWEEN_LOOKS	64

static void open_table(DurableScan *scan, DurableTable *table, int by, LOCKMODE mode);
static void close_table(DurableScan *scan, LOCKMODE mode);
static bool next_within(DurableScan *scan);
static bool stop(DurableScan *scan);
static AttrNumber place_in_index(DurableScan *scan, int column);

/* The snapshot is taken after the lock. */
void
durable_scan_open(DurableScan *scan, DurableTable *table, int by, LOCKMODE mode)
{
	open_table(scan, table, by, mode);
	PushActiveSnapshot(GetTransactionSnapshot());
	scan->snapshot = GetActiveSnapshot();
}

void
durable_scan_share_snapshot(DurableScan *scan, const DurableScan *other)
{
	scan->snapshot = other->snapshot;
}

void
durable_scan_close(DurableScan *scan)
{
	close_table(scan, NoLock);
}

void
durable_scan_open_latest(DurableScan *scan, DurableTable *table, int by)
{
	open_table(scan, table, by, AccessShareLock);
	PushActiveSnapshot(GetLatestSnapshot());
	scan->snapshot = GetActiveSnapshot();
}

void
durable_scan_close_latest(DurableScan *scan)
{
	close_table(scan, AccessShareLock);
}

static void
open_table(DurableScan *scan, DurableTable *table, int by, LOCKMODE mode)
{
	scan->table = table;
	scan->by = by;
	scan->heap = durable_table_open(table, mode);
	scan->index = NULL;
	scan->scan = NULL;
	scan->nkeys = 0;
	scan->limit_us = 0;
	scan->stopped_at = PG_INT64_MAX;
	scan->slot = table_slot_create(scan->heap, NULL);
}

static void
close_table(DurableScan *scan, LOCKMODE mode)
{
	ExecDropSingleTupleTableSlot(scan->slot);
	if (scan->scan)
		index_endscan(scan->scan);
	if (scan->index)
		index_close(scan->index, mode);
	PopActiveSnapshot();
	table_close(scan->heap, mode);
}

/* --- searching --------------------------------------------------------------------- */

void
durable_scan_key(DurableScan *scan, int column, StrategyNumber strategy,
				 RegProcedure function, Datum value)
{
	Assert(scan->nkeys < DURABLE_SCAN_MAX_KEYS);
	if (scan->index == NULL)
		scan->index = durable_table_open_index(scan->table, scan->by);

	/* The collation is "C", as for all text columns in the engine's indexes. */
	ScanKeyInit(&scan->keys[scan->nkeys++], place_in_index(scan, column), strategy, function, value);
}

void
durable_scan_forget_keys(DurableScan *scan)
{
	scan->nkeys = 0;
}

void
durable_scan_limit(DurableScan *scan, int column, int64 after, int64 us)
{
	scan->limit_us = us;
	scan->limit_by = place_in_index(scan, column);
	scan->limit_after = after;
}

void
durable_scan_begin(DurableScan *scan)
{
	if (scan->scan && scan->scan->numberOfKeys != scan->nkeys)
	{
		ExecClearTuple(scan->slot);
		index_endscan(scan->scan);
		scan->scan = NULL;
	}
	if (scan->scan == NULL)
		scan->scan = durable_index_beginscan(scan->heap, scan->index, scan->snapshot, scan->nkeys);
	if (scan->limit_us > 0)
		INSTR_TIME_SET_CURRENT(scan->began);
	scan->scan->xs_want_itup = scan->limit_us > 0;
	index_rescan(scan->scan, scan->keys, scan->nkeys, NULL, 0);
}

bool
durable_scan_next(DurableScan *scan)
{
	CHECK_FOR_INTERRUPTS();
	if (scan->limit_us > 0)
		return next_within(scan);
	return index_getnext_slot(scan->scan, ForwardScanDirection, scan->slot);
}

/* This does the same as index_getnext_slot with a snapshot that sees one version of each row. */
static bool
next_within(DurableScan *scan)
{
	int			visited = 0;

	while (index_getnext_tid(scan->scan, ForwardScanDirection) != NULL)
	{
		if (index_fetch_heap(scan->scan, scan->slot))
			return true;
		if (++visited % VISITS_BETWEEN_LOOKS == 0 && stop(scan))
			return false;
	}
	return false;
}

static bool
stop(DurableScan *scan)
{
	instr_time	now;
	int64		value;
	bool		isnull;

	CHECK_FOR_INTERRUPTS();
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, scan->began);
	if ((int64) INSTR_TIME_GET_MICROSEC(now) < scan->limit_us)
		return false;
	value = DatumGetInt64(index_getattr(scan->scan->xs_itup, scan->limit_by, scan->scan->xs_itupdesc, &isnull));
	if (value <= scan->limit_after)
		return false;
	scan->stopped_at = value;
	return true;
}

static AttrNumber
place_in_index(DurableScan *scan, int column)
{
	Form_pg_index index = scan->index->rd_index;

	for (int i = 0; i < index->indnkeyatts; i++)
		if (index->indkey.values[i] == scan->table->attnums[column])
			return i + 1;
	elog(ERROR, "index durable.%s has no column \"%s\"", scan->table->indexes[scan->by], scan->table->columns[column]);
}

/* The table has been locked since the ctid was read, so its file has not become shorter. */
bool
durable_scan_fetch(DurableScan *scan, ItemPointer tid)
{
	CHECK_FOR_INTERRUPTS();
	ExecClearTuple(scan->slot);
	return table_tuple_fetch_row_version(scan->heap, tid, scan->snapshot, scan->slot);
}

/* --- locking ------------------------------------------------------------------------- */

bool
durable_scan_lock(DurableScan *scan)
{
	ItemPointerData tid = scan->slot->tts_tid;
	uint8		flags = TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
	TM_FailureData failure;
	TM_Result	result;

	if (!IsolationUsesXactSnapshot())
		flags |= TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
	ExecClearTuple(scan->slot);
	result = table_tuple_lock(scan->heap, &tid, scan->snapshot, scan->slot,
							  GetCurrentCommandId(false), LockTupleNoKeyExclusive,
							  LockWaitSkip, flags, &failure);
	switch (result)
	{
		case TM_Ok:
			return true;
		case TM_WouldBlock:
		case TM_SelfModified:
			return false;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent update")));
			if (result == TM_Deleted)
				return false;
			break;
		default:
			break;
	}
	elog(ERROR, "unexpected result of locking a row of durable.%s: %d", scan->table->name, (int) result);
}

/* --- the current row ------------------------------------------------------------------- */

ItemPointerData
durable_scan_tid(DurableScan *scan)
{
	return scan->slot->tts_tid;
}

TransactionId
durable_scan_xmin(DurableScan *scan)
{
	bool		isnull;

	return DatumGetTransactionId(slot_getsysattr(scan->slot, MinTransactionIdAttributeNumber, &isnull));
}

Datum
durable_scan_datum(DurableScan *scan, int column, bool *isnull)
{
	return slot_getattr(scan->slot, scan->table->attnums[column], isnull);
}

int64
durable_scan_int8(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

int32
durable_scan_int4(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

int16
durable_scan_int2(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? 0 : DatumGetInt16(value);
}

bool
durable_scan_bool(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return !isnull && DatumGetBool(value);
}

char
durable_scan_char(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? '\0' : DatumGetChar(value);
}

Oid
durable_scan_oid(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

TimestampTz
durable_scan_timestamptz(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? 0 : DatumGetTimestampTz(value);
}

char *
durable_scan_text(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Jsonb *
durable_scan_jsonb(DurableScan *scan, int column)
{
	bool		isnull;
	Datum		value = durable_scan_datum(scan, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}
