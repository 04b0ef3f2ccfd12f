/*
 * guc.c
 *		Defines the settings of the engine.
 *
 * Owns: every variable named durable.*
 * Called by: _PG_init.
 * Locks: none.
 * Memory: none.
 */
#include "durable.h"
#include "guc.h"

#include <limits.h>

#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

bool		durable_enabled = true;
bool		durable_testing = false;
int			durable_max_workers = 4;
int			durable_worker_idle_timeout = 10000;
int			durable_worker_max_units = 10000;
int			durable_max_crashes = 2;
int			durable_recheck_interval = 5000;
int			durable_inline_limit = 10000;
int			durable_batch_limit = 5000;
int			durable_stat_entries = 1000;
int			durable_history_warn = 10000;
int			durable_history_limit = 50000;
int			durable_turn_calls_limit = 20000;
int			durable_max_payload = 4096;
int			durable_turn_timeout = 5000;
int			durable_activity_timeout = 0;
int			durable_determinism = DETERMINISM_ERROR;
int			durable_guard_ddl = GUARD_OFF;
char	   *durable_retention = NULL;
Interval	durable_retention_interval = {0};
bool		durable_retention_set = false;

/* The setting as the user writes it: milliseconds, with fractions. */
static double inline_limit_ms = 10.0;
static double batch_limit_ms = 5.0;

