/*-------------------------------------------------------------------------
 *
 * turn_record.c
 *		The events that a turn adds to the history of its instance.
 *
 * A durable call that is in the history gets its recorded event; a new one is recorded,
 * within the limits on the number of calls and events.  Events of a companion or of an
 * external worker, which has run the turn, are adopted.
 *
 * Owns:	the order of calls: each new one gets the next number
 * Called by: the *_calls.c (record, answer); dispatch.c, execution.c, outcome.c,
 *			straight_through.c and turn.c (next activity); companion.c, external.c (adopt);
 *			companion.c, straight_through.c, context_calls.c (log)
 * Locks:	none; in a worker the caller holds the instance's row lock
 * Memory:	events in instance->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "guc.h"
#include "json.h"
#include "turn.h"

static void check_limits(Turn *turn);

bool
durable_turn_next_is_new(const Turn *turn)
{
	return durable_replay_at_end(&turn->instance->replay);
}

int
durable_turn_record(Turn *turn, HistoryType type, const char *name,
					Jsonb *extra, Jsonb *payload, HistoryEvent **recorded)
{
	Instance   *instance = turn->instance;
	char	   *mismatch;
	int			task;
	MemoryContext old = MemoryContextSwitchTo(instance->context);

	task = durable_replay_call(&instance->replay, type, name, recorded, &mismatch);
	if (mismatch != NULL)
	{
		turn->result.mismatch = mismatch;
		durable_turn_stop(turn, TURN_MISMATCH);
	}
	if (*recorded == NULL)
	{
		HistoryEvent *event;

		check_limits(turn);
		event = palloc0(sizeof(HistoryEvent));
		event->type = type;
		event->task = task;
		event->name = name ? pstrdup(name) : NULL;
		event->time = turn->clock;
		if (extra != NULL)
		{
			event->extra = palloc(VARSIZE(extra));
			memcpy(event->extra, extra, VARSIZE(extra));
		}
		if (payload != NULL)
		{
			event->payload = palloc(VARSIZE(payload));
			memcpy(event->payload, payload, VARSIZE(payload));
		}
		durable_replay_add(&instance->replay, event);
		durable_replay_task(&instance->replay, task)->name = event->name;
	}
	MemoryContextSwitchTo(old);
	return task;
}

/* Checks the limits for the next call, which is new. */
static void
check_limits(Turn *turn)
{
	Instance   *instance = turn->instance;

	if (instance->replay.nevents >= durable_history_limit)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("history of instance \"%s\" has reached the limit of %d events",
						instance->instance_id, durable_history_limit),
				 errhint("Use durable.continue_as_new() in orchestrations that run forever, divide large orchestrations into sub-orchestrations, or increase durable.history_limit.")));
	if (durable_turn_calls_limit > 0 && turn->new_calls >= durable_turn_calls_limit)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("orchestration \"%s\" has made %d durable calls without waiting for any of them",
						instance->name, durable_turn_calls_limit),
				 errhint("Wait for some calls before you make more, divide the work among sub-orchestrations, or increase durable.turn_calls_limit.")));
	turn->new_calls++;
}

void
durable_turn_answer(Turn *turn, HistoryType type, int task, const Jsonb *payload)
{
	MemoryContext old = MemoryContextSwitchTo(turn->instance->context);
	HistoryEvent *event = palloc0(sizeof(HistoryEvent));

	event->type = type;
	event->task = task;
	event->time = turn->clock;
	if (payload != NULL)
	{
		event->payload = palloc(VARSIZE(payload));
		memcpy(event->payload, payload, VARSIZE(payload));
	}
	durable_replay_add(&turn->instance->replay, event);
	MemoryContextSwitchTo(old);
}

HistoryEvent *
durable_turn_next_activity(Instance *instance)
{
	Replay	   *replay = &instance->replay;

	if (instance->dispatched < 0)
		instance->dispatched = replay->ncalls;
	for (; instance->dispatched < replay->ncalls; instance->dispatched++)
	{
		HistoryEvent *call = replay->events[replay->calls[instance->dispatched]];

		/* A call whose arguments were refused has its answer. */
		if (call->type == HISTORY_TASK_SCHEDULED &&
			(call->extra == NULL || durable_json_get_member(call->extra, "failure") == NULL))
			return call;
	}
	return NULL;
}

void
durable_turn_adopt(Instance *instance, HistoryEvent **events, int nevents)
{
	MemoryContext old = MemoryContextSwitchTo(instance->context);

	for (int i = 0; i < nevents; i++)
	{
		if (!durable_history_is_call(events[i]->type) ||
			events[i]->task != instance->replay.ncalls + 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("runner of a turn of instance \"%s\" sent %s with number %d, but call %d was expected",
							instance->instance_id, durable_history_type_name(events[i]->type),
							events[i]->task, instance->replay.ncalls + 1)));
		durable_replay_add(&instance->replay, events[i]);
	}
	MemoryContextSwitchTo(old);
}

void
durable_turn_log(const Instance *instance, const HistoryEvent *event)
{
	JsonbValue	line;

	if (event->payload == NULL ||
		!JsonbExtractScalar(&event->payload->root, &line) || line.type != jbvString)
		return;
	ereport(LOG,
			(errmsg("%s", durable_clip(pnstrdup(line.val.string.val, line.val.string.len))),
			 errdetail("Orchestration \"%s\", instance \"%s\".",
					   instance->name, instance->instance_id),
			 errhidecontext(true)));
}
