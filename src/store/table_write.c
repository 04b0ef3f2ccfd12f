/*-------------------------------------------------------------------------
 *
 * table_write.c
 *		Writes to the engine's tables without a statement.
 *
 * A row costs less than the statement that writes it: checking the plan, starting and
 * ending the executor and switching roles took three quarters of the instructions of a
 * start.  Here rows are inserted into the table and its indexes in the way of COPY.
 *
 * No role is switched: privileges are checked by the executor, which is not used here,
 * and C code alone decides which rows are written.  Indexes, columns and defaults that
 * a superuser has added to a table are maintained.  Triggers, rules, generated
 * columns, check and exclusion constraints and foreign keys are refused with an error
 * that names them, because rows would be wrong without them.  Foreign keys of other
 * tables that point to instances are harmless: their triggers are for deletes, which
 * are statements, and for changes of keys, which do not happen.
 *
 * Cached information about a table is valid as long as that of table.c.
 *
 * Owns:	nothing
 * Called by: finished.c, tally.c, message_rows.c, instance_insert.c and the *_table.c, which
 *			own the tables; table_write_held.c, table_write_unique.c
 * Locks:	RowExclusiveLock on table and indexes until the end of the transaction,
 *			as statements take it; on a partial index only for a row that belongs in it
 * Memory:	cached information about a table under CacheMemoryContext; a writer and
 *			its slots in the context that is current when it is opened
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "table_write.h"
#include "table_write_internal.h"

static void know(DurableWritable *writable, Relation relation);
static void find_out(DurableWritable *writable, Relation relation);
static void refuse_what_we_skip(const DurableWritable *writable, Relation relation);
static bool is_skipped(const DurableWritable *writable, const Trigger *trigger);
static void refuse_missing(const WritableState *state, Relation relation);
pg_noreturn_compat static void refuse(Relation relation, const char *kind, const char *name);
static void find_defaults(const DurableTable *table, WritableState *state, Relation relation);
static void find_indexes(const DurableTable *table, WritableState *state, Relation relation);
static bool is_written(const DurableTable *table, const WritableState *state, AttrNumber column);
static void take_values(DurableWriter *writer, TupleTableSlot *row);
pg_noreturn_compat static void lost_row(DurableWriter *writer, TM_Result result);
static TupleTableSlot *next_row(DurableWriter *writer);
static TupleTableSlot *new_slot(DurableWriter *writer, const TupleTableSlotOps *kind);
static void open_partial_index(DurableWriter *writer, int place);
static void insert_into_indexes(DurableWriter *writer, TupleTableSlot *row, bool update,
								bool only_summarizing);

/* --- opening ---------------------------------------------------------------------------- */

DurableWriter *
durable_writer_open(DurableWritable *writable)
{
	DurableWriter *writer = NULL;

	/* A worker has none between statements; the storage of long values needs one. */
	if (!ActiveSnapshotSet())
		elog(ERROR, "cannot write to table \"durable.%s\" without a snapshot", writable->table->name);
	PreventCommandIfReadOnly("INSERT");
	PreventCommandIfParallelMode("INSERT");

	if (writable->holds)
		writer = durable_writer_find_held(writable);
	if (writer == NULL)
		writer = durable_writer_make(writable);
	writer->command = GetCurrentCommandId(true);
	return writer;
}

DurableWriter *
durable_writer_make(DurableWritable *writable)
{
	DurableWriter *writer = palloc0(sizeof(DurableWriter));
	WritableState *state;

	writer->context = CurrentMemoryContext;
	writer->table = writable->table;
	writer->relation = durable_table_open(writer->table, RowExclusiveLock);
	know(writable, writer->relation);
	writer->state = state = writable->state;
	writer->indexes = palloc0(state->nindexes * sizeof(Relation));
	for (int i = 0; i < state->nindexes; i++)
	{
		IndexInfo  *info = state->indexes[i].info;

		if (info->ii_Predicate == NIL)
			writer->indexes[i] = index_open(state->indexes[i].oid, RowExclusiveLock);
		/* Data that an index access method keeps between rows is kept for each writer. */
		info->ii_AmCache = NULL;
		info->ii_Context = CurrentMemoryContext;
	}
	memset(writer->nulls, true, sizeof(writer->nulls));
	return writer;
}

