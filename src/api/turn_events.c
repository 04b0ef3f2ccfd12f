/*-------------------------------------------------------------------------
 *
 * turn_events.c
 *		Writes the history of an external orchestration in the form that its worker sees.
 *
 * The stored history has events in the order in which they came.  A worker has to get the
 * events of a turn before the calls of this turn, and the events that arrived while the turn
 * was out behind them.  An event OrchestratorStarted is stored before the calls of its turn.
 * It has the number of events that the turn saw, so the order can be computed here:
 *
 *	stored:	E1 E2 E3 OrchestratorStarted(saw 2) C1 C2
 *	seen:	OrchestratorStarted ExecutionStarted E1 E2 C1 C2 | OrchestratorStarted E3
 *
 * Calls have the number that the orchestration has given them, and answers that of their call.
 * Failures that a rewind has taken back are left out, with the calls of the activities.
 *
 * Owns:	nothing
 * Called by: turn_api.c, external_api.c, entity_work_api.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "history.h"
#include "json.h"
#include "sql.h"
#include "turn_api.h"
#include "verbatim.h"

#define EVENT_COLUMNS	20

/* The state of the output. */
typedef struct Story
{
	const Instance *instance;
	List	   *events;
	int			next;			/* events before this one that are no calls have been written */
	bool		has_begun;
	bool	   *dropped;		/* calls of activities whose failures were taken back */
	TurnEvent  *started;
	const char *trace;			/* of the last turn */
	const Jsonb *end;			/* id of the action with which the last turn ended the execution, or NULL */
	bool		is_whole;		/* with events that a replay does not need */
}			Story;

static DurableSql parent_of = {
	"SELECT instance_id, name, version, key, created_at FROM durable.instance WHERE key = $1",
	1, {INT8OID}
};

static void tell_turns(Story * story, int until);
static void begin_turn(Story * story, TimestampTz at, bool is_new);
static void begin_execution(Story * story, bool is_new);
static void tell_end(Story * story);
static void tell_until(Story * story, int until, bool is_new);
static void tell(Story * story, const HistoryEvent *event, bool is_new);
static char *request_of(const Replay *replay, const HistoryEvent *answer);
static TurnEvent *add(Story * story, const char *type, TimestampTz at, bool is_new);
static bool *find_dropped(const Replay *replay);
static int32 event_id_of(const HistoryEvent *call);
static Jsonb *parent_json(const Instance *instance);
static char *execution_id(int64 key, int32 execution, int rewinds, TimestampTz created_at);
static void push_text(JsonbParseState **state, const char *member, const char *value);
static void push_time(JsonbParseState **state, const char *member, TimestampTz value);
static Jsonb *event_json(const TurnEvent * event);
static void set_text(Datum *values, bool *nulls, int column, const char *value);
static void set_json(Datum *values, bool *nulls, int column, const Jsonb *value);

char *
durable_turn_execution_id(const Instance *instance)
{
	int			rewinds = 0;

	for (int i = 0; i < instance->replay.nevents; i++)
		rewinds += instance->replay.events[i]->type == HISTORY_REWOUND;
	return execution_id(instance->key, instance->execution, rewinds, instance->created_at);
}

char *
durable_turn_execution_id_of(int64 key, int32 execution, TimestampTz created_at)
{
	return execution_id(key, execution, 0, created_at);
}

static char *
execution_id(int64 key, int32 execution, int rewinds, TimestampTz created_at)
{
	return psprintf("%016llx%02x%06x%08x", (unsigned long long) key, (unsigned) rewinds & 0xff,
					(unsigned) execution & 0xffffff, (unsigned) (created_at & 0xffffffff));
}

List *
durable_turn_events(const Instance *instance, int seen, TimestampTz at)
{
	Story		story = {.instance = instance, .dropped = find_dropped(&instance->replay)};

	tell_turns(&story, seen);
	begin_turn(&story, at, true);
	tell_until(&story, seen, true);
	story.started->orchestration_trace = story.trace;
	return story.events;
}

List *
durable_turn_history(const Instance *instance)
{
	Story		story = {.instance = instance, .dropped = find_dropped(&instance->replay), .is_whole = true};
	bool		is_over = STATUS_IS_FINISHED(instance->status);

	tell_turns(&story, instance->replay.nevents);
	if (instance->started_at != 0)
		begin_execution(&story, !is_over);
	tell_until(&story, instance->replay.nevents, !is_over);
	if (is_over)
		tell_end(&story);
	return story.events;
}

