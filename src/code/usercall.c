/*-------------------------------------------------------------------------
 *
 * usercall.c
 *		Runs user code in a subtransaction of its own, with a time limit.
 *
 * This is the only place where an error of user code is caught and the engine
 * continues.  No user code runs inside of the other PG_TRY blocks that do not raise an
 * error again: worker.c's around the commit of a task, and doctor.c's around a check.
 * User code runs as the owner of the instance: the worker has connected as that role,
 * so RESET ROLE and deferred triggers lead to no other role.
 *
 * Settings that the code changes are restored when it returns (a GUC nest level of its
 * own).  Deferred constraint triggers are fired before the subtransaction is released,
 * so that their failure is the failure of this call and not of the rest of the unit.
 *
 * Owns:	the engine's timeout
 * Called by: turn.c, activity.c, entity_run.c; files that look up a name of user code
 *			(start_calls.c, orchestration_code.c, external.c, task_unit.c) or make a call that
 *			may fail without harm (companion.c); determinism.c and ddl.c (settings and
 *			constraints that code has changed)
 * Locks:	none of its own
 * Memory:	result and error are in the context that was current at the call;
 *			other memory of user code is freed with the subtransaction's context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "portability/instr_time.h"

#include "compat.h"
#include "session.h"
#include "usercall.h"

/* After a limit the signal is repeated at this interval, in case the code catches the error. */
#define TIMEOUT_REPEAT_MS	1000

/* The number of these signals that code may ignore before its process ends. */
#define MAX_SWALLOWED		1

static void arm_timeout(int64 timeout_us);
static void disarm_timeout(void);
static void timeout_handler(void);
static bool has_notifications(void);
static void run_body(UserCall *call, MemoryContext outer);

static TimeoutId timeout_id = MAX_TIMEOUTS;
static volatile sig_atomic_t timeout_fired = false;
static volatile sig_atomic_t must_stop = false;
static volatile sig_atomic_t swallowed = 0;
static bool active = false;
static TimestampTz deadline = 0;	/* of the call that runs; 0: none */

/* The state of the innermost call that runs. */
static bool changed_settings = false;
static bool set_constraints = false;
static CallStage stage = STAGE_CODE;

bool
durable_usercall_active(void)
{
	return active;
}

CallStage
durable_usercall_get_stage(void)
{
	return stage;
}

void
durable_usercall_set_stage(CallStage new_stage)
{
	stage = new_stage;
}

void
durable_usercall_note_settings(void)
{
	changed_settings = true;
}

void
durable_usercall_note_constraints(void)
{
	set_constraints = true;
}

bool
durable_usercall_is_ending(void)
{
	return swallowed > MAX_SWALLOWED;
}

bool
durable_usercall_changed_settings(void)
{
	return changed_settings;
}