void
durable_writer_check(DurableWritable *writable, bool inserts)
{
	Relation	relation = durable_table_open(writable->table, AccessShareLock);

	know(writable, relation);
	if (inserts)
		refuse_missing(writable->state, relation);
	table_close(relation, AccessShareLock);
}

/* --- information about a table -------------------------------------------------------------- */

static void
know(DurableWritable *writable, Relation relation)
{
	if (writable->state == NULL || writable->state->version != writable->table->version)
		find_out(writable, relation);
}

static void
find_out(DurableWritable *writable, Relation relation)
{
	WritableState found = {.version = writable->table->version};
	MemoryContext old;

	refuse_what_we_skip(writable, relation);
	found.context = AllocSetContextCreate(CurrentMemoryContext, "durable table", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(found.context);
	/* Includes the values that rows have for a column that was added after them. */
	found.row = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	for (int i = 0; i < writable->table->ncolumns; i++)
		if (writable->columns == 0 || (writable->columns & DURABLE_COLUMN_BIT(i)) != 0)
			found.written[found.nwritten++] = i;
	found.estate = CreateExecutorState();
	if (writable->sequence != NULL)
		found.sequence = get_relname_relid(writable->sequence, RelationGetNamespace(relation));
	find_defaults(writable->table, &found, relation);
	find_indexes(writable->table, &found, relation);
	MemoryContextSwitchTo(old);

	durable_writer_forget_held(writable);
	if (writable->state == NULL)
		writable->state = MemoryContextAllocZero(CacheMemoryContext, sizeof(WritableState));
	if (writable->state->context != NULL)
		MemoryContextDelete(writable->state->context);
	MemoryContextSetParent(found.context, CacheMemoryContext);
	*writable->state = found;
}

/* Refuses tables with objects that a statement would process, and this file does not. */
static void
refuse_what_we_skip(const DurableWritable *writable, Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;
	TupleConstr *constraints = RelationGetDescr(relation)->constr;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (is_skipped(writable, trigger))
			refuse(relation, trigger->tgisinternal ? "foreign key" : "trigger",
				   trigger->tgisinternal ? get_constraint_name(trigger->tgconstraint) : trigger->tgname);
	}
	for (int i = 0; constraints != NULL && i < constraints->num_check; i++)
		refuse(relation, "check constraint", constraints->check[i].ccname);
	if (relation->rd_rules != NULL)
		refuse(relation, "rules", NULL);
}

/*
 * Is it a trigger that would have to be fired here?  That of a deferrable unique constraint
 * need not be, because uniqueness is checked at once.
 */
static bool
is_skipped(const DurableWritable *writable, const Trigger *trigger)
{
	if (trigger->tgenabled == TRIGGER_DISABLED)
		return false;
	if (!trigger->tgisinternal)
		return true;
	switch (RI_FKey_trigger_type(trigger->tgfoid))
	{
		case RI_TRIGGER_FK:
			return true;
		case RI_TRIGGER_PK:
			return writable->deletes;
		default:
			return false;
	}
}

static void
refuse(Relation relation, const char *kind, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 name != NULL ?
			 errmsg("unsupported %s \"%s\" on engine table \"durable.%s\"",
					kind, name, RelationGetRelationName(relation)) :
			 errmsg("unsupported %s on engine table \"durable.%s\"",
					kind, RelationGetRelationName(relation)),
			 errdetail("The engine writes to its tables directly, bypassing the executor."),
			 errhint("Drop it.")));
}

