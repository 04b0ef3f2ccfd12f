/*
 * xid_time.h
 *		When transaction ids were given out, every ten seconds.
 */
#ifndef DURABLE_XID_TIME_H
#define DURABLE_XID_TIME_H

#include "durable.h"

/* The launcher, in each round. */
extern void durable_xid_time_sample(void);

/*
 * Since when, in real time, a snapshot with that xmin has kept VACUUM from removing
 * anything, at least.  0: it does not yet, or it is not known.
 */
extern TimestampTz durable_xid_horizon_time(TransactionId xmin);

#endif							/* DURABLE_XID_TIME_H */
