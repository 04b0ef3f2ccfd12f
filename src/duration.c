/*
 * duration.c
 *		How long activities take, and which instances may have killed a worker.
 *
 * Owns: durations and suspects in shared memory.
 * Called by: turns (durations), units in solo mode (suspects).
 * Locks: none for durations, a spinlock for suspects.
 * Memory: fixed tables; what does not fit pushes something else out.
 *
 * Durations are an open hash table that is read and written without locks.  A
 * value that is lost in a race is one measurement less.
 */
#include "durable.h"
#include "shared.h"

#include "clock.h"
#include "common/hashfn.h"
#include "utils/timestamp.h"

#define PROBES	16

static Duration *find_duration(Oid function, bool add);
static Suspect *note_suspect(int64 key, TimestampTz now);
static Suspect *find_suspect(int64 key);

/* --- durations -------------------------------------------------------------------- */

int64
durable_duration_get(Oid function)
{
	Duration   *entry = find_duration(function, false);

	/* us is kept as value + 1, so that a new entry reads as unknown */
	return entry ? (int64) pg_atomic_read_u64(&entry->us) - 1 : -1;
}

/*
 * A moving average: a quarter of each new measurement.  So one slow run does not
 * turn a fast activity into a slow one unless it was very slow, and a few do.
 */
void
durable_duration_learn(Oid function, int64 us)
{
	Duration   *entry = find_duration(function, true);
	int64		average;

	if (entry == NULL)
		return;
	us = Max(us, 0);
	average = (int64) pg_atomic_read_u64(&entry->us) - 1;
	if (average < 0)
		average = us;
	else
		average += (us - average) / 4;
	pg_atomic_write_u64(&entry->us, (uint64) average + 1);
}

static Duration *
find_duration(Oid function, bool add)
{
	uint64		key = ((uint64) MyDatabaseId << 32) | function;
	uint32		start = murmurhash32(function ^ murmurhash32(MyDatabaseId));
	Duration   *entry;

	if (durable_shared == NULL)
		return NULL;
	for (int i = 0; i < PROBES; i++)
	{
		uint64		found;

		entry = &durable_shared->durations[(start + i) % DURABLE_MAX_DURATIONS];
		found = pg_atomic_read_u64(&entry->key);
		if (found == key)
			return entry;
		if (found != 0)
			continue;
		if (!add)
			return NULL;
		if (pg_atomic_compare_exchange_u64(&entry->key, &found, key) || found == key)
			return entry;
	}
	if (!add)
		return NULL;

	/* Full around here.  A reader may see the old value under the new name once. */
	entry = &durable_shared->durations[start % DURABLE_MAX_DURATIONS];
	pg_atomic_write_u64(&entry->us, 0);
	pg_atomic_write_u64(&entry->key, key);
	return entry;
}

/* --- suspects --------------------------------------------------------------------- */

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
