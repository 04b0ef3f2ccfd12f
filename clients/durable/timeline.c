/*
 * timeline.c - draws the history of an instance.
 *
 *   0.000  ▶ started "Pat"
 *   0.012  ■ hello "Pat" = "Hello Pat"                                  11.4 ms
 *   0.020  ⏱ timer of 2 min 00 s ┄ canceled
 *          ┄┄┄┄ 31.1 s
 *  31.198  ◆ ApprovalTask true
 *  31.204  ✓ completed {"done": true}
 *
 * A call and its answer are one line if the answer is known when the line is drawn.
 * With --follow, an answer that comes later is a line of its own, because a line is drawn
 * only once.  An event is shown at the time at which it was received, and not at the time at
 * which the instance began to wait for it.
 *
 * A time is that of the turn, which is one transaction: calls that were answered
 * within it show no duration.
 *
 * Owns, locks: none.
 * Called by: history.c, top.c.
 * Memory: one entry for each call, freed by timeline_free.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "program.h"
#include "table.h"
#include "timeline.h"

#define LONG_GAP	(10 * 1000000)	/* us that are worth a line */
#define TIME_WIDTH	9

#define US(expression) "(extract(epoch FROM " expression ") * 1000000)::pg_catalog.int8"

enum
{
	SEQ, TYPE, TASK, NAME, PAYLOAD, AT, FIRE_AT, ID, MESSAGE, SQLSTATE, REASON, ATTEMPT, NEXT_ATTEMPT, NEXT_TRY, IS_REFUSED
};

const char	timeline_sql[] =
"SELECT h.seq, h.event_type, h.task::pg_catalog.int8, h.name, \"left\"(h.payload::pg_catalog.text, 300), " US("h.created_at") ", "
US("(h.detail ->> 'fire_at')::pg_catalog.timestamptz") ", coalesce(h.detail ->> 'id', h.detail ->> 'next_instance_id'), "
"h.payload ->> 'message', h.payload ->> 'sqlstate', h.payload ->> 'reason', h.detail ->> 'attempt', "
"h.detail ->> 'next_attempt', " US("(h.detail ->> 'next_try')::pg_catalog.timestamptz") ", h.detail #>> '{failure,message}' "
"FROM durable.history($1) h WHERE h.seq > $2::pg_catalog.int4 OR h.seq IS NULL";

const char	timeline_status_sql[] =
"SELECT s.name, s.instance_id, s.runtime_status, " US("s.created_time") ", " US("s.duration") ", " US("s.compute_time") ", "
"s.turns, s.execution, s.waiting_on, s.last_updated_time, " US("pg_catalog.now()") ", "
"\"left\"(s.output::pg_catalog.text, 300), s.failure ->> 'message' "
"FROM durable.status($1) s";

typedef struct Call
{
	char	   *type;			/* of the event that recorded it */
	char	   *name;
	int64_t		at;
	bool		is_over;		/* answered or canceled */
} Call;

struct Timeline
{
	int			width;
	TimelineSink sink;
	void	   *arg;
	int64_t		origin;			/* us since 1970: the creation */
	int64_t		before;			/* time of the line above */
	char		last[24];
	Call	   *calls;			/* by number of the task */
	long		ncalls;
	char	  **buffered;		/* names of events that were raised before the instance waited for them */
	int			nbuffered;
	char	   *attempts;		/* failed attempts that were drawn: "task/next attempt," ... */
};

static Call *call_of(Timeline *t, long task);
static long note_call(Timeline *t, const PGresult *res, int row);
static long take_event(Timeline *t, const char *name);
static bool take_buffered(Timeline *t, const char *name);
static void draw_call(Timeline *t, const PGresult *res, int row, int answer);
static void draw_answer(Timeline *t, const PGresult *res, int row, long task);
static void draw_other(Timeline *t, const PGresult *res, int row);
static void draw_attempt(Timeline *t, const PGresult *res, int row);
static void draw(Timeline *t, int64_t at, Style style, const char *symbol, const char *ascii, const char *right,
				 const char *format, ...) __attribute__((format(printf, 7, 8)));