static void
refuse_missing(const WritableState *state, Relation relation)
{
	if (state->missing != NULL)
		refuse(relation, "not-null column", state->missing);
}

static void
find_defaults(const DurableTable *table, WritableState *state, Relation relation)
{
	state->defaults = palloc0(state->row->natts * sizeof(ColumnDefault));
	for (int i = 0; i < state->row->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation), i);
		Node	   *expression;

		if (column->attisdropped || is_written(table, state, column->attnum))
			continue;
		if (column->attgenerated != '\0')
			refuse(relation, "generated column", NameStr(column->attname));
		expression = build_column_default(relation, column->attnum);
		if (expression != NULL)
		{
			ColumnDefault *entry = &state->defaults[state->ndefaults++];

			entry->column = column->attnum;
			entry->required = column->attnotnull;
			entry->expression = NULL;
			expression = (Node *) expression_planner((Expr *) expression);
			if (IsA(expression, Const) && !castNode(Const, expression)->constisnull)
				entry->value = castNode(Const, expression)->constvalue;
			else
				entry->expression = ExecInitExpr((Expr *) expression, NULL);
		}
		else if (column->attnotnull)
			state->missing = NameStr(TupleDescAttr(state->row, i)->attname);
	}
}

static void
find_indexes(const DurableTable *table, WritableState *state, Relation relation)
{
	List	   *list = RelationGetIndexList(relation);
	ListCell   *cell;

	state->indexes = palloc(list_length(list) * sizeof(WrittenIndex));
	foreach(cell, list)
	{
		WrittenIndex *entry = &state->indexes[state->nindexes++];
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		entry->oid = lfirst_oid(cell);
		entry->info = BuildIndexInfo(index);
		entry->written = entry->info->ii_Expressions != NIL;
		for (int i = 0; i < entry->info->ii_NumIndexKeyAttrs; i++)
			if (is_written(table, state, entry->info->ii_IndexAttrNumbers[i]))
				entry->written = true;
		if (entry->info->ii_ExclusionOps != NULL)
			refuse(relation, "exclusion constraint", RelationGetRelationName(index));
		index_close(index, AccessShareLock);
	}
}

static bool
is_written(const DurableTable *table, const WritableState *state, AttrNumber column)
{
	for (int i = 0; i < state->nwritten; i++)
		if (table->attnums[state->written[i]] == column)
			return true;
	return false;
}

/* --- a row's values ------------------------------------------------------------------------- */

int64
durable_writer_next(DurableWriter *writer)
{
	return nextval_internal(writer->state->sequence, false);
}

void
durable_writer_set(DurableWriter *writer, int column, Datum value)
{
	Assert(column < writer->table->ncolumns);
	writer->values[column] = value;
	writer->nulls[column] = false;
}

void
durable_writer_set_text(DurableWriter *writer, int column, const char *value)
{
	if (value != NULL)
		durable_writer_set(writer, column, CStringGetTextDatum(value));
}

void
durable_writer_set_jsonb(DurableWriter *writer, int column, const Jsonb *value)
{
	if (value != NULL)
		durable_writer_set(writer, column, JsonbPGetDatum(value));
}

void
durable_writer_keep(DurableWriter *writer, int column)
{
	Assert(column < writer->table->ncolumns);
	writer->kept[column] = true;
}

/* Puts the values that were set into the row, and marks all of them as not set for the next one. */
static void
take_values(DurableWriter *writer, TupleTableSlot *row)
{
	const DurableTable *table = writer->table;
	const WritableState *state = writer->state;

	for (int n = 0; n < state->nwritten; n++)
	{
		int			i = state->written[n];

		if (!writer->kept[i])
		{
			row->tts_values[table->attnums[i] - 1] = writer->values[i];
			row->tts_isnull[table->attnums[i] - 1] = writer->nulls[i];
		}
		writer->nulls[i] = true;
		writer->kept[i] = false;
	}
	ExecStoreVirtualTuple(row);
}

