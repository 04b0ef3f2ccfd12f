/*-------------------------------------------------------------------------
 *
 * turn.c
 *		One turn: runs an orchestration from the top until it waits or ends.
 *
 * A durable call whose answer is in the history returns it.  One that has to wait ends
 * the turn by raising an error: its SQLSTATE is query_canceled's, because WHEN OTHERS
 * of PL/pgSQL does not catch it, and a flag is set before it is raised, because
 * PL/Python and PL/Perl can catch every error.  While the flag is set every durable
 * call raises the error again, and the result of the function is ignored.
 *
 * The turn runs in a read-only subtransaction.  That is rolled back, unless activities
 * that write have run within the turn and it has gone straight through
 * (straight_through.c).  The decisions of the orchestration are kept in memory outside
 * of it, as new events of the history (turn_record.c); execution.c has them carried out
 * and stored.  A turn that does not match its history has no effect: its events are
 * removed again, and execution.c suspends the instance.  runner.h describes the input
 * and the result of a turn.
 *
 * Owns:	the current turn
 * Called by: execution.c, straight_through.c, companion_main.c and verify.c run turns; the
 *			*_calls.c and turn_record.c wait in one or stop it; determinism.c, client.c,
 *			entity_api.c and testing_api.c ask for the current turn
 * Locks:	none; in a worker the caller holds the instance's row lock
 * Memory:	events in instance->context; the replay's state in a
 *			context that lives for the turn
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "clock.h"
#include "compat.h"
#include "error_origin.h"
#include "guc.h"
#include "json.h"
#include "suspect.h"
#include "turn.h"
#include "usercall.h"

static void forget_turn(XactEvent event, void *arg);
static void watch_rollback(SubXactEvent event, SubTransactionId subid,
						   SubTransactionId parent, void *arg);
static bool went_straight(void *arg);
static void show_time(const Turn *turn);
static void begin(Turn *turn);
static void conclude(Turn *turn, UserCall *call);
static Jsonb *turn_body(void *arg);
static void condemn_at_exit(int code, Datum arg);
static void take_back(Turn *turn, int nevents, int dispatched);
static int	count_unanswered(Replay *replay, const int *tasks, int ntasks);
static void interpret_error(Turn *turn, UserCall *call);
static bool is_failure_of_call(const Turn *turn, const ErrorData *error);
static int	line_of_context(const char *context);

static Turn *current_turn = NULL;
static bool guarded = false;
static bool condemns_at_exit = false;

void
durable_turn_install(void)
{
	RegisterXactCallback(forget_turn, NULL);
	RegisterSubXactCallback(watch_rollback, NULL);
}

/* An error that this file does not catch must not leave the session inside a turn. */
static void
forget_turn(XactEvent event, void *arg)
{
	current_turn = NULL;
	guarded = false;
	durable_clock_show_real();
}

/*
 * A block of the orchestration with an exception handler has been rolled back.  If
 * activities had run in it, they have been rolled back too, although the history says
 * that they have completed.  Subtransactions are numbered as they begin: one that still
 * runs and is not younger than that of the activity contains the activity.
 */
static void
watch_rollback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && current_turn != NULL &&
		subid <= current_turn->innermost)
		current_turn->spoiled = true;
}

bool
durable_turn_active(void)
{
	return current_turn != NULL;
}

bool
durable_turn_guarded(void)
{
	return guarded;
}

Turn *
durable_turn_current(const char *function)
{
	if (current_turn == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_OUTSIDE),
				 errmsg("durable.%s() can only be called by a running orchestration", function),
				 durable_usercall_active() ?
				 errhint("An activity called it. Use durable.call_sub_orchestrator() to call one orchestration from another.") :
				 errhint("Use durable.start() or durable.run() to start the calling function as an orchestration.")));
	if (durable_usercall_is_ending())
		CHECK_FOR_INTERRUPTS();
	if (current_turn->stopped)
		durable_turn_stop(current_turn, current_turn->result.outcome);
	current_turn->awaited = NULL;	/* may be set by a call that ended with an error */
	current_turn->nawaited = 0;
	return current_turn;
}

