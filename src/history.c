/*-------------------------------------------------------------------------
 *
 * history.c
 *		Events of an instance to and from their form on disk.
 *
 * One row of durable.history holds all events that one unit of work appended to
 * an instance.  One row for each event cost a heap insert and an index insert
 * per event, which was most of the time of a short workflow; see
 * docs/design.md.  jsonb and not a format of our own: it is dumped and
 * restored across architectures, and can be read with SQL when something is
 * wrong.
 *
 * Owns:	the encoding of durable.history.events
 * Called by: unit.c (load and store), client API (durable.history)
 * Locks:	none
 * Memory:	everything in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "history.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define HISTORY_FORMAT	1

static void push_int64(JsonbParseState **state, int64 value);
static void push_jsonb(JsonbParseState **state, const Jsonb *value);
static void push_null(JsonbParseState **state);
static int64 value_to_int64(const JsonbValue *value);
static HistoryEvent *decode_event(JsonbContainer *container);

static const struct
{
	const char *name;
	bool		is_call;
}			history_types[] =
{
	[HISTORY_TASK_SCHEDULED] = {"TaskScheduled", true},
	[HISTORY_TASK_COMPLETED] = {"TaskCompleted", false},
	[HISTORY_TASK_FAILED] = {"TaskFailed", false},
	[HISTORY_TIMER_CREATED] = {"TimerCreated", true},
	[HISTORY_TIMER_FIRED] = {"TimerFired", false},
	[HISTORY_TIMER_CANCELED] = {"TimerCanceled", true},
	[HISTORY_EVENT_WAIT_CREATED] = {"EventWaitCreated", true},
	[HISTORY_EVENT_WAIT_CANCELED] = {"EventWaitCanceled", true},
	[HISTORY_EVENT_RAISED] = {"EventRaised", false},
	[HISTORY_EVENT_SENT] = {"EventSent", true},
	[HISTORY_SUB_CREATED] = {"SubOrchestrationInstanceCreated", true},
	[HISTORY_SUB_COMPLETED] = {"SubOrchestrationInstanceCompleted", false},
	[HISTORY_SUB_FAILED] = {"SubOrchestrationInstanceFailed", false},
	[HISTORY_START_REQUESTED] = {"OrchestrationStartRequested", true},
	[HISTORY_LOG_WRITTEN] = {"LogWritten", true},
	[HISTORY_SUSPENDED] = {"ExecutionSuspended", false},
	[HISTORY_RESUMED] = {"ExecutionResumed", false},
};

const char *
durable_history_type_name(HistoryType type)
{
	if (type < 1 || type > HISTORY_TYPE_MAX)
		return "Unknown";
	return history_types[type].name;
}

bool
durable_history_is_call(HistoryType type)
{
	return type >= 1 && type <= HISTORY_TYPE_MAX && history_types[type].is_call;
}

Jsonb *
durable_history_encode(HistoryEvent **events, int nevents)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	push_int64(&state, HISTORY_FORMAT);
	for (int i = 0; i < nevents; i++)
	{
		HistoryEvent *event = events[i];

		pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
		push_int64(&state, event->type);
		push_int64(&state, event->task);
		if (event->name != NULL)
		{
			JsonbValue	name;

			name.type = jbvString;
			name.val.string.val = event->name;
			name.val.string.len = strlen(event->name);
			pushJsonbValue(&state, WJB_ELEM, &name);
		}
		else
			push_null(&state);
		push_int64(&state, event->time);
		if (event->extra != NULL)
			push_jsonb(&state, event->extra);
		else
			push_null(&state);
		if (event->payload != NULL)
			push_jsonb(&state, event->payload);
		pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	}
	result = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(result);
}

void
durable_history_decode(const Jsonb *row, HistoryEvent ***events,
					   int *nevents, int *allocated)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	int			index = 0;

	it = JsonbIteratorInit((JsonbContainer *) &row->root);
	token = JsonbIteratorNext(&it, &value, false);
	if (token != WJB_BEGIN_ARRAY)
		elog(ERROR, "history row is not an array");

	while ((token = JsonbIteratorNext(&it, &value, true)) == WJB_ELEM)
	{
		if (index++ == 0)
		{
			if (value_to_int64(&value) != HISTORY_FORMAT)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("history has format " INT64_FORMAT ", this version reads format %d",
								value_to_int64(&value), HISTORY_FORMAT)));
			continue;
		}
		if (value.type != jbvBinary)
			elog(ERROR, "history event is not an array");
		durable_history_append(events, nevents, allocated,
							   decode_event(value.val.binary.data));
	}
}

static HistoryEvent *
decode_event(JsonbContainer *container)
{
	HistoryEvent *event = palloc0(sizeof(HistoryEvent));
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue	value;
	int			index = 0;

	if (JsonbIteratorNext(&it, &value, false) != WJB_BEGIN_ARRAY)
		elog(ERROR, "history event is not an array");

	while (JsonbIteratorNext(&it, &value, true) == WJB_ELEM)
	{
		switch (index++)
		{
			case 0:
				event->type = (HistoryType) value_to_int64(&value);
				break;
			case 1:
				event->task = (int32) value_to_int64(&value);
				break;
			case 2:
				if (value.type == jbvString)
					event->name = pnstrdup(value.val.string.val, value.val.string.len);
				break;
			case 3:
				event->time = value_to_int64(&value);
				break;
			case 4:
				if (value.type != jbvNull)
					event->extra = JsonbValueToJsonb(&value);
				break;
			case 5:
				event->payload = JsonbValueToJsonb(&value);
				break;
			default:
				break;
		}
	}
	if (index < 5)
		elog(ERROR, "history event has %d members", index);
	return event;
}

void
durable_history_append(HistoryEvent ***events, int *nevents,
					   int *allocated, HistoryEvent *event)
{
	if (*nevents >= *allocated)
	{
		int			grown = *allocated == 0 ? 8 : *allocated * 2;

		if (*events == NULL)
			*events = palloc(grown * sizeof(HistoryEvent *));
		else
			*events = repalloc_huge(*events, grown * sizeof(HistoryEvent *));
		*allocated = grown;
	}
	(*events)[(*nevents)++] = event;
}

Size
durable_history_event_size(const HistoryEvent *event)
{
	Size		size = 64;

	if (event->name != NULL)
		size += strlen(event->name);
	if (event->extra != NULL)
		size += VARSIZE(event->extra);
	if (event->payload != NULL)
		size += VARSIZE(event->payload);
	return size;
}

Jsonb *
durable_history_number(int64 value)
{
	JsonbValue	number;

	number.type = jbvNumeric;
	number.val.numeric = int64_to_numeric(value);
	return JsonbValueToJsonb(&number);
}

int64
durable_history_get_number(const Jsonb *value)
{
	JsonbValue	number;

	if (!JB_ROOT_IS_SCALAR(value) ||
		!JsonbExtractScalar((JsonbContainer *) &value->root, &number))
		elog(ERROR, "expected a number in the history");
	return value_to_int64(&number);
}

static void
push_int64(JsonbParseState **state, int64 value)
{
	JsonbValue	number;

	number.type = jbvNumeric;
	number.val.numeric = int64_to_numeric(value);
	pushJsonbValue(state, WJB_ELEM, &number);
}

static void
push_null(JsonbParseState **state)
{
	JsonbValue	null;

	null.type = jbvNull;
	pushJsonbValue(state, WJB_ELEM, &null);
}

/* Embeds a whole jsonb; pushJsonbValue unpacks binary values, scalars too. */
static void
push_jsonb(JsonbParseState **state, const Jsonb *value)
{
	JsonbValue	binary;

	binary.type = jbvBinary;
	binary.val.binary.data = (JsonbContainer *) &value->root;
	binary.val.binary.len = VARSIZE(value) - VARHDRSZ;
	pushJsonbValue(state, WJB_ELEM, &binary);
}

static int64
value_to_int64(const JsonbValue *value)
{
	if (value->type != jbvNumeric)
		elog(ERROR, "expected a number in the history");
	return DatumGetInt64(DirectFunctionCall1(numeric_int8,
											 NumericGetDatum(value->val.numeric)));
}
