/*-------------------------------------------------------------------------
 *
 * stats.c
 *		Collects statistics of orchestrations and activities.
 *
 * They are in a hash table in shared memory, by database, owner, kind and name, as
 * pg_stat_statements has them.  durable.stat_entries is the number of entries; when all
 * are taken, the one that was not used for the longest time makes room.
 *
 * A process adds up the figures of its transaction in an array of its own, and adds
 * the sums to shared memory when the transaction has committed; transactions that are
 * rolled back are not counted.  So a batch of fifty workflows takes the lock once.  If
 * the array is full, its contents are added to shared memory before the commit.
 *
 * The postmaster writes the table to a file when the server shuts down, and reads and
 * removes the file when it starts.  After a crash there is no file, and the statistics
 * begin at zero.
 *
 * Locking.  The LWLock "durable_stats" guards the hash table and the entries: shared
 * for reading, exclusive for adding, removing or changing entries.  It is held for
 * moments, the code under it neither fails nor waits, and no other lock is taken under
 * it.  It is taken in the commit callback, where no other lock is held.
 *
 * Owns:	the table, the file pg_stat/durable.stat
 * Called by: activity.c, batch_store.c, stats_api.c, shmem.c
 * Locks:	above
 * Memory:	shared memory; an array in this process
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "guc.h"
#include "stats.h"

#define STATS_FILE		PGSTAT_STAT_PERMANENT_DIRECTORY "/durable.stat"
#define STATS_MAGIC		0x44535431

/* Number of names in one transaction before their figures are added to shared memory. */
#define MAX_PENDING		32

typedef struct FileHeader
{
	uint32		magic;
	uint32		version;		/* PG_VERSION_NUM */
	uint32		entry_size;
	int32		n;
}			FileHeader;

static HTAB *table = NULL;		/* NULL if there is no shared memory */
static LWLock *lock = NULL;

static StatsEntry pending[MAX_PENDING];
static int	npending = 0;

static bool is_key(const StatsKey * key, StatsKind kind, Oid owner, const char *name, size_t length);
static void set_key(StatsKey * key, StatsKind kind, Oid owner, const char *name, size_t length);
static void add_counters(StatsCounters * to, const StatsCounters * from);
static void flush(void);
static void make_room(void);
static void end_of_transaction(XactEvent event, void *arg);
static void read_file(void);
static void write_file(int code, Datum arg);

/* --- shared memory --------------------------------------------------------------------- */

void
durable_stats_request(void)
{
	RequestAddinShmemSpace(hash_estimate_size(durable_stat_entries, sizeof(StatsEntry)));
	RequestNamedLWLockTranche("durable_stats", 1);
}

/* Under AddinShmemInitLock. */
void
durable_stats_set_up(void)
{
	HASHCTL		ctl = {.keysize = sizeof(StatsKey), .entrysize = sizeof(StatsEntry)};

	lock = &GetNamedLWLockTranche("durable_stats")->lock;
	table = durable_shmem_hash("durable statistics", durable_stat_entries, &ctl, HASH_ELEM | HASH_BLOBS);
	if (!IsUnderPostmaster)
	{
		on_shmem_exit(write_file, (Datum) 0);
		if (hash_get_num_entries(table) == 0)
			read_file();
	}
}

/* --- adding ---------------------------------------------------------------------------- */

void
durable_stats_add(StatsKind kind, Oid owner, const char *name, const StatsCounters * counters)
{
	static bool registered = false;
	size_t		length = strlen(name);
	int			i;

	if (table == NULL)
		return;
	if (!registered)
		RegisterXactCallback(end_of_transaction, NULL);
	registered = true;

	if (length >= STATS_NAME_SIZE)
		length = pg_mbcliplen(name, length, STATS_NAME_SIZE - 1);
	for (i = 0; i < npending; i++)
		if (is_key(&pending[i].key, kind, owner, name, length))
			break;
	if (i == MAX_PENDING)
	{
		flush();
		i = 0;
	}
	if (i == npending)
	{
		set_key(&pending[i].key, kind, owner, name, length);
		memset(&pending[i].counters, 0, sizeof(StatsCounters));
		npending++;
	}
	add_counters(&pending[i].counters, counters);
}

void
durable_stats_set_error(StatsCounters * counters, const char *message)
{
	if (message != NULL)
		strlcpy(counters->error, message, pg_mbcliplen(message, strlen(message), STATS_ERROR_SIZE - 1) + 1);
}

/* Called once for each activity: it looks at no more of the name than there is. */
static bool
is_key(const StatsKey * key, StatsKind kind, Oid owner, const char *name, size_t length)
{
	return key->owner == owner && key->kind == kind && key->database == MyDatabaseId &&
		memcmp(key->name, name, length) == 0 && key->name[length] == '\0';
}

static void
set_key(StatsKey * key, StatsKind kind, Oid owner, const char *name, size_t length)
{
	memset(key, 0, sizeof(StatsKey));
	key->database = MyDatabaseId;
	key->owner = owner;
	key->kind = kind;
	memcpy(key->name, name, length);
}

