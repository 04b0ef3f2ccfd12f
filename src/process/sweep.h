/*
 * sweep.h
 *		Decides from which positions on a worker looks for messages.
 */
#ifndef DURABLE_SWEEP_H
#define DURABLE_SWEEP_H

#include "slot.h"
#include "unit.h"

/* Begins to look at the whole inbox, in steps between which new messages are handled. */
extern void durable_sweep_everywhere(void);
extern bool durable_sweep_is_walking(void);

/* Adds the positions of hints.  is_over: there is nothing left to look at. */
extern void durable_sweep_at(const DurableHints *hints);
extern bool durable_sweep_is_over(void);

/* Called before and after a batch: begin sets its positions, end reads those that it has reached. */
extern void durable_sweep_begin(UnitScan *scan);
extern void durable_sweep_end(const UnitScan *scan);

#endif							/* DURABLE_SWEEP_H */
