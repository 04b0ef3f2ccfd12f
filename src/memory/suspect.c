/*
 * suspect.c
 *		Who may have killed a worker, and who is noted on disk as running.
 *
 * Owns: suspects and notes in shared memory.
 * Called by: units in solo mode (suspects), crash.c (notes).
 * Locks: a spinlock for both.
 * Memory: fixed tables; what does not fit pushes out what was quiet for the longest
 *			time (suspects), or what is oldest (notes).
 *
 * Shared memory begins anew with each start of the server, and so do notes: what is
 * found here was written since, and no crash has come of it yet.
 */
#include "durable.h"
#include "shared.h"

#include "clock.h"
#include "utils/timestamp.h"

static Suspect *note_suspect(int64 key, TimestampTz now);
static Suspect *find_suspect(int64 key);
static bool has_note(int of, int64 id);

int
durable_suspect_enter(int64 key)
{
	TimestampTz now = durable_clock_now();
	int			entered;

	SpinLockAcquire(&durable_shared->suspect_mutex);
	entered = ++note_suspect(key, now)->entered;
	SpinLockRelease(&durable_shared->suspect_mutex);
	return entered;
}

void
durable_suspect_condemn(int64 key)
{
	TimestampTz now = durable_clock_now();

	SpinLockAcquire(&durable_shared->suspect_mutex);
	note_suspect(key, now)->condemned = true;
	SpinLockRelease(&durable_shared->suspect_mutex);
}

bool
durable_suspect_condemned(int64 key)
{
	Suspect    *entry;
	bool		condemned;

	if (pg_atomic_read_u32(&durable_shared->nsuspects) == 0)
		return false;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	entry = find_suspect(key);
	condemned = entry != NULL && entry->condemned;
	SpinLockRelease(&durable_shared->suspect_mutex);
	return condemned;
}

/* Under the spinlock: its entry, or a free one, or the one that was quiet for the longest time. */
static Suspect *
note_suspect(int64 key, TimestampTz now)
{
	Suspect    *entry = find_suspect(key);

	if (entry == NULL)
	{
		entry = &durable_shared->suspects[0];
		for (int i = 0; i < MAX_SUSPECTS; i++)
		{
			Suspect    *other = &durable_shared->suspects[i];

			if (!OidIsValid(other->database))
			{
				entry = other;
				break;
			}
			if (other->last < entry->last)
				entry = other;
		}
		if (!OidIsValid(entry->database))
			pg_atomic_fetch_add_u32(&durable_shared->nsuspects, 1);
		entry->database = MyDatabaseId;
		entry->key = key;
		entry->entered = 0;
		entry->condemned = false;
	}
	entry->last = now;
	return entry;
}

void
durable_suspect_leave(int64 key)
{
	Suspect    *entry;

	if (pg_atomic_read_u32(&durable_shared->nsuspects) == 0)
		return;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	entry = find_suspect(key);
	if (entry)
	{
		entry->database = InvalidOid;
		pg_atomic_fetch_sub_u32(&durable_shared->nsuspects, 1);
	}
	SpinLockRelease(&durable_shared->suspect_mutex);
}

/* 1 s, 2 s, 4 s ... 64 s after the last time it was entered and not left. */
TimestampTz
durable_suspect_not_before(int64 key)
{
	TimestampTz not_before = DT_NOBEGIN;
	Suspect    *entry;

	if (pg_atomic_read_u32(&durable_shared->nsuspects) == 0)
		return not_before;
	SpinLockAcquire(&durable_shared->suspect_mutex);
	entry = find_suspect(key);
	if (entry && entry->entered > 0)
		not_before = entry->last + ((int64) USECS_PER_SEC << Min(entry->entered - 1, 6));
	SpinLockRelease(&durable_shared->suspect_mutex);
	return not_before;
}

/* Under the spinlock. */
static Suspect *
find_suspect(int64 key)
{
	for (int i = 0; i < MAX_SUSPECTS; i++)
	{
		Suspect    *entry = &durable_shared->suspects[i];

		if (entry->key == key && entry->database == MyDatabaseId)
			return entry;
	}
	return NULL;
}

/* --- notes ------------------------------------------------------------------------ */

bool
durable_note_is_new(int of, int64 id)
{
	bool		found;

	SpinLockAcquire(&durable_shared->suspect_mutex);
	found = has_note(of, id);
	SpinLockRelease(&durable_shared->suspect_mutex);
	return found;
}

/* If the transaction aborts after all, an older note counts for nothing in this life: in the next one it does. */
void
durable_note_written(int of, int64 id)
{
	SpinLockAcquire(&durable_shared->suspect_mutex);
	if (!has_note(of, id))
	{
		Note	   *note = &durable_shared->notes[durable_shared->next_note];

		note->database = MyDatabaseId;
		note->of = of;
		note->id = id;
		durable_shared->next_note = (durable_shared->next_note + 1) % MAX_NOTES;
	}
	SpinLockRelease(&durable_shared->suspect_mutex);
}

/* Under the spinlock. */
static bool
has_note(int of, int64 id)
{
	for (int i = 0; i < MAX_NOTES; i++)
	{
		Note	   *note = &durable_shared->notes[i];

		if (note->id == id && note->of == of && note->database == MyDatabaseId)
			return true;
	}
	return false;
}
