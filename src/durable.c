/*
 * durable.c
 *		What happens when the library is loaded.
 *
 * Owns: nothing.
 * Called by: the server, once, from shared_preload_libraries; also when a
 * session loads the library by itself because a server does not preload it.
 * Locks: none.
 * Memory: none.
 */
#include "durable.h"
#include "determinism.h"
#include "flight.h"
#include "turn.h"

#include "guc.h"
#include "shmem.h"
#include "watch.h"
#include "wakeup.h"
#include "process.h"

DURABLE_MODULE_MAGIC(DURABLE_VERSION);

void
_PG_init(void)
{
	/*
	 * Without preloading there are no shared memory, processes and settings. This is not an error:
	 * CREATE EXTENSION works, and functions that need them raise an error with a hint.
	 */
	if (!process_shared_preload_libraries_in_progress)
		return;

	durable_guc_define();
	durable_shmem_install_hooks();
	durable_wakeup_install();
	durable_watch_install();
	durable_ddl_install_hooks();
	durable_turn_install();
	durable_determinism_install_hooks();
	durable_flight_install_hooks();
	durable_launcher_register();
}