static const struct config_enum_entry determinism_levels[] = {
	{"off", DETERMINISM_OFF, false},
	{"warn", DETERMINISM_WARN, false},
	{"error", DETERMINISM_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry guard_levels[] = {
	{"off", GUARD_OFF, false},
	{"warn", GUARD_WARN, false},
	{"error", GUARD_ERROR, false},
	{NULL, 0, false}
};

static void set_inline_limit(double value, void *extra);
static void set_batch_limit(double value, void *extra);
static bool check_retention(char **value, void **extra, GucSource source);
static void set_retention(const char *value, void *extra);
static bool parse_interval(const char *text, Interval *result);

void
durable_guc_define(void)
{
	DefineCustomBoolVariable("durable.enabled",
							 "Enables the execution of workflows.",
							 "When off, instances make no progress, but functions such as durable.start() and durable.raise_event() still work.",
							 &durable_enabled, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("durable.testing",
							 "Allows the use of durable.drain() and durable.advance_clock().",
							 "Do not enable this setting on a production server.",
							 &durable_testing, false, PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("durable.max_workers",
							"Sets the maximum number of workers of all databases together.",
							"Workers, the launcher, and one coordinator for each database with the extension "
							"count against max_worker_processes.  0 disables workers.",
							&durable_max_workers, 4, 0, DURABLE_MAX_SLOTS, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.worker_idle_timeout",
							"Sets the idle time after which a worker exits.",
							NULL, &durable_worker_idle_timeout, 10000, 0, INT_MAX, PGC_SIGHUP,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("durable.worker_max_units",
							"Sets the number of units of work after which a worker is replaced.",
							"This releases memory and other state that user code leaves behind in the process.",
							&durable_worker_max_units, 10000, 1, INT_MAX, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.max_crashes",
							"Sets the number of times that an activity or turn may terminate its process before it no longer runs.",
							"After that, the activity fails or the instance is suspended.  If the whole server terminates, "
							"as in an immediate shutdown, this counts as a fifth of a crash.",
							&durable_max_crashes, 2, 1, 1000, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.stat_entries",
							"Sets the number of orchestrations and activities that have statistics.",
							"When there are more, the statistics of the one that was not used for the longest time are removed.",
							&durable_stat_entries, 1000, 100, 100000, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.recheck_interval",
							"Sets the maximum time between two checks of the queues by workers and coordinators.",
							"The check finds rows that were committed without a notification, such as those of COMMIT PREPARED.",
							&durable_recheck_interval, 5000, 100, 60000, PGC_SIGHUP,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomRealVariable("durable.inline_limit",
							 "Sets the maximum duration of activities that run in the transaction of the calling turn.",
							 "An activity that takes longer runs in its own transaction.",
							 &inline_limit_ms, 10.0, 0.0, 10000.0, PGC_SUSET,
							 GUC_UNIT_MS, NULL, set_inline_limit, NULL);
	DefineCustomRealVariable("durable.batch_limit",
							 "Maximum user-code time after which a batch claims no more instances.",
							 "Consecutive activities of one instance may take 20 times as long.",
							 &batch_limit_ms, 5.0, 0.0, 10000.0, PGC_SUSET,
							 GUC_UNIT_MS, NULL, set_batch_limit, NULL);
	DefineCustomIntVariable("durable.max_payload",
							"Sets the maximum size of an input, a result, or the data of an event.",
							NULL, &durable_max_payload, 4096, 1, 255 * 1024, PGC_SUSET,
							GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("durable.history_warn",
							"Sets the number of events at which a history is reported in the server log.",
							"0 disables the report.",
							&durable_history_warn, 10000, 0, INT_MAX, PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.history_limit",
							"Sets the maximum number of events in the history of an execution.",
							"Durable calls fail at this limit.  An orchestration that runs forever must use durable.continue_as_new().",
							&durable_history_limit, 50000, 100, DURABLE_MAX_EVENTS, PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.turn_calls_limit",
							"Sets the maximum number of durable calls that an orchestration may make without waiting.",
							"0 disables the limit.",
							&durable_turn_calls_limit, 20000, 0, INT_MAX, PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("durable.turn_timeout",
							"Sets the maximum time that an orchestration may run without waiting.",
							"0 disables the limit.",
							&durable_turn_timeout, 5000, 0, INT_MAX, PGC_SUSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("durable.activity_timeout",
							"Sets the timeout of activities that have no timeout of their own.",
							"0 disables the limit.",
							&durable_activity_timeout, 0, 0, INT_MAX, PGC_SUSET,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomEnumVariable("durable.determinism",
							 "Sets the action taken when an orchestration does something that replay cannot repeat.",
							 NULL, &durable_determinism, DETERMINISM_ERROR, determinism_levels,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("durable.guard_ddl",
							 "Sets the action taken when a statement changes or drops an orchestration with unfinished instances.",
							 "These instances continue with a copy of the replaced code in any case.",
							 &durable_guard_ddl, GUARD_OFF, guard_levels,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("durable.retention",
							   "Sets the interval after which finished instances are deleted.",
							   "A registration can override this setting.  An empty string keeps finished instances forever.",
							   &durable_retention, "", PGC_SIGHUP, 0,
							   check_retention, set_retention, NULL);
	MarkGUCPrefixReserved("durable");
}

static void
set_inline_limit(double value, void *extra)
{
	durable_inline_limit = (int) (value * 1000.0);
}

static void
set_batch_limit(double value, void *extra)
{
	durable_batch_limit = (int) (value * 1000.0);
}

static bool
check_retention(char **value, void **extra, GucSource source)
{
	Interval	interval;

	if (**value == '\0')
		return true;
	if (!parse_interval(*value, &interval))
	{
		GUC_check_errdetail("The value must be empty or an interval greater than zero, such as \"30 days\".");
		return false;
	}
	return true;
}

static void
set_retention(const char *value, void *extra)
{
	durable_retention_set = value[0] != '\0' && parse_interval(value, &durable_retention_interval);
}

/* Like interval_in, but without raising an error, because a check hook must not do that. */
static bool
parse_interval(const char *text, Interval *result)
{
	char		work[256];
	char	   *field[MAXDATEFIELDS];
	int			ftype[MAXDATEFIELDS];
	int			nf;
	int			dtype;
	struct pg_itm_in itm = {0};

	if (ParseDateTime(text, work, sizeof(work), field, ftype, MAXDATEFIELDS, &nf) != 0 ||
		DecodeInterval(field, ftype, nf, INTERVAL_FULL_RANGE, &dtype, &itm) != 0 ||
		dtype != DTK_DELTA ||
		itmin2interval(&itm, result) != 0)
		return false;
	return result->month >= 0 && result->day >= 0 && result->time >= 0 &&
		(result->month > 0 || result->day > 0 || result->time > 0);
}
