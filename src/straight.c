/*-------------------------------------------------------------------------
 *
 * straight.c
 *		Runs an orchestration straight through, its activities within the turn.
 *
 * Most short workflows call some short activities and return.  With a turn for
 * each activity, all calls are replayed again and again, and the stack unwound.
 * So an orchestration that has gone straight through some times is run in one
 * turn: where it would wait for an activity, the activity is run right there, in a
 * subtransaction within the turn's.  If the orchestration then returns, all of it
 * is kept.  If anything else happens - it waits for something else, an activity
 * fails or is slow, the batch's time is over, it raises an error - all of it is
 * rolled back, and it is run again turn by turn, as if this had not been tried.
 *
 * Turn by turn, an activity runs outside of the orchestration: as the owner, under
 * the owner's settings, and what it has done stays done whatever the orchestration's
 * code does then.  So within the turn none is run where a function with SECURITY
 * DEFINER, or with settings of its own, is on the stack, nor where the code has
 * changed a setting that names or texts depend on; and a block with an exception
 * handler that is rolled back with activities in it undoes the whole attempt.
 *
 * What is rolled back has had no effect on the database.  It may have had one
 * outside, so only activities in trusted languages are run this way.  An
 * orchestration for which it was in vain is not tried again for long.
 *
 * Owns:	what this process knows of orchestrations, see scores[]
 * Called by: execution.c
 * Locks:	whatever the activities take
 * Memory:	instance->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"

#include "activity.h"
#include "execution.h"

/* Tried after so many times in a row; after a failure so many more are needed. */
#define SCORE_TRIED		3
#define SCORE_FAILED	(-200)

/* Orchestrations with the same place share it: a wrong score costs time only. */
#define NSCORES			256

typedef struct Score
{
	Oid			function;
	int			score;
}			Score;

/* Under what code runs. */
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
	Setting		setting;		/* of the batch */
}			Attempt;

static Score *score_of(Oid function);
static bool run_within_turn(Turn *turn);
static void get_setting(Setting *setting);
static bool is_setting(const Setting *setting);

static Score scores[NSCORES];

void
durable_straight_learn(const Handler *handler)
{
	Score	   *score = score_of(handler->function);

	if (score->score < SCORE_TRIED)
		score->score++;
}

bool
durable_straight_run(Batch * batch, Instance *instance, Handler *handler, Turn *turn)
{
	Score	   *score = score_of(handler->function);
	Attempt		attempt = {batch, handler};
	int			first = instance->replay.nevents;
	int			writes = batch->writes;
	int64		user_us = batch->user_us;
	int64		compute_us = instance->compute_us;

	if (score->score < SCORE_TRIED || batch->cautious || instance->activities != NIL ||
		durable_batch_exhausted(batch))
		return false;

	get_setting(&attempt.setting);
	attempt.setting.search_path = MemoryContextStrdup(batch->context, namespace_search_path);
	attempt.setting.guc_levels++;	/* the turn's own, see usercall.c */
	turn->at_frontier = run_within_turn;
	turn->frontier_arg = &attempt;
	turn->straight = true;
	durable_turn_run(turn);
	turn->at_frontier = NULL;
	turn->straight = false;

	batch->turns++;
	batch->user_us = user_us + (instance->compute_us - compute_us);
	if (turn->outcome == TURN_COMPLETED)
	{
		for (int i = first; i < instance->replay.nevents; i++)
			if (instance->replay.events[i]->type == HISTORY_LOG_WRITTEN)
				durable_turn_log(instance, instance->replay.events[i]);
		return true;
	}

	batch->writes = writes;
	score->score = SCORE_FAILED;
	turn->fresh_events = first;
	return false;
}

/*
 * The orchestration waits.  Runs the activities it has asked for since, and says
 * true if all of them have completed.
 */
static bool
run_within_turn(Turn *turn)
{
	Attempt    *attempt = turn->frontier_arg;
	Batch	   *batch = attempt->batch;
	Instance   *instance = turn->instance;
	MemoryContext old = CurrentMemoryContext;
	bool		completed = instance->activities != NIL && !turn->spoiled &&
		is_setting(&attempt->setting);

	durable_turn_leave(turn);
	while (completed && instance->activities != NIL)
	{
		Decision   *decision = linitial(instance->activities);
		ActivityTarget *target;
		ActivityRun run = {0};

		MemoryContextSwitchTo(batch->context);
		target = durable_activity_target(&batch->targets, decision->name,
										 batch->owner, attempt->handler->namespace);
		MemoryContextSwitchTo(instance->context);

		completed = target->failure == NULL && target->trusted &&
			durable_activity_is_short(target, decision->input) &&
			!durable_batch_exhausted(batch);
		if (!completed)
			break;

		run.name = decision->name;
		run.handler = target->handler;
		run.function = target->function;
		run.input = decision->input;
		run.timeout_us = decision->timeout_us > 0 ? decision->timeout_us : target->timeout_us;
		run.is_inline = true;
		run.within_turn = true;
		run.attempt = 1;
		completed = durable_activity_run(&run) == ACTIVITY_COMPLETED &&
			!(MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE);
		batch->activities++;
		batch->user_us += run.elapsed_us;
		batch->writes += run.wrote;
		if (completed)
			durable_execution_add_event(batch, instance, HISTORY_TASK_COMPLETED,
										decision->task, NULL, run.payload);
		instance->activities = list_delete_first(instance->activities);
	}
	MemoryContextSwitchTo(old);
	durable_turn_reenter(turn, completed);
	return completed;
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
