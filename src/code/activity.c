/*-------------------------------------------------------------------------
 *
 * activity.c
 *		Runs one activity in a subtransaction, and decides where it should run.
 *
 * A short activity runs inline, between two turns of its orchestration, in the
 * transaction of the batch.  An activity whose duration is not known yet, or that is
 * known to be slow, becomes a row of durable.task_queue and has a transaction of its
 * own.  Durations of activities are learned in shared memory.  An inline activity that
 * hits a deadlock or a serialization failure, or overruns its limit (it may wait for a
 * lock of another transaction), is rolled back and made a task, without using up an
 * attempt.  So is one that fails because of the server (error_origin.c).  An activity
 * whose function cannot be called at all has not failed: the instance waits until the
 * function has been corrected.
 *
 * Called by: dispatch.c and straight_through.c (inline), task_unit.c (tasks);
 *			activity_calls.c and registration_api.c (time limits); context_calls.c (attempt)
 * Locks:	those that the activity takes
 * Memory:	results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/async.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "activity.h"
#include "call_sql.h"
#include "clock.h"
#include "compat.h"
#include "duration.h"
#include "error_origin.h"
#include "guc.h"
#include "handler.h"
#include "json.h"
#include "retry.h"
#include "stats.h"
#include "usercall.h"

/* An inline activity is stopped after this multiple of the inline limit. */
#define INLINE_OVERRUN	20

/* How often an attempt is repeated after a conflict that the code may have raised itself. */
#define MAX_REPEATS		5

/* Longer limits on activities are reduced to this one, whose sum with a present time is a valid time. */
#define MAX_TIMEOUT_US	(100 * INT64CONST(365) * USECS_PER_DAY)

typedef struct Lookup
{
	ActivityTarget *target;
	const Registration *registration;
	MemoryContext context;		/* of the target */
}			Lookup;

static int64 stored_timeout_us(const Interval *timeout);
static Jsonb *lookup_body(void *arg);
static bool is_trusted(Oid function);
static ActivityOutcome run_activity(ActivityRun * run);
static ActivityOutcome report_failure(ActivityRun * run, UserCall *call, bool may_overrun, int64 limit);
static void count_run(const ActivityRun * run, bool failed);
static Jsonb *activity_body(void *arg);
static bool activity_keep(void *arg);
static bool is_repeated(const ActivityRun * run, const ErrorData *error);
static Oid	duration_key(Oid function, const Jsonb *input);

/* The attempt of the activity that runs in this process; 0 if none runs. */
static int	running_attempt = 0;

ActivityTarget *
durable_activity_target(List **known, const char *name, Oid owner, Oid asking_namespace)
{
	ListCell   *cell;
	ActivityTarget *target;
	Lookup		lookup;
	UserCall	call = {0};

	foreach(cell, *known)
	{
		target = lfirst(cell);
		if (target->asking_namespace == asking_namespace &&
			strcmp(target->name, name) == 0)
			return target;
	}

	target = palloc0(sizeof(ActivityTarget));
	target->name = pstrdup(name);
	target->asking_namespace = asking_namespace;
	target->execution = EXECUTION_AUTO;
	*known = lappend(*known, target);

	if (strcmp(name, ACTIVITY_CALL_SQL) == 0)
	{
		target->handler = pstrdup(ACTIVITY_CALL_SQL);
		target->trusted = true;
		return target;
	}
	if (strcmp(name, ACTIVITY_WAIT_UNTIL) == 0)
	{
		target->handler = pstrdup(ACTIVITY_WAIT_UNTIL);
		target->execution = EXECUTION_TASK; /* only a task can be run again and again */
		return target;
	}

	lookup.target = target;
	lookup.registration = durable_handler_registration(name, "activity", owner, asking_namespace);
	lookup.context = CurrentMemoryContext;
	if (lookup.registration != NULL)
	{
		target->execution = lookup.registration->execution;
		target->retry = lookup.registration->retry;
		if (lookup.registration->timeout != NULL)
			target->timeout_us = stored_timeout_us(lookup.registration->timeout);
		target->queue = lookup.registration->queue;
		target->priority = lookup.registration->priority;
		target->share = lookup.registration->share;
		if (target->execution == EXECUTION_EXTERNAL)
			return target;
	}

	call.body = lookup_body;
	call.arg = &lookup;
	call.read_only = true;
	durable_usercall_run(&call);
	if (!call.returned)
	{
		if (durable_error_is_infrastructure(call.error))
			ReThrowError(call.error);
		target->failure = durable_json_failure(call.error, name, 1);
		target->problem = durable_handler_problem("activity", name, call.error);
	}
	return target;
}

