/*
 * time_after.h
 *		Times that are an interval away, for intervals that users choose.
 */
#ifndef DURABLE_TIME_AFTER_H
#define DURABLE_TIME_AFTER_H

#include "durable.h"

/*
 * The time after start, or before it.  Raises 22008, naming the parameter, where there
 * is no such time.
 */
extern TimestampTz durable_time_after(TimestampTz start, Interval *interval, const char *parameter);
extern TimestampTz durable_time_before(TimestampTz start, Interval *interval, const char *parameter);

#endif							/* DURABLE_TIME_AFTER_H */
