/*
 * work.c - streams of workers: work is fetched for all of a hub, and handed out to them.
 *
 * Turns of external orchestrations, external activities and operations of external entities wait in the
 * queue of the hub (docs/external.md).  For each kind of work a hub with workers has a session that fetches, and one
 * that waits until there is some.  A fetch asks for as much work as the streams have room for.
 * If it gets less, the waiting begins again.
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
#define DEFAULT_BATCHES		100
#define PING_SECONDS		20
#define FETCH_PAUSE_US		2000
#define MOST_IN_VAIN		3		/* other gateways may be faster */
#define MOST_OUTPUT			(4 * 1024 * 1024)	/* of a stream, before it gets more */
#define LEAST_OUTPUT		(64 * 1024)
#define LARGEST_HISTORY		(1024 * 1024)	/* that is sent with the turn to a worker that can ask for it */

/* The differences between the kinds of work. */
typedef struct KindOfWork
{
	const char *name;			/* in the metrics */
	int			most;			/* of a fetch */
	bool		may_forget;		/* a crash of the server may take back leases that were given last */
	Statement	fetch;			/* queue, worker, how many, names -> token, instance, name, version, task, message as JSON */
	Statement	wait;			/* queue */
} KindOfWork;

#define WORKER	"NULLIF(pg_catalog.left($2, 60), '')"

/*
 * The lease of a turn or of operations also ends with the session of this program, and its commit does
 * not wait for the disk. They have no effects before they are answered, so they may be run twice. An
 * answer to a lease that a crash of the server has undone is stale.
 */
static const KindOfWork kinds[WORK_KINDS] = {
	[WORK_TURN] = {
		"turn", 200, true,
		{
			"fetch_turns",
			"SELECT t.token, t.instance_id, t.name, COALESCE(t.version, ''), 0, pg_catalog.json_build_object('token', t.token, 'turn', "
			"pg_catalog.json_build_object('instance_id', t.instance_id, 'execution_id', t.execution_id, 'past_events', t.past_events, "
			"'new_events', t.new_events, 'orchestration_trace', t.trace)) "
			"FROM durable.fetch_turns($1, " WORKER ", $3::pg_catalog.int4, '30 seconds', $4::pg_catalog.text[], with_session => true) AS t", 4
		},
		{"wait_turns", "CALL durable.wait_for_work($1, '30 seconds', NULL, NULL, 'turns')", 1}
	},
	[WORK_TASK] = {
		"activity", 500, false,
		{
			"fetch_tasks",
			"SELECT w.token, w.instance_id, w.name, COALESCE(w.version, ''), w.task_id, pg_catalog.json_build_object('token', w.token, 'task', "
			"pg_catalog.json_build_object('name', w.name, 'version', w.version, "
			"'input', w.payload, 'instance_id', w.instance_id, 'task_id', w.task_id, 'trace', w.trace, 'tags', w.tags)) "
			"FROM durable.fetch_work($1, " WORKER ", $3::pg_catalog.int4, '30 seconds', $4::pg_catalog.text[]) AS w", 4
		},
		{"wait_tasks", "CALL durable.wait_for_work($1, '30 seconds', NULL, NULL, 'tasks')", 1}
	},
	[WORK_BATCH] = {
		"entity", 200, true,
		{
			"fetch_entities",
			"SELECT b.token, b.entity_id, b.name, '', 0, pg_catalog.json_build_object('token', b.token, 'entity', "
			"pg_catalog.json_build_object('instance_id', b.entity_id, 'state', b.state, 'operations', b.operations)) "
			"FROM durable.fetch_entities($1, " WORKER ", $3::pg_catalog.int4, '30 seconds', $4::pg_catalog.text[], with_session => true) AS b", 4
		},
		{"wait_entities", "CALL durable.wait_for_work($1, '30 seconds', NULL, NULL, 'entities')", 1}
	}
};

static const Statement queue_statement = {"queue", "SELECT durable.grpc_queue($1)", 1};

static const char ping[] = {0x22, 0};
static bool is_draining;

uint64_t	work_counts[WORK_KINDS];

