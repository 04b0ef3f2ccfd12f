/*
 * process.h
 *		The processes: launcher, coordinators, workers.
 */
#ifndef DURABLE_PROCESS_H
#define DURABLE_PROCESS_H

#include "durable.h"

/* What the launcher hands to the coordinator it starts (bgw_extra). */
typedef struct CoordinatorStart
{
	Oid			database;
	int32		entry;			/* in the databases of shared memory */
	TimestampTz started;
}			CoordinatorStart;

/* What a coordinator hands to the worker it starts (bgw_extra). */
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

/* From _PG_init. */
extern void durable_launcher_register(void);
extern void durable_ddl_install_hooks(void);

/*
 * retention.c, part of the coordinator: deletes a few finished instances that
 * are old enough, in a transaction of its own.  Returns ms until the next call.
 */
extern long durable_retention_step(void);

/*
 * blame.c, part of the coordinator: counts crashes of user code, in a transaction of its
 * own.  Returns ms until the next call.
 */
extern long durable_blame_step(void);

/* fold.c, part of the coordinator: adds up durable.tally.  Returns ms until the next call. */
extern long durable_fold_step(void);

#endif							/* DURABLE_PROCESS_H */
