/*-------------------------------------------------------------------------
 *
 * external.c
 *		Turns of external orchestrations, in a unit of work.
 *
 * The messages of an external instance become events of its history, as those of any other
 * instance do.  Then the unit does not run a turn, but adds a row of durable.queued_task for
 * it.  A worker fetches it with all events that exist at that moment (turn_api.c).  Events
 * that arrive while the turn is out are appended to the history.  When the worker completes
 * the turn, it sends a message with the calls of the turn.  The unit that takes this message
 * appends an event OrchestratorStarted, which has the number of events that the turn saw, and
 * the calls.  For the worker, turn_events.c puts the events that came meanwhile behind the
 * calls.
 *
 *	events that no turn has seen --> ready --fetched--> out --completed--> calls in the history
 *	                                   ^                 |
 *	                                   `--lease ends-----'
 *
 * instance->runs_at is TURN_IS_OUT while that row exists.  Calls have consecutive task
 * numbers, as all calls of the engine have.  The number that the orchestration has given to
 * its call is in the event (decision.c).
 *
 * A turn has no effects before it is completed.  So a turn that is completed while the
 * instance is suspended is discarded, and run again afterwards.
 *
 * The whole history goes to the worker with each turn, as one JSON value, which cannot have
 * more than 255 MB.  An instance whose history gets near that fails.  Otherwise each fetch
 * that includes its turn would fail, and the turns of all other instances of the queue would
 * not be fetched either.
 *
 * Called by: execution.c, outcome.c, dispatch.c, entity_dispatch.c, entity_external.c
 * Locks:	the caller holds the instance's row lock
 * Memory:	instance->context; rows to be written in batch->context
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "child_id.h"
#include "dispatch.h"
#include "entity.h"
#include "error_origin.h"
#include "external.h"
#include "guc.h"
#include "handler.h"
#include "instance.h"
#include "json.h"
#include "outcome.h"
#include "registry.h"
#include "usercall.h"
#include "verbatim.h"
#include "waiting.h"

#define MOST_HISTORY_MB	128		/* without the names of members and events, which JSON adds */

/* Input and result of looking up the function of an orchestration in SQL. */
typedef struct ChildLookup
{
	ExternalStart *start;
	const Registration *registration;
	MemoryContext context;
	const char *missing;		/* a version that is not registered; NULL: there is none */
}			ChildLookup;

static bool is_too_large(const Instance *instance);
static bool has_news(const Instance *instance);
static void request_turn(Batch * batch, Instance *instance);
static void add_started(Batch * batch, Instance *instance, const Message *message, const Jsonb *ending);
static void add_call(Batch * batch, Instance *instance, HistoryEvent *call);
static void resolve_child(Batch * batch, Instance *instance, HistoryEvent *call);
static Jsonb *look_up_child(void *arg);
static void resolve_unlock(const Instance *instance, HistoryEvent *call);
static void end(Batch * batch, Instance *instance, const Jsonb *ending, int seen);
static void carry_over(TurnResult *result, const Instance *instance, const Jsonb *carryover, int seen);

bool
durable_external_is(const Instance *instance)
{
	return durable_verbatim_queue(instance->handler_signature) != NULL;
}

