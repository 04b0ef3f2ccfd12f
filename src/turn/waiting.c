/*-------------------------------------------------------------------------
 *
 * waiting.c
 *		Encodes the list of things that an instance waits for, in a compact form.
 *
 * durable.instance.waiting is a text, because most existing instances wait, and wait
 * for a long time: as jsonb it was a third of their row.  It is text and not bytea,
 * because it contains names of events, which a dump has to carry into databases of
 * other encodings.  Items are separated by a blank:
 *
 *		letter number [@since] [+due] [/line] ["name"]
 *
 *	a t e o s	a wait for an activity, timer, event, sub-orchestration or start; number
 *				is the task
 *	q l			the same for a call of an entity (its id and the operation), and for the
 *				locks of entities (their ids)
 *	p			a turn that a worker outside of the database is to run; the name is its queue
 *	b			an event that has arrived and has not been consumed; number is its number
 *				in the history
 *	m			number of items that are not listed
 *
 * since is in seconds after the base, which is the time the execution has begun, or
 * before that the time the instance was made, and left out when it is 0; due in
 * seconds after since, for timers and starts; line is that of the PL/pgSQL statement
 * that waits.  A quote in a name is doubled.  So "t1+60/3" is an instance that sleeps
 * for a minute in line 3 of its function, since its first turn.
 *
 * Owns:	the encoding of durable.instance.waiting
 * Called by: execution.c, external.c, outcome.c, batch_children.c, start_api.c; the views
 *			(durable.waits)
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "json.h"
#include "verbatim.h"
#include "waiting.h"

/* A fan-out may wait for thousands of tasks, so the list is cut. */
#define MAX_LISTED	20

#define WAITS_COLUMNS	6

typedef struct Wait
{
	char		kind;
	int			number;
	TimestampTz since;
	TimestampTz due;			/* DT_NOEND: none */
	int			line;			/* 0: unknown */
	const char *name;			/* NULL: none */
}			Wait;

static bool is_time(TimestampTz time);
static TimestampTz base_of(const Instance *instance);
static void put(StringInfo out, TimestampTz base, const Wait *item);
static void put_number(StringInfo out, char kind, int number);
static void put_event(StringInfo out, TimestampTz base, const HistoryEvent *event, int index);
static void put_seconds(StringInfo out, char mark, TimestampTz from, TimestampTz to);
static char *result_of(StringInfo out);
static bool next(const char **cursor, TimestampTz base, Wait *item);
static bool parse(const char **cursor, TimestampTz base, Wait *item);
static TimestampTz get_seconds(const char **cursor, TimestampTz from);
static char *get_name(const char **cursor);
static bool is_answer(HistoryType type);
static char *name_of(const HistoryEvent *call);
static char letter_of(HistoryType type);
static const char *word_of(char kind);

char *
durable_waiting_build(Instance *instance)
{
	Replay	   *replay = &instance->replay;
	TimestampTz base = base_of(instance);
	StringInfoData out;
	int			listed = 0;
	int			more = 0;

	/* Moves the cursor over the answers that have arrived since the last turn. */
	while (durable_replay_advance(replay))
		 /* pass all of them */ ;

	initStringInfo(&out);
	/* A discarded turn may have made more calls than are recorded. */
	for (int i = 0; i < Min(replay->ntasks, replay->ncalls); i++)
	{
		const TaskState *task = &replay->tasks[i];
		const HistoryEvent *call;
		Wait		item = {letter_of(task->kind)};

		if (item.kind == '\0' || task->done || task->canceled)
			continue;
		if (listed++ >= MAX_LISTED)
		{
			more++;
			continue;
		}
		call = replay->events[replay->calls[i]];
		item.number = i + 1;
		item.since = call->time;
		item.due = task->kind == HISTORY_TIMER_CREATED ?
			durable_history_get_number(call->extra) : DT_NOEND;
		item.line = instance->wait_line;
		item.name = name_of(call);
		put(&out, base, &item);
	}
	for (int i = 0; i < replay->nbuffered; i++)
	{
		if (i < MAX_LISTED)
			put_event(&out, base, replay->events[replay->buffered[i]], replay->buffered[i]);
		else
			more++;
	}
	if (more > 0)
		put_number(&out, 'm', more);
	return result_of(&out);
}