void
durable_usercall_run(UserCall *call)
{
	MemoryContext outer = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	TimestampTz outer_deadline = deadline;
	bool		outer_must_stop = must_stop;
	int			outer_swallowed = swallowed;
	bool		was_active = active;	/* a look-up within a turn */
	bool		had_changed_settings = changed_settings;
	bool		had_set_constraints = set_constraints;
	CallStage	outer_stage = stage;
	FlightRun	before;
	instr_time	start;
	instr_time	end;

	call->returned = false;
	call->kept = false;
	call->timed_out = false;
	call->wrote = false;
	call->result = NULL;
	call->error = NULL;
	if (call->timeout_us > 0)
		timeout_fired = false;
	must_stop = call->must_stop;
	swallowed = 0;
	deadline = 0;
	active = true;
	changed_settings = set_constraints = false;
	stage = STAGE_BINDING;

	INSTR_TIME_SET_CURRENT(start);
	BeginInternalSubTransaction(NULL);
	before = durable_flight_enter(&call->flight);

	PG_TRY();
	{
		/* The end of the subtransaction restores this. */
		if (call->read_only)
			XactReadOnly = true;
		else if (call->within_turn)
			XactReadOnly = false;
		if (call->timeout_us > 0)
			arm_timeout(call->timeout_us);

		run_body(call, outer);

		if (call->timeout_us > 0)
			disarm_timeout();
		call->returned = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(outer);
		call->error = CopyErrorData();
		FlushErrorState();
		durable_session_strip_context(call->error);
		if (call->timeout_us > 0)
			disarm_timeout();
		call->result = NULL;
	}
	PG_END_TRY();

	durable_flight_leave(&before);
	active = was_active;
	call->stage = stage;
	stage = outer_stage;
	swallowed = outer_swallowed;	/* signals that an inner call has ignored do not count for the outer one */
	must_stop = outer_must_stop;
	deadline = outer_deadline;
	call->timed_out = call->timeout_us > 0 && timeout_fired;
	call->wrote = TransactionIdIsValid(GetCurrentTransactionIdIfAny());
	call->changed_settings = changed_settings;
	call->set_constraints = set_constraints;
	call->kept = call->returned && (!call->read_only || (call->may_keep && !set_constraints)) &&
		(call->keep == NULL || call->keep(call->arg));

	/* Settings are restored; modes of constraints are restored only by a rollback. */
	changed_settings = had_changed_settings;
	set_constraints = had_set_constraints || (call->kept && call->set_constraints);

	if (call->kept)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(outer);
	CurrentResourceOwner = owner;

	call->notified = call->kept && has_notifications();

	/* A call within another call has replaced the timeout of the outer one. */
	if (deadline != 0 && call->timeout_us > 0)
		enable_timeout_every(timeout_id, deadline, TIMEOUT_REPEAT_MS);

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	call->elapsed_us = (int64) INSTR_TIME_GET_MICROSEC(end);
}

static void
run_body(UserCall *call, MemoryContext outer)
{
	int			nestlevel = NewGUCNestLevel();
	MemoryContext inner = CurrentMemoryContext;
	Jsonb	   *result;

	PushActiveSnapshot(GetTransactionSnapshot());
	result = call->body(call->arg);
	PopActiveSnapshot();

	/* The result must live longer than the subtransaction. */
	MemoryContextSwitchTo(outer);
	if (result != NULL)
	{
		call->result = palloc(VARSIZE(result));
		memcpy(call->result, result, VARSIZE(result));
	}
	MemoryContextSwitchTo(inner);

	AtEOXact_GUC(false, nestlevel);
	if ((!call->read_only || call->may_keep) && !call->within_turn)
		AfterTriggerFireDeferred();
}

/*
 * Are there notifications in this transaction?  The only way to find out is that
 * PostgreSQL refuses to prepare it.  That check acquires no resources.
 */
static bool
has_notifications(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool found = false;

	PG_TRY();
	{
		AtPrepare_Notify();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		found = true;
	}
	PG_END_TRY();
	return found;
}

static void
arm_timeout(int64 timeout_us)
{
	TimestampTz fire = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   Max(timeout_us / 1000, 1));

	if (timeout_id == MAX_TIMEOUTS)
		timeout_id = RegisterTimeout(USER_TIMEOUT, timeout_handler);
	deadline = fire;
	enable_timeout_every(timeout_id, fire, TIMEOUT_REPEAT_MS);
}

static void
disarm_timeout(void)
{
	disable_timeout(timeout_id, false);

	/*
	 * The limit may have been reached when the code had just ended: the cancel
	 * must not affect the code that runs next.
	 */
	if (timeout_fired)
		QueryCancelPending = false;
}

/*
 * Runs in a signal handler, so it only sets flags and the latch.  A cancel that is no
 * longer pending has become an error, and code that still runs has caught it.
 */
static void
timeout_handler(void)
{
	if (must_stop && timeout_fired && !QueryCancelPending && ++swallowed > MAX_SWALLOWED)
		ProcDiePending = true;
	timeout_fired = true;
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}
