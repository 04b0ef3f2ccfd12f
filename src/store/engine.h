/*
 * engine.h
 *		Is this engine allowed to run here?  The row of durable.engine.
 */
#ifndef DURABLE_ENGINE_H
#define DURABLE_ENGINE_H

#include "durable.h"
#include "shmem.h"

/*
 * Reads durable.engine with engine SQL (own SPI connection, in the caller's
 * transaction) and notes the result in shared memory.  Returns true when units
 * may run: not paused, and the database is the one that the engine's rows were
 * written in (or has no instances yet).
 */
extern bool durable_engine_check(bool *paused, HeldReason *held);

/* Is the extension of the library's version?  If not, its tables may be others.  Engine SQL. */
extern bool durable_engine_fits(void);

/*
 * Takes the lock that DROP EXTENSION waits for and looks whether the extension
 * is there.  Every unit starts with it.
 */
extern bool durable_engine_lock(void);

#endif							/* DURABLE_ENGINE_H */