static void
add_counters(StatsCounters * to, const StatsCounters * from)
{
	to->calls += from->calls;
	to->failures += from->failures;
	to->retries += from->retries;
	to->terminated += from->terminated;
	to->turns += from->turns;
	to->compute_us += from->compute_us;
	to->total_us += from->total_us;
	to->max_us = Max(to->max_us, from->max_us);
	if (from->failed_at != 0)
	{
		to->failed_at = from->failed_at;
		memcpy(to->error, from->error, STATS_ERROR_SIZE);
	}
}

/* Also called in the commit callback, so it must not fail. */
static void
flush(void)
{
	TimestampTz now = GetCurrentTimestamp();	/* this may be called before the transaction ends */

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < npending; i++)
	{
		bool		found;
		StatsEntry *entry = hash_search(table, &pending[i].key, HASH_FIND, NULL);

		if (entry == NULL)
		{
			if (hash_get_num_entries(table) >= durable_stat_entries)
				make_room();
			entry = hash_search(table, &pending[i].key, HASH_ENTER_NULL, &found);
			if (entry == NULL)
				continue;
			memset(&entry->counters, 0, sizeof(StatsCounters));
		}
		entry->used_at = now;
		add_counters(&entry->counters, &pending[i].counters);
	}
	LWLockRelease(lock);
	npending = 0;
}

static void
make_room(void)
{
	HASH_SEQ_STATUS scan;
	StatsEntry *entry;
	StatsEntry *oldest = NULL;

	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (oldest == NULL || entry->used_at < oldest->used_at)
			oldest = entry;
	if (oldest != NULL)
		hash_search(table, &oldest->key, HASH_REMOVE, NULL);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && npending > 0)
		flush();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		npending = 0;
}

/* --- reading and removing -------------------------------------------------------------- */

StatsEntry *
durable_stats_read(int *n)
{
	StatsEntry *result;
	StatsEntry *entry;
	HASH_SEQ_STATUS scan;
	int			most = durable_stat_entries;

	*n = 0;
	if (table == NULL)
		return NULL;
	result = palloc(most * sizeof(StatsEntry));
	LWLockAcquire(lock, LW_SHARED);
	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->key.database == MyDatabaseId && *n < most)
			result[(*n)++] = *entry;
	LWLockRelease(lock);
	return result;
}

int64
durable_stats_reset(Oid owner)
{
	StatsEntry *entry;
	HASH_SEQ_STATUS scan;
	int64		removed = 0;

	if (table == NULL)
		return 0;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->key.database == MyDatabaseId && (!OidIsValid(owner) || entry->key.owner == owner))
		{
			hash_search(table, &entry->key, HASH_REMOVE, NULL);
			removed++;
		}
	LWLockRelease(lock);
	return removed;
}

/* --- the file -------------------------------------------------------------------------- */

/* Called by the postmaster when it starts.  A file that does not fit is ignored. */
static void
read_file(void)
{
	FILE	   *file = AllocateFile(STATS_FILE, PG_BINARY_R);
	FileHeader	header;
	StatsEntry	entry;

	if (file == NULL)
		return;
	if (fread(&header, sizeof(header), 1, file) == 1 && header.magic == STATS_MAGIC &&
		header.version == PG_VERSION_NUM && header.entry_size == sizeof(StatsEntry))
		for (int i = 0; i < Min(header.n, durable_stat_entries); i++)
		{
			StatsEntry *place;
			bool		found;

			if (fread(&entry, sizeof(entry), 1, file) != 1)
				break;
			place = hash_search(table, &entry.key, HASH_ENTER_NULL, &found);
			if (place == NULL)
				break;
			*place = entry;
		}
	FreeFile(file);
	unlink(STATS_FILE);
}

/* Called by the postmaster when the server has shut down. */
static void
write_file(int code, Datum arg)
{
	FileHeader	header = {STATS_MAGIC, PG_VERSION_NUM, sizeof(StatsEntry)};
	HASH_SEQ_STATUS scan;
	StatsEntry *entry;
	FILE	   *file;
	bool		written;

	if (code != 0 || table == NULL)
		return;
	file = AllocateFile(STATS_FILE ".tmp", PG_BINARY_W);
	header.n = (int32) hash_get_num_entries(table);
	written = file != NULL && fwrite(&header, sizeof(header), 1, file) == 1;
	if (written)
	{
		hash_seq_init(&scan, table);
		while ((entry = hash_seq_search(&scan)) != NULL)
			written &= fwrite(entry, sizeof(StatsEntry), 1, file) == 1;
	}
	if (file != NULL)
		written &= FreeFile(file) == 0;
	if (!written || durable_rename(STATS_FILE ".tmp", STATS_FILE, LOG) != 0)
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", STATS_FILE)));
		unlink(STATS_FILE ".tmp");
	}
}
