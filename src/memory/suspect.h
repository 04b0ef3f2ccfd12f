/*
 * suspect.h
 *		Instances that may have cost a worker, and notes on disk of this life of the server.
 */
#ifndef DURABLE_SUSPECT_H
#define DURABLE_SUSPECT_H

#include "durable.h"

/*
 * Solo mode: after a worker was lost in a unit, its successor runs one instance
 * at a time, and notes it here before it runs.  enter returns how often it was
 * entered without being left, this time included; not_before says until when it
 * should be left alone (backoff), DT_NOBEGIN if it may run.  It is entered
 * DURABLE_MAX_LOST times at most.  One that cannot be stopped by other means is
 * condemned, and not entered again.
 */
#define DURABLE_MAX_LOST	5
extern int	durable_suspect_enter(int64 key);
extern void durable_suspect_leave(int64 key);
extern TimestampTz durable_suspect_not_before(int64 key);
extern void durable_suspect_condemn(int64 key);
extern bool durable_suspect_condemned(int64 key);

/*
 * Notes on disk of who is running (crash.c), by what they are of and its id: was
 * it written since the server started?
 */
extern bool durable_note_is_new(int of, int64 id);
extern void durable_note_written(int of, int64 id);

#endif							/* DURABLE_SUSPECT_H */