static bool is_answer(const char *type);
static bool is_call(const char *type);
static bool is_canceled(const char *type);
static const char *value(const PGresult *res, int row, int column);
static const char *blank_value(const PGresult *res, int row, int column);
static int64_t number(const PGresult *res, int row, int column);
static const char *clock_text(int64_t us);

Timeline *
timeline_new(int width, TimelineSink sink, void *arg)
{
	Timeline   *t = calloc(1, sizeof(*t));

	if (t == NULL)
		abort();
	t->width = width;
	t->sink = sink;
	t->arg = arg;
	strcpy(t->last, "-1");
	t->attempts = strdup(",");
	return t;
}

void
timeline_free(Timeline *t)
{
	if (t == NULL)
		return;
	for (long i = 0; i < t->ncalls; i++)
	{
		free(t->calls[i].type);
		free(t->calls[i].name);
	}
	free(t->calls);
	for (int i = 0; i < t->nbuffered; i++)
		free(t->buffered[i]);
	free(t->buffered);
	free(t->attempts);
	free(t);
}

const char *
timeline_last(const Timeline *t)
{
	return t->last;
}

void
timeline_head(Timeline *t, const PGresult *status)
{
	char		duration[48];
	char		compute[48];
	char	   *line;
	char	   *cell = NULL;
	size_t		size;
	FILE	   *out;
	const char *execution = PQgetvalue(status, 0, STATUS_EXECUTION);

	t->origin = number(status, 0, STATUS_CREATED);
	t->before = t->origin;
	strcpy(duration, table_duration(number(status, 0, STATUS_DURATION)));
	strcpy(compute, table_duration(number(status, 0, STATUS_COMPUTE)));
	if (asprintf(&line, "%s  %s  %s  %s (compute %s, %s turns%s%s)", PQgetvalue(status, 0, STATUS_NAME),
				 PQgetvalue(status, 0, STATUS_ID), PQgetvalue(status, 0, STATUS_STATUS), duration, compute,
				 PQgetvalue(status, 0, STATUS_TURNS), strcmp(execution, "1") != 0 ? ", execution " : "",
				 strcmp(execution, "1") != 0 ? execution : "") < 0)
		abort();
	out = open_memstream(&cell, &size);
	if (out == NULL)
		abort();
	table_cell(out, line, t->width > 0 ? t->width : 100000, false, false);
	fclose(out);
	t->sink(STYLE_NAME, cell, t->arg);
	free(cell);
	free(line);
}

void
timeline_add(Timeline *t, const PGresult *events)
{
	int			rows = PQntuples(events);
	int		   *answer_of = calloc((size_t) rows + 1, sizeof(int));	/* row of a call -> row of its answer */
	bool	   *is_drawn = calloc((size_t) rows + 1, sizeof(bool));
	long	   *task_of = calloc((size_t) rows + 1, sizeof(long));	/* the call that an answer belongs to */
	int		   *row_of = NULL;	/* task -> row of the call, + 1 */
	long		most = 0;

	if (answer_of == NULL || is_drawn == NULL || task_of == NULL)
		abort();
	for (int r = 0; r < rows; r++)
	{
		long		task = (long) number(events, r, TASK);

		most = task > most ? task : most;
	}
	row_of = calloc((size_t) most + 1, sizeof(int));
	if (row_of == NULL)
		abort();

	/* Which calls of this piece are answered, or canceled, in it? */
	for (int r = 0; r < rows; r++)
	{
		const char *type = PQgetvalue(events, r, TYPE);
		long		task = (long) number(events, r, TASK);

		answer_of[r] = -1;
		task_of[r] = task;
		if (is_call(type) && task > 0)
		{
			row_of[note_call(t, events, r)] = r + 1;
			/* The event has been drawn already. */
			if (strcmp(type, "EventWaitCreated") == 0 && take_buffered(t, PQgetvalue(events, r, NAME)))
			{
				is_drawn[r] = true;
				call_of(t, task)->is_over = true;
			}
			continue;
		}
		if (is_canceled(type))
			task = strtol(blank_value(events, r, PAYLOAD), NULL, 10);
		else if (!is_answer(type))
			continue;
		else if (strcmp(type, "EventRaised") == 0)
			task = take_event(t, PQgetvalue(events, r, NAME));
		task_of[r] = task;
		if (task <= 0)
			continue;
		call_of(t, task)->is_over = true;
		if (task <= most && row_of[task] > 0)
		{
			/* The event stands where it was received. */
			if (strcmp(type, "EventRaised") != 0)
				is_drawn[r] = true;
			answer_of[row_of[task] - 1] = r;
		}
	}
	for (int r = 0; r < rows; r++)
	{
		const char *type = PQgetvalue(events, r, TYPE);

		if (is_call(type) && !is_drawn[r])
			draw_call(t, events, r, answer_of[r]);
		else if (PQgetisnull(events, r, SEQ) && strstr(type, "AttemptFailed") != NULL)
			draw_attempt(t, events, r);
		else if (is_drawn[r])
			;
		else if (is_answer(type) || is_canceled(type))
			draw_answer(t, events, r, task_of[r]);
		else
			draw_other(t, events, r);
		if (!PQgetisnull(events, r, SEQ))
			snprintf(t->last, sizeof(t->last), "%s", PQgetvalue(events, r, SEQ));
	}
	free(answer_of);
	free(is_drawn);
	free(task_of);
	free(row_of);
}