char *
durable_waiting_of_history(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	bool	   *answered = palloc0((replay->ncalls + 1) * sizeof(bool));
	StringInfoData out;
	int			listed = 0;
	int			more = 0;

	/* Before its start the instance waits for the start, which is not in its history. */
	if (instance->started_at == 0)
		return durable_waiting_keep(instance);
	for (int i = 0; i < replay->nevents; i++)
		if (is_answer(replay->events[i]->type) && replay->events[i]->task >= 1 &&
			replay->events[i]->task <= replay->ncalls)
			answered[replay->events[i]->task] = true;
	initStringInfo(&out);
	for (int task = 1; task <= replay->ncalls; task++)
	{
		const HistoryEvent *call = replay->events[replay->calls[task - 1]];
		Wait		item = {letter_of(call->type), task, call->time, DT_NOEND, 0, name_of(call)};

		if (item.kind == '\0' || answered[task])
			continue;
		if (listed++ >= MAX_LISTED)
		{
			more++;
			continue;
		}
		if (call->type == HISTORY_TIMER_CREATED)
			item.due = durable_history_get_number(call->extra);
		put(&out, base_of(instance), &item);
	}
	if (instance->runs_at == TURN_IS_OUT)
	{
		Wait		item = {'p', 0, replay->nevents > 0 ? replay->events[replay->nevents - 1]->time :
			instance->started_at, DT_NOEND, 0, durable_verbatim_queue(instance->handler_signature)};

		put(&out, base_of(instance), &item);
	}
	if (more > 0)
		put_number(&out, 'm', more);
	return result_of(&out);
}

char *
durable_waiting_keep(const Instance *instance)
{
	const Replay *replay = &instance->replay;
	TimestampTz base = base_of(instance);
	const char *cursor = instance->waiting;
	Bitmapset  *answered = NULL;
	StringInfoData out;
	Wait		item;
	int			listed = 0;
	int			more = 0;

	initStringInfo(&out);
	for (int i = instance->stored_events; i < replay->nevents; i++)
		if (is_answer(replay->events[i]->type))
			answered = bms_add_member(answered, replay->events[i]->task);
	while (next(&cursor, base, &item))
	{
		if (item.kind == 'm')
			more += Max(item.number - bms_num_members(answered), 0);
		else if (item.kind != 'b' && bms_is_member(item.number, answered))
			answered = bms_del_member(answered, item.number);
		else
		{
			listed += item.kind == 'b';
			put(&out, base, &item);
		}
	}
	for (int i = instance->stored_events; i < replay->nevents; i++)
	{
		if (replay->events[i]->type != HISTORY_EVENT_RAISED)
			continue;
		if (listed++ < MAX_LISTED)
			put_event(&out, base, replay->events[i], i);
		else
			more++;
	}
	if (more > 0)
		put_number(&out, 'm', more);
	return result_of(&out);
}

/* The instance starts: from now on times count from another base, and the wait for the start is over. */
char *
durable_waiting_start(const Instance *instance, TimestampTz started)
{
	const char *cursor = instance->waiting;
	StringInfoData out;
	Wait		item;

	initStringInfo(&out);
	while (next(&cursor, base_of(instance), &item))
		if (item.kind != 's')
			put(&out, started, &item);
	return result_of(&out);
}

/* Returns the text for an instance that waits for its start. */
char *
durable_waiting_for_start(TimestampTz created, TimestampTz due)
{
	Wait		item = {'s', 0, created, due, 0, NULL};
	StringInfoData out;

	initStringInfo(&out);
	put(&out, created, &item);
	return result_of(&out);
}

/*
 * Returns the time at which an instance that has not run yet is to start; DT_NOEND if it
 * does not wait for a time.  The timer of its start is not in its history.
 */
