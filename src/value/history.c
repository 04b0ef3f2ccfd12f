/*-------------------------------------------------------------------------
 *
 * history.c
 *		Converts events of an instance to and from their form on disk.
 *
 * One row of durable.history holds all events that one unit of work appended to an
 * instance.  One row for each event cost a heap insert and an index insert per event,
 * which was most of the time of a short workflow; see docs/design.md.  The type is
 * jsonb and not a private format, because jsonb is dumped and restored across
 * architectures, and can be read with SQL when an error is investigated.
 *
 * The array is flat, because a number and an array around it take 28 bytes each, and
 * an instance that sleeps has a row with one event.  For each event there are a number
 * (type, which members follow, task), and then those of the following that it has
 *		type	a number, if it is larger than 30
 *		time	us after the event before; after durable.history.at for the first
 *		name	a text
 *		extra	see history.h; the due time of a timer in us after the event's time
 *		payload	any value
 *
 * Owns:	the encoding of durable.history.events
 * Called by: history_table.c, history_api.c, explain_api.c, companion.c and
 *			companion_main.c (rows); all files that read or add events (the rest)
 * Locks:	none
 * Memory:	everything in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "history.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* The flags and the task in an event's number; the type is below the first of these. */
#define TYPE_FOLLOWS	31			/* in the place of a type: the type is the next number */
#define HAS_TIME	32
#define HAS_NAME	64
#define HAS_EXTRA	128
#define HAS_PAYLOAD	256
#define TASK_UNIT	512			/* the remaining bits are the task */

static void push_int64(JsonbParseState **state, int64 value);
static void push_jsonb(JsonbParseState **state, const Jsonb *value);
static int64 value_to_int64(const JsonbValue *value);
static bool is_known(int type);
static HistoryType read_type(JsonbIterator **it, int64 type);
static void next_member(JsonbIterator **it, JsonbValue *value);
static bool has_due_time(HistoryType type);
static int64 difference(int64 time, int64 from);
static int64 sum(int64 from, int64 difference);

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
	[HISTORY_COMPENSATION_ADDED] = {"CompensationAdded", true},
	[HISTORY_COMPENSATION_KEPT] = {"CompensationKept", false},
	[HISTORY_COMPENSATION_STARTED] = {"CompensationStarted", false},
	[HISTORY_PATCHED] = {"PatchRecorded", true},
	[HISTORY_SUB_CANCELED] = {"SubOrchestrationCancelRequested", true},
	[HISTORY_EVENT_RAISED] = {"EventRaised", false},
	[HISTORY_EVENT_SENT] = {"EventSent", true},
	[HISTORY_SUB_CREATED] = {"SubOrchestrationInstanceCreated", true},
	[HISTORY_SUB_COMPLETED] = {"SubOrchestrationInstanceCompleted", false},
	[HISTORY_SUB_FAILED] = {"SubOrchestrationInstanceFailed", false},
	[HISTORY_START_REQUESTED] = {"OrchestrationStartRequested", true},
	[HISTORY_LOG_WRITTEN] = {"LogWritten", true},
	[HISTORY_SUSPENDED] = {"ExecutionSuspended", false},
	[HISTORY_RESUMED] = {"ExecutionResumed", false},
	[HISTORY_EVENT_DROPPED] = {"EventDropped", false},
	[HISTORY_TERMINATION_SENT] = {"TerminationSent", true},
	[HISTORY_TURN_STARTED] = {"OrchestratorStarted", false},
	[HISTORY_REWOUND] = {"ExecutionRewound", false},
	[HISTORY_ENTITY_SIGNALED] = {"EntityOperationSignaled", true},
	[HISTORY_ENTITY_CALLED] = {"EntityOperationCalled", true},
	[HISTORY_ENTITY_COMPLETED] = {"EntityOperationCompleted", false},
	[HISTORY_ENTITY_FAILED] = {"EntityOperationFailed", false},
	[HISTORY_ENTITY_LOCK_REQUESTED] = {"EntityLockRequested", true},
	[HISTORY_ENTITY_LOCK_GRANTED] = {"EntityLockGranted", false},
	[HISTORY_ENTITY_UNLOCKED] = {"EntityUnlockSent", true},
};

const char *
durable_history_type_name(HistoryType type)
{
	return is_known(type) ? history_types[type].name : "Unknown";
}

bool
durable_history_is_call(HistoryType type)
{
	return is_known(type) && history_types[type].is_call;
}