/* --- rows ----------------------------------------------------------------------------------- */

void
durable_writer_insert(DurableWriter *writer)
{
	(void) durable_writer_form_row(writer);
	if (++writer->nrows == ROWS_TOGETHER)
		durable_writer_flush(writer);
}

/* The row that is inserted next, with defaults. */
TupleTableSlot *
durable_writer_form_row(DurableWriter *writer)
{
	WritableState *state = writer->state;
	TupleTableSlot *row = next_row(writer);

	refuse_missing(state, writer->relation);
	memset(row->tts_isnull, true, state->row->natts * sizeof(bool));
	for (int i = 0; i < state->ndefaults; i++)
	{
		int			column = state->defaults[i].column - 1;

		if (state->defaults[i].expression == NULL)
		{
			row->tts_values[column] = state->defaults[i].value;
			row->tts_isnull[column] = false;
			continue;
		}
		row->tts_values[column] = ExecEvalExprSwitchContext(state->defaults[i].expression,
															GetPerTupleExprContext(state->estate),
															&row->tts_isnull[column]);
		if (row->tts_isnull[column] && state->defaults[i].required)
			refuse(writer->relation, "not-null column",
				   NameStr(TupleDescAttr(state->row, column)->attname));
	}
	take_values(writer, row);
	return row;
}

void
durable_writer_update(DurableWriter *writer, ItemPointer tid)
{
	WritableState *state = writer->state;
	Size		natts = state->row->natts;
	TupleTableSlot *row = next_row(writer);
	TM_Result	result = TM_Deleted;
	TM_FailureData failure;
	LockTupleMode lock;
	TU_UpdateIndexes indexes;

	CheckCmdReplicaIdentity(writer->relation, CMD_UPDATE);
	if (writer->old == NULL)
		writer->old = new_slot(writer, table_slot_callbacks(writer->relation));

	/* Reads the current version: the caller's lock prevents changes, and a snapshot may be older. */
	if (table_tuple_fetch_row_version(writer->relation, tid, SnapshotSelf, writer->old))
	{
		slot_getallattrs(writer->old);
		memcpy(row->tts_values, writer->old->tts_values, natts * sizeof(Datum));
		memcpy(row->tts_isnull, writer->old->tts_isnull, natts * sizeof(bool));
		take_values(writer, row);
		result = durable_table_update(writer->relation, tid, row, writer->command, GetActiveSnapshot(),
									  &failure, &lock, &indexes);
	}
	if (result != TM_Ok)
		lost_row(writer, result);
	if (indexes != TU_None)
		insert_into_indexes(writer, row, true, DURABLE_ONLY_SUMMARIZING(indexes));
	ExecClearTuple(row);
	ExecClearTuple(writer->old);
	ResetPerTupleExprContext(state->estate);
}

void
durable_writer_delete(DurableWriter *writer, ItemPointer tid)
{
	TM_FailureData failure;
	TM_Result	result;

	CheckCmdReplicaIdentity(writer->relation, CMD_DELETE);
	result = durable_table_delete(writer->relation, tid, writer->command, GetActiveSnapshot(), &failure);
	if (result != TM_Ok)
		lost_row(writer, result);
}

static void
lost_row(DurableWriter *writer, TM_Result result)
{
	if (IsolationUsesXactSnapshot() && (result == TM_Updated || result == TM_Deleted))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
	elog(ERROR, "row of table \"durable.%s\" was concurrently modified (%d)",
		 RelationGetRelationName(writer->relation), (int) result);
}

/* Returns an empty row: a new slot for each of the rows that are inserted together. */
static TupleTableSlot *
next_row(DurableWriter *writer)
{
	TupleTableSlot *row = writer->rows[writer->nrows];

	if (row == NULL)
		row = writer->rows[writer->nrows] = new_slot(writer, &TTSOpsVirtual);
	return ExecClearTuple(row);
}

