/*
 * slot_news.c
 *		What a slot remembers for its worker until that takes it.
 *
 * Owns: the hints in the slots.
 * Called by: wakeup.c (whoever commits), worker.c.
 * Locks: the slot's spinlock.
 * Memory: none.
 */
#include "durable.h"
#include "shared.h"

bool
durable_slot_has_messages(const DurableSlot *slot)
{
	return slot->low_key != PG_INT64_MAX || slot->nnews > 0;
}

/*
 * Under the slot's spinlock.  When there is no room, it is the oldest that are
 * remembered one by one.
 */
void
durable_slot_add_news(DurableSlot *slot, int64 key)
{
	int			last = 0;

	if (key >= slot->low_key)
		return;
	for (int i = 0; i < slot->nnews; i++)
	{
		if (slot->news[i] == key)
			return;
		if (slot->news[i] > slot->news[last])
			last = i;
	}
	if (slot->nnews < DURABLE_MAX_NEWS)
		slot->news[slot->nnews++] = key;
	else
	{
		slot->low_key = Min(slot->low_key, Max(slot->news[last], key));
		slot->news[last] = Min(slot->news[last], key);
	}
}

void
durable_slot_take_hints(DurableHints *hints)
{
	DurableSlot *slot = durable_my_slot();

	SpinLockAcquire(&slot->mutex);
	hints->low_key = slot->low_key;
	hints->nnews = slot->nnews;
	memcpy(hints->news, slot->news, slot->nnews * sizeof(int64));
	hints->due = slot->due;
	hints->task_due = slot->task_due;
	hints->leave = slot->leave;
	NOTHING_NEW(slot);
	SpinLockRelease(&slot->mutex);
}