void
durable_external_go_on(Batch * batch, Instance *instance)
{
	if (STATUS_IS_FINISHED(instance->status))
		return;
	if (instance->status != STATUS_SUSPENDED && is_too_large(instance))
	{
		char	   *text = psprintf("history of instance \"%s\" is larger than %d MB, which is the most that a worker can be given",
									instance->instance_id, MOST_HISTORY_MB);

		batch->gone_tasks = lappend(batch->gone_tasks, instance);	/* its turn, if one is ready or out */
		instance->leaves_children = true;
		if (instance->status == STATUS_PENDING) /* its first turn has not been completed */
			durable_instance_set_status(instance, STATUS_RUNNING, NULL);
		durable_outcome_finish(batch, instance, STATUS_FAILED, NULL, durable_json_make_failure(ERRCODE_DURABLE_LIMIT, text));
		return;
	}
	instance->again = NIL;		/* after a rewind the orchestration calls them again */
	(void) durable_entities_dispatch(batch, instance);
	if (instance->started_at != 0 && instance->status == STATUS_RUNNING)
		(void) durable_dispatch_run(batch, instance, InvalidOid, false);
	durable_outcome_carry_out(batch, instance);
	if (instance->started_at != 0 &&
		(instance->status == STATUS_PENDING || instance->status == STATUS_RUNNING) &&
		instance->runs_at != TURN_IS_OUT && has_news(instance) && !durable_replay_lacks_locks(&instance->replay))
		request_turn(batch, instance);
	instance->waiting = durable_waiting_of_history(instance);
}

static bool
is_too_large(const Instance *instance)
{
	const Size	most = (Size) MOST_HISTORY_MB * 1024 * 1024;
	Size		size = 0;

	if (instance->replay.nevents < most / ((Size) durable_max_payload * 1024))
		return false;
	for (int i = 0; i < instance->replay.nevents && size <= most; i++)
	{
		const HistoryEvent *event = instance->replay.events[i];

		size += (event->payload ? VARSIZE(event->payload) : 0) + (event->extra ? VARSIZE(event->extra) : 0);
	}
	return size > most;
}

/* Returns whether there is an event that no completed turn has seen. */
static bool
has_news(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	int			seen = -1;

	for (int i = replay->nevents - 1; i >= 0 && seen < 0; i--)
		if (replay->events[i]->type == HISTORY_TURN_STARTED)
			seen = durable_history_get_number(durable_json_get_member(replay->events[i]->extra, "events"));
	if (seen < 0)
		return true;			/* the first turn sees that the execution has started */
	for (int i = seen; i < replay->nevents; i++)
		if (!durable_history_is_call(replay->events[i]->type) &&
			replay->events[i]->type != HISTORY_TURN_STARTED)
			return true;
	return false;
}

static void
request_turn(Batch * batch, Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	TaskRow    *row = palloc0(sizeof(TaskRow));

	row->key = instance->key;
	row->execution = instance->execution;
	row->attempt = 1;
	row->scheduled_at = row->run_at = batch->clock;
	row->name = instance->name;
	row->queue = durable_verbatim_queue(instance->handler_signature);
	batch->new_queued = lappend(batch->new_queued, row);
	instance->runs_at = TURN_IS_OUT;
	MemoryContextSwitchTo(old);
}

/* --- a completed turn --------------------------------------------------------------------- */

void
durable_external_apply(Batch * batch, Instance *instance, const Message *message)
{
	HistoryEvent **calls = NULL;
	int			ncalls = 0;
	int			allocated = 0;
	Jsonb	   *ending = durable_json_get_member(message->payload, "end");
	Jsonb	   *encoded = durable_json_get_member(message->payload, "calls");

	if (message->execution != instance->execution)
		return;
	instance->runs_at = 0;
	if (instance->started_at == 0 || message->task > instance->replay.nevents ||
		(instance->status != STATUS_PENDING && instance->status != STATUS_RUNNING))
		return;

	if (encoded != NULL)
		durable_history_decode(encoded, HISTORY_FORMAT, message->at, &calls, &ncalls, &allocated);
	/* Activities of calls up to this point have been dispatched. */
	(void) durable_turn_next_activity(instance);
	if (instance->status == STATUS_PENDING)
		durable_instance_set_status(instance, STATUS_RUNNING, NULL);
	instance->turns++;
	batch->turns++;
	if (instance->replay.nevents + ncalls >= durable_history_limit)
	{
		char	   *text = psprintf("history of instance \"%s\" has reached the limit of %d events",
									instance->instance_id, durable_history_limit);

		durable_outcome_finish(batch, instance, STATUS_FAILED, NULL,
							   durable_json_make_failure(ERRCODE_DURABLE_LIMIT, text));
		return;
	}

	add_started(batch, instance, message, ending);
	for (int i = 0; i < ncalls; i++)
		add_call(batch, instance, calls[i]);
	instance->custom_status = durable_json_get_member(message->payload, "status");
	if (ending != NULL)
		end(batch, instance, ending, message->task);
}

