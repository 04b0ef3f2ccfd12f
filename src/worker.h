/*
 * worker.h
 *		Entry points of the processes.
 */
#ifndef DURABLE_WORKER_H
#define DURABLE_WORKER_H

#include "durable.h"

/* What a coordinator hands to the worker it starts (bgw_extra). */
typedef struct WorkerStart
{
	Oid			database;
	Oid			owner;
	int32		slot;
	uint32		generation;
}			WorkerStart;

extern PGDLLEXPORT pg_noreturn_compat void durable_launcher_main(Datum arg);
extern PGDLLEXPORT void durable_coordinator_main(Datum arg);
extern PGDLLEXPORT void durable_worker_main(Datum arg);

extern void durable_launcher_register(void);	/* from _PG_init */
extern void durable_ddl_install_hooks(void);	/* from _PG_init */

#endif							/* DURABLE_WORKER_H */
