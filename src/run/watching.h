/*
 * watching.h
 *		Wakes the tasks of wait_until() whose tables have changed.
 */
#ifndef DURABLE_WATCHING_H
#define DURABLE_WATCHING_H

#include "unit.h"

/* One step in the caller's transaction, which commits directly afterwards.  Returns whether there may be more to do. */
extern bool durable_watching_step(void);

/* The same as a unit of work, for durable.drain(); owner and scan are not used. */
extern UnitResult durable_watching_unit(Oid owner, UnitScan *scan);

#endif							/* DURABLE_WATCHING_H */
