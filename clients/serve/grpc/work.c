/*
 * work.c - streams of workers: work is fetched for all of a hub, and handed out to them.
 *
 * Each hub with workers has a session that fetches, whose turns are leased for as long as it lives,
 * and one for each kind of work that waits until there is some.  A fetch asks for as
 * much as the streams may still be given; when it gets less, the waiting begins again.
 *
 * There are no heartbeats in the protocol.  Work is leased as long as its stream lives.  When a
 * worker ends its stream and keeps the connection, it is finishing: its answers are waited for.
 * When the connection is lost, turns are given back at once, and the leases of activities
 * run out, because their worker may connect again and deliver.
 *
 * Owns: the streams of each hub.
 * Called by: call.c, listen.c, work_answers.c.
 * Memory: a HubWork lives as long as the program, a stream as long as its call.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

#define DEFAULT_TURNS		100
#define DEFAULT_TASKS		1000
#define MOST_TURNS			100		/* of a fetch */
#define MOST_TASKS			500
#define PING_SECONDS		20
#define EXTEND_SECONDS		10
#define FINISHING_SECONDS	35
#define MOST_OUTPUT			(4 * 1024 * 1024)	/* of a stream, before it gets more */

static const Statement fetch_statement = {
	"fetch", "SELECT kind, token, instance_id, name, version, task_id, item FROM durable.grpc_fetch($1, $2, $3, $4, $5, $6)", 6
};
/* Turns have a queue of their own, see durable.grpc_register. */
static const Statement wait_turns_statement = {
	"wait_turns", "CALL durable.wait_for_work($1 OPERATOR(pg_catalog.||) '/turns', '30 seconds', NULL)", 1
};
static const Statement wait_tasks_statement = {
	"wait_tasks", "CALL durable.wait_for_work($1, '30 seconds', NULL)", 1
};
static const Statement extend_statement = {
	"extend", "SELECT durable.extend_lease($1, '30 seconds')", 1
};
static const Statement release_statement = {
	"release", "SELECT durable.release_work($1, $2::pg_catalog.interval)", 2
};

static const char ping[] = {0x22, 0};
static bool is_draining;

uint64_t	work_counts[WORK_KINDS];

static void stream_gone(Call *call);
static void session_changed(void *arg, bool is_ready);
static int	room(const HubWork *work, WorkKind kind);
static bool names_of(const HubWork *work, WorkKind kind, Buffer *array);
static void fetched(const Outcome *outcome, void *arg);
static void hand_out(HubWork *work, PGresult *rows, int row);
static WorkStream *stream_for(HubWork *work, WorkKind kind, const char *name, const char *version);
static void wait_for(HubWork *work, WorkKind kind);
static void waited_turns(const Outcome *outcome, void *arg);
static void waited_tasks(const Outcome *outcome, void *arg);
static void waited(HubWork *work, WorkKind kind, const Outcome *outcome);
static void on_timer(evutil_socket_t fd, short events, void *arg);
static bool is_to_be_extended(const WorkItem *item, double now);
static bool is_to_be_released(const WorkItem *item, double now);
static bool is_forgotten(const WorkItem *item, double now);
static void nothing(const Outcome *outcome, void *arg);

HubWork *
work_of(Hub *hub)
{
	struct timeval often = {1, 0};
	HubWork    *work = hub->work;

	if (work != NULL)
		return work;
	work = hub->work = must_alloc(sizeof(HubWork));
	work->hub = hub;
	work->timer = event_new(base, -1, EV_PERSIST, on_timer, work);
	event_add(work->timer, &often);
	return work;
}

void
work_begin(Call *call, const Buffer *json)
{
	JsonSpan	request = {json->data, json->length};
	HubWork    *work = work_of(call->hub);
	WorkStream *stream = must_alloc(sizeof(WorkStream));

	if (work->fetching == NULL)
	{
		work->fetching = session_new(call->hub->role, session_changed, work);
		for (int kind = 0; kind < WORK_KINDS; kind++)
			work->waiting[kind] = session_new(call->hub->role, session_changed, work);
	}
	stream->call = call;
	stream->filter = filter_read(request);
	stream->limit[WORK_TURN] = json_member_integer(request, "max_turns");
	stream->limit[WORK_TASK] = json_member_integer(request, "max_tasks");
	if (stream->limit[WORK_TURN] <= 0)
		stream->limit[WORK_TURN] = DEFAULT_TURNS;
	if (stream->limit[WORK_TASK] <= 0)
		stream->limit[WORK_TASK] = DEFAULT_TASKS;
	stream->last_sent = now_seconds();
	stream->next = work->streams;
	work->streams = stream;
	call->state = stream;
	call->gone = stream_gone;
	call_keep(call);
	work->may_be_there[WORK_TURN] = work->may_be_there[WORK_TASK] = true;
	/* The client learns that the stream stands. */
	call_send(call, ping, sizeof(ping));
	work_pump(work);
}

