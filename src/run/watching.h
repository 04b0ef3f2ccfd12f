/*
 * watching.h
 *		Has the queries run again whose tables have changed.
 */
#ifndef DURABLE_WATCHING_H
#define DURABLE_WATCHING_H

#include "unit.h"

/* A step, in the caller's transaction, which commits at once.  Returns whether there may be more to do. */
extern bool durable_watching_step(void);

/* The same as a unit of work, for durable.drain; owner and scan are not used. */
extern UnitResult durable_watching_unit(Oid owner, UnitScan *scan);

#endif							/* DURABLE_WATCHING_H */
