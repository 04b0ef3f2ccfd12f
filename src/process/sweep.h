/*
 * sweep.h
 *		Where a worker looks for messages.
 */
#ifndef DURABLE_SWEEP_H
#define DURABLE_SWEEP_H

#include "slot.h"
#include "unit.h"

/* Everywhere, in steps, while what is new goes on. */
extern void durable_sweep_everywhere(void);
extern bool durable_sweep_is_walking(void);

extern void durable_sweep_at(const DurableHints *hints);
extern bool durable_sweep_is_over(void);

/* Around a batch: sets where it looks, and learns what it has left. */
extern void durable_sweep_begin(UnitScan *scan);
extern void durable_sweep_end(const UnitScan *scan);

#endif							/* DURABLE_SWEEP_H */
