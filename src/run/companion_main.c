/*-------------------------------------------------------------------------
 *
 * companion_main.c
 *		The companion's side: runs orchestrations, whose activities the worker runs.
 *
 * companion.c describes its purpose, companion_link.h the messages.  The process
 * connects as the owner of the instances and runs their code in read-only turns like
 * any worker.  It lives as long as its worker does, or until it has been idle for a
 * while.
 *
 * Called by: the postmaster, when a worker has requested the process; turns, through turn->at_frontier
 * Locks:	none; its transaction holds a snapshot during a run
 * Memory:	the link in TopMemoryContext; a run's in its transaction
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "companion.h"
#include "companion_link.h"
#include "engine.h"
#include "flight.h"
#include "handler.h"
#include "json.h"
#include "registry.h"
#include "session.h"

#define IDLE_MS			10000

/* A run holds a snapshot, so it ends when its worker does other work for this time. */
#define RUN_IDLE_MS		1000

static void run_instance(const Jsonb *description);
static Handler *find_handler(const Jsonb *description);
static Jsonb *input_of(const Jsonb *description);
static bool at_frontier(Turn *turn);
static bool only_activities(const Instance *instance);
static void add_answers(Instance *instance, const Jsonb *history);

static CompanionLink to_worker;
static int	sent = 0;			/* events of this run that the worker has */

void
durable_companion_main(Datum arg)
{
	CompanionStart start;
	MemoryContext context;

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	if (!durable_flight_attach(start.database, die))
		proc_exit(0);
	BackgroundWorkerUnblockSignals();

	/* Attaching needs an owner for the mapping until it is pinned. */
	MemoryContextSwitchTo(TopMemoryContext);
	if (!durable_link_attach(&to_worker, start.segment))
		proc_exit(0);
	durable_session_connect(to_worker.database, to_worker.owner);
	durable_flight_connected();
	durable_link_open(&to_worker);

	context = AllocSetContextCreate(TopMemoryContext, "durable companion",
									ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		Jsonb	   *body;

		MemoryContextSwitchTo(context);
		MemoryContextReset(context);
		pgstat_report_activity(STATE_IDLE, NULL);
		switch (durable_link_receive(&to_worker, &body, IDLE_MS))
		{
			case MESSAGE_BEGIN:
				pgstat_report_activity(STATE_RUNNING, "durable orchestration");
				run_instance(body);
				break;
			case MESSAGE_ANSWER:
			case MESSAGE_STOP:
				/* The answer to a request whose run had ended already: the worker waits for it. */
				break;
			default:
				proc_exit(0);	/* the worker has exited, or has no work for this process */
		}
	}
}

/* Performs one run, in a transaction that leaves no effects. */
static void
run_instance(const Jsonb *description)
{
	Instance   *instance;
	Turn		turn = {0};
	Jsonb	   *history;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!durable_engine_lock())
		proc_exit(0);
	durable_registry_load(false);

	instance = palloc0(sizeof(Instance));
	instance->context = AllocSetContextCreate(CurrentMemoryContext, "durable instance",
											  ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(instance->context);
	instance->owner = GetUserId();
	instance->instance_id = durable_json_get_text(description, "instance_id");
	instance->name = durable_json_get_text(description, "name");
	instance->parent_instance_id = durable_json_get_text(description, "parent_instance_id");
	instance->input = input_of(description);
	instance->custom_status = durable_json_get_member(description, "custom_status");
	instance->key = durable_history_get_number(durable_json_get_member(description, "key"));
	instance->execution = (int32)
		durable_history_get_number(durable_json_get_member(description, "execution"));
	instance->parent_attempt = (int32)
		durable_history_get_number(durable_json_get_member(description, "parent_attempt"));
	instance->created_at =
		durable_history_get_number(durable_json_get_member(description, "created_at"));
	instance->replay.started =
		durable_history_get_number(durable_json_get_member(description, "started_at"));

	sent = 0;
	turn.instance = instance;
	turn.clock = instance->replay.started;
	turn.at_frontier = at_frontier;

	/* The history comes as the first answer. */
	if (durable_link_receive(&to_worker, &history, RUN_IDLE_MS) == MESSAGE_ANSWER)
	{
		add_answers(instance, history);
		sent = turn.fresh_events = instance->replay.nevents;
		turn.handler = find_handler(description);
		if (turn.handler != NULL)
			(void) durable_turn_run(&turn);
	}
	AbortCurrentTransaction();
	if (!durable_link_send(&to_worker, MESSAGE_END, NULL))
		proc_exit(0);
}

