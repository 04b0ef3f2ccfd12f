/*
 * duration.h
 *		How long activities take.
 */
#ifndef DURABLE_DURATION_H
#define DURABLE_DURATION_H

#include "durable.h"

#define DURABLE_MAX_DURATIONS	2048

/* How long an activity takes, in us: -1 unknown. Kept per (database, function). */
extern int64 durable_duration_get(Oid function);
extern void durable_duration_learn(Oid function, int64 us);

#endif							/* DURABLE_DURATION_H */
