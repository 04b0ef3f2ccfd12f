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

extern bool durable_enabled;			/* sighup: master switch */
extern bool durable_testing;			/* postmaster: drain, virtual clock */
extern int	durable_max_workers;		/* sighup: workers of the whole cluster, 0..64 */
extern int	durable_worker_idle_timeout;	/* sighup, ms */
extern int	durable_worker_max_units;	/* sighup: worker is replaced after so many units */
extern int	durable_max_crashes;	/* sighup: code that has ended its process so often is not run again */
extern int	durable_recheck_interval;	/* sighup, ms: slow recheck, 5 s */
extern int	durable_inline_limit;		/* suset, us: slower activities become tasks */
extern int	durable_history_warn;	/* suset: a longer history is reported in the log; 0: none is */
extern int	durable_history_limit;	/* suset: events of one execution */
extern int	durable_turn_calls_limit;	/* suset: new durable calls in one turn; 0: no limit */
extern int	durable_stat_entries;	/* postmaster: orchestrations and activities with statistics */
extern int	durable_batch_limit;	/* suset, us: a batch that has run for longer takes up nothing new */
extern int	durable_max_payload;		/* suset, kB */
extern int	durable_turn_timeout;		/* suset, ms */
extern int	durable_activity_timeout;	/* suset, ms, 0 none */
extern int	durable_determinism;		/* user, DeterminismLevel */
extern int	durable_guard_ddl;		/* user, GuardLevel: statements that change code of unfinished instances */
extern char *durable_retention;			/* sighup: interval, empty: keep for ever */
extern Interval durable_retention_interval; /* the same, when durable_retention_set */
extern bool durable_retention_set;

extern void durable_guc_define(void);

#endif							/* DURABLE_GUC_H */
