/*
 * waits.c - clients that wait for the start or the end of an instance.
 *
 * They take memory, but no connection.  The gateway polls for each of them: soon after it has come, then at
 * growing intervals, and soon again after a worker has answered for its instance or a client has controlled the
 * instance (waits_hint).  "Soon" is 2 ms while few clients wait, and longer otherwise, because polling would take
 * much of the server's time.  One statement asks for all waits of a hub that are due.
 *
 * Owns: the waiting calls of each hub, by the ids of their instances.
 * Called by: call.c, rpc.c, work_answers.c.
 * Memory: a Wait until its call is answered or gone; a Look while its statement runs.
 */
#include <stdlib.h>
#include <string.h>

#include "grpc.h"
#include "json.h"
#include "work.h"

#define TICK_S			0.002
#define LONGEST_TICKS	250
#define WHEEL			256		/* more than that */
#define FEW				16		/* clients for which it costs little to look often */
#define MOST_AT_A_TIME	1000
#define WAIT_HASHES		4096

typedef struct Wait
{
	struct Wait *next;			/* with the same hash */
	struct Wait *next_due;		/* at the same time */
	struct Wait **link_due;		/* what refers to it; NULL: a statement that is under way has it */
	Call	   *call;			/* NULL: it is gone */
	char	   *id;
	bool		is_start;
	bool		with_payloads;
	int			ticks;			/* from the next look to the one after it */
} Wait;

typedef struct HubWaits
{
	Wait	   *waits[WAIT_HASHES];
	Wait	   *due[WHEEL];		/* at a time modulo the size of the wheel */
	int64_t		ticked;			/* waits that were due until then have been looked at */
	struct event *timer;
	bool		is_looking;
} HubWaits;

typedef struct Look
{
	Hub		   *hub;
	int			n;
	Wait	   *waits[MOST_AT_A_TIME];
} Look;

/* At most 64 MB and one answer at a time; the others come with the next look. */
static const Statement waits_statement = {
	"waits",
	"SELECT w.n, w.answer FROM (SELECT s.n, i.answer, pg_catalog.sum(pg_catalog.pg_column_size(i.answer)) "
	"OVER (ORDER BY s.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes "
	"FROM durable.instance_states($1, true, $2) AS s, "
	"LATERAL (SELECT durable.grpc_instance(s, ($3::pg_catalog.bool[])[s.n]) AS answer OFFSET 0) AS i) AS w "
	"WHERE w.bytes IS NULL OR w.bytes < 67108864", 3
};

static int	nwaits;

static void add(Call *call, const Buffer *json, bool is_start);
static Wait **bucket(HubWaits *waits, const char *id);
static void gone(Call *call);
static int64_t now_ticks(void);
static void make_due(HubWaits *waits, Wait *wait, int ticks);
static void unlink_due(Wait *wait);
static void schedule(Hub *hub);
static void look(Hub *hub);
static void looked(const Outcome *outcome, void *arg);
static void answer(Wait *wait, PGresult *rows, int row);
static void forget(HubWaits *waits, Wait *wait);
static void on_timer(evutil_socket_t fd, short events, void *arg);

int
waits_count(void)
{
	return nwaits;
}

void
waits_begin_start(Call *call, const Buffer *json)
{
	add(call, json, true);
}

void
waits_begin_completion(Call *call, const Buffer *json)
{
	add(call, json, false);
}

static void
add(Call *call, const Buffer *json, bool is_start)
{
	JsonSpan	request = {json->data, json->length};
	Hub		   *hub = call->hub;
	Wait	   *wait = must_alloc(sizeof(Wait));
	Wait	  **link;

	if (hub->waits == NULL)
	{
		hub->waits = must_alloc(sizeof(HubWaits));
		hub->waits->timer = event_new(base, -1, 0, on_timer, hub);
	}
	wait->call = call;
	wait->id = json_member_text(request, "instance_id");
	if (wait->id == NULL)
		wait->id = must_copy("");
	wait->with_payloads = json_member_true(request, "with_payloads");
	wait->is_start = is_start;
	link = bucket(hub->waits, wait->id);
	wait->next = *link;
	*link = wait;
	nwaits++;
	call->state = wait;
	call->gone = gone;
	call_keep(call);
	wait->ticks = nwaits <= FEW ? 1 : 20;
	make_due(hub->waits, wait, 0);
	schedule(hub);
}

static Wait **
bucket(HubWaits *waits, const char *id)
{
	unsigned	h = 5381;

	for (; *id != '\0'; id++)
		h = h * 33 + (unsigned char) *id;
	return &waits->waits[h % WAIT_HASHES];
}

static void
gone(Call *call)
{
	Wait	   *wait = call->state;
	HubWaits   *waits = call->hub->waits;

	wait->call = NULL;
	if (wait->link_due != NULL)
		forget(waits, wait);
	call_release(call);
}

/* That instance may have started soon, or, if may_end, have ended. */
void
waits_hint(Hub *hub, const char *instance_id, bool may_end)
{
	if (hub->waits == NULL)
		return;
	for (Wait *wait = *bucket(hub->waits, instance_id); wait != NULL; wait = wait->next)
		if (strcmp(wait->id, instance_id) == 0 && (may_end || wait->is_start))
		{
			wait->ticks = nwaits <= FEW ? 1 : 5;
			if (wait->link_due != NULL)
				make_due(hub->waits, wait, wait->ticks);
		}
	schedule(hub);
}

/* --- when they are due -------------------------------------------------------------------------------------- */