TimestampTz
durable_waiting_start_due(const Instance *instance)
{
	const char *cursor = instance->waiting;
	Wait		item;

	while (next(&cursor, base_of(instance), &item))
		if (item.kind == 's')
			return item.due;
	return DT_NOEND;
}

/* durable.waits(waiting text, base timestamptz): one row for each item. */
PG_FUNCTION_INFO_V1(durable_waits);

Datum
durable_waits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *cursor = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz base = PG_GETARG_TIMESTAMPTZ(1);
	Wait		item;

	InitMaterializedSRF(fcinfo, 0);
	while (*cursor != '\0')
	{
		bool		timed;
		Datum		values[WAITS_COLUMNS];
		bool		nulls[WAITS_COLUMNS] = {0};

		if (!parse(&cursor, base, &item) || !is_time(item.since) || !is_time(item.due))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for column \"waiting\" of table \"durable.instance\""),
					 errdetail("Reading failed at \"%s\".", cursor)));
		timed = item.kind != 'm';
		values[0] = CStringGetTextDatum(word_of(item.kind));
		values[1] = Int32GetDatum(item.number);
		nulls[2] = item.name == NULL;
		values[2] = item.name ? CStringGetTextDatum(item.name) : (Datum) 0;
		nulls[3] = !timed;
		values[3] = TimestampTzGetDatum(item.since);
		nulls[4] = item.kind != 't' && item.kind != 's';
		values[4] = TimestampTzGetDatum(item.due);
		nulls[5] = item.line == 0;
		values[5] = Int32GetDatum(item.line);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static bool
is_time(TimestampTz time)
{
	return TIMESTAMP_NOT_FINITE(time) || IS_VALID_TIMESTAMP(time);
}

static TimestampTz
base_of(const Instance *instance)
{
	return instance->started_at != 0 ? instance->started_at : instance->created_at;
}

/* --- writing -------------------------------------------------------------------------- */

static void
put(StringInfo out, TimestampTz base, const Wait *item)
{
	put_number(out, item->kind, item->number);
	if (item->kind == 'm')
		return;
	if (item->since != base)
		put_seconds(out, '@', base, item->since);
	if (item->kind == 't' || item->kind == 's')
		put_seconds(out, '+', item->since, item->due);
	if (item->line > 0)
		appendStringInfo(out, "/%d", item->line);
	if (item->name != NULL)
	{
		appendStringInfoChar(out, '"');
		for (const char *c = item->name; *c != '\0'; c++)
		{
			if (*c == '"')
				appendStringInfoChar(out, '"');
			appendStringInfoChar(out, *c);
		}
		appendStringInfoChar(out, '"');
	}
}

static void
put_number(StringInfo out, char kind, int number)
{
	if (out->len > 0)
		appendStringInfoChar(out, ' ');
	appendStringInfo(out, "%c%d", kind, number);
}

static void
put_event(StringInfo out, TimestampTz base, const HistoryEvent *event, int index)
{
	Wait		item = {'b', index + 1, event->time, DT_NOEND, 0, event->name};

	put(out, base, &item);
}

/*
 * Differences wrap around, here and in get_seconds, because the difference to the time of
 * a timer that is never due may overflow.
 */
static void
put_seconds(StringInfo out, char mark, TimestampTz from, TimestampTz to)
{
	int64		us = (int64) ((uint64) to - (uint64) from);
	uint64		size = us < 0 ? -(uint64) us : (uint64) us;
	uint64		fraction = size % USECS_PER_SEC;

	appendStringInfo(out, "%c%s" UINT64_FORMAT, mark, us < 0 ? "-" : "", size / USECS_PER_SEC);
	if (fraction > 0)
	{
		appendStringInfo(out, ".%06d", (int) fraction);
		while (out->data[out->len - 1] == '0')
			out->data[--out->len] = '\0';
	}
}