/* The slot has a copy of the row description, because the relation's own would have to be released. */
static TupleTableSlot *
new_slot(DurableWriter *writer, const TupleTableSlotOps *kind)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(writer->state->row, kind);

	MemoryContextSwitchTo(old);
	return slot;
}

void
durable_writer_flush(DurableWriter *writer)
{
	if (writer->nrows == 1)
		table_tuple_insert(writer->relation, writer->rows[0], writer->command, 0, NULL);
	else if (writer->nrows > 1)
		table_multi_insert(writer->relation, writer->rows, writer->nrows, writer->command, 0, NULL);
	for (int i = 0; i < writer->nrows; i++)
		insert_into_indexes(writer, writer->rows[i], false, false);
	for (int i = 0; i < writer->nrows; i++)
		ExecClearTuple(writer->rows[i]);
	writer->nrows = 0;
	ResetPerTupleExprContext(writer->state->estate);
}

static void
insert_into_indexes(DurableWriter *writer, TupleTableSlot *row, bool update, bool only_summarizing)
{
	WritableState *state = writer->state;

	for (int i = 0; i < state->nindexes; i++)
		if (!only_summarizing || DURABLE_INDEX_SUMMARIZES(state->indexes[i].info))
			(void) durable_writer_insert_into_index(writer, i, row, durable_writer_unique_check(writer, i),
													update && !state->indexes[i].written);
}

IndexUniqueCheck
durable_writer_unique_check(DurableWriter *writer, int place)
{
	return writer->state->indexes[place].info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
}

/*
 * Few rows belong in a partial index of the engine, and each open relation needs a lock.  So
 * a partial index is opened when it is needed.  The lock on the table prevents its removal.
 */
static void
open_partial_index(DurableWriter *writer, int place)
{
	ResourceOwner owner = CurrentResourceOwner;

	if (writer->is_held)
		CurrentResourceOwner = TopTransactionResourceOwner;
	writer->indexes[place] = index_open(writer->state->indexes[place].oid, RowExclusiveLock);
	CurrentResourceOwner = owner;
}

/* Returns false with UNIQUE_CHECK_PARTIAL when there may be another row with that key. */
bool
durable_writer_insert_into_index(DurableWriter *writer, int place, TupleTableSlot *row,
								 IndexUniqueCheck check, bool unchanged)
{
	WritableState *state = writer->state;
	IndexInfo  *info = state->indexes[place].info;
	ExprContext *econtext = GetPerTupleExprContext(state->estate);
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];

	if (!info->ii_ReadyForInserts)
		return true;
	econtext->ecxt_scantuple = row;
	if (info->ii_Predicate != NIL)
	{
		if (info->ii_PredicateState == NULL)
			info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, state->estate);
		if (!ExecQual(info->ii_PredicateState, econtext))
			return true;
		if (writer->indexes[place] == NULL)
			open_partial_index(writer, place);
	}
	FormIndexDatum(info, row, state->estate, values, nulls);
	return index_insert(writer->indexes[place], values, nulls, &row->tts_tid, writer->relation,
						check, unchanged, info) || check != UNIQUE_CHECK_PARTIAL;
}

/* --- closing -------------------------------------------------------------------------------- */

void
durable_writer_close(DurableWriter *writer)
{
	durable_writer_flush(writer);
	for (int i = 0; i < writer->state->nindexes; i++)
		if (writer->indexes[i] != NULL)
			index_insert_cleanup(writer->indexes[i], writer->state->indexes[i].info);
	if (!writer->is_held)
		durable_writer_unmake(writer);
	CommandCounterIncrement();
}

void
durable_writer_unmake(DurableWriter *writer)
{
	for (int i = 0; i < writer->state->nindexes; i++)
		if (writer->indexes[i] != NULL)
			index_close(writer->indexes[i], NoLock);
	table_close(writer->relation, NoLock);
}
