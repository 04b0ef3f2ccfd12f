/*-------------------------------------------------------------------------
 *
 * batch_statements.c
 *		Writes the less frequent rows: events for other instances, tasks, terminations.
 *
 * There is one statement for all rows of a table, with an array for each column.  An
 * array cannot be larger than 1 GB, but all payloads of a unit together can be.  In that
 * case there are several statements.
 *
 * Called by: batch_store.c
 * Locks:	of the rows it writes
 * Memory:	batch->context; arrays in a context for each statement
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "batch.h"
#include "columns.h"
#include "json.h"
#include "queued_table.h"
#include "wakeup.h"

/* A statement gets no more rows once their payloads take this many bytes. */
#define STATEMENT_BYTES	(64 * 1024 * 1024)

static void in_pieces(Batch * batch, List *rows, Size (*size) (const void *row),
					  void (*store) (Batch * batch, List *rows));
static Size size_of(const Jsonb *value);
static Size size_of_task(const void *row);
static Size size_of_send(const void *row);
static void insert_task_rows(Batch * batch, List *rows);
static void insert_queued_rows(Batch * batch, List *rows);
static void insert_events(Batch * batch, List *rows);
static void terminate_children(Batch * batch, List *parents, const char *reason, char close_policy);

void
durable_batch_store_tasks(Batch * batch)
{
	in_pieces(batch, batch->new_tasks, size_of_task, insert_task_rows);
}

void
durable_batch_store_queued(Batch * batch)
{
	in_pieces(batch, batch->new_queued, size_of_task, insert_queued_rows);
}

static Size
size_of_task(const void *row)
{
	return durable_task_size(row);
}

static void
insert_task_rows(Batch * batch, List *rows)
{
	durable_task_insert(batch->owner, rows);
}

static void
insert_queued_rows(Batch * batch, List *rows)
{
	durable_queued_insert(batch->owner, rows);
}

void
durable_batch_store_sends(Batch * batch)
{
	in_pieces(batch, batch->sends, size_of_send, insert_events);
}

static Size
size_of_send(const void *row)
{
	return size_of(((const SendRow *) row)->payload);
}

static void
insert_events(Batch * batch, List *rows)
{
	static const Oid types[] = {TEXTOID, TEXTOID, JSONBOID, BOOLOID, CHAROID, InvalidOid};
	Columns    *columns = durable_columns_create(list_length(rows), types);
	int			row = 0;
	ListCell   *cell;
	Datum		values[5];

	foreach(cell, rows)
	{
		SendRow    *send = lfirst(cell);

		durable_columns_set_text(columns, row, 0, send->instance_id);
		durable_columns_set_text(columns, row, 1, send->name);
		durable_columns_set_jsonb(columns, row, 2, send->payload);
		if (send->is_text)
			durable_columns_set(columns, row, 3, BoolGetDatum(true));
		durable_columns_set(columns, row, 4, CharGetDatum(send->kind));
		row++;
	}
	durable_columns_arrays(columns, values);
	durable_inbox_send_events(batch->owner, values, batch->clock);
}

/* One statement for each child, because few orchestrations cancel children, and few at once. */
void
durable_batch_cancel_children(Batch * batch)
{
	ListCell   *cell;

	foreach(cell, batch->child_cancels)
	{
		ChildCancelRow *row = lfirst(cell);

		durable_inbox_cancel_child(batch->owner, row->parent_key, row->execution, row->task, row->payload,
								   batch->clock);
	}
}

/* For terminated instances: deletes their tasks, stops the running ones, terminates children. */
void
durable_batch_terminate(Batch * batch)
{
	List	   *parents = NIL;
	ListCell   *cell;

	durable_task_delete_idle(durable_batch_keys(batch->gone_tasks));
	durable_queued_delete(durable_batch_keys(batch->gone_tasks));
	foreach(cell, batch->gone_tasks)
	{
		Instance   *instance = lfirst(cell);

		durable_wakeup_cancel(instance->key);
		if (!instance->leaves_children)
			parents = lappend(parents, instance);
	}
	terminate_children(batch, parents, "parent was terminated", CLOSE_TERMINATED);
}

/* For instances that have ended by themselves: stops the tasks and sub-orchestrations they have started. */
void
durable_batch_close(Batch * batch)
{
	List	   *completed = NIL;
	List	   *failed = NIL;
	ListCell   *cell;

	foreach(cell, batch->closed_parents)
	{
		Instance   *instance = lfirst(cell);

		if (instance->status == STATUS_COMPLETED)
			completed = lappend(completed, instance);
		else
			failed = lappend(failed, instance);
	}
	terminate_children(batch, completed, "parent has completed", '\0');
	terminate_children(batch, failed, REASON_PARENT_FAILED, '\0');
}

static void
terminate_children(Batch * batch, List *parents, const char *reason, char close_policy)
{
	if (parents != NIL)
		durable_inbox_terminate_children(batch->owner, durable_batch_keys(parents), reason, close_policy,
										 batch->clock);
}

/* Stores the rows with as many statements as their size requires. */
static void
in_pieces(Batch * batch, List *rows, Size (*size) (const void *row),
		  void (*store) (Batch * batch, List *rows))
{
	MemoryContext context = AllocSetContextCreate(batch->context, "durable statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			next = 0;

	while (next < list_length(rows))
	{
		List	   *piece = NIL;
		Size		bytes = 0;

		while (next < list_length(rows) && bytes < STATEMENT_BYTES)
		{
			bytes += size(list_nth(rows, next));
			piece = lappend(piece, list_nth(rows, next++));
		}
		store(batch, piece);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static Size
size_of(const Jsonb *value)
{
	return value ? VARSIZE(value) : 0;
}