/* Returns NULL if there are no items. */
static char *
result_of(StringInfo out)
{
	return out->len > 0 ? out->data : NULL;
}

/* --- reading -------------------------------------------------------------------------- */

/* Reads the item at the cursor, which may be NULL, and moves the cursor to the next one. */
static bool
next(const char **cursor, TimestampTz base, Wait *item)
{
	const char *c = *cursor;

	if (c == NULL || *c == '\0')
		return false;
	if (!parse(cursor, base, item))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("could not read column \"waiting\" of an instance: \"%s\"", c)));
	return true;
}

/* Returns false if there is none. */
static bool
parse(const char **cursor, TimestampTz base, Wait *item)
{
	const char *c = *cursor;

	memset(item, 0, sizeof(Wait));
	item->kind = *c++;
	item->number = strtol(c, unconstify(char **, &c), 10);
	item->since = base;
	item->due = DT_NOEND;
	if (*c == '@')
		item->since = get_seconds(&c, base);
	if (*c == '+')
		item->due = get_seconds(&c, item->since);
	if (*c == '/')
		item->line = strtol(c + 1, unconstify(char **, &c), 10);
	if (*c == '"')
		item->name = get_name(&c);
	if (word_of(item->kind) == NULL || (*c != ' ' && *c != '\0'))
		return false;
	*cursor = *c == ' ' ? c + 1 : c;
	return true;
}

static TimestampTz
get_seconds(const char **cursor, TimestampTz from)
{
	const char *c = *cursor + 1;
	bool		negative = *c == '-';
	uint64		us;

	if (negative)
		c++;
	us = strtoull(c, unconstify(char **, &c), 10) * USECS_PER_SEC;
	if (*c == '.')
		for (int unit = USECS_PER_SEC / 10; *++c >= '0' && *c <= '9'; unit /= 10)
			us += (*c - '0') * unit;
	*cursor = c;
	return (TimestampTz) ((uint64) from + (negative ? -us : us));
}

static char *
get_name(const char **cursor)
{
	const char *c = *cursor + 1;
	char	   *name = palloc(strlen(c) + 1);
	int			length = 0;

	while (*c != '\0' && (*c != '"' || *++c == '"'))
		name[length++] = *c++;
	name[length] = '\0';
	*cursor = c;
	return name;
}

static bool
is_answer(HistoryType type)
{
	return type == HISTORY_TASK_COMPLETED || type == HISTORY_TASK_FAILED ||
		type == HISTORY_SUB_COMPLETED || type == HISTORY_SUB_FAILED ||
		type == HISTORY_TIMER_FIRED || type == HISTORY_ENTITY_COMPLETED || type == HISTORY_ENTITY_FAILED ||
		type == HISTORY_ENTITY_LOCK_GRANTED;
}

/* With the id of the entity that is called. */
static char *
name_of(const HistoryEvent *call)
{
	return call->type == HISTORY_ENTITY_CALLED ?
		psprintf("%s %s", durable_json_get_text(call->extra, "id"), call->name) : call->name;
}

static char
letter_of(HistoryType type)
{
	switch (type)
	{
		case HISTORY_TASK_SCHEDULED:
			return 'a';
		case HISTORY_TIMER_CREATED:
			return 't';
		case HISTORY_EVENT_WAIT_CREATED:
			return 'e';
		case HISTORY_SUB_CREATED:
			return 'o';
		case HISTORY_ENTITY_CALLED:
			return 'q';
		case HISTORY_ENTITY_LOCK_REQUESTED:
			return 'l';
		default:
			return '\0';
	}
}

static const char *
word_of(char kind)
{
	switch (kind)
	{
		case 'a':
			return "activity";
		case 't':
			return "timer";
		case 'e':
			return "event";
		case 'o':
			return "orchestration";
		case 'q':
			return "entity";
		case 'l':
			return "lock";
		case 's':
			return "start";
		case 'p':
			return "turn";
		case 'b':
			return "buffered";
		case 'm':
			return "more";
		default:
			return NULL;
	}
}
