/*
 * suspect.h
 *		Instances that may have ended a worker.
 */
#ifndef DURABLE_SUSPECT_H
#define DURABLE_SUSPECT_H

#include "durable.h"

/*
 * Solo mode.  After a worker was lost within a unit by an error of the engine or the server,
 * its successor runs one instance at a time, and enters it here before it runs.  enter returns
 * how often it was entered without being left, including this time; DURABLE_MAX_LOST is the
 * limit.  not_before returns the time before which it should not run (backoff), DT_NOBEGIN if
 * it may run.  An instance whose code has ended its process is held until a time.  An instance
 * that cannot be stopped by other means is condemned, and not entered again.
 */
#define DURABLE_MAX_LOST	5
extern int	durable_suspect_enter(int64 key);
extern void durable_suspect_leave(int64 key);
extern TimestampTz durable_suspect_not_before(int64 key);
extern void durable_suspect_hold(int64 key, TimestampTz until);
extern void durable_suspect_condemn(int64 key);
extern bool durable_suspect_condemned(int64 key);

/*
 * Instances of this database that do not run now because they have ended a process or the
 * server, or because that has not been counted yet.
 */
#define DURABLE_MAX_HELD	512
extern int	durable_held_back(int64 *keys, int max);

/*
 * Instances that have ended a process or the server before run one at a time.  may_run
 * returns false if another one has begun to run; is_free predicts its result.
 */
extern bool durable_suspect_may_run(void);
extern bool durable_suspect_is_free(void);
extern void durable_suspect_ran(void);

/*
 * May a suspect still be repeating work that was done before the crash, because the server commits
 * asynchronously and the crash has taken back the last commits?  Then it has not come to the point of
 * the crash again.
 */
extern bool durable_suspect_may_repeat(void);

/* Do these crashes, in fifths (flight.h), reach durable.max_crashes? */
extern bool durable_suspect_convicts(int crashes);

#endif							/* DURABLE_SUSPECT_H */
