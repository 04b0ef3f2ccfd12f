/*
 * process.h
 *		The background processes: launcher, coordinators and workers.
 */
#ifndef DURABLE_PROCESS_H
#define DURABLE_PROCESS_H

#include "durable.h"

/* bgw_extra of a coordinator, which the launcher starts. */
typedef struct CoordinatorStart
{
	Oid			database;
	int32		entry;			/* index of the database in shared memory */
	TimestampTz started;
}			CoordinatorStart;

/* bgw_extra of a worker, which a coordinator starts. */
typedef struct WorkerStart
{
	Oid			database;
	Oid			owner;
	int32		slot;
	uint32		generation;
}			WorkerStart;

pg_noreturn_compat extern PGDLLEXPORT void durable_launcher_main(Datum arg);
extern PGDLLEXPORT void durable_coordinator_main(Datum arg);
extern PGDLLEXPORT void durable_worker_main(Datum arg);

/* Called by _PG_init. */
extern void durable_launcher_register(void);
extern void durable_ddl_install_hooks(void);

/*
 * Parts of the coordinator.  Each runs in its own transaction, and returns the time until its
 * next call in milliseconds.  retention.c deletes some finished instances whose retention is
 * over, blame.c counts crashes of user code, fold.c adds up rows of durable.tally.
 */
extern long durable_retention_step(void);
extern long durable_blame_step(void);
extern long durable_fold_step(void);

#endif							/* DURABLE_PROCESS_H */