/* Returns NULL if this process finds other code than the worker has found. */
static Handler *
find_handler(const Jsonb *description)
{
	Handler    *handler = durable_handler_resolve(durable_json_get_text(description, "handler"));

	if (durable_handler_code_hash(handler) !=
		durable_history_get_number(durable_json_get_member(description, "code_hash")))
		return NULL;
	return durable_handler_at_home(handler, durable_json_get_text(description, "home"));
}

/* Returns NULL if there is no value; a JSON null is a value. */
static Jsonb *
input_of(const Jsonb *description)
{
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &description->root),
													 "input", strlen("input"), &buffer);

	return value ? JsonbValueToJsonb(value) : NULL;
}

/*
 * The orchestration waits and has seen all of its history.  If it has called
 * activities since, requests them from the worker, and returns true once there are
 * further events.
 */
static bool
at_frontier(Turn *turn)
{
	Instance   *instance = turn->instance;
	Replay	   *replay = &instance->replay;
	JsonbParseState *state = NULL;
	JsonbValue	value;
	Jsonb	   *parts[2];
	Jsonb	   *answers;

	if (replay->nevents == sent || !only_activities(instance) || durable_handler_is_stale(turn->handler))
		return false;

	parts[0] = durable_history_encode(replay->events + sent,
									  replay->nevents - sent, 0);
	parts[1] = turn->result.custom_status;
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < lengthof(parts); i++)
	{
		if (parts[i] == NULL)
			value.type = jbvNull;
		else
		{
			value.type = jbvBinary;
			value.val.binary.data = &parts[i]->root;
			value.val.binary.len = VARSIZE(parts[i]) - VARHDRSZ;
		}
		pushJsonbValue(&state, WJB_ELEM, &value);
	}

	/*
	 * When the worker has exited, the run ends, and after it the process (see run_instance).
	 * An exit at this point, within user code, would be attributed to that code.
	 */
	if (!durable_link_send(&to_worker, MESSAGE_CALLS,
						   JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL))))
		return false;

	if (durable_link_receive(&to_worker, &answers, RUN_IDLE_MS) != MESSAGE_ANSWER)
		return false;			/* stopped, alone, or forgotten */
	add_answers(instance, answers);
	sent = replay->nevents;
	turn->clock = Max(turn->clock, replay->nevents > 0 ?
					  replay->events[replay->nevents - 1]->time : 0);
	return true;
}

/* Are there only activities, log lines and changes of the code since the last message to the worker? */
static bool
only_activities(const Instance *instance)
{
	const Replay *replay = &instance->replay;

	for (int i = sent; i < replay->nevents; i++)
		if (replay->events[i]->type != HISTORY_TASK_SCHEDULED &&
			replay->events[i]->type != HISTORY_LOG_WRITTEN && replay->events[i]->type != HISTORY_PATCHED)
			return false;
	return true;
}

static void
add_answers(Instance *instance, const Jsonb *history)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);
	HistoryEvent **events = NULL;
	int			nevents = 0;
	int			allocated = 0;

	durable_history_decode(history, HISTORY_FORMAT, 0, &events, &nevents, &allocated);
	for (int i = 0; i < nevents; i++)
		durable_replay_add(&instance->replay, events[i]);
	MemoryContextSwitchTo(old);
}
