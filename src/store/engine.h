/*
 * engine.h
 *		The row of durable.engine, which says whether the engine may run in this database.
 */
#ifndef DURABLE_ENGINE_H
#define DURABLE_ENGINE_H

#include "durable.h"
#include "shmem.h"

/*
 * Reads durable.engine in the caller's transaction, with its own SPI connection, and stores
 * the result in shared memory.  Returns whether units may run: the engine is not paused, and
 * the rows of its tables were written in this database (or there are no instances yet).
 */
extern bool durable_engine_check(bool *paused, HeldReason *held);

/* Does the version of the extension match the library?  If not, the tables may differ.  Runs engine SQL. */
extern bool durable_engine_fits(void);

/*
 * Takes a lock that conflicts with DROP EXTENSION, and returns whether the extension exists.
 * Every unit begins with this call.
 */
extern bool durable_engine_lock(void);

#endif							/* DURABLE_ENGINE_H */