TurnOutcome
durable_turn_run(Turn *turn)
{
	Instance   *instance = turn->instance;
	Replay	   *replay = &instance->replay;
	TurnResult *result = &turn->result;
	MemoryContext old = CurrentMemoryContext;
	int			nevents = replay->nevents;
	int			dispatched = instance->dispatched;
	UserCall	call = {0};

	Assert(current_turn == NULL);

	if (!condemns_at_exit)
		before_shmem_exit(condemn_at_exit, (Datum) 0);
	condemns_at_exit = true;
	begin(turn);

	call.body = turn_body;
	call.arg = turn;
	call.read_only = true;
	/* A companion has no limit here: it also waits for its worker, which enforces the limit. */
	call.timeout_us = turn->at_frontier && turn->mode == TURN_STEPWISE ? 0 :
		(int64) durable_turn_timeout * 1000;
	call.must_stop = true;
	call.flight = (FlightRun) {FLIGHT_TURN, instance->execution, 0, instance->key, 0};
	call.may_keep = turn->mode == TURN_WHOLE;
	call.keep = turn->mode == TURN_WHOLE ? went_straight : NULL;

	MemoryContextSwitchTo(instance->context);
	current_turn = turn;
	guarded = true;
	show_time(turn);
	durable_usercall_run(&call);
	durable_clock_show_real();
	guarded = false;
	current_turn = NULL;
	MemoryContextSwitchTo(instance->context);

	instance->compute_us += call.elapsed_us;
	turn->changed_settings |= call.changed_settings;
	conclude(turn, &call);

	/*
	 * The limit does not apply if activities have run, because their time is not the
	 * orchestration's.  A function that has changed since its look-up may have run with
	 * other code than the instance's.
	 */
	turn->discarded = durable_handler_is_stale(turn->handler) ||
		result->outcome == TURN_MISMATCH || result->outcome == TURN_ERROR ||
		(turn->mode == TURN_WHOLE && !call.kept) ||
		(turn->mode == TURN_PIECE && call.timed_out);
	if (turn->discarded)
	{
		take_back(turn, nevents, dispatched);
		result->custom_status = instance->custom_status;
		if (result->outcome == TURN_COMPLETED)
			result->outcome = TURN_WAITS;
	}
	instance->custom_status = result->custom_status;
	turn->fresh_events = replay->nevents;

	/* The replay's state stays readable until the caller ends the turn. */
	MemoryContextSwitchTo(old);
	return result->outcome;
}

TaskState *
durable_turn_await(Turn *turn, int task)
{
	Replay	   *replay = &turn->instance->replay;

	for (;;)
	{
		/* The array may have moved: look it up again. */
		TaskState  *state = durable_replay_task(replay, task);

		if (state->done)
		{
			state->seen = true;
			return state;
		}
		durable_turn_advance(turn);
	}
}

void
durable_turn_await_all(Turn *turn, const int *tasks, int ntasks)
{
	turn->awaited = tasks;
	turn->nawaited = ntasks;
	for (int i = 0; i < ntasks; i++)
		(void) durable_turn_await(turn, tasks[i]);
	turn->awaited = NULL;
	turn->nawaited = 0;
}

void
durable_turn_advance(Turn *turn)
{
	Replay	   *replay = &turn->instance->replay;

	CHECK_FOR_INTERRUPTS();
	while (!durable_replay_advance(replay))
		if (turn->at_frontier == NULL || !turn->at_frontier(turn))
		{
			/* This counts from the cursor, because activities within the turn may have been answered after it. */
			if (turn->nawaited > 1)
				turn->instance->runs_at = replay->cursor +
					count_unanswered(replay, turn->awaited, turn->nawaited);
			durable_turn_stop(turn, TURN_WAITS);
		}
		else
			turn->new_calls = 0;
	show_time(turn);
}