/* Writes the turns that were completed, with their calls, from events before that one. */
static void
tell_turns(Story * story, int until)
{
	for (int i = 0; i < until; i++)
	{
		const HistoryEvent *event = story->instance->replay.events[i];

		if (event->type == HISTORY_TURN_STARTED)
		{
			begin_turn(story, durable_history_get_number(durable_json_get_member(event->extra, "at")), false);
			tell_until(story, durable_history_get_number(durable_json_get_member(event->extra, "events")), false);
			story->trace = durable_verbatim_unwrap(event->payload);
			story->end = durable_json_get_member(event->extra, "end");
		}
		else if (durable_history_is_call(event->type))
			tell(story, event, false);
	}
}

static void
begin_turn(Story * story, TimestampTz at, bool is_new)
{
	(void) add(story, "OrchestratorStarted", at, is_new);
	begin_execution(story, is_new);
}

/* Writes the event ExecutionStarted at the first call. */
static void
begin_execution(Story * story, bool is_new)
{
	const Instance *instance = story->instance;
	TurnEvent  *event;

	if (story->has_begun)
		return;
	story->has_begun = true;
	event = story->started = add(story, "ExecutionStarted", instance->started_at, is_new);
	event->name = instance->name;
	event->version = instance->version;
	event->input = durable_verbatim_unwrap(instance->input);
	event->instance_id = instance->instance_id;
	event->execution_id = durable_turn_execution_id(instance);
	event->parent = parent_json(instance);
	event->tags = instance->tags;
	event->trace = instance->trace;
}

static void
tell_end(Story * story)
{
	const Instance *instance = story->instance;
	TurnEvent  *event = add(story, "ExecutionCompleted", instance->completed_at, false);

	if (story->end != NULL)
		event->event_id = (int32) durable_history_get_number(story->end);
	event->status = durable_client_status_word(instance->status);
	if (instance->status == STATUS_COMPLETED)
		event->input = durable_verbatim_unwrap(instance->output);
	else if (instance->status == STATUS_FAILED)
		event->failure = durable_turn_failure(instance->failure);
	else if (instance->failure != NULL)
		event->input = durable_json_get_text(instance->failure, "reason");
}

/* Writes the events before that one that are no calls. */
static void
tell_until(Story * story, int until, bool is_new)
{
	for (; story->next < until; story->next++)
	{
		const HistoryEvent *event = story->instance->replay.events[story->next];

		if (event->type != HISTORY_TURN_STARTED && !durable_history_is_call(event->type))
			tell(story, event, is_new);
	}
}

