/*-------------------------------------------------------------------------
 *
 * table_write_unique.c
 *		Inserts a row unless its key is taken, without waiting for other transactions.
 *
 * INSERT ... ON CONFLICT DO NOTHING waits for a transaction that has inserted or deleted
 * a row of the same key and has not ended.  That may be an open session of a user, or a
 * prepared transaction, and a unit of work must not wait for it.
 *
 * Owns:	nothing
 * Called by: instance_insert.c, entity_table.c
 * Locks:	the lock of a speculative insertion, for its short duration; other
 *			insertions of the same key wait for it
 * Memory:	as in table_write.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "table_write_internal.h"

/* The number of attempts, in case other sessions insert the same key at the same time. */
#define UNIQUE_TRIES	3

static KeyOutcome find_key(DurableWriter *writer, int place, TupleTableSlot *row);
static bool has_successor(TupleTableSlot *found);

/*
 * Does the same as INSERT ... ON CONFLICT DO NOTHING: it looks first, then inserts
 * speculatively, looks again through the index, and removes the row if another session
 * was faster.  The difference is that it does not wait for other transactions.
 */
KeyOutcome
durable_writer_insert_unless_taken(DurableWriter *writer, int which_index)
{
	Oid			index = writer->table->index_oids[which_index];
	TupleTableSlot *row;
	int			place = 0;

	durable_writer_flush(writer);
	row = durable_writer_form_row(writer);
	while (writer->state->indexes[place].oid != index)
		place++;

	for (int tries = 0; tries < UNIQUE_TRIES; tries++)
	{
		KeyOutcome	outcome = find_key(writer, place, row);
		TransactionId xid;
		uint32		token;
		bool		inserted;

		if (outcome != KEY_INSERTED)
			return outcome;
		xid = GetCurrentTransactionId();
		token = SpeculativeInsertionLockAcquire(xid);
		table_tuple_insert_speculative(writer->relation, row, writer->command, 0, NULL, token);
		inserted = durable_writer_insert_into_index(writer, place, row, UNIQUE_CHECK_PARTIAL, false);
		if (inserted)
			for (int i = 0; i < writer->state->nindexes; i++)
				if (i != place)
					(void) durable_writer_insert_into_index(writer, i, row,
														durable_writer_unique_check(writer, i), false);
		table_tuple_complete_speculative(writer->relation, row, token, inserted);
		SpeculativeInsertionLockRelease(xid);
		ResetPerTupleExprContext(writer->state->estate);
		if (inserted)
			return KEY_INSERTED;
	}
	return KEY_UNDECIDED;
}

ItemPointerData
durable_writer_inserted_tid(DurableWriter *writer)
{
	return writer->rows[0]->tts_tid;
}

/* KEY_INSERTED means that no row has the key, not even one of a transaction that has not ended. */
static KeyOutcome
find_key(DurableWriter *writer, int place, TupleTableSlot *row)
{
	WritableState *state = writer->state;
	IndexInfo  *info = state->indexes[place].info;
	Relation	index = writer->indexes[place];
	ExprContext *econtext = GetPerTupleExprContext(state->estate);
	TupleTableSlot *found = table_slot_create(writer->relation, NULL);
	KeyOutcome	outcome = KEY_INSERTED;
	ScanKeyData keys[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	SnapshotData dirty;
	IndexScanDesc scan;

	if (info->ii_UniqueProcs == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(state->context);

		BuildSpeculativeIndexInfo(index, info);
		MemoryContextSwitchTo(old);
	}
	econtext->ecxt_scantuple = row;
	FormIndexDatum(info, row, state->estate, values, nulls);
	for (int i = 0; i < info->ii_NumIndexKeyAttrs; i++)
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, info->ii_UniqueStrats[i], InvalidOid,
							   index->rd_indcollation[i], info->ii_UniqueProcs[i], values[i]);

	InitDirtySnapshot(dirty);
	scan = durable_index_beginscan(writer->relation, index, &dirty, info->ii_NumIndexKeyAttrs);
	index_rescan(scan, keys, info->ii_NumIndexKeyAttrs, NULL, 0);
	while (outcome != KEY_TAKEN && index_getnext_slot(scan, ForwardScanDirection, found))
		outcome = TransactionIdIsValid(dirty.xmin) ||
			(TransactionIdIsValid(dirty.xmax) && !has_successor(found)) ? KEY_UNDECIDED : KEY_TAKEN;
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(found);
	return outcome;
}

/*
 * Another transaction, which has not ended, has changed the row.  After an update there is
 * a row with that key, whether the transaction commits or not; after a deletion there may
 * be none.
 */
static bool
has_successor(TupleTableSlot *found)
{
	bool		should_free;
	HeapTuple	tuple = ExecFetchSlotHeapTuple(found, false, &should_free);
	bool		result = !ItemPointerEquals(&tuple->t_data->t_ctid, &found->tts_tid);

	if (should_free)
		heap_freetuple(tuple);
	return result;
}
