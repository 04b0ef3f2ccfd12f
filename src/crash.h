/*
 * crash.h
 *		Finding out who crashes the server.
 */
#ifndef DURABLE_CRASH_H
#define DURABLE_CRASH_H

#include "turn.h"

/* In the postmaster: from _PG_init, and each time shared memory is set up. */
extern void durable_crash_install(void);
extern bool durable_crash_preceded(void);

/* When the server came up after an unclean end; 0: it did not (shmem.c). */
extern TimestampTz durable_crash_time(void);

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
 * False if it is taken and the caller does not want to wait.
 */
extern bool durable_crash_lock(bool wait);
extern void durable_crash_unlock(void);

/* Notes in the instance's row that it is about to run; how often it did before. */
extern int	durable_crash_mark(Instance *instance);

#endif							/* DURABLE_CRASH_H */
