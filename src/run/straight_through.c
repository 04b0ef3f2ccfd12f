/*-------------------------------------------------------------------------
 *
 * straight_through.c
 *		Runs a turn together with its activities, without a replay after each of them.
 *
 * Turn by turn, all calls are replayed for each activity, and the stack is unwound.
 * Straight through, activities run at the point where the orchestration would wait
 * for them, in subtransactions within the turn's.  There are two methods.
 *
 * In a piece (TURN_PIECE) only activities run that leave nothing in the database.  The
 * turn's subtransaction is rolled back like any other, so the stack may be unwound at
 * any point, and the calls and answers up to that point count.  The piece ends at an
 * activity that must be run outside, when the orchestration waits for something else,
 * or when the time is used up.  An activity that turns out to leave something is
 * rolled back, and run once more outside.  A long burst is a series of pieces, with a
 * replay at the beginning of each.  So a piece may take as long as its replay has
 * taken: then at most half of the time goes into replays, however long the history is,
 * and other instances of the same batch wait for the piece no longer than for the
 * replay.  A limit bounds the time for which the row lock and the snapshot are held.
 *
 * An orchestration whose activities write runs as a whole (TURN_WHOLE).  If the
 * orchestration returns, all effects are kept.  If it waits or raises an error, an
 * activity fails or is slow, or the batch's time is over, all of it is rolled back,
 * and it is run again turn by turn, as if the attempt had not been made.  The method
 * is then not tried with that orchestration for a long time.
 *
 * Turn by turn, an activity runs outside of the orchestration: as the owner, under the
 * owner's settings, and its effects stay regardless of the later actions of the
 * orchestration's code.  So no activity is run within the turn if a function with SECURITY
 * DEFINER, or with settings of its own, is on the stack, or if the code has changed a
 * setting.  If a block with an exception handler is rolled back with activities in it,
 * the whole attempt is undone.  (In a piece they have left nothing that could be
 * undone.)
 *
 * An attempt that is rolled back has had no effect on the database.  It may have had
 * one outside, so only activities in trusted languages are run this way.
 *
 * Owns:	the scores of orchestrations in this process, see scores[]
 * Called by: execution.c
 * Locks:	the locks that the activities take
 * Memory:	instance->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "portability/instr_time.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"

#include "activity.h"
#include "decision.h"
#include "guc.h"
#include "instance.h"
#include "straight_through.h"
#include "usercall.h"

/*
 * The method is tried when the score is SCORE_TRIED.  A suitable run adds one.  A failure
 * sets it to SCORE_FAILED, and in bursts as many further attempts are skipped.
 */
#define SCORE_TRIED		3
#define SCORE_FAILED	(-200)

/* Orchestrations with the same hash share an entry, because a wrong score costs only time. */
#define NSCORES			256

/*
 * The longest piece, in batch limits.  By default an inline activity that waits for a
 * lock delays its batch for longer than this.
 */
#define PIECE_BATCHES	20

typedef struct Score
{
	Oid			function;
	int			score;
	int			passed_over;	/* occasions in bursts that are left, after one was discarded */
	bool		leaves;			/* its activities leave something in the database */
}			Score;

/* The environment in which code runs. */
typedef struct Setting
{
	Oid			user;
	int			security_context;
	int			guc_levels;		/* beyond those of subtransactions */
	char	   *search_path;
	int			date_style;
	int			date_order;
	int			interval_style;
	int			float_digits;
	int			bytea_style;
	pg_tz	   *timezone;
}			Setting;

typedef struct Attempt
{
	Batch	   *batch;
	Handler    *handler;
	Score	   *score;
	bool		in_burst;
	Setting		setting;		/* of the batch */

	/* TURN_PIECE */
	instr_time	began;
	int64		replay_us;		/* until the first activity; 0: not yet there */
	int64		until_us;		/* since it began */
	int64		us;
	bool		refused;		/* stopped at an activity that cannot be run here; if replay_us is 0, no activity has run */
}			Attempt;

static Score *score_of(Oid function);
static bool run_within_turn(Turn *turn);
static bool run_activity(Turn *turn, HistoryEvent *call);
static bool has_time(Attempt *attempt, TurnMode mode);
static void get_setting(Setting *setting);
static bool is_setting(const Setting *setting);

static Score scores[NSCORES];

void
durable_straight_learn(const Turn *turn, bool wrote)
{
	Score	   *score = score_of(turn->handler->function);

	/* PL/pgSQL prepares an expression once for each transaction, so the next use may not be noticed. */
	if (turn->changed_settings)
		score->score = SCORE_FAILED;
	else if (score->score < SCORE_TRIED)
		score->score++;
	score->leaves |= wrote;
}

bool
durable_straight_run(Batch * batch, Instance *instance, Handler *handler, Turn *turn,
					 bool in_burst, bool *pays)
{
	Score	   *score = score_of(handler->function);
	bool		is_known = score->score >= SCORE_TRIED;
	Attempt		attempt = {batch, handler, score, in_burst};
	int			first = instance->replay.nevents;
	int			writes = batch->writes;
	int64		user_us = batch->user_us;
	int64		compute_us = instance->compute_us;

	*pays = false;
	if (in_burst && score->passed_over > 0)
	{
		score->passed_over--;
		return false;
	}
	if (!(is_known || in_burst) || turn->changed_settings || batch->cautious || durable_turn_next_activity(instance) != NULL ||
		durable_batch_exhausted(batch))
		return false;

	get_setting(&attempt.setting);
	attempt.setting.search_path = MemoryContextStrdup(batch->context, namespace_search_path);
	attempt.setting.guc_levels++;	/* the turn's own, see usercall.c */
	INSTR_TIME_SET_CURRENT(attempt.began);
	turn->at_frontier = run_within_turn;
	turn->frontier_arg = &attempt;
	turn->mode = in_burst || !score->leaves ? TURN_PIECE : TURN_WHOLE;
	durable_turn_run(turn);
	turn->at_frontier = NULL;

	batch->turns++;
	batch->user_us = user_us + (instance->compute_us - compute_us);
	if (turn->discarded)
	{
		batch->writes = writes;
		score->score = SCORE_FAILED;
		if (in_burst)
			score->passed_over = -SCORE_FAILED;
		turn->fresh_events = first;
	}
	else
		for (int i = first; i < instance->replay.nevents; i++)
			if (instance->replay.events[i]->type == HISTORY_LOG_WRITTEN)
				durable_turn_log(instance, instance->replay.events[i]);

	*pays = !turn->discarded &&
		(!attempt.refused || (attempt.replay_us > 0 && attempt.us - attempt.replay_us >= attempt.replay_us));
	turn->mode = TURN_STEPWISE;
	return !turn->discarded;
}

