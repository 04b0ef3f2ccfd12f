/*-------------------------------------------------------------------------
 *
 * batch_read.c
 *		Reads the histories of the instances that a unit of work has locked.
 *
 * Called by: unit.c
 * Locks:	none; the caller holds the instances' row locks
 * Memory:	each instance's context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "batch.h"
#include "history_table.h"
#include "recall.h"
#include "utils/memutils.h"

/* No further history is read once the histories read so far take this much memory. */
#define MAX_BYTES	(64 * 1024 * 1024)

void
durable_batch_load_history(List *instances)
{
	bool		opened = false;
	Size		bytes = 0;
	DurableScan scan;
	ListCell   *cell;

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);

		durable_recall_history(instance);
		if (instance->replay.nevents == instance->stored_events)
			continue;
		if (bytes > MAX_BYTES)
			continue;
		if (!opened)
			durable_history_open(&scan);
		opened = true;
		durable_history_load(&scan, instance);
		bytes += MemoryContextMemAllocated(instance->context, true);
	}
	if (opened)
		durable_history_close(&scan);
}