/*
 * The number of events that the turn saw, its time, as turn_api.c computes it, the id of the
 * action that ends the execution, and the data that the worker gets back with the next turn.
 */
static void
add_started(Batch * batch, Instance *instance, const Message *message, const Jsonb *ending)
{
	TimestampTz leased_at = durable_history_get_number(durable_json_get_member(message->payload, "at"));
	TimestampTz least = message->task > 0 ? instance->replay.events[message->task - 1]->time : instance->started_at;
	JsonbParseState *state = NULL;
	HistoryEvent *event;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "events", durable_history_number(message->task));
	durable_json_push_member(&state, "at", durable_history_number(Max(leased_at, least)));
	if (ending != NULL)
		durable_json_push_member(&state, "end", durable_json_get_member(ending, "id"));
	durable_instance_add_event(batch, instance, HISTORY_TURN_STARTED, 0, NULL,
							   durable_json_get_member(message->payload, "trace"));
	event = instance->replay.events[instance->replay.nevents - 1];
	event->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
add_call(Batch * batch, Instance *instance, HistoryEvent *call)
{
	call->task = instance->replay.ncalls + 1;
	call->time = batch->clock;
	if (call->type == HISTORY_SUB_CREATED)
		resolve_child(batch, instance, call);
	else
	{
		if (call->type == HISTORY_ENTITY_UNLOCKED)
			resolve_unlock(instance, call);
		durable_replay_add(&instance->replay, call);
	}
}

/* A problem becomes the failure of the call. */
static void
resolve_child(Batch * batch, Instance *instance, HistoryEvent *call)
{
	static const char *const kept[] = {"event_id", "tags", "trace"};
	ExternalStart start = {
		.name = call->name,
		.version = durable_json_get_text(call->extra, "version"),
		.input = call->payload,
		.queue = durable_verbatim_queue(instance->handler_signature)
	};
	char	   *instance_id = durable_json_get_text(call->extra, "id");
	JsonbParseState *state = NULL;

	if (instance_id == NULL)
		instance_id = durable_child_id(instance, call->task);
	durable_external_resolve_start(&start, batch->owner, instance->context);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "id", durable_json_text(instance_id));
	if (start.failure == NULL)
		durable_json_push_member(&state, "handler", durable_json_text(start.signature));
	if (start.version != NULL)
		durable_json_push_member(&state, "version", durable_json_text(start.version));
	for (int i = 0; i < lengthof(kept); i++)
		durable_json_push_member(&state, kept[i], durable_json_get_member(call->extra, kept[i]));
	call->extra = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	call->payload = unconstify(Jsonb *, start.input);
	durable_replay_add(&instance->replay, call);
	if (start.failure != NULL)
		durable_instance_add_event(batch, instance, HISTORY_SUB_FAILED, call->task, NULL, start.failure);
}

void
durable_external_resolve_start(ExternalStart *start, Oid owner, MemoryContext context)
{
	ChildLookup lookup = {.start = start, .context = context};

	lookup.registration = durable_handler_registration(start->name, "orchestration", owner, InvalidOid);
	if (lookup.registration != NULL && start->version != NULL)
	{
		const Registration *same = durable_registry_version(lookup.registration, start->version);

		lookup.missing = same == NULL ? start->version : NULL;
		lookup.registration = same != NULL ? same : lookup.registration;
	}
	if (lookup.registration == NULL)
		start->signature = durable_verbatim_handler(start->queue);
	else if (lookup.registration->handler == NULL)
		start->signature = durable_verbatim_handler(lookup.registration->queue);
	else
	{
		UserCall	usercall = {.body = look_up_child, .arg = &lookup, .read_only = true};

		durable_usercall_run(&usercall);
		if (!usercall.returned)
		{
			if (durable_error_is_infrastructure(usercall.error))
				ReThrowError(usercall.error);
			start->failure = durable_json_failure(usercall.error, NULL, 0);
		}
	}
	if (start->version == NULL && lookup.registration != NULL)
		start->version = lookup.registration->version;
}

