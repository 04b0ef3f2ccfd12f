/*
 * shmem.c
 *		Requests the engine's shared memory, and sets it up.
 *
 * Owns: the shared segment (shared.h); each part of it belongs to the file that is named
 * there.
 * Called by: _PG_init, and the server when it starts; all files that check whether the
 * segment exists, through shmem.h.
 * Locks: AddinShmemInitLock while the segment is set up.
 * Memory: one fixed piece, requested at the start of the server.
 *
 * The contents may be lost: after a crash restart shared memory is empty, the launcher
 * looks at every database again, and workers first look for all kinds of work.
 */
#include "durable.h"
#include "shared.h"
#include "stats.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/guc.h"

DurableShared *durable_shared = NULL;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void request_memory(void);
static void set_up_memory(void);

void
durable_shmem_install_hooks(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(DurableShared)));
	RequestNamedLWLockTranche("durable", 1);
	durable_stats_request();
}

static void
set_up_memory(void)
{
	bool		found;

	if (previous_startup_hook)
		previous_startup_hook();

	/* After a crash restart the postmaster still has the old pointer. */
	durable_shared = NULL;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	durable_shared = ShmemInitStruct("durable", sizeof(DurableShared), &found);
	if (!found)
	{
		memset(durable_shared, 0, sizeof(DurableShared));
		durable_shared->lock = &GetNamedLWLockTranche("durable")->lock;
		SpinLockInit(&durable_shared->launcher_mutex);
		durable_database_init();
		SpinLockInit(&durable_shared->quota_mutex);
		SpinLockInit(&durable_shared->suspect_mutex);
		pg_atomic_init_u32(&durable_shared->nsuspects, 0);
		SpinLockInit(&durable_shared->report_mutex);
		pg_atomic_init_u32(&durable_shared->has_reports, 1);
		durable_flight_start_life(&durable_shared->flight);
		for (int i = 0; i < DURABLE_MAX_DURATIONS; i++)
		{
			pg_atomic_init_u64(&durable_shared->durations[i].key, 0);
			pg_atomic_init_u64(&durable_shared->durations[i].us, 0);
		}
		pg_atomic_init_u32(&durable_shared->nwatched, 0);
		for (int i = 0; i < DURABLE_MAX_WATCHED; i++)
		{
			WatchEntry *entry = &durable_shared->watched[i];

			pg_atomic_init_u64(&entry->key, 0);
			pg_atomic_init_u64(&entry->changes, 0);
			pg_atomic_init_u32(&entry->armed, 0);
			pg_atomic_init_u32(&entry->changed, 0);
		}
		durable_slot_init();
		durable_waiter_init();
	}
	durable_stats_set_up();
	LWLockRelease(AddinShmemInitLock);
}

bool
durable_shmem_available(void)
{
	return durable_shared != NULL;
}

void
durable_shmem_require(void)
{
	if (durable_shared == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("library \"durable\" must be loaded via shared_preload_libraries"),
				 errdetail("Its background processes and shared memory are set up when the server starts."),
				 errhint("Add this line to postgresql.conf and restart the server: %s",
						 durable_shmem_preload_line())));
}

/* The line keeps the libraries that are preloaded already, if the role may read the setting. */
char *
durable_shmem_preload_line(void)
{
	const char *present = GetConfigOption("shared_preload_libraries", true, false);

	if (present == NULL || present[0] == '\0')
		return "shared_preload_libraries = 'durable'";
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS))
		present = "...";
	return psprintf("shared_preload_libraries = '%s, durable'", present);
}
