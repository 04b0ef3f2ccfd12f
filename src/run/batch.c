/*-------------------------------------------------------------------------
 *
 * batch.c
 *		The data that one unit of work has read and will write, in memory.
 *
 * batch_read.c fills it, execution.c and the files it calls add to it, batch_store.c
 * writes it.
 *
 * Called by: unit.c, task_unit.c; dispatch.c, outcome.c, rewind.c, straight_through.c and
 *			entity_*.c add to it, the other batch_*.c store it
 * Locks:	none
 * Memory:	a context of its own, batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/memutils.h"

#include "batch.h"
#include "columns.h"
#include "guc.h"

/*
 * A batch ends after durable.batch_limit in user code, or after this number of writing
 * subtransactions: a backend caches 64 of them for other sessions' snapshots.
 */
#define BATCH_WRITES	60

Batch *
durable_batch_create(Oid owner, TimestampTz clock)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "durable batch",
												  ALLOCSET_DEFAULT_SIZES);
	Batch	   *batch = MemoryContextAllocZero(context, sizeof(Batch));

	batch->context = context;
	batch->owner = owner;
	batch->clock = clock;
	return batch;
}

bool
durable_batch_exhausted(const Batch * batch)
{
	return batch->closed || batch->user_us >= durable_batch_limit || batch->writes >= BATCH_WRITES;
}

int64
durable_batch_us_left(const Batch * batch)
{
	return Max(durable_batch_limit - batch->user_us, 0);
}

void
durable_batch_send(Batch * batch, int64 key, char kind, int32 execution, int32 task,
				   int32 attempt, const char *name, const Jsonb *payload)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Message    *message = palloc0(sizeof(Message));

	message->owner = batch->owner;
	message->key = key;
	message->kind = kind;
	message->execution = execution;
	message->task = task;
	message->attempt = attempt;
	message->name = unconstify(char *, name);
	message->payload = unconstify(Jsonb *, payload);
	message->at = batch->clock;
	batch->outbox = lappend(batch->outbox, message);
	MemoryContextSwitchTo(old);
}

Datum
durable_batch_keys(List *instances)
{
	Datum	   *keys = palloc(list_length(instances) * sizeof(Datum));
	int			n = 0;
	ListCell   *cell;

	foreach(cell, instances)
		keys[n++] = Int64GetDatum(((Instance *) lfirst(cell))->key);
	return durable_columns_array(keys, NULL, n, INT8OID);
}
