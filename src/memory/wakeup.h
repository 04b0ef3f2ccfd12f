/*
 * wakeup.h
 *		Wake-ups that happen when this transaction commits.
 *
 * These functions are called while the transaction runs, and may raise errors.  They collect
 * wake-ups in local memory.  A transaction callback performs them after the commit, when the
 * rows are visible, and uses spinlocks and latches only.
 */
#ifndef DURABLE_WAKEUP_H
#define DURABLE_WAKEUP_H

#include "durable.h"

extern void durable_wakeup_install(void);	/* from _PG_init */

extern void durable_wakeup_inbox(Oid owner, int64 key); /* a message for that instance */

/*
 * The same for an instance whose row this transaction is about to lock: workers pass over it
 * meanwhile.  Also happens at a rollback.
 */
extern void durable_wakeup_released(Oid owner, int64 key);
extern void durable_wakeup_timer(Oid owner, TimestampTz due);
extern void durable_wakeup_task(Oid owner, TimestampTz run_at);
extern void durable_wakeup_finished(int64 key); /* signal sessions in durable.wait */
extern void durable_wakeup_cancel(int64 key);	/* stop the running activities of that instance */
extern void durable_wakeup_registrations(void); /* registrations changed */
extern void durable_wakeup_engine(void);	/* the coordinator looks at the tables */
extern void durable_wakeup_admission(void); /* the coordinator starts activities that wait in queues */
extern void durable_wakeup_pause(bool paused);	/* durable.pause(), durable.unpause() */
extern void durable_wakeup_engine_at_exit(void);	/* the coordinator looks at the tables when this session has ended */
extern void durable_wakeup_extension(void); /* CREATE EXTENSION: the launcher looks at the database */

#endif							/* DURABLE_WAKEUP_H */
