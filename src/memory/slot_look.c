/*
 * slot_look.c
 *		Reads the slots of all workers, for a worker's decisions and for the views.
 *
 * Owns: nothing.
 * Called by: workers, durable.worker_slots, the doctor.
 * Locks: none where a wrong answer lasts for a batch, else the slot's spinlock.
 * Memory: none.
 */
#include "durable.h"
#include "shared.h"

#include <unistd.h>

#include "utils/timestamp.h"

/* For this time, in microseconds, an owner that had little work counts as one that has more. */
#define LIGHT_WINDOW		(50 * 1000)

/*
 * At each commit and each wake-up, a single workflow has to wait for a processor behind
 * every worker that has a backlog.  So while workers of other owners have a little work,
 * one processor is left free for each of them.  The first of an owner's workers with full
 * batches always continues.
 */
bool
durable_slot_is_surplus(void)
{
	DurableSlot *my_slot = durable_my_slot();
	static int	processors = 0;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since = now - LIGHT_WINDOW;
	int			light = 0;
	int			ahead = 0;

	if (processors == 0)
		processors = Max((int) sysconf(_SC_NPROCESSORS_ONLN), 1);

	/* Unlocked: a wrong answer lasts for a batch. */
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if (slot == my_slot || slot->state == SLOT_UNUSED)
			continue;
		if (slot->owner == my_slot->owner && slot->database == my_slot->database)
			ahead += slot < my_slot && slot->state == SLOT_BATCH;
		else
			light += slot->light_at > since;
	}
	if (light == 0 || ahead < Max(processors - light, 1))
		return false;

	/* The worker is going to wait, which does not count as being stuck in its batch. */
	SpinLockAcquire(&my_slot->mutex);
	durable_slot_change_state(my_slot, SLOT_BATCH, now);
	SpinLockRelease(&my_slot->mutex);
	return true;
}

/* The worker's place among those of the same owner, which prefer different instances. */
void
durable_slot_partition(int *part, int *nparts)
{
	DurableSlot *my_slot = durable_my_slot();
	uint64		slots;

	*part = 0;
	*nparts = 1;
	if (my_slot == NULL)
		return;
	slots = pg_atomic_read_u64(&durable_shared->databases[my_slot->database_index].slots);
	*nparts = 0;
	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if ((slots & SLOT_BIT(i)) == 0)
			continue;
		if (slot == my_slot)
			*part = *nparts;
		/* Unlocked: a wrong answer costs some skipped locks. */
		if (slot == my_slot || (slot->owner == my_slot->owner && slot->state != SLOT_TASK))
			++*nparts;
	}
}

/* --- views ------------------------------------------------------------------------ */

bool
durable_slot_info(int slotno, DurableSlotInfo *info)
{
	DurableSlot *slot;

	durable_shmem_require();
	Assert(slotno >= 0 && slotno < DURABLE_MAX_SLOTS);
	slot = &durable_shared->slots[slotno];
	memset(info, 0, sizeof(*info));
	info->slot = slotno;
	SpinLockAcquire(&slot->mutex);
	info->pid = slot->pid;
	info->database = slot->database;
	info->owner = slot->owner;
	info->state = slot->state;
	info->started_at = slot->started_at;
	info->state_since = slot->state_since;
	info->task_key = slot->task_key;
	info->task = slot->task;
	info->solo = slot->solo;
	info->leaving = slot->leave;
	SpinLockRelease(&slot->mutex);
	info->units = (int64) pg_atomic_read_u64(&slot->units);
	info->turns = (int64) pg_atomic_read_u64(&slot->turns);
	info->activities = (int64) pg_atomic_read_u64(&slot->activities);
	return info->state != SLOT_UNUSED;
}
