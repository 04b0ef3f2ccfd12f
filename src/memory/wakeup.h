/*
 * wakeup.h
 *		Who must be woken when this transaction commits.
 *
 * Call these while the transaction runs; they may raise.  They collect in
 * backend-local memory, and one XactCallback acts at commit: after the rows are
 * visible, with nothing but spinlocks and latches.
 */
#ifndef DURABLE_WAKEUP_H
#define DURABLE_WAKEUP_H

#include "durable.h"

extern void durable_wakeup_install(void);	/* from _PG_init */

extern void durable_wakeup_inbox(Oid owner, int64 key); /* a message for that instance */

/* The same for a row that this transaction is about to lock, so that workers skip it.  Acts at a rollback, too. */
extern void durable_wakeup_released(Oid owner, int64 key);
extern void durable_wakeup_timer(Oid owner, TimestampTz due);
extern void durable_wakeup_task(Oid owner, TimestampTz run_at);
extern void durable_wakeup_finished(int64 key); /* signal sessions in durable.wait */
extern void durable_wakeup_cancel(int64 key);	/* stop the running activities of that instance */
extern void durable_wakeup_registrations(void); /* registrations changed */
extern void durable_wakeup_engine(void);	/* adopt and others: the coordinator looks again */
extern void durable_wakeup_pause(bool paused);	/* pause, unpause: workers see it at once */
extern void durable_wakeup_engine_at_exit(void);	/* the coordinator looks again when this session has ended */
extern void durable_wakeup_extension(void); /* CREATE EXTENSION: launcher looks again */

#endif							/* DURABLE_WAKEUP_H */