static void
stream_gone(Call *call)
{
	WorkStream *stream = call->state;
	HubWork    *work = call->hub->work;
	WorkStream **link = &work->streams;

	while (*link != stream)
		link = &(*link)->next;
	*link = stream->next;
	items_of_stream_end(work, stream, call->is_cut_off);
	filter_free(stream->filter);
	free(stream);
	call_release(call);
	on_timer(-1, 0, work);
}

/* --- fetching ----------------------------------------------------------------------------------------------- */

static void
session_changed(void *arg, bool is_ready)
{
	HubWork    *work = arg;

	if (!is_ready && work->fetching != NULL && !session_is_idle(work->fetching))
		items_forget_turns(work);
	work->may_be_there[WORK_TURN] = work->may_be_there[WORK_TASK] = true;
	if (is_ready)
		work_pump(work);
}

/* Fetches if there may be work and somebody may get it; else sees to it that it is waited for. */
void
work_pump(HubWork *work)
{
	int			turns = work->may_be_there[WORK_TURN] ? room(work, WORK_TURN) : 0;
	int			tasks = work->may_be_there[WORK_TASK] ? room(work, WORK_TASK) : 0;
	Buffer		names[WORK_KINDS] = {{.limit = SIZE_MAX / 4}, {.limit = SIZE_MAX / 4}};
	char		numbers[WORK_KINDS][16];
	const char *values[6] = {work->hub->queue, work->streams != NULL ? work->streams->call->worker : NULL};

	if (is_draining || work->fetching == NULL || work->streams == NULL)
		return;
	if (session_is_idle(work->fetching) && (turns > 0 || tasks > 0))
	{
		work->asked[WORK_TURN] = turns < MOST_TURNS ? turns : MOST_TURNS;
		work->asked[WORK_TASK] = tasks < MOST_TASKS ? tasks : MOST_TASKS;
		for (int kind = 0; kind < WORK_KINDS; kind++)
		{
			snprintf(numbers[kind], sizeof(numbers[kind]), "%d", work->asked[kind]);
			values[2 + 2 * kind] = numbers[kind];
			values[3 + 2 * kind] = names_of(work, kind, &names[kind]) ? buffer_text(&names[kind]) : NULL;
		}
		session_run(work->fetching, &fetch_statement, values, fetched, work);
		for (int kind = 0; kind < WORK_KINDS; kind++)
			buffer_free(&names[kind]);
	}
	for (int kind = 0; kind < WORK_KINDS; kind++)
		wait_for(work, kind);
}

static int
room(const HubWork *work, WorkKind kind)
{
	int			n = 0;

	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (filter_wants_kind(stream->filter, kind) && stream->out[kind] < stream->limit[kind] && call_output(stream->call) < MOST_OUTPUT)
			n += stream->limit[kind] - stream->out[kind];
	return n;
}

/* false: all names. */
static bool
names_of(const HubWork *work, WorkKind kind, Buffer *array)
{
	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (stream->out[kind] < stream->limit[kind])
		{
			if (stream->filter == NULL)
				return false;
			filter_add_names(stream->filter, kind, array);
		}
	buffer_add_text(array, array->length == 0 ? "{}" : "}");
	return true;
}

static void
fetched(const Outcome *outcome, void *arg)
{
	HubWork    *work = arg;
	int			n[WORK_KINDS] = {0, 0};

	if (outcome->rows == NULL)
	{
		if (strcmp(outcome->sqlstate, POOL_LOST) != 0)
		{
			complain("could not fetch work of queue \"%s\": %s", work->hub->queue, outcome->message);
			work->may_be_there[WORK_TURN] = work->may_be_there[WORK_TASK] = false;
			work->nothing_fits[WORK_TURN] = work->nothing_fits[WORK_TASK] = true;
		}
		return;
	}
	for (int i = 0; i < PQntuples(outcome->rows); i++)
	{
		n[PQgetvalue(outcome->rows, i, 0)[0] == 'o' ? WORK_TURN : WORK_TASK]++;
		hand_out(work, outcome->rows, i);
	}
	for (int kind = 0; kind < WORK_KINDS; kind++)
		if (work->asked[kind] > 0)
		{
			work->may_be_there[kind] = n[kind] == work->asked[kind];
			/* The waiting session is told of any work of the queue; the names of the streams may be others. */
			work->nothing_fits[kind] = n[kind] == 0;
		}
	work_pump(work);
}