static Jsonb *
look_up_child(void *arg)
{
	ChildLookup *lookup = arg;
	Handler    *handler;

	if (lookup->missing != NULL)
		durable_handler_no_version(lookup->registration->name, lookup->registration, lookup->missing);
	handler = durable_handler_resolve(lookup->registration->handler);
	MemoryContextSwitchTo(lookup->context);
	lookup->start->signature = pstrdup(handler->signature);
	lookup->start->input = durable_handler_check_input(handler, durable_verbatim_to_json(lookup->start->input));
	return NULL;
}

/* The payload is the number of the request whose locks are released; 0: there is none. */
static void
resolve_unlock(const Instance *instance, HistoryEvent *call)
{
	const Replay *replay = &instance->replay;
	const char *wanted = durable_json_get_text(call->extra, "request");

	call->payload = durable_history_number(0);
	for (int i = replay->ncalls - 1; i >= 0; i--)
	{
		const HistoryEvent *request = replay->events[replay->calls[i]];
		const char *given = request->type == HISTORY_ENTITY_LOCK_REQUESTED ?
			durable_json_get_text(request->extra, "request") : NULL;

		if (given != NULL && strcmp(given, wanted) == 0)
		{
			call->payload = durable_history_number(request->task);
			break;
		}
	}
}

/* The execution ends: {"status", "output", "failure", "version", "carryover"}. */
static void
end(Batch * batch, Instance *instance, const Jsonb *ending, int seen)
{
	char		status = durable_json_get_text(ending, "status")[0];
	TurnResult	result = {.custom_status = instance->custom_status};

	switch (status)
	{
		case STATUS_TERMINATED:
			(void) durable_dispatch_run(batch, instance, InvalidOid, true);
			durable_outcome_finish(batch, instance, STATUS_TERMINATED, NULL,
								   durable_external_reason(durable_json_get_member(ending, "output")));
			return;

		case STATUS_COMPLETED:
			result.outcome = TURN_COMPLETED;
			result.payload = durable_json_get_member(ending, "output");
			break;

		case STATUS_FAILED:
			result.outcome = TURN_FAILED;
			result.payload = durable_json_get_member(ending, "failure");
			break;

		default:
			result.outcome = TURN_CONTINUED_AS_NEW;
			result.payload = durable_json_get_member(ending, "output");
			result.version = durable_json_get_text(ending, "version");
			carry_over(&result, instance, durable_json_get_member(ending, "carryover"), seen);
			instance->custom_status = NULL;
			break;
	}
	(void) durable_outcome_apply(batch, instance, &result, InvalidOid);
}

/* The events that the orchestration keeps, and those that arrived while the turn was out. */
static void
carry_over(TurnResult *result, const Instance *instance, const Jsonb *carryover, int seen)
{
	const Replay *replay = &instance->replay;
	int			allocated = 0;

	if (carryover != NULL)
		durable_history_decode(carryover, HISTORY_FORMAT, replay->events[replay->nevents - 1]->time,
							   &result->carried, &result->ncarried, &allocated);
	for (int i = seen; i < replay->nevents; i++)
		if (replay->events[i]->type == HISTORY_EVENT_RAISED)
			durable_history_append(&result->carried, &result->ncarried, &allocated, replay->events[i]);
}

Jsonb *
durable_external_reason(const Jsonb *payload)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (payload != NULL)
		durable_json_push_member(&state, "reason", payload);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
