/*
 * look.h
 *		Where a worker looks for messages.
 */
#ifndef DURABLE_LOOK_H
#define DURABLE_LOOK_H

#include "shmem.h"
#include "unit.h"

/* Everywhere, in steps, while what is new goes on. */
extern void durable_look_everywhere(void);
extern bool durable_look_is_walking(void);

extern void durable_look_at(const DurableHints *hints);
extern bool durable_look_is_over(void);

/* Around a batch: sets where it looks, and learns what it has left. */
extern void durable_look_begin(UnitScan *scan);
extern void durable_look_end(const UnitScan *scan);

#endif							/* DURABLE_LOOK_H */