static long
note_call(Timeline *t, const PGresult *res, int row)
{
	long		task = (long) number(res, row, TASK);
	Call	   *call = call_of(t, task);

	free(call->type);
	free(call->name);
	call->type = strdup(PQgetvalue(res, row, TYPE));
	call->name = strdup(PQgetvalue(res, row, NAME));
	call->at = number(res, row, AT);
	call->is_over = false;
	return task;
}

/* Events bear no number: each goes to the first wait for its name, or is kept for the next one.  0: it is kept. */
static long
take_event(Timeline *t, const char *name)
{
	for (long i = 1; i < t->ncalls; i++)
	{
		const Call *call = &t->calls[i];

		if (call->type != NULL && !call->is_over && strcmp(call->type, "EventWaitCreated") == 0 && strcasecmp(call->name, name) == 0)
			return i;
	}
	t->buffered = realloc(t->buffered, sizeof(char *) * (size_t) (t->nbuffered + 1));
	if (t->buffered == NULL)
		abort();
	t->buffered[t->nbuffered++] = strdup(name);
	return 0;
}

static bool
take_buffered(Timeline *t, const char *name)
{
	for (int i = 0; i < t->nbuffered; i++)
	{
		if (strcasecmp(t->buffered[i], name) != 0)
			continue;
		free(t->buffered[i]);
		memmove(t->buffered + i, t->buffered + i + 1, sizeof(char *) * (size_t) (t->nbuffered - i - 1));
		t->nbuffered--;
		return true;
	}
	return false;
}

