/*
 * admission.h
 *		Admits activities in SQL that wait in queues: they become tasks.
 */
#ifndef DURABLE_ADMISSION_H
#define DURABLE_ADMISSION_H

#include "unit.h"

/*
 * One step for all queues of the database.  Also deletes old answers of workers.  Runs in the
 * caller's transaction, which commits directly afterwards.  Returns the number of activities
 * that may begin; *next: when the next step is due, unless a commit requests one before.
 */
extern int	durable_admission_step(TimestampTz *next);

/*
 * Ends leases of turns whose sessions have ended, and deletes rows of activities that were deleted with
 * their instances while they ran.  The time depends on the number of leased rows, so this is
 * done less often than a step.
 */
extern void durable_admission_clean(void);

/*
 * The same as a unit of work, for durable.drain().  UNIT_FULL: another process has locked a queue, so
 * there may be more.  Of the scan only passed_over is used: work that is due has been left.
 */
extern UnitResult durable_admission_unit(Oid owner, UnitScan *scan);

#endif							/* DURABLE_ADMISSION_H */