bool
durable_activity_is_short(const ActivityTarget * target, const Jsonb *input)
{
	int64		duration;

	if (target->failure != NULL || target->execution == EXECUTION_INLINE)
		return true;
	if (target->execution == EXECUTION_TASK || target->queue != NULL)
		return false;
	duration = durable_duration_get(duration_key(target->function, input));
	return duration >= 0 && duration <= durable_inline_limit;
}

ActivityOutcome
durable_activity_run(ActivityRun * run)
{
	ActivityOutcome outcome = run_activity(run);

	if (outcome == ACTIVITY_COMPLETED || outcome == ACTIVITY_FAILED)
		count_run(run, outcome == ACTIVITY_FAILED);
	return outcome;
}

static void
count_run(const ActivityRun * run, bool failed)
{
	StatsCounters counters = {.calls = 1, .failures = failed, .retries = run->attempt > 1,
	.total_us = run->elapsed_us, .max_us = run->elapsed_us};

	if (failed)
	{
		char	   *message = durable_json_get_text(run->payload, "message");

		counters.failed_at = durable_clock_now();
		durable_stats_set_error(&counters, message);
	}
	durable_stats_add(STATS_ACTIVITY, GetUserId(), run->name, &counters);
}

static ActivityOutcome
run_activity(ActivityRun * run)
{
	UserCall	call = {0};
	int64		limit = run->timeout_us > 0 ? Min(run->timeout_us, MAX_TIMEOUT_US) :
		(int64) durable_activity_timeout * 1000;
	int64		overrun = (int64) durable_inline_limit * INLINE_OVERRUN;
	bool		may_overrun = run->is_inline && overrun > 0 &&
		(limit == 0 || overrun < limit);

	run->wait.context = CurrentMemoryContext;
	call.body = activity_body;
	call.read_only = strcmp(run->handler, ACTIVITY_WAIT_UNTIL) == 0;
	call.keep = activity_keep;
	call.arg = run;
	call.within_turn = run->within_turn;
	call.flight = run->flight;
	call.timeout_us = may_overrun ? overrun : limit;
	run->payload = NULL;
	run->sqlerrcode = 0;

	/* This catches every error that the activity raises. */
	running_attempt = run->attempt;
	durable_usercall_run(&call);
	running_attempt = 0;
	run->wrote = call.wrote;
	run->notified = call.notified;
	run->set_constraints = call.kept && call.set_constraints;
	run->elapsed_us = call.elapsed_us;
	durable_duration_learn(duration_key(run->function, run->input), call.elapsed_us);

	if (call.returned)
	{
		if (call.read_only)
		{
			if (run->keep != NULL && !run->keep(run))
				return ACTIVITY_STOPPED;
			if (!run->wait.holds)
				return ACTIVITY_NOT_YET;
		}
		else if (!call.kept)
			return ACTIVITY_STOPPED;
		run->payload = call.result;
		return ACTIVITY_COMPLETED;
	}
	return report_failure(run, &call, may_overrun, limit);
}

/* Decides whether the error is that of the activity, and makes the failure of it. */
static ActivityOutcome
report_failure(ActivityRun * run, UserCall *call, bool may_overrun, int64 limit)
{
	if (call->timed_out && may_overrun)
		return ACTIVITY_TRY_LATER;
	if (call->timed_out)
	{
		/* The code is not query_canceled, which WHEN OTHERS does not catch, and which ends turns. */
		call->error->sqlerrcode = ERRCODE_DURABLE_LIMIT;
		call->error->message = psprintf("activity \"%s\" timed out after " INT64_FORMAT " ms",
										run->name, limit / 1000);
	}
	else if (call->error->sqlerrcode == ERRCODE_QUERY_CANCELED &&
			 run->keep != NULL && !run->keep(run))
		return ACTIVITY_STOPPED;
	else if (is_repeated(run, call->error))
	{
		/* Conflicts with other transactions are common; only other errors are logged. */
		if (ERRCODE_TO_CATEGORY(call->error->sqlerrcode) != ERRCODE_TRANSACTION_ROLLBACK)
			ereport(LOG,
					(errcode(call->error->sqlerrcode),
					 errmsg("activity \"%s\" failed and will be retried: %s",
							run->name, durable_clip(call->error->message))));
		run->payload = durable_json_failure_repeated(call->error, run->name, run->attempt,
													 run->repeats + 1);
		return ACTIVITY_TRY_LATER;
	}

	if (call->read_only && call->error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION && call->error->hint == NULL)
		call->error->hint = pstrdup("The query of durable.wait_until() may be run any number of times, so it cannot write. Write in an activity after the wait.");
	run->sqlerrcode = call->error->sqlerrcode;
	if (call->stage != STAGE_BINDING)
		durable_error_explain(call->error, "activity");
	run->payload = durable_json_failure(call->error, run->name, run->attempt);
	if (call->stage == STAGE_BINDING && !call->timed_out)
	{
		run->problem = durable_handler_problem("activity", run->name, call->error);
		return ACTIVITY_UNBOUND;
	}
	return ACTIVITY_FAILED;
}

