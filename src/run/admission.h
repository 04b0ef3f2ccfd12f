/*
 * admission.h
 *		Lets activities in SQL that wait in queues begin.
 */
#ifndef DURABLE_ADMISSION_H
#define DURABLE_ADMISSION_H

#include "unit.h"

/*
 * A step for all queues of the database; deletes old answers, too.  Runs in the caller's
 * transaction, which commits at once.  Returns how many activities may begin now;
 * *next: when there is to be another step, unless the commit of some work asks for one.
 */
extern int	durable_admission_step(TimestampTz *next);

/*
 * The same as a unit of work, for durable.drain; *scan is not used.  UNIT_FULL: another
 * process has a queue locked, so there may be more.
 */
extern UnitResult durable_admission_unit(Oid owner, UnitScan *scan);

#endif							/* DURABLE_ADMISSION_H */
