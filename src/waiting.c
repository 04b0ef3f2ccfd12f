/*-------------------------------------------------------------------------
 *
 * waiting.c
 *		What an instance waits for, for people to look at.
 *
 * {"waits": [[kind, task, name, since_us, due_us, line]...],
 *	"buffered": [[seq, name, received_us]...], "more": number left out,
 *	"pending": [task...]}
 * kind is activity, timer, event, orchestration or start; times are us since 2000-01-01
 * UTC, due only for timers and starts; line is that of the PL/pgSQL statement that waits.
 * pending are activities that are still to be run inline.
 *
 * Called by: execution.c
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "execution.h"
#include "json.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* A fan-out may wait for thousands; nobody reads them all. */
#define MAX_LISTED	20

static void push_event(JsonbParseState **state, const HistoryEvent *event, int index);
static int	push_elements(JsonbParseState **state, const Jsonb *array);
static void push_text(JsonbParseState **state, JsonbIteratorToken token, const char *value);
static void push_number(JsonbParseState **state, JsonbIteratorToken token, int64 value);
static const char *kind_of(HistoryType type);

Jsonb *
durable_waiting_build(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	JsonbParseState *state = NULL;
	int			listed = 0;
	int			more = 0;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);

	push_text(&state, WJB_KEY, "waits");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	/* A turn that was taken back may have made more calls than are recorded. */
	for (int i = 0; i < Min(replay->ntasks, replay->ncalls); i++)
	{
		const TaskState *task = &replay->tasks[i];
		const HistoryEvent *call;
		const char *kind = kind_of(task->kind);

		if (kind == NULL || task->done || task->canceled)
			continue;
		if (listed++ >= MAX_LISTED)
		{
			more++;
			continue;
		}
		call = replay->events[replay->calls[i]];
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		push_text(&state, WJB_ELEM, kind);
		push_number(&state, WJB_ELEM, i + 1);
		push_text(&state, WJB_ELEM, call->name);
		push_number(&state, WJB_ELEM, call->time);
		if (task->kind == HISTORY_TIMER_CREATED)
			push_number(&state, WJB_ELEM, durable_history_get_number(call->extra));
		else
			push_text(&state, WJB_ELEM, NULL);
		if (instance->wait_line > 0)
			push_number(&state, WJB_ELEM, instance->wait_line);
		else
			push_text(&state, WJB_ELEM, NULL);
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	if (replay->nbuffered > 0)
	{
		push_text(&state, WJB_KEY, "buffered");
		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < replay->nbuffered; i++)
		{
			const HistoryEvent *event = replay->events[replay->buffered[i]];

			if (i >= MAX_LISTED)
			{
				more++;
				continue;
			}
			push_event(&state, event, replay->buffered[i]);
		}
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}

	if (more > 0)
	{
		push_text(&state, WJB_KEY, "more");
		push_number(&state, WJB_VALUE, more);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
durable_waiting_keep(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	const Jsonb *waiting = instance->waiting;
	Jsonb	   *more = durable_json_get_member(waiting, "more");
	int64		left_out = more ? durable_history_get_number(more) : 0;
	JsonbParseState *state = NULL;
	int			listed;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, WJB_KEY, "waits");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	(void) push_elements(&state, durable_json_get_member(waiting, "waits"));
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	push_text(&state, WJB_KEY, "buffered");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	listed = push_elements(&state, durable_json_get_member(waiting, "buffered"));
	for (int i = instance->stored_events; i < replay->nevents; i++)
	{
		if (replay->events[i]->type != HISTORY_EVENT_RAISED)
			continue;
		if (listed++ < MAX_LISTED)
			push_event(&state, replay->events[i], i);
		else
			left_out++;
	}
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	push_text(&state, WJB_KEY, "pending");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	(void) push_elements(&state, durable_json_get_member(waiting, "pending"));
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	if (left_out > 0)
	{
		push_text(&state, WJB_KEY, "more");
		push_number(&state, WJB_VALUE, left_out);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
durable_waiting_put_off(const Instance *instance)
{
	JsonbParseState *state = NULL;
	ListCell   *cell;

	if (instance->activities == NIL)
		return NULL;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, WJB_KEY, "pending");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, instance->activities)
		push_number(&state, WJB_ELEM, ((Decision *) lfirst(cell))->task);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
durable_waiting_take_pending(Instance *instance)
{
	Jsonb	   *pending = durable_json_get_member(instance->waiting, "pending");

	if (pending != NULL)
		instance->waiting =
			DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(instance->waiting),
											   CStringGetTextDatum("pending")));
	return pending;
}

/* Of an instance that waits for its start. */
Jsonb *
durable_waiting_for_start(TimestampTz since, TimestampTz due)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, WJB_KEY, "waits");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	push_text(&state, WJB_ELEM, "start");
	push_number(&state, WJB_ELEM, 0);
	push_text(&state, WJB_ELEM, NULL);
	push_number(&state, WJB_ELEM, since);
	push_number(&state, WJB_ELEM, due);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * When an instance that has not run yet is to start, DT_NOEND if it does not wait
 * for a time: the timer of its start is not in its history.
 */
TimestampTz
durable_waiting_start_due(const Jsonb *waiting)
{
	Jsonb	   *waits = durable_json_get_member(waiting, "waits");
	JsonbValue *first;
	JsonbValue *due;

	if (waits == NULL)
		return DT_NOEND;
	first = getIthJsonbValueFromContainer(&waits->root, 0);
	if (first == NULL || first->type != jbvBinary)
		return DT_NOEND;
	due = getIthJsonbValueFromContainer(first->val.binary.data, 4);
	if (due == NULL || due->type != jbvNumeric)
		return DT_NOEND;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8,
											 NumericGetDatum(due->val.numeric)));
}

static void
push_event(JsonbParseState **state, const HistoryEvent *event, int index)
{
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	push_number(state, WJB_ELEM, index + 1);
	push_text(state, WJB_ELEM, event->name);
	push_number(state, WJB_ELEM, event->time);
	pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/* The elements of an array that may be missing; returns how many. */
static int
push_elements(JsonbParseState **state, const Jsonb *array)
{
	int			count = array ? JB_ROOT_COUNT(array) : 0;

	for (int i = 0; i < count; i++)
		pushJsonbValue(state, WJB_ELEM,
					   getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &array->root), i));
	return count;
}

static void
push_text(JsonbParseState **state, JsonbIteratorToken token, const char *value)
{
	JsonbValue	text;

	if (value == NULL)
		text.type = jbvNull;
	else
	{
		text.type = jbvString;
		text.val.string.val = unconstify(char *, value);
		text.val.string.len = strlen(value);
	}
	pushJsonbValue(state, token, &text);
}

static void
push_number(JsonbParseState **state, JsonbIteratorToken token, int64 value)
{
	JsonbValue	number;

	number.type = jbvNumeric;
	number.val.numeric = int64_to_numeric(value);
	pushJsonbValue(state, token, &number);
}

static const char *
kind_of(HistoryType type)
{
	switch (type)
	{
		case HISTORY_TASK_SCHEDULED:
			return "activity";
		case HISTORY_TIMER_CREATED:
			return "timer";
		case HISTORY_EVENT_WAIT_CREATED:
			return "event";
		case HISTORY_SUB_CREATED:
			return "orchestration";
		default:
			return NULL;
	}
}
