/*
 * time_after.h
 *		A time plus or minus an interval that a user has given.
 */
#ifndef DURABLE_TIME_AFTER_H
#define DURABLE_TIME_AFTER_H

#include "durable.h"

/* Raise 22008, naming the parameter, if the result is out of range. */
extern TimestampTz durable_time_after(TimestampTz start, Interval *interval, const char *parameter);
extern TimestampTz durable_time_before(TimestampTz start, Interval *interval, const char *parameter);

#endif							/* DURABLE_TIME_AFTER_H */
