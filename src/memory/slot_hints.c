/*
 * slot_hints.c
 *		Hints that a slot keeps until its worker takes them.
 *
 * Owns: the hints in the slots.
 * Called by: wakeup.c (committing sessions), worker.c, slot.c, blame.c.
 * Locks: the slot's spinlock; the LWLock where all slots are looked at.
 * Memory: none.
 */
#include "durable.h"
#include "shared.h"

bool
durable_slot_has_messages(const DurableSlot *slot)
{
	return slot->low_key != PG_INT64_MAX || slot->nhinted > 0;
}

/*
 * Called under the slot's spinlock.  When there is no room, only the oldest are kept
 * individually.
 */
void
durable_slot_hint_key(DurableSlot *slot, int64 key)
{
	int			last = 0;

	if (key >= slot->low_key)
		return;
	for (int i = 0; i < slot->nhinted; i++)
	{
		if (slot->hinted[i] == key)
			return;
		if (slot->hinted[i] > slot->hinted[last])
			last = i;
	}
	if (slot->nhinted < DURABLE_MAX_HINTED)
		slot->hinted[slot->nhinted++] = key;
	else
	{
		slot->low_key = Min(slot->low_key, Max(slot->hinted[last], key));
		slot->hinted[last] = Min(slot->hinted[last], key);
	}
}

void
durable_slot_take_hints(DurableHints *hints)
{
	DurableSlot *slot = durable_my_slot();

	SpinLockAcquire(&slot->mutex);
	hints->low_key = slot->low_key;
	hints->nhinted = slot->nhinted;
	memcpy(hints->hinted, slot->hinted, slot->nhinted * sizeof(int64));
	hints->due = slot->due;
	hints->task_due = slot->task_due;
	hints->leave = slot->leave;
	NOTHING_NEW(slot);
	SpinLockRelease(&slot->mutex);
}

/*
 * Called under the LWLock.  The other workers of that owner (InvalidOid: of any owner) have
 * passed over the rows that a lost worker had locked, and assume that there is nothing due
 * there.  Returns the number of latches that the caller must set.
 */
int
durable_slot_tell_peers(DurableDatabase *db, Oid owner, Latch **latches)
{
	int			n = 0;

	for (int i = 0; i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlot *slot = &durable_shared->slots[i];

		if (slot->state == SLOT_UNUSED || slot->database != db->database ||
			(OidIsValid(owner) && slot->owner != owner))
			continue;
		SpinLockAcquire(&slot->mutex);
		EVERYTHING_NEW(slot);
		if (slot->latch)
			latches[n++] = slot->latch;
		SpinLockRelease(&slot->mutex);
	}
	return n;
}

/*
 * Wakes all workers of this database: instances that they have passed over because of the
 * state in shared memory may run now.
 */
void
durable_slot_look_at_everything(void)
{
	DurableDatabase *db = durable_my_database();
	Latch	   *latches[DURABLE_MAX_SLOTS];
	int			n;

	if (db == NULL)
		return;
	LWLockAcquire(durable_shared->lock, LW_SHARED);
	n = durable_slot_tell_peers(db, InvalidOid, latches);
	LWLockRelease(durable_shared->lock);
	for (int i = 0; i < n; i++)
		SetLatch(latches[i]);
}