/*
 * The orchestration waits.  Runs the activities it has called since, and returns
 * true if all of them have been answered.
 */
static bool
run_within_turn(Turn *turn)
{
	Attempt    *attempt = turn->frontier_arg;
	Instance   *instance = turn->instance;
	MemoryContext old = CurrentMemoryContext;
	HistoryEvent *call = durable_turn_next_activity(instance);
	bool		completed = call != NULL && !turn->spoiled &&
		is_setting(&attempt->setting) && !durable_usercall_changed_settings();

	if (call != NULL && !completed)
		attempt->refused = true;
	durable_turn_leave(turn);
	MemoryContextSwitchTo(instance->context);
	for (; completed && call != NULL; call = durable_turn_next_activity(instance))
	{
		completed = has_time(attempt, turn->mode) && run_activity(turn, call);
		if (completed)
			instance->dispatched = call->task;
		else
			break;
	}
	MemoryContextSwitchTo(old);
	durable_turn_reenter(turn, completed);
	return completed;
}

static bool
run_activity(Turn *turn, HistoryEvent *call)
{
	Attempt    *attempt = turn->frontier_arg;
	Batch	   *batch = attempt->batch;
	Instance   *instance = turn->instance;
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	Decision	decision;
	ActivityTarget *target;
	ActivityRun run = {0};

	(void) durable_decision_read(call, &decision);
	target = durable_activity_target(&batch->targets, decision.name,
									 batch->owner, attempt->handler->namespace);
	MemoryContextSwitchTo(old);
	attempt->refused = true;
	if (target->failure != NULL || !target->trusted ||
		!durable_activity_is_short(target, decision.input))
		return false;

	run.name = decision.name;
	run.handler = target->handler;
	run.function = target->function;
	run.input = decision.input;
	run.timeout_us = decision.timeout_us > 0 ? decision.timeout_us : target->timeout_us;
	run.is_inline = true;
	run.within_turn = true;
	run.must_leave_nothing = turn->mode == TURN_PIECE;
	run.attempt = 1;
	run.flight = (FlightRun) {FLIGHT_INLINE, instance->execution, decision.task, instance->key, 0};
	if (durable_activity_run(&run) != ACTIVITY_COMPLETED ||
		(MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) || run.set_constraints)
	{
		/* The activity is going to be run once more, which is acceptable only if it is one of many. */
		if (run.left)
			attempt->score->leaves = true;
		else if (!attempt->in_burst)
			attempt->score->score = SCORE_FAILED;
		return false;
	}

	/* See dispatch.c. */
	batch->closed |= run.notified;
	attempt->refused = false;
	batch->activities++;
	batch->user_us += run.elapsed_us;
	batch->writes += run.wrote;
	durable_instance_add_event(batch, instance, HISTORY_TASK_COMPLETED,
								decision.task, NULL, run.payload);
	return true;
}

static bool
has_time(Attempt *attempt, TurnMode mode)
{
	instr_time	now;

	if (mode == TURN_WHOLE)
		return !durable_batch_exhausted(attempt->batch);

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, attempt->began);
	attempt->us = INSTR_TIME_GET_MICROSEC(now);
	if (attempt->replay_us == 0)
	{
		attempt->replay_us = Max(attempt->us, 1);
		attempt->until_us = attempt->us +
			Min(Max(attempt->us, durable_batch_us_left(attempt->batch)), (int64) PIECE_BATCHES * durable_batch_limit);
	}
	return attempt->us < attempt->until_us && !attempt->batch->closed;
}

static void
get_setting(Setting *setting)
{
	int			level = NewGUCNestLevel();

	AtEOXact_GUC(true, level);
	GetUserIdAndSecContext(&setting->user, &setting->security_context);
	setting->guc_levels = level - GetCurrentTransactionNestLevel();
	setting->search_path = namespace_search_path;
	setting->date_style = DateStyle;
	setting->date_order = DateOrder;
	setting->interval_style = IntervalStyle;
	setting->float_digits = extra_float_digits;
	setting->bytea_style = bytea_output;
	setting->timezone = session_timezone;
}

static bool
is_setting(const Setting *setting)
{
	Setting		now;

	get_setting(&now);
	return now.user == setting->user &&
		now.security_context == setting->security_context &&
		now.guc_levels == setting->guc_levels &&
		strcmp(now.search_path, setting->search_path) == 0 &&
		now.date_style == setting->date_style &&
		now.date_order == setting->date_order &&
		now.interval_style == setting->interval_style &&
		now.float_digits == setting->float_digits &&
		now.bytea_style == setting->bytea_style &&
		now.timezone == setting->timezone;
}

static Score *
score_of(Oid function)
{
	Score	   *score = &scores[function % NSCORES];

	if (score->function != function)
	{
		score->function = function;
		score->score = 0;
	}
	return score;
}
