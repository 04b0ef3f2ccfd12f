/*
 * xid_time.h
 *		Samples of the next transaction id and the time, taken every ten seconds.
 */
#ifndef DURABLE_XID_TIME_H
#define DURABLE_XID_TIME_H

#include "durable.h"

/* Called by the launcher in each round; takes a sample if one is due. */
extern void durable_xid_time_sample(void);

/*
 * A snapshot with that xmin has kept VACUUM from removing rows since that time (real time) or
 * longer.  0: not yet, or not known.
 */
extern TimestampTz durable_xid_horizon_time(TransactionId xmin);

#endif							/* DURABLE_XID_TIME_H */
