/*
 * duration.h
 *		Average run times of activities, which decide whether they run inline.
 */
#ifndef DURABLE_DURATION_H
#define DURABLE_DURATION_H

#include "durable.h"

#define DURABLE_MAX_DURATIONS	2048

/* The run time of that function of this database in microseconds; -1: not known. */
extern int64 durable_duration_get(Oid function);
extern void durable_duration_learn(Oid function, int64 us);

#endif							/* DURABLE_DURATION_H */
