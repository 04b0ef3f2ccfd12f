/*
 * guc.h
 *		Settings of the engine.  All of them are defined in guc.c.
 */
#ifndef DURABLE_GUC_H
#define DURABLE_GUC_H

#include "durable.h"

#define DURABLE_MAX_SLOTS	64		/* upper bound of durable.max_workers */

typedef enum DeterminismLevel
{
	DETERMINISM_OFF,
	DETERMINISM_WARN,
	DETERMINISM_ERROR
}			DeterminismLevel;

typedef enum GuardLevel
{
	GUARD_OFF,
	GUARD_WARN,
	GUARD_ERROR
}			GuardLevel;

/* Each comment begins with the setting's context. */
extern bool durable_enabled;			/* sighup: background processes run */
extern bool durable_testing;			/* postmaster: durable.drain() and the virtual clock are allowed */
extern int	durable_max_workers;		/* sighup: workers of the whole cluster, 0..64 */
extern int	durable_worker_idle_timeout;	/* sighup, ms */
extern int	durable_worker_max_units;	/* sighup: a worker is replaced after so many units */
extern int	durable_max_crashes;	/* sighup: after so many crashes code is not run again */
extern int	durable_recheck_interval;	/* sighup, ms: tables are looked at without a wake-up */
extern int	durable_inline_limit;		/* suset, us: slower activities become tasks */
extern int	durable_history_warn;	/* suset: a history of more events is reported in the log; 0: never */
extern int	durable_history_limit;	/* suset: maximum number of events of one execution */
extern int	durable_turn_calls_limit;	/* suset: new durable calls in one turn; 0: no limit */
extern int	durable_stat_entries;	/* postmaster: orchestrations and activities with statistics */
extern int	durable_batch_limit;	/* suset, us: after that time a batch begins no further instance */
extern int	durable_max_payload;		/* suset, kB */
extern int	durable_turn_timeout;		/* suset, ms */
extern int	durable_activity_timeout;	/* suset, ms; 0: none */
extern int	durable_determinism;		/* user, DeterminismLevel */
extern int	durable_guard_ddl;		/* user, GuardLevel: statements that change code of unfinished instances */
extern char *durable_retention;			/* sighup: interval; empty: keep finished instances for ever */
extern Interval durable_retention_interval; /* its value; valid if durable_retention_set */
extern bool durable_retention_set;

extern void durable_guc_define(void);

#endif							/* DURABLE_GUC_H */