static void
draw_call(Timeline *t, const PGresult *res, int row, int answer)
{
	const char *type = PQgetvalue(res, row, TYPE);
	const char *answered = answer >= 0 ? PQgetvalue(res, answer, TYPE) : "";
	int64_t		at = number(res, row, AT);
	const char *name = blank_value(res, row, NAME);
	const char *input = blank_value(res, row, PAYLOAD);
	const char *blank = *input != '\0' ? " " : "";
	const char *right = "";
	char		took[48] = "";
	bool		failed = strstr(answered, "Failed") != NULL;
	bool		canceled = answer >= 0 && is_canceled(answered);

	if (!PQgetisnull(res, row, IS_REFUSED))
	{
		draw(t, at, STYLE_BAD, "\u2717", "x", "refused", "%s%s%s: %s", name, blank, input, PQgetvalue(res, row, IS_REFUSED));
		return;
	}
	if (answer >= 0 && number(res, answer, AT) > at)
		strcpy(took, table_duration(number(res, answer, AT) - at));
	right = took;

	if (strcmp(type, "TaskScheduled") == 0 || strcmp(type, "SubOrchestrationInstanceCreated") == 0)
	{
		bool		child = type[0] == 'S';
		const char *symbol = failed ? "\u2717" : child ? "\u25a3" : "\u25a0";
		const char *ascii = failed ? "x" : child ? "@" : "#";
		const char *attempt = answer >= 0 ? value(res, answer, ATTEMPT) : NULL;
		char		attempts[32] = "";

		if (attempt != NULL && strcmp(attempt, "1") != 0)
			snprintf(attempts, sizeof(attempts), " (attempt %s)", attempt);
		if (answer < 0)
			draw(t, at, STYLE_NARRATION, symbol, ascii, child ? "running" : "not answered", "%s%s%s", name, blank, input);
		else if (failed)
			draw(t, at, STYLE_BAD, symbol, ascii, right, "%s%s%s: %s %s%s", name, blank, input,
				 blank_value(res, answer, SQLSTATE), blank_value(res, answer, MESSAGE), attempts);
		else
			draw(t, at, STYLE_PLAIN, symbol, ascii, right, "%s%s%s = %s%s", name, blank, input,
				 PQgetisnull(res, answer, PAYLOAD) ? "null" : PQgetvalue(res, answer, PAYLOAD), attempts);
	}
	else if (strcmp(type, "TimerCreated") == 0)
		draw(t, at, answer < 0 ? STYLE_NARRATION : STYLE_PLAIN, "\u23f1", "~",
			 answer < 0 ? "runs" : canceled ? "canceled" : "fired", "timer of %s%s%s",
			 PQgetisnull(res, row, FIRE_AT) ? "?" : table_duration(number(res, row, FIRE_AT) - at), *name != '\0' ? " " : "", name);
	else if (strcmp(type, "EventWaitCreated") == 0)
	{
		if (answer < 0)
			draw(t, at, STYLE_NARRATION, "\u25c7", "o", "waits", "event %s", name);
		else if (canceled)
			draw(t, at, STYLE_DIM, "\u25c7", "o", "canceled", "event %s", name);
	}
}

static void
draw_answer(Timeline *t, const PGresult *res, int row, long task)
{
	const char *type = PQgetvalue(res, row, TYPE);
	int64_t		at = number(res, row, AT);
	Call	   *call = call_of(t, task);
	const char *name = call != NULL && call->name != NULL ? call->name : "";
	char		took[48] = "";

	if (call != NULL && call->type != NULL && at > call->at)
		strcpy(took, table_duration(at - call->at));
	if (strcmp(type, "EventRaised") == 0)
		draw(t, at, STYLE_PLAIN, "\u25c6", "*", took, "%s %s", blank_value(res, row, NAME), blank_value(res, row, PAYLOAD));
	else if (strcmp(type, "TimerFired") == 0)
		draw(t, at, STYLE_PLAIN, "\u23f1", "~", took, "timer%s%s fired", *name != '\0' ? " " : "", name);
	else if (is_canceled(type))
		draw(t, at, STYLE_DIM, "\u25c7", "o", "canceled", "%s",
			 type[0] == 'T' ? "timer" : *name != '\0' ? name : blank_value(res, row, NAME));
	else if (strstr(type, "Failed") != NULL)
		draw(t, at, STYLE_BAD, "\u2717", "x", took, "%s: %s %s", name, blank_value(res, row, SQLSTATE), blank_value(res, row, MESSAGE));
	else
		draw(t, at, STYLE_PLAIN, type[0] == 'S' ? "\u25a3" : "\u25a0", type[0] == 'S' ? "@" : "#", took, "%s = %s", name,
			 PQgetisnull(res, row, PAYLOAD) ? "null" : PQgetvalue(res, row, PAYLOAD));
}

