/*-------------------------------------------------------------------------
 *
 * compensation.c
 *		Starts the compensations of an instance that has failed or was terminated.
 *
 * The compensations that an orchestration records with durable.compensate_with are in its
 * history.  The unit that ends the instance as Failed or Terminated starts an instance of
 * durable.run_compensations in the same commit, with these activities in reverse order as
 * its input.  So a crash cannot separate the end from the compensations, and after a crash
 * between two of them that instance continues like any other.  It is not a
 * sub-orchestration, because it has to continue when the ended instance or its parents are
 * terminated or purged.
 *
 * continue_as_new copies compensations into the next execution as events that are not calls.
 *
 * Called by: outcome.c, rewind.c
 * Locks:	the caller holds the instance's row lock
 * Memory:	CurrentMemoryContext, which is the instance's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "child_id.h"
#include "compensation.h"
#include "decision.h"
#include "instance.h"
#include "json.h"
#include "outcome.h"

#define RUNNER_NAME		"durable.run_compensations"
#define RUNNER			RUNNER_NAME "(jsonb)"

static bool is_compensation(const HistoryEvent *event);
static Jsonb *steps_of(const Replay *replay);
static Jsonb *with_member(Jsonb *object, const char *member, const Jsonb *value);

static bool
is_compensation(const HistoryEvent *event)
{
	/* A refused call has its failure instead of a handler. */
	return (event->type == HISTORY_COMPENSATION_ADDED || event->type == HISTORY_COMPENSATION_KEPT) &&
		durable_json_get_member(event->extra, "handler") != NULL;
}

Jsonb *
durable_compensation_start(Batch * batch, Instance *instance, Jsonb *failure)
{
	Jsonb	   *steps = steps_of(&instance->replay);
	Decision	decision = {.kind = DECISION_START, .name = RUNNER_NAME, .handler = RUNNER, .input = steps};

	if (steps == NULL)
		return failure;
	decision.instance_id = durable_undo_id(instance);
	durable_instance_add_event(batch, instance, HISTORY_COMPENSATION_STARTED, 0, decision.instance_id, NULL);
	durable_outcome_start(batch, instance, &decision, 1, 0);
	return with_member(failure, "compensation", durable_json_text(decision.instance_id));
}

/* Returns the compensations, the last one first; NULL if there are none. */
static Jsonb *
steps_of(const Replay *replay)
{
	JsonbParseState *state = NULL;
	int			n = 0;

	for (int i = replay->nevents - 1; i >= 0; i--)
	{
		const HistoryEvent *event = replay->events[i];

		if (!is_compensation(event))
			continue;
		if (n++ == 0)
			pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		durable_json_push_member(&state, "name", durable_json_text(event->name));
		durable_json_push_member(&state, "input", event->payload);
		durable_json_push_member(&state, "retry", durable_json_get_member(event->extra, "retry"));
		durable_json_push_member(&state, "handler", durable_json_get_member(event->extra, "handler"));
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return n == 0 ? NULL : JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
with_member(Jsonb *object, const char *member, const Jsonb *value)
{
	JsonbParseState *state = NULL;
	Jsonb	   *added;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, member, value);
	added = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	if (object == NULL || !JB_ROOT_IS_OBJECT(object))
		return added;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(object), JsonbPGetDatum(added)));
}

bool
durable_compensation_is_started(const Instance *instance)
{
	const Replay *replay = &instance->replay;

	for (int i = replay->nevents - 1; i >= 0; i--)
		if (replay->events[i]->type == HISTORY_COMPENSATION_STARTED)
			return true;
	return false;
}

void
durable_compensation_keep(const Replay *replay, HistoryEvent ***kept, int *nkept, int *allocated)
{
	for (int i = 0; i < replay->nevents; i++)
	{
		HistoryEvent *event;

		if (!is_compensation(replay->events[i]))
			continue;
		event = palloc(sizeof(HistoryEvent));
		*event = *replay->events[i];
		event->type = HISTORY_COMPENSATION_KEPT;
		event->task = 0;
		durable_history_append(kept, nkept, allocated, event);
	}
}
