/*
 * xid_time.c
 *		Takes a sample of the next transaction id every ten seconds.
 *
 * A standby with hot_standby_feedback and a replication slot show the xmin of a
 * snapshot, but not its age.  The launcher therefore writes down the next transaction
 * id every ten seconds.  VACUUM cannot remove rows deleted since the first sample with
 * a higher id than that xmin.
 *
 * Owns: xid_samples in shared memory.
 * Called by: launcher.c (sample), doctor_server.c.
 * Locks: the LWLock of shared memory.
 * Memory: none.
 */
#include "durable.h"
#include "shared.h"
#include "xid_time.h"

#include "access/transam.h"
#include "clock.h"
#include "utils/timestamp.h"

#define SAMPLE_INTERVAL		10000	/* ms */

void
durable_xid_time_sample(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TransactionId next = XidFromFullTransactionId(ReadNextFullTransactionId());
	uint64		n = durable_shared->nxid_samples;	/* only the launcher writes it */

	if (n > 0 && !durable_clock_passed(durable_shared->xid_samples[(n - 1) % MAX_XID_SAMPLES].at, now, SAMPLE_INTERVAL))
		return;
	LWLockAcquire(durable_shared->lock, LW_EXCLUSIVE);
	durable_shared->xid_samples[n % MAX_XID_SAMPLES] = (XidSample) {next, now};
	durable_shared->nxid_samples = n + 1;
	LWLockRelease(durable_shared->lock);
}

TimestampTz
durable_xid_horizon_time(TransactionId xmin)
{
	TimestampTz since = 0;
	uint64		n;

	LWLockAcquire(durable_shared->lock, LW_SHARED);
	n = durable_shared->nxid_samples;
	for (uint64 i = n > MAX_XID_SAMPLES ? n - MAX_XID_SAMPLES : 0; i < n && since == 0; i++)
	{
		XidSample  *sample = &durable_shared->xid_samples[i % MAX_XID_SAMPLES];

		if (TransactionIdFollows(sample->next, xmin))
			since = sample->at;
	}
	LWLockRelease(durable_shared->lock);
	return since;
}