/* Events that belong to no call, and calls that get no answer. */
static void
draw_other(Timeline *t, const PGresult *res, int row)
{
	const char *type = PQgetvalue(res, row, TYPE);
	int64_t		at = number(res, row, AT);
	const char *name = blank_value(res, row, NAME);
	const char *payload = blank_value(res, row, PAYLOAD);
	const char *reason = value(res, row, REASON) != NULL ? value(res, row, REASON) : payload;

	if (strcmp(type, "ExecutionStarted") == 0)
		draw(t, at, STYLE_PLAIN, "\u25b6", ">", "", "started %s", payload);
	else if (strcmp(type, "ExecutionCompleted") == 0)
		draw(t, at, STYLE_GOOD, "\u2713", "+", "", "completed %s", payload);
	else if (strcmp(type, "ExecutionFailed") == 0)
		draw(t, at, STYLE_BAD, "\u2717", "x", "", "failed: %s %s", blank_value(res, row, SQLSTATE), blank_value(res, row, MESSAGE));
	else if (strcmp(type, "ExecutionTerminated") == 0)
		draw(t, at, STYLE_BAD, "\u2717", "x", "", "terminated %s", reason);
	else if (strcmp(type, "ExecutionSuspended") == 0)
		draw(t, at, STYLE_NARRATION, "\u2016", "=", "", "suspended %s", reason);
	else if (strcmp(type, "ExecutionResumed") == 0)
		draw(t, at, STYLE_PLAIN, "\u25b6", ">", "", "resumed %s", reason);
	else if (strcmp(type, "ExecutionRewound") == 0)
		draw(t, at, STYLE_NARRATION, "\u21ba", "<", "", "rewound %s", reason);
	else if (strcmp(type, "EventSent") == 0)
		draw(t, at, STYLE_PLAIN, "\u2192", ">", "", "event %s to %s %s", name, blank_value(res, row, ID), payload);
	else if (strcmp(type, "OrchestrationStartRequested") == 0)
		draw(t, at, STYLE_PLAIN, "\u2192", ">", "", "starts %s as %s %s", name, blank_value(res, row, ID), payload);
	else if (strcmp(type, "SubOrchestrationCancelRequested") == 0)
		draw(t, at, STYLE_PLAIN, "\u2192", ">", "", "cancels sub-orchestration %s", payload);
	else if (strcmp(type, "LogWritten") == 0)
		draw(t, at, STYLE_DIM, "\u00b7", ".", "", "%s", payload);
	else if (strcmp(type, "EventDropped") == 0)
		draw(t, at, STYLE_BAD, "\u25c6", "*", "dropped", "%s %s", name, payload);
	else
		draw(t, at, STYLE_DIM, "\u00b7", ".", "", "%s %s %s", type, name, payload);
}

/* A failed attempt of a call that is to be tried again; it is no part of the history, so it comes with every piece. */
static void
draw_attempt(Timeline *t, const PGresult *res, int row)
{
	char		key[80];
	char	   *longer;
	Call	   *call = call_of(t, (long) number(res, row, TASK));
	const char *name = blank_value(res, row, NAME);

	snprintf(key, sizeof(key), ",%s/%s,", PQgetvalue(res, row, TASK), blank_value(res, row, NEXT_ATTEMPT));
	if (strstr(t->attempts, key) != NULL)
		return;
	if (asprintf(&longer, "%s%s", t->attempts, key + 1) < 0)
		abort();
	free(t->attempts);
	t->attempts = longer;
	if (*name == '\0' && call != NULL && call->name != NULL)
		name = call->name;
	draw(t, number(res, row, AT), STYLE_BAD, "\u21bb", "!", "", "%s: %s %s; attempt %s %s%s", name,
		 blank_value(res, row, SQLSTATE), blank_value(res, row, MESSAGE), blank_value(res, row, NEXT_ATTEMPT),
		 PQgetisnull(res, row, NEXT_TRY) ? "follows" : "at ",
		 PQgetisnull(res, row, NEXT_TRY) ? "" : clock_text(number(res, row, NEXT_TRY) - t->origin));
}