/* One event answers one task, so at least so many events are missing.  A task may be listed twice. */
static int
count_unanswered(Replay *replay, const int *tasks, int ntasks)
{
	Bitmapset  *counted = NULL;
	int			result = 0;

	for (int i = 0; i < ntasks; i++)
		if (!durable_replay_task(replay, tasks[i])->done)
			counted = bms_add_member(counted, tasks[i]);
	result = bms_num_members(counted);
	bms_free(counted);
	return result;
}

/*
 * Code that reads the time from PostgreSQL, where determinism.c cannot detect it, gets the
 * time of durable.now().
 */
static void
show_time(const Turn *turn)
{
	if (durable_determinism != DETERMINISM_OFF)
		durable_clock_show(turn->instance->replay.now);
}

void
durable_turn_stop(Turn *turn, TurnOutcome outcome)
{
	turn->stopped = true;
	turn->result.outcome = outcome;
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg_internal("turn of a durable orchestration ends here")));
}

/* May the effects of the activities that ran within the turn be kept? */
static bool
went_straight(void *arg)
{
	Turn	   *turn = arg;
	Replay	   *replay = &turn->instance->replay;

	return !turn->stopped && !turn->spoiled && !durable_handler_is_stale(turn->handler) && durable_replay_at_end(replay) &&
		durable_turn_next_activity(turn->instance) == NULL;
}

void
durable_turn_leave(Turn *turn)
{
	/* Every error from here on ends the turn, even if user code catches it. */
	turn->stopped = true;
	turn->result.outcome = TURN_WAITS;
	current_turn = NULL;
	guarded = false;
	durable_clock_show_real();
}

void
durable_turn_reenter(Turn *turn, bool completed)
{
	turn->stopped = !completed;
	if (completed && turn->mode == TURN_WHOLE)
		turn->innermost = Max(turn->innermost, GetCurrentSubTransactionId());
	current_turn = turn;
	guarded = true;
	show_time(turn);
}