static bool
is_known(int type)
{
	return type >= 1 && type <= HISTORY_TYPE_MAX && history_types[type].name != NULL;
}

Jsonb *
durable_history_encode(HistoryEvent **events, int nevents, TimestampTz at)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nevents; i++)
	{
		const HistoryEvent *event = events[i];
		int			members = (event->time != at ? HAS_TIME : 0) |
			(event->name != NULL ? HAS_NAME : 0) |
			(event->extra != NULL ? HAS_EXTRA : 0) |
			(event->payload != NULL ? HAS_PAYLOAD : 0);

		push_int64(&state, Min((int) event->type, TYPE_FOLLOWS) | members | (int64) event->task * TASK_UNIT);
		if (event->type >= TYPE_FOLLOWS)
			push_int64(&state, event->type);
		if (members & HAS_TIME)
			push_int64(&state, difference(event->time, at));
		at = event->time;
		if (members & HAS_NAME)
		{
			JsonbValue	name;

			name.type = jbvString;
			name.val.string.val = event->name;
			name.val.string.len = strlen(event->name);
			pushJsonbValue(&state, WJB_ELEM, &name);
		}
		if (members & HAS_EXTRA)
		{
			if (has_due_time(event->type))
				push_int64(&state, difference(durable_history_get_number(event->extra), at));
			else
				push_jsonb(&state, event->extra);
		}
		if (members & HAS_PAYLOAD)
			push_jsonb(&state, event->payload);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

void
durable_history_decode(const Jsonb *row, char format, TimestampTz at,
					   HistoryEvent ***events, int *nevents, int *allocated)
{
	JsonbIterator *it = JsonbIteratorInit(unconstify(JsonbContainer *, &row->root));
	JsonbValue	value;

	/* Format 2 is the same, but has no types in numbers of their own. */
	if (format != HISTORY_FORMAT && format != '2')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("history has format \"%c\", but this version reads format \"%c\"",
						format, HISTORY_FORMAT)));
	if (JsonbIteratorNext(&it, &value, false) != WJB_BEGIN_ARRAY)
		elog(ERROR, "history row is not an array");
	while (JsonbIteratorNext(&it, &value, true) == WJB_ELEM)
	{
		HistoryEvent *event = palloc0(sizeof(HistoryEvent));
		int64		code = value_to_int64(&value);

		event->type = read_type(&it, code % HAS_TIME);
		event->task = (int32) (code / TASK_UNIT);
		if (code & HAS_TIME)
		{
			next_member(&it, &value);
			at = sum(at, value_to_int64(&value));
		}
		event->time = at;
		if (code & HAS_NAME)
		{
			next_member(&it, &value);
			if (value.type != jbvString)
				elog(ERROR, "expected a name in the history");
			event->name = pnstrdup(value.val.string.val, value.val.string.len);
		}
		if (code & HAS_EXTRA)
		{
			next_member(&it, &value);
			event->extra = has_due_time(event->type) ?
				durable_history_number(sum(at, value_to_int64(&value))) : JsonbValueToJsonb(&value);
		}
		if (code & HAS_PAYLOAD)
		{
			next_member(&it, &value);
			event->payload = JsonbValueToJsonb(&value);
		}
		durable_history_append(events, nevents, allocated, event);
	}
}

static HistoryType
read_type(JsonbIterator **it, int64 type)
{
	if (type == TYPE_FOLLOWS)
	{
		JsonbValue	value;

		next_member(it, &value);
		type = value_to_int64(&value);
	}
	if (type > HISTORY_TYPE_MAX || !is_known((int) type))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("history has an event of unknown type " INT64_FORMAT, type)));
	return (HistoryType) type;
}

static void
next_member(JsonbIterator **it, JsonbValue *value)
{
	if (JsonbIteratorNext(it, value, true) != WJB_ELEM)
		elog(ERROR, "history row ends within an event");
}

static bool
has_due_time(HistoryType type)
{
	return type == HISTORY_TIMER_CREATED || type == HISTORY_TIMER_CANCELED;
}

/* Differences wrap around, because the difference to the time of a timer that is never due may overflow. */
static int64
difference(int64 time, int64 from)
{
	return (int64) ((uint64) time - (uint64) from);
}

static int64
sum(int64 from, int64 difference)
{
	return (int64) ((uint64) from + (uint64) difference);
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