static void stream_gone(Call *call);
static void session_changed(void *arg, bool is_ready);
static void has_queue(const Outcome *outcome, void *arg);
static void fetch(HubWork *work, WorkKind kind);
static size_t most_output(const HubWork *work);
static int	room(const HubWork *work, WorkKind kind);
static bool names_of(const HubWork *work, WorkKind kind, Buffer *array);
static void fetched_turns(const Outcome *outcome, void *arg);
static void fetched_tasks(const Outcome *outcome, void *arg);
static void fetched_batches(const Outcome *outcome, void *arg);
static void fetched(HubWork *work, WorkKind kind, const Outcome *outcome);
static void pause_ends_turns(evutil_socket_t fd, short events, void *arg);
static void pause_ends_tasks(evutil_socket_t fd, short events, void *arg);
static void pause_ends_batches(evutil_socket_t fd, short events, void *arg);
static void pause_is_over(HubWork *work, WorkKind kind);
static void hand_out(HubWork *work, WorkKind kind, PGresult *rows, int row);
static WorkStream *stream_for(HubWork *work, WorkKind kind, const char *name, const char *version);
static bool is_wanted(const HubWork *work, WorkKind kind, const char *name, const char *version);
static void wait_for(HubWork *work, WorkKind kind);
static void waited_turns(const Outcome *outcome, void *arg);
static void waited_tasks(const Outcome *outcome, void *arg);
static void waited_batches(const Outcome *outcome, void *arg);
static void waited(HubWork *work, WorkKind kind, const Outcome *outcome);
static void on_timer(evutil_socket_t fd, short events, void *arg);

static const event_callback_fn pause_ends[WORK_KINDS] = {pause_ends_turns, pause_ends_tasks, pause_ends_batches};

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

	if (work->waiting[0] == NULL)
		for (int kind = 0; kind < WORK_KINDS; kind++)
		{
			work->fetching[kind] = session_new(call->hub->role, kinds[kind].may_forget, session_changed, work);
			work->waiting[kind] = session_new(call->hub->role, true, session_changed, work);
		}
	stream->call = call;
	stream->filter = filter_read(request);
	stream->asks_for_history = turn_may_lack_history(request);
	stream->limit[WORK_TURN] = json_member_integer(request, "max_turns");
	stream->limit[WORK_TASK] = json_member_integer(request, "max_tasks");
	stream->limit[WORK_BATCH] = json_member_integer(request, "max_entities");
	if (stream->limit[WORK_TURN] <= 0)
		stream->limit[WORK_TURN] = DEFAULT_TURNS;
	if (stream->limit[WORK_TASK] <= 0)
		stream->limit[WORK_TASK] = DEFAULT_TASKS;
	if (stream->limit[WORK_BATCH] <= 0)
		stream->limit[WORK_BATCH] = DEFAULT_BATCHES;
	stream->last_sent = now_seconds();
	stream->next = work->streams;
	work->streams = stream;
	call->state = stream;
	call->gone = stream_gone;
	call_keep(call);
	for (int kind = 0; kind < WORK_KINDS; kind++)
		work->may_be_there[kind] = true;
	/* Confirms the stream to the client. */
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
	leases_give_back(work);
}

/* --- fetching ----------------------------------------------------------------------------------------------- */

static void
session_changed(void *arg, bool is_ready)
{
	HubWork    *work = arg;

	if (!is_ready)
		return;
	for (int kind = 0; kind < WORK_KINDS; kind++)
		work->may_be_there[kind] = true;
	if (!work->has_queue && session_is_idle(work->fetching[WORK_TASK]))
	{
		const char *values[1] = {work->hub->queue};

		session_run(work->fetching[WORK_TASK], &queue_statement, values, has_queue, work);
	}
	else
		work_pump(work);
}

static void
has_queue(const Outcome *outcome, void *arg)
{
	HubWork    *work = arg;

	work->has_queue = true;
	if (outcome->rows == NULL)
	{
		work->has_queue = false;
		if (strcmp(outcome->sqlstate, POOL_LOST) != 0)
			complain("queue \"%s\": %s", work->hub->queue, outcome->message);
		return;
	}
	work_pump(work);
}

/* Fetches if there may be work that a stream can take, or else lets the other session wait for work. */
void
work_pump(HubWork *work)
{
	if (is_draining || !work->has_queue || work->streams == NULL)
		return;
	for (int kind = 0; kind < WORK_KINDS; kind++)
	{
		fetch(work, kind);
		wait_for(work, kind);
	}
}

static void
fetch(HubWork *work, WorkKind kind)
{
	static const OutcomeHandler handlers[WORK_KINDS] = {fetched_turns, fetched_tasks, fetched_batches};
	Buffer		names = {.limit = SIZE_MAX / 4};
	char		number[16];
	const char *values[4] = {work->hub->queue, work->streams->call->worker, number};
	int			n = work->may_be_there[kind] && session_is_idle(work->fetching[kind]) ? room(work, kind) : 0;

	if (n == 0)
		return;
	work->asked[kind] = n < kinds[kind].most ? n : kinds[kind].most;
	snprintf(number, sizeof(number), "%d", work->asked[kind]);
	work->has_names[kind] = names_of(work, kind, &names);
	values[3] = work->has_names[kind] ? buffer_text(&names) : NULL;
	session_run(work->fetching[kind], &kinds[kind].fetch, values, handlers[kind], work);
	buffer_free(&names);
}