/* Resets the turn, and the replay to the beginning of the history. */
static void
begin(Turn *turn)
{
	Instance   *instance = turn->instance;

	if (instance->run == NULL)
		instance->run = AllocSetContextCreate(instance->context, "durable turn",
											  ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(instance->run);
	durable_replay_rewind(&instance->replay, instance->run);
	turn->stopped = false;
	turn->result = (TurnResult) {.outcome = TURN_WAITS, .custom_status = instance->custom_status};
	turn->raised = NULL;
	turn->innermost = InvalidSubTransactionId;
	turn->spoiled = false;
	turn->discarded = false;
	turn->known_calls = instance->replay.ncalls;
	turn->new_calls = 0;
	instance->turns++;
	instance->wait_line = 0;
	instance->runs_at = 0;
	turn->awaited = NULL;
	turn->nawaited = 0;
}

/* Derives the result of the turn from that of the call: it waits, ends, or does not match the history. */
static void
conclude(Turn *turn, UserCall *call)
{
	Instance   *instance = turn->instance;
	Replay	   *replay = &instance->replay;
	TurnResult *result = &turn->result;
	char	   *leftover = NULL;

	if (turn->stopped)
	{
		/* The flag decides, even if the function has caught the error. */
		if (result->outcome == TURN_WAITS)
			leftover = durable_replay_leftover(replay, "waits");
		else if (result->outcome == TURN_CONTINUED_AS_NEW)
			leftover = durable_replay_leftover(replay, "continues as new");
		if (call->error != NULL && call->error->context != NULL)
			instance->wait_line = line_of_context(call->error->context);
	}
	else if (call->returned)
	{
		result->outcome = TURN_COMPLETED;
		result->payload = call->result;
		leftover = durable_replay_leftover(replay, "returns");
	}
	else
	{
		if (call->error->context != NULL)
			instance->wait_line = line_of_context(call->error->context);
		interpret_error(turn, call);
		if (result->outcome == TURN_FAILED)
			leftover = durable_replay_leftover(replay,
											   psprintf("fails with \"%s\"",
														durable_clip(call->error->message)));
	}

	if (leftover != NULL)
	{
		result->outcome = TURN_MISMATCH;
		result->mismatch = leftover;
	}
}

static Jsonb *
turn_body(void *arg)
{
	Turn	   *turn = arg;

	return durable_handler_call(turn->handler, -1, turn->instance->input);
}

/*
 * Code can catch every error, but not the end of its process.  The next process that
 * runs the instance must not run this code again.
 */
static void
condemn_at_exit(int code, Datum arg)
{
	if (current_turn == NULL || !durable_usercall_is_ending())
		return;
	durable_suspect_condemn(current_turn->instance->key);
	ereport(LOG,
			(errmsg("terminating durable process because orchestration \"%s\" caught the error raised at durable.turn_timeout and continued to run",
					current_turn->instance->name),
			 errdetail("Instance \"%s\" will be suspended.", current_turn->instance->instance_id)));
}

/* Removes the events that a discarded turn has recorded. */
static void
take_back(Turn *turn, int nevents, int dispatched)
{
	Instance   *instance = turn->instance;

	durable_replay_truncate(&instance->replay, nevents);
	instance->dispatched = dispatched;
	instance->runs_at = 0;
}

static void
interpret_error(Turn *turn, UserCall *call)
{
	bool		of_call = is_failure_of_call(turn, call->error);
	char	   *attempt;

	if (call->timed_out)
	{
		ErrorData  *error = call->error;

		error->sqlerrcode = ERRCODE_DURABLE_LIMIT;
		error->message = psprintf("orchestration \"%s\" ran for more than %d ms without waiting",
								  turn->instance->name, durable_turn_timeout);
		error->hint = pstrdup("Move long-running work into activities, or increase durable.turn_timeout.");
	}
	else if (durable_error_origin(call->error) != ERROR_OF_CODE && !of_call)
	{
		turn->result.outcome = TURN_ERROR;
		turn->result.error = call->error;
		return;
	}
	else if (call->stage == STAGE_BINDING)
	{
		turn->result.outcome = TURN_MISMATCH;
		turn->result.mismatch = durable_handler_problem("orchestration", turn->instance->name, call->error);
		return;
	}
	else if (call->error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION &&
			 call->error->hint == NULL)
		call->error->hint = pstrdup("An orchestration cannot write to tables. Use an activity or durable.call_sql().");
	else if (!of_call)
		durable_error_explain(call->error, "orchestration");

	attempt = of_call ? durable_json_get_text(turn->raised, "attempt") : NULL;
	turn->result.outcome = TURN_FAILED;
	turn->result.payload = durable_json_failure(call->error,
										 of_call ? durable_json_get_text(turn->raised, "activity") : NULL,
										 attempt ? atoi(attempt) : 0);
}

/*
 * Has a durable call raised this error from the history?  An activity may have failed
 * for lack of memory, but a failure from the history is the same in every replay.
 */
static bool
is_failure_of_call(const Turn *turn, const ErrorData *error)
{
	char	   *sqlstate;
	char	   *message;

	if (turn->raised == NULL)
		return false;
	sqlstate = durable_json_get_text(turn->raised, "sqlstate");
	message = durable_json_get_text(turn->raised, "message");
	return sqlstate != NULL && message != NULL && error->message != NULL &&
		strcmp(sqlstate, unpack_sql_state(error->sqlerrcode)) == 0 &&
		strcmp(message, error->message) == 0;
}

/*
 * Returns the line of that PL/pgSQL function, from an error's context.  The last
 * "PL/pgSQL function name(args) line N at" is the outermost frame, which is the
 * orchestration itself.
 */
static int
line_of_context(const char *context)
{
	static const char marker[] = ") line ";
	const char *at = NULL;

	for (const char *p = strstr(context, marker); p != NULL; p = strstr(p + 1, marker))
		at = p;
	return at == NULL ? 0 : atoi(at + strlen(marker));
}