static void
tell(Story * story, const HistoryEvent *event, bool is_new)
{
	const Replay *replay = &story->instance->replay;
	TurnEvent  *told;
	const Jsonb *due;

	if (event->taken_back || (durable_history_is_call(event->type) && story->dropped[event->task]) ||
		(event->type == HISTORY_TERMINATION_SENT && !story->is_whole))
		return;
	told = add(story, durable_history_type_name(event->type), event->time, is_new);
	told->name = event->name;
	if (durable_history_is_call(event->type))
		told->event_id = event_id_of(event);
	else if (event->task >= 1 && event->task <= replay->ncalls)
	{
		told->has_task_id = true;
		told->task_id = event_id_of(replay->events[replay->calls[event->task - 1]]);
	}

	switch (event->type)
	{
		case HISTORY_TIMER_CREATED:
			told->due_at = durable_history_get_number(event->extra);
			break;
		case HISTORY_TIMER_FIRED:
			told->due_at = durable_history_get_number(replay->events[replay->calls[event->task - 1]]->extra);
			break;
		case HISTORY_TASK_FAILED:
		case HISTORY_SUB_FAILED:
			told->failure = durable_turn_failure(event->payload);
			break;
		case HISTORY_ENTITY_FAILED:
			told->failure = durable_turn_failure(event->payload);
			told->request_id = request_of(replay, event);
			break;
		case HISTORY_ENTITY_COMPLETED:
			told->input = durable_verbatim_unwrap(event->payload);
			told->request_id = request_of(replay, event);
			break;
		case HISTORY_ENTITY_LOCK_GRANTED:
			told->request_id = request_of(replay, event);
			break;
		case HISTORY_ENTITY_LOCK_REQUESTED:
			told->request_id = durable_json_get_text(event->extra, "request");
			told->name = NULL;
			told->lock_set = event->payload;
			break;
		case HISTORY_ENTITY_CALLED:
		case HISTORY_ENTITY_SIGNALED:
			due = durable_json_get_member(event->extra, "due");
			told->due_at = due != NULL ? durable_history_get_number(due) : 0;
			told->input = durable_verbatim_unwrap(event->payload);
			/* FALLTHROUGH */
		case HISTORY_ENTITY_UNLOCKED:
			told->request_id = durable_json_get_text(event->extra, "request");
			told->instance_id = durable_json_get_text(event->extra, "id");
			break;
		case HISTORY_SUSPENDED:
		case HISTORY_RESUMED:
		case HISTORY_REWOUND:
			told->input = durable_json_get_text(event->payload, "reason");
			break;
		case HISTORY_TASK_SCHEDULED:
		case HISTORY_SUB_CREATED:
		case HISTORY_EVENT_SENT:
		case HISTORY_TERMINATION_SENT:
			told->version = durable_json_get_text(event->extra, "version");
			told->tags = durable_json_get_member(event->extra, "tags");
			told->trace = durable_json_get_text(event->extra, "trace");
			told->instance_id = durable_json_get_text(event->extra, "id");
			told->input = durable_verbatim_unwrap(event->payload);
			break;
		default:
			told->input = durable_verbatim_unwrap(event->payload);
			break;
	}
}

/* The id that the orchestration has given to the answered operation or critical section. */
static char *
request_of(const Replay *replay, const HistoryEvent *answer)
{
	return answer->task >= 1 && answer->task <= replay->ncalls ?
		durable_json_get_text(replay->events[replay->calls[answer->task - 1]]->extra, "request") : NULL;
}

Jsonb *
durable_turn_failure(const Jsonb *failure)
{
	JsonbParseState *state = NULL;

	if (failure == NULL || !JB_ROOT_IS_OBJECT(failure))
		return unconstify(Jsonb *, failure);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (durable_json_get_member(failure, "type") == NULL)
	{
		const char *sqlstate = durable_json_get_text(failure, "sqlstate");

		push_text(&state, "type", sqlstate != NULL ? sqlstate : "Error");
		if (durable_json_get_member(failure, "stack") == NULL)
			push_text(&state, "stack", durable_json_get_text(failure, "context"));
	}
	if (durable_json_get_member(failure, "message") == NULL)
	{
		const char *reason = durable_json_get_text(failure, "reason");

		push_text(&state, "message", reason != NULL ? reason : "");
	}
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(failure),
											  JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)))));
}

static TurnEvent *
add(Story * story, const char *type, TimestampTz at, bool is_new)
{
	TurnEvent  *event = palloc0(sizeof(TurnEvent));

	event->event_id = -1;
	event->type = type;
	event->at = at;
	event->is_new = is_new;
	story->events = lappend(story->events, event);
	return event;
}

/* Marks calls that are left out, because the orchestration makes them again after a rewind. */
static bool *
find_dropped(const Replay *replay)
{
	bool	   *dropped = palloc0((replay->ncalls + 1) * sizeof(bool));

	for (int i = 0; i < replay->nevents; i++)
		if (replay->events[i]->taken_back && replay->events[i]->type == HISTORY_TASK_FAILED)
			dropped[replay->events[i]->task] = true;
	return dropped;
}

static int32
event_id_of(const HistoryEvent *call)
{
	const Jsonb *id = call->type == HISTORY_TIMER_CREATED ? call->payload :
		durable_json_get_member(call->extra, "event_id");

	return id != NULL ? (int32) durable_history_get_number(id) : call->task;
}

