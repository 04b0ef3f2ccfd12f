/*
 * crash.h
 *		Finding out who crashes the server.
 */
#ifndef DURABLE_CRASH_H
#define DURABLE_CRASH_H

#include "turn.h"

/* In the postmaster: from _PG_init, and each time shared memory is set up. */
extern void durable_crash_install(void);
extern bool durable_crash_preceded(bool *of_process);

/*
 * Is that something that may have been running when the server crashed?  For a
 * while after the start, what is older than the start.
 */
extern bool durable_crash_suspects(TimestampTz sent_at);

/* Is the search still on in this process's database and time? */
extern bool durable_crash_search_is_on(void);

/*
 * Suspects run one at a time in the whole cluster, so that a crash has one culprit
 * among them.  A lock of the session: from before the note until after the run.
 * Turns are short, so one waits for it; activities can take hours, so they have a
 * lock of their own and nobody waits: false if it is taken.  For the turn's lock one
 * waits a few seconds for the activity's, too.
 */
typedef enum CrashLock
{
	CRASH_LOCK_TURN = 1,
	CRASH_LOCK_ACTIVITY = 2
}			CrashLock;

extern bool durable_crash_lock(CrashLock which);
extern void durable_crash_unlock(CrashLock which);

/* Notes in the instance's row that it is about to run; the weight of the notes that were there. */
extern int	durable_crash_mark(Instance *instance);

/* What the notes of that id weigh; whether that is enough; and in words, with so many crashes that nobody noted. */
extern int	durable_crash_weigh(CrashLock which, int64 id, int notes);
extern bool durable_crash_convicts(int weight);
extern char *durable_crash_times(int weight, int unnoted);

/* It ran well, but has not come to where it was: it stays under suspicion. */
extern void durable_crash_watch(const Instance *instance);
extern bool durable_crash_watches(const Instance *instance);

#endif							/* DURABLE_CRASH_H */