/* kind ('o': a turn), token, instance_id, name, version, task_id, item */
static void
hand_out(HubWork *work, PGresult *rows, int row)
{
	WorkKind	kind = PQgetvalue(rows, row, 0)[0] == 'o' ? WORK_TURN : WORK_TASK;
	const char *token = PQgetvalue(rows, row, 1);
	WorkStream *stream = stream_for(work, kind, PQgetvalue(rows, row, 3), PQgetvalue(rows, row, 4));
	Buffer		data = {.limit = SIZE_MAX / 4};
	const char *problem;

	if (stream == NULL)
	{
		Buffer		array = {.limit = SIZE_MAX / 4};
		const char *values[2];

		array_add(&array, token);
		buffer_add_byte(&array, '}');
		values[0] = buffer_text(&array);
		/* Another version of it may be wanted by a worker that is yet to come. */
		values[1] = "2 seconds";
		work_statement(work, &release_statement, values);
		buffer_free(&array);
		return;
	}
	problem = proto_from_json(&message_work_item, PQgetvalue(rows, row, 6), (size_t) PQgetlength(rows, row, 6), &data);
	if (problem != NULL)
	{
		complain("work item of instance \"%s\": %s", PQgetvalue(rows, row, 2), problem);
		buffer_free(&data);
		return;
	}
	item_add(work, kind, token, PQgetvalue(rows, row, 2), atoi(PQgetvalue(rows, row, 5)), stream);
	work_counts[kind]++;
	stream->last_sent = now_seconds();
	call_send(stream->call, data.data, data.length);
	buffer_free(&data);
}