static Jsonb *
parent_json(const Instance *instance)
{
	Datum		values[1] = {Int64GetDatum(instance->parent_key)};
	MemoryContext caller = CurrentMemoryContext;
	JsonbParseState *state = NULL;
	Jsonb	   *result = NULL;

	if (instance->parent_key == 0)
		return NULL;
	durable_sql_connect();
	if (durable_sql_run(&parent_of, values, NULL, false, 1) > 0)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);
		bool		isnull;

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_text(&state, "instance_id", durable_sql_text(0, 1));
		push_text(&state, "name", durable_sql_text(0, 2));
		push_text(&state, "version", durable_sql_text(0, 3));
		push_text(&state, "execution_id",
				  execution_id(durable_sql_int8(0, 4), instance->parent_execution, 0,
							   durable_sql_timestamptz(0, 5, &isnull)));
		durable_json_push_member(&state, "task_id", durable_history_number(instance->parent_call));
		result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
		MemoryContextSwitchTo(spi);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(caller);
	return result;
}

/* --- output ------------------------------------------------------------------------------- */

Jsonb *
durable_turn_events_json(const List *events, bool is_new)
{
	JsonbParseState *state = NULL;
	ListCell   *cell;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, events)
	{
		const TurnEvent *event = lfirst(cell);
		JsonbValue	value;

		if (event->is_new != is_new)
			continue;
		durable_json_root(event_json(event), &value);
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
event_json(const TurnEvent * event)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "event_id", durable_history_number(event->event_id));
	push_text(&state, "type", event->type);
	push_time(&state, "at", event->at);
	if (event->has_task_id)
		durable_json_push_member(&state, "task_id", durable_history_number(event->task_id));
	push_text(&state, "name", event->name);
	push_text(&state, "version", event->version);
	push_text(&state, "input", event->input);
	durable_json_push_member(&state, "failure", event->failure);
	push_text(&state, "instance_id", event->instance_id);
	push_text(&state, "request_id", event->request_id);
	durable_json_push_member(&state, "lock_set", event->lock_set);
	push_text(&state, "execution_id", event->execution_id);
	if (event->due_at != 0)
		push_time(&state, "due_at", event->due_at);
	durable_json_push_member(&state, "parent", event->parent);
	durable_json_push_member(&state, "tags", event->tags);
	push_text(&state, "trace", event->trace);
	push_text(&state, "orchestration_trace", event->orchestration_trace);
	push_text(&state, "status", event->status);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
push_text(JsonbParseState **state, const char *member, const char *value)
{
	if (value != NULL)
		durable_json_push_member(state, member, durable_json_text(value));
}

static void
push_time(JsonbParseState **state, const char *member, TimestampTz value)
{
	durable_json_push_member(state, member, durable_json_from_datum(TimestampTzGetDatum(value), TIMESTAMPTZOID, false));
}

void
durable_turn_events_put(ReturnSetInfo *result, const List *events)
{
	int			n = 0;
	ListCell   *cell;

	foreach(cell, events)
	{
		const TurnEvent *event = lfirst(cell);
		Datum		values[EVENT_COLUMNS] = {0};
		bool		nulls[EVENT_COLUMNS] = {0};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int32GetDatum(++n);
		values[1] = BoolGetDatum(event->is_new);
		values[2] = Int32GetDatum(event->event_id);
		set_text(values, nulls, 3, event->type);
		values[4] = TimestampTzGetDatum(event->at);
		values[5] = Int32GetDatum(event->task_id);
		nulls[5] = !event->has_task_id;
		set_text(values, nulls, 6, event->name);
		set_text(values, nulls, 7, event->version);
		set_text(values, nulls, 8, event->input);
		set_json(values, nulls, 9, event->failure);
		set_text(values, nulls, 10, event->instance_id);
		set_text(values, nulls, 11, event->execution_id);
		values[12] = TimestampTzGetDatum(event->due_at);
		nulls[12] = event->due_at == 0;
		set_json(values, nulls, 13, event->parent);
		set_json(values, nulls, 14, event->tags);
		set_text(values, nulls, 15, event->trace);
		set_text(values, nulls, 16, event->orchestration_trace);
		set_text(values, nulls, 17, event->status);
		set_text(values, nulls, 18, event->request_id);
		set_json(values, nulls, 19, event->lock_set);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

static void
set_text(Datum *values, bool *nulls, int column, const char *value)
{
	nulls[column] = value == NULL;
	values[column] = value ? CStringGetTextDatum(value) : (Datum) 0;
}

static void
set_json(Datum *values, bool *nulls, int column, const Jsonb *value)
{
	nulls[column] = value == NULL;
	values[column] = JsonbPGetDatum(value);
}
