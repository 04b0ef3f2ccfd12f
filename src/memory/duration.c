/*
 * duration.c
 *		Learns the durations of activities.
 *
 * Owns: durations in shared memory.
 * Called by: activity.c, which records a duration after each run and reads it before the
 * next run.
 * Locks: none.
 * Memory: a fixed table; a new entry replaces another one if the table is full.
 *
 * The hash table uses open addressing, and is read and written without locks.  A race
 * loses at most one measurement.
 */
#include "durable.h"
#include "shared.h"

#include "common/hashfn.h"
#include "utils/timestamp.h"

#define PROBES	16

static Duration *find_duration(Oid function, bool add);

int64
durable_duration_get(Oid function)
{
	Duration   *entry = find_duration(function, false);

	/* a duration is stored as its value + 1, so that a new entry is read as unknown */
	return entry ? (int64) pg_atomic_read_u64(&entry->us) - 1 : -1;
}

/*
 * This is a moving average with a weight of a quarter for each new measurement.  So a
 * single slow run does not make a fast activity count as slow unless the run was very
 * slow, but several slow runs do.
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

	/* All places for this name are taken.  A reader may see the old value under the new name once. */
	entry = &durable_shared->durations[start % DURABLE_MAX_DURATIONS];
	pg_atomic_write_u64(&entry->us, 0);
	pg_atomic_write_u64(&entry->key, key);
	return entry;
}