static void
draw(Timeline *t, int64_t at, Style style, const char *symbol, const char *ascii, const char *right,
	 const char *format, ...)
{
	bool		unicode = program_draws_unicode();
	int			width = t->width > 0 ? t->width : 80;
	int			room = width - TIME_WIDTH - 4;
	int			right_width = (int) strlen(right);
	va_list		args;
	char	   *text;
	char	   *line = NULL;
	size_t		size;
	FILE	   *out;

	if (at - t->before >= LONG_GAP)
	{
		/* As many dashes as the time has digits, twice. */
		char		dashes[128] = "";
		char		gap[192];

		for (int64_t s = (at - t->before) / 1000000; s > 0; s /= 4)
			strcat(dashes, unicode ? "\u2504" : "-");
		snprintf(gap, sizeof(gap), "%*s  %s %s", TIME_WIDTH, "", dashes, table_duration(at - t->before));
		t->sink(STYLE_DIM, gap, t->arg);
	}
	t->before = at;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	out = open_memstream(&line, &size);
	if (out == NULL)
		abort();
	fprintf(out, "%*s  %s ", TIME_WIDTH, clock_text(at - t->origin), unicode ? symbol : ascii);
	if (right_width == 0)
		table_cell(out, text, t->width > 0 ? room : 100000, false, false);
	else if (t->width > 0)
	{
		table_cell(out, text, room - right_width - 2, true, false);
		fprintf(out, "  %s", right);
	}
	else
	{
		int			columns = print_columns(text, strlen(text));

		print_text(out, text);
		fprintf(out, "%*s  %s", columns < room - right_width - 2 ? room - right_width - 2 - columns : 0, "", right);
	}
	fclose(out);
	t->sink(style, line, t->arg);
	free(line);
	free(text);
}

/* Since the creation of the instance. */
static const char *
clock_text(int64_t us)
{
	static char buffer[48];
	int64_t		s;

	if (us < 0)
		us = 0;
	s = us / 1000000;
	if (s < 10000)
		snprintf(buffer, sizeof(buffer), "%" PRId64 ".%03d", s, (int) (us / 1000 % 1000));
	else if (s < 86400)
		snprintf(buffer, sizeof(buffer), "%d:%02d:%02d", (int) (s / 3600), (int) (s / 60 % 60), (int) (s % 60));
	else
		snprintf(buffer, sizeof(buffer), "%" PRId64 "d %02d:%02d", s / 86400, (int) (s / 3600 % 24), (int) (s / 60 % 60));
	return buffer;
}

static Call *
call_of(Timeline *t, long task)
{
	if (task <= 0)
		return NULL;
	if (task >= t->ncalls)
	{
		long		n = task * 2 + 16;

		t->calls = realloc(t->calls, sizeof(Call) * (size_t) n);
		if (t->calls == NULL)
			abort();
		memset(t->calls + t->ncalls, 0, sizeof(Call) * (size_t) (n - t->ncalls));
		t->ncalls = n;
	}
	return &t->calls[task];
}

static bool
is_call(const char *type)
{
	return strcmp(type, "TaskScheduled") == 0 || strcmp(type, "TimerCreated") == 0 ||
		strcmp(type, "EventWaitCreated") == 0 || strcmp(type, "SubOrchestrationInstanceCreated") == 0;
}

static bool
is_answer(const char *type)
{
	return strcmp(type, "TaskCompleted") == 0 || strcmp(type, "TaskFailed") == 0 || strcmp(type, "TimerFired") == 0 ||
		strcmp(type, "EventRaised") == 0 || strcmp(type, "SubOrchestrationInstanceCompleted") == 0 ||
		strcmp(type, "SubOrchestrationInstanceFailed") == 0;
}

static bool
is_canceled(const char *type)
{
	return strcmp(type, "TimerCanceled") == 0 || strcmp(type, "EventWaitCanceled") == 0;
}

static const char *
value(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column) ? NULL : PQgetvalue(res, row, column);
}

static const char *
blank_value(const PGresult *res, int row, int column)
{
	return PQgetvalue(res, row, column);
}

static int64_t
number(const PGresult *res, int row, int column)
{
	return strtoll(PQgetvalue(res, row, column), NULL, 10);
}