static int64_t
now_ticks(void)
{
	return (int64_t) (now_seconds() / TICK_S);
}

static void
make_due(HubWaits *waits, Wait *wait, int ticks)
{
	int64_t		now = now_ticks();
	Wait	  **slot;

	unlink_due(wait);
	if (waits->ticked < now - WHEEL)
		waits->ticked = now - WHEEL;
	/* The slot must not be one that has been passed. */
	slot = &waits->due[(now + ticks > waits->ticked ? now + ticks : waits->ticked + 1) % WHEEL];
	wait->next_due = *slot;
	if (wait->next_due != NULL)
		wait->next_due->link_due = &wait->next_due;
	wait->link_due = slot;
	*slot = wait;
}

static void
unlink_due(Wait *wait)
{
	if (wait->link_due == NULL)
		return;
	*wait->link_due = wait->next_due;
	if (wait->next_due != NULL)
		wait->next_due->link_due = wait->link_due;
	wait->next_due = NULL;
	wait->link_due = NULL;
}

/* Sets the timer to the next time at which something is due. */
static void
schedule(Hub *hub)
{
	HubWaits   *waits = hub->waits;
	int64_t		tick = waits->ticked + 1;
	struct timeval pause = {0, 0};
	double		left;

	if (waits->is_looking)
		return;
	while (waits->due[tick % WHEEL] == NULL)
		if (tick++ > waits->ticked + WHEEL)
			return;				/* no client waits */
	left = (double) tick * TICK_S - now_seconds();
	if (left > 0)
		pause.tv_usec = (suseconds_t) (left * 1e6) + 1;
	event_add(waits->timer, &pause);
}

static void
on_timer(evutil_socket_t fd, short events, void *arg)
{
	Hub		   *hub = arg;

	(void) fd;
	(void) events;
	if (!hub->waits->is_looking)
		look(hub);
}

/* --- looking -------------------------------------------------------------------------------------------------- */

static void
look(Hub *hub)
{
	HubWaits   *waits = hub->waits;
	Look	   *what;
	Buffer		arrays[3] = {{.limit = SIZE_MAX / 4}, {.limit = SIZE_MAX / 4}, {.limit = SIZE_MAX / 4}};
	const char *values[3];
	Access		access = {NULL, hub->role, true};
	int64_t		now = now_ticks();

	if (waits->ticked < now - WHEEL)
		waits->ticked = now - WHEEL;
	what = must_alloc(sizeof(Look));
	what->hub = hub;
	while (waits->ticked < now && what->n < MOST_AT_A_TIME)
	{
		Wait	   *wait = waits->due[(waits->ticked + 1) % WHEEL];

		if (wait == NULL)
		{
			waits->ticked++;
			continue;
		}
		unlink_due(wait);
		array_add(&arrays[0], wait->id);
		array_add(&arrays[1], wait->is_start ? "start" : "end");
		array_add(&arrays[2], wait->with_payloads ? "t" : "f");
		what->waits[what->n++] = wait;
	}
	if (what->n == 0)
	{
		free(what);
		schedule(hub);
		return;
	}
	for (int i = 0; i < 3; i++)
	{
		buffer_add_byte(&arrays[i], '}');
		values[i] = buffer_text(&arrays[i]);
	}
	waits->is_looking = true;
	pool_run(&waits_statement, values, &access, looked, what);
	for (int i = 0; i < 3; i++)
		buffer_free(&arrays[i]);
}

static void
looked(const Outcome *outcome, void *arg)
{
	Look	   *what = arg;
	HubWaits   *waits = what->hub->waits;
	GrpcStatus	status = outcome->rows == NULL ? rpc_status(outcome->sqlstate) : GRPC_OK;
	/* Without a connection the clients continue to wait; any other error would be repeated. */
	bool		fails = outcome->rows == NULL && status != GRPC_UNAVAILABLE && status != GRPC_UNKNOWN;

	waits->is_looking = false;
	for (int i = 0; outcome->rows != NULL && i < PQntuples(outcome->rows); i++)
	{
		int			n = atoi(PQgetvalue(outcome->rows, i, 0)) - 1;

		if (n >= 0 && n < what->n)
			answer(what->waits[n], outcome->rows, i);
	}
	for (int i = 0; i < what->n; i++)
	{
		Wait	   *wait = what->waits[i];

		if (wait->call != NULL && fails)
		{
			Call	   *call = wait->call;

			wait->call = NULL;
			rpc_fail(call, outcome);
			call_release(call);
		}
		if (wait->call == NULL)
			forget(waits, wait);
		else
		{
			make_due(waits, wait, wait->ticks);
			wait->ticks = wait->ticks * 3 / 2 + 1 < LONGEST_TICKS ? wait->ticks * 3 / 2 + 1 : LONGEST_TICKS;
		}
	}
	schedule(what->hub);
	free(what);
}

static void
answer(Wait *wait, PGresult *rows, int row)
{
	Call	   *call = wait->call;

	if (call == NULL)
		return;
	wait->call = NULL;
	if (hub_lacks_room(call->hub, (size_t) PQgetlength(rows, row, 1)))
		rpc_refuse_large(call);
	else if (rpc_send(call, call->rpc->answer, PQgetvalue(rows, row, 1), (size_t) PQgetlength(rows, row, 1)))
		call_finish(call, GRPC_OK, "%s", "");
	call_release(call);
}

static void
forget(HubWaits *waits, Wait *wait)
{
	Wait	  **link = bucket(waits, wait->id);

	unlink_due(wait);
	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	nwaits--;
	free(wait->id);
	free(wait);
}