/* Is the activity run again without using up an attempt? */
static bool
is_repeated(const ActivityRun * run, const ErrorData *error)
{
	switch (durable_error_origin(error))
	{
		case ERROR_OF_SERVER:
			/* An activity may need more memory than there is. */
			return error->sqlerrcode != ERRCODE_OUT_OF_MEMORY;
		case ERROR_OF_EITHER:
			return run->repeats < MAX_REPEATS;
		case ERROR_OF_CODE:
			break;
	}
	return false;
}

int
durable_activity_attempt(void)
{
	return running_attempt;
}

int64
durable_activity_timeout_us(const Interval *timeout)
{
	int64		us = durable_retry_interval_us(timeout);

	if (us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be greater than zero")));
	return Min(us, MAX_TIMEOUT_US);
}

/* The same for a stored time limit; returns 0 (none) instead of raising an error. */
static int64
stored_timeout_us(const Interval *timeout)
{
	int64		us = durable_retry_interval_us(timeout);

	return us <= 0 ? 0 : Min(us, MAX_TIMEOUT_US);
}

static Jsonb *
lookup_body(void *arg)
{
	Lookup	   *lookup = arg;
	ActivityTarget *target = lookup->target;
	Handler    *handler;

	const char *signature = NULL;
	int			given = -1;

	if (lookup->registration != NULL)
	{
		handler = durable_handler_resolve_call(lookup->registration->handler, &given);
		if (given >= 0)			/* the signature has the parameters that the input is for */
			signature = lookup->registration->handler;
	}
	else
		handler = durable_handler_find(target->name, "activity", target->asking_namespace);
	target->function = handler->function;
	target->trusted = is_trusted(handler->function);
	target->handler = MemoryContextStrdup(lookup->context, signature ? signature : handler->signature);
	return NULL;
}

/* Is the function in a trusted language? */
static bool
is_trusted(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			language;
	bool		trusted = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);

	tuple = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
	if (HeapTupleIsValid(tuple))
	{
		trusted = ((Form_pg_language) GETSTRUCT(tuple))->lanpltrusted;
		ReleaseSysCache(tuple);
	}
	return trusted;
}

static Jsonb *
activity_body(void *arg)
{
	ActivityRun *run = arg;
	Jsonb	   *result;

	if (strcmp(run->handler, ACTIVITY_CALL_SQL) == 0)
	{
		durable_usercall_set_stage(STAGE_CODE);
		result = durable_call_sql(run->input);
	}
	else if (strcmp(run->handler, ACTIVITY_WAIT_UNTIL) == 0)
	{
		durable_usercall_set_stage(STAGE_CODE);
		result = durable_wait_until_look(run->input, &run->wait);
	}
	else
	{
		int			given;
		Handler    *handler = durable_handler_resolve_call(run->handler, &given);

		result = durable_handler_call(handler, given, run->input);
	}
	if (result != NULL)
		durable_json_check_size(result, "result of an activity");

	/* Notifications are the only effect without a transaction id: this raises an error if there are any. */
	if (run->must_leave_nothing)
	{
		run->left = true;
		AtPrepare_Notify();
	}
	return result;
}

static bool
activity_keep(void *arg)
{
	ActivityRun *run = arg;

	run->left = run->must_leave_nothing && TransactionIdIsValid(GetCurrentTransactionIdIfAny());
	if (run->left)
		return false;
	return run->keep == NULL || run->keep(run);
}

/*
 * Durations are learned for each function.  For call_sql() the hash of the text is used.
 * It may be the same number as a function's, which only causes a wrong estimate.
 */
static Oid
duration_key(Oid function, const Jsonb *input)
{
	char	   *query;
	Oid			key;

	if (OidIsValid(function))
		return function;
	query = input ? durable_json_get_text(input, "query") : NULL;
	key = query ? (Oid) hash_bytes((unsigned char *) query, strlen(query)) : InvalidOid;
	return key;
}