/* The one with the most room. */
static WorkStream *
stream_for(HubWork *work, WorkKind kind, const char *name, const char *version)
{
	WorkStream *best = NULL;

	for (WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (stream->out[kind] < stream->limit[kind] && filter_accepts(stream->filter, kind, name, version) &&
			(best == NULL || stream->limit[kind] - stream->out[kind] > best->limit[kind] - best->out[kind]))
			best = stream;
	return best;
}

/* --- waiting ------------------------------------------------------------------------------------------------- */

static void
wait_for(HubWork *work, WorkKind kind)
{
	const char *values[1] = {work->hub->queue};
	bool		wanted = false;

	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		wanted |= filter_wants_kind(stream->filter, kind);
	if (!wanted || work->may_be_there[kind] || work->nothing_fits[kind] || !session_is_idle(work->waiting[kind]) ||
		(!session_is_idle(work->fetching) && work->asked[kind] > 0))
		return;
	if (kind == WORK_TURN)
		session_run(work->waiting[kind], &wait_turns_statement, values, waited_turns, work);
	else
		session_run(work->waiting[kind], &wait_tasks_statement, values, waited_tasks, work);
}

static void
waited_turns(const Outcome *outcome, void *arg)
{
	waited(arg, WORK_TURN, outcome);
}

static void
waited_tasks(const Outcome *outcome, void *arg)
{
	waited(arg, WORK_TASK, outcome);
}

static void
waited(HubWork *work, WorkKind kind, const Outcome *outcome)
{
	if (outcome->rows == NULL)
		work->nothing_fits[kind] = true;	/* the timer tries again */
	else
		work->may_be_there[kind] = true;
	work_pump(work);
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static void
on_timer(evutil_socket_t fd, short events, void *arg)
{
	HubWork    *work = arg;
	double		now = now_seconds();
	Buffer		tokens = {.limit = SIZE_MAX / 4};
	const char *values[2];

	(void) fd;
	for (WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (now - stream->last_sent > PING_SECONDS)
		{
			stream->last_sent = now;
			call_send(stream->call, ping, sizeof(ping));
		}
	items_tokens(work, is_to_be_released, &tokens, true);
	if (tokens.length > 0)
	{
		values[0] = buffer_text(&tokens);
		values[1] = "0";
		work_statement(work, &release_statement, values);
		buffer_free(&tokens);
	}
	items_tokens(work, is_forgotten, &tokens, true);
	buffer_free(&tokens);
	if (events == 0)
		return;
	if (now - work->extended > EXTEND_SECONDS)
	{
		work->extended = now;
		items_tokens(work, is_to_be_extended, &tokens, false);
		if (tokens.length > 0)
		{
			values[0] = buffer_text(&tokens);
			work_statement(work, &extend_statement, values);
		}
		buffer_free(&tokens);
	}
	for (int kind = 0; kind < WORK_KINDS; kind++)
		if (work->nothing_fits[kind])
		{
			work->nothing_fits[kind] = false;
			work_pump(work);
		}
}

static bool
is_to_be_extended(const WorkItem *item, double now)
{
	(void) now;
	return !item->is_cut_off;
}

/* Turns of a lost connection, and what a worker that was finishing has not finished. */
static bool
is_to_be_released(const WorkItem *item, double now)
{
	return item->stream == NULL &&
		((item->is_cut_off && item->kind == WORK_TURN) || (!item->is_cut_off && now - item->orphan_since > FINISHING_SECONDS));
}

static bool
is_forgotten(const WorkItem *item, double now)
{
	return item->stream == NULL && item->is_cut_off && now - item->orphan_since > FINISHING_SECONDS;
}

void
work_statement(HubWork *work, const Statement *statement, const char *const *values)
{
	Access		access = {NULL, work->hub->role, true};

	pool_run(statement, values, &access, nothing, NULL);
}

static void
nothing(const Outcome *outcome, void *arg)
{
	(void) arg;
	if (outcome->rows == NULL && strcmp(outcome->sqlstate, POOL_LOST) != 0)
		complain("leases: %s", outcome->message);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* Streams end, so that workers look for another server; what they have they may still answer. */
void
work_drain(void)
{
	is_draining = true;
	for (Hub *hub = hub_next(NULL); hub != NULL; hub = hub_next(hub))
		while (hub->work != NULL && hub->work->streams != NULL)
		{
			Call	   *call = hub->work->streams->call;

			call_keep(call);
			stream_gone(call);
			call_finish(call, GRPC_OK, "%s", "");
			call_release(call);
		}
}

int
work_out(void)
{
	int			n = 0;

	for (Hub *hub = hub_next(NULL); hub != NULL; hub = hub_next(hub))
		if (hub->work != NULL)
			n += hub->work->nitems[WORK_TURN] + hub->work->nitems[WORK_TASK] + answers_pending(hub->work);
	return n;
}

void
work_metrics(struct evbuffer *out)
{
	int			streams = 0;
	int			items[WORK_KINDS] = {0, 0};
	static const char *const names[WORK_KINDS] = {"turn", "activity"};

	for (Hub *hub = hub_next(NULL); hub != NULL; hub = hub_next(hub))
		if (hub->work != NULL)
		{
			for (WorkStream *stream = hub->work->streams; stream != NULL; stream = stream->next)
				streams++;
			for (int kind = 0; kind < WORK_KINDS; kind++)
				items[kind] += hub->work->nitems[kind];
		}
	evbuffer_add_printf(out, "# HELP durable_grpc_workers Streams of workers.\n# TYPE durable_grpc_workers gauge\ndurable_grpc_workers %d\n", streams);
	evbuffer_add_printf(out, "# HELP durable_grpc_work_out Work that workers have and have not answered.\n# TYPE durable_grpc_work_out gauge\n");
	for (int kind = 0; kind < WORK_KINDS; kind++)
		evbuffer_add_printf(out, "durable_grpc_work_out{kind=\"%s\"} %d\n", names[kind], items[kind]);
	evbuffer_add_printf(out, "# HELP durable_grpc_work_total Work that was handed out.\n# TYPE durable_grpc_work_total counter\n");
	for (int kind = 0; kind < WORK_KINDS; kind++)
		evbuffer_add_printf(out, "durable_grpc_work_total{kind=\"%s\"} %llu\n", names[kind], (unsigned long long) work_counts[kind]);
	evbuffer_add_printf(out, "# HELP durable_grpc_stale_answers_total Answers of workers that came too late, or twice.\n"
						"# TYPE durable_grpc_stale_answers_total counter\ndurable_grpc_stale_answers_total %llu\n", (unsigned long long) answers_stale);
}