static int
room(const HubWork *work, WorkKind kind)
{
	size_t		most = most_output(work);
	int			n = 0;

	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (filter_wants_kind(stream->filter, kind) && stream->out[kind] < stream->limit[kind] && call_output(stream->call) < most)
			n += stream->limit[kind] - stream->out[kind];
	return n;
}

/* The limit of unread bytes of a stream. All streams of a hub share the limit of its answers. */
static size_t
most_output(const HubWork *work)
{
	size_t		n = 1;
	size_t		share;

	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		n++;
	share = hub_most_unsent() / n;
	return share > MOST_OUTPUT ? MOST_OUTPUT : share < LEAST_OUTPUT ? LEAST_OUTPUT : share;
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
fetched_turns(const Outcome *outcome, void *arg)
{
	fetched(arg, WORK_TURN, outcome);
}

static void
fetched_tasks(const Outcome *outcome, void *arg)
{
	fetched(arg, WORK_TASK, outcome);
}

static void
fetched_batches(const Outcome *outcome, void *arg)
{
	fetched(arg, WORK_BATCH, outcome);
}

static void
fetched(HubWork *work, WorkKind kind, const Outcome *outcome)
{
	int			n;

	if (outcome->rows == NULL)
	{
		if (strcmp(outcome->sqlstate, POOL_LOST) != 0)
		{
			complain("could not fetch work of queue \"%s\": %s", work->hub->queue, outcome->message);
			work->may_be_there[kind] = false;
			work->nothing_fits[kind] = true;
		}
		return;
	}
	n = PQntuples(outcome->rows);
	for (int i = 0; i < n; i++)
		hand_out(work, kind, outcome->rows, i);
	work->may_be_there[kind] = n == work->asked[kind];
	/*
	 * After a successful fetch there will be more work soon. A short pause lets the next fetch get
	 * more at once.
	 */
	if (n > 0 && n < work->asked[kind])
	{
		static const struct timeval moment = {0, FETCH_PAUSE_US};

		if (work->pause[kind] == NULL)
			work->pause[kind] = event_new(base, -1, 0, pause_ends[kind], work);
		work->is_pausing[kind] = event_add(work->pause[kind], &moment) == 0;
	}
	work->in_vain[kind] = n == 0 && work->woken[kind] ? work->in_vain[kind] + 1 : 0;
	work->woken[kind] = false;
	/* The waiting session is woken by any work of the queue, also by work whose name no stream wants. */
	work->nothing_fits[kind] = work->in_vain[kind] > (work->has_names[kind] ? 0 : MOST_IN_VAIN);
	work_pump(work);
}

static void
pause_ends_turns(evutil_socket_t fd, short events, void *arg)
{
	(void) fd;
	(void) events;
	pause_is_over(arg, WORK_TURN);
}

static void
pause_ends_tasks(evutil_socket_t fd, short events, void *arg)
{
	(void) fd;
	(void) events;
	pause_is_over(arg, WORK_TASK);
}

static void
pause_ends_batches(evutil_socket_t fd, short events, void *arg)
{
	(void) fd;
	(void) events;
	pause_is_over(arg, WORK_BATCH);
}

static void
pause_is_over(HubWork *work, WorkKind kind)
{
	work->is_pausing[kind] = false;
	work->may_be_there[kind] = true;
	work_pump(work);
}

static void
hand_out(HubWork *work, WorkKind kind, PGresult *rows, int row)
{
	const char *token = PQgetvalue(rows, row, 0);
	const char *instance_id = PQgetvalue(rows, row, 1);
	WorkStream *stream = stream_for(work, kind, PQgetvalue(rows, row, 2), PQgetvalue(rows, row, 3));
	Buffer		data = {.limit = SIZE_MAX / 4};
	const char *problem;

	if (stream == NULL)
	{
		/*
		 * The workers may have no room at present, or want other versions; a worker that wants
		 * this one may connect later.
		 */
		leases_release(work, token, is_wanted(work, kind, PQgetvalue(rows, row, 2), PQgetvalue(rows, row, 3)) ? "1 second" : NULL);
		return;
	}
	if (kind == WORK_TURN && stream->asks_for_history && PQgetlength(rows, row, 5) > LARGEST_HISTORY)
		problem = turn_without_history((JsonSpan) {PQgetvalue(rows, row, 5), (size_t) PQgetlength(rows, row, 5)}, &data);
	else
		problem = proto_from_json(&message_work_item, PQgetvalue(rows, row, 5), (size_t) PQgetlength(rows, row, 5), &data);
	if (problem != NULL)
	{
		complain("work item of instance \"%s\": %s", instance_id, problem);
		buffer_free(&data);
		return;
	}
	item_add(work, kind, token, instance_id, atoi(PQgetvalue(rows, row, 4)), stream);
	work_counts[kind]++;
	stream->last_sent = now_seconds();
	call_send(stream->call, data.data, data.length);
	buffer_free(&data);
}

/* Chooses the stream with the most room, if possible one whose worker reads what it gets. */
static WorkStream *
stream_for(HubWork *work, WorkKind kind, const char *name, const char *version)
{
	size_t		most = most_output(work);
	WorkStream *best = NULL;
	WorkStream *slow = NULL;

	for (WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
	{
		WorkStream **place = call_output(stream->call) < most ? &best : &slow;

		if (stream->out[kind] < stream->limit[kind] && filter_accepts(stream->filter, kind, name, version) &&
			(*place == NULL || stream->limit[kind] - stream->out[kind] > (*place)->limit[kind] - (*place)->out[kind]))
			*place = stream;
	}
	return best != NULL ? best : slow;
}

static bool
is_wanted(const HubWork *work, WorkKind kind, const char *name, const char *version)
{
	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (filter_accepts(stream->filter, kind, name, version))
			return true;
	return false;
}

/* --- waiting ------------------------------------------------------------------------------------------------- */

static void
wait_for(HubWork *work, WorkKind kind)
{
	static const OutcomeHandler handlers[WORK_KINDS] = {waited_turns, waited_tasks, waited_batches};
	const char *values[1] = {work->hub->queue};
	bool		wanted = false;

	for (const WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		wanted |= filter_wants_kind(stream->filter, kind);
	if (!wanted || work->may_be_there[kind] || work->is_pausing[kind] || work->nothing_fits[kind] || !session_is_idle(work->waiting[kind]) ||
		!session_is_idle(work->fetching[kind]))
		return;
	session_run(work->waiting[kind], &kinds[kind].wait, values, handlers[kind], work);
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
waited_batches(const Outcome *outcome, void *arg)
{
	waited(arg, WORK_BATCH, outcome);
}

static void
waited(HubWork *work, WorkKind kind, const Outcome *outcome)
{
	if (outcome->rows == NULL)
		work->nothing_fits[kind] = true;	/* the timer tries again */
	else
		work->may_be_there[kind] = work->woken[kind] = true;
	work_pump(work);
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static void
on_timer(evutil_socket_t fd, short events, void *arg)
{
	HubWork    *work = arg;
	double		now = now_seconds();

	(void) fd;
	(void) events;
	for (WorkStream *stream = work->streams; stream != NULL; stream = stream->next)
		if (now - stream->last_sent > PING_SECONDS)
		{
			stream->last_sent = now;
			call_send(stream->call, ping, sizeof(ping));
		}
	leases_give_back(work);
	leases_extend(work);
	if (work->waiting[0] != NULL && !work->has_queue)
		session_changed(work, true);
	for (int kind = 0; kind < WORK_KINDS; kind++)
		if (work->nothing_fits[kind])
		{
			work->nothing_fits[kind] = false;
			work_pump(work);
		}
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* Ends streams, so that workers connect to another server. They can still answer the work that they have. */
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
		{
			n += answers_pending(hub->work);
			for (int kind = 0; kind < WORK_KINDS; kind++)
				n += hub->work->nitems[kind];
		}
	return n;
}

void
work_metrics(struct evbuffer *out)
{
	int			streams = 0;
	int			items[WORK_KINDS] = {0};

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
		evbuffer_add_printf(out, "durable_grpc_work_out{kind=\"%s\"} %d\n", kinds[kind].name, items[kind]);
	evbuffer_add_printf(out, "# HELP durable_grpc_work_total Work that was handed out.\n# TYPE durable_grpc_work_total counter\n");
	for (int kind = 0; kind < WORK_KINDS; kind++)
		evbuffer_add_printf(out, "durable_grpc_work_total{kind=\"%s\"} %llu\n", kinds[kind].name, (unsigned long long) work_counts[kind]);
	evbuffer_add_printf(out, "# HELP durable_grpc_stale_answers_total Answers of workers that came too late, or twice.\n"
						"# TYPE durable_grpc_stale_answers_total counter\ndurable_grpc_stale_answers_total %llu\n", (unsigned long long) answers_stale);
}
