/*
 * waits.c - clients that wait for the start or the end of an instance.
 *
 * They cost memory and no connection: one statement asks for all that wait at a hub.  It is
 * executed when a client comes, when something of the hub has been changed through
 * us, and from time to time: often while somebody has waited for a short time only, then less.
 *
 * Owns: the list of waiting calls of each hub.
 * Called by: call.c, rpc.c, work_answers.c.
 * Memory: a Wait until its call is answered or gone; a Look while its statement runs.
 */
#include <stdlib.h>
#include <string.h>

#include "grpc.h"
#include "json.h"
#include "work.h"

#define SHORTEST_MS		20
#define LONGEST_MS		500
#define MOST_AT_A_TIME	1000

typedef struct Wait
{
	struct Wait *next;
	Call	   *call;			/* NULL: it is gone */
	char	   *id;
	bool		is_start;
	bool		with_payloads;
} Wait;

typedef struct HubWaits
{
	Wait	   *waits;
	struct event *timer;
	int			interval;		/* ms */
	bool		is_looking;
	bool		look_again;
	int			offset;			/* where the next look begins, if there are too many for one */
} HubWaits;

typedef struct Look
{
	Hub		   *hub;
	int			n;
	Wait	   *waits[MOST_AT_A_TIME];
} Look;

static const Statement waits_statement = {
	"waits", "SELECT s.n, durable.grpc_instance(s, ($3::pg_catalog.bool[])[s.n]) FROM durable.instance_states($1, true, $2) AS s", 3
};

static int	nwaits;

static void add(Call *call, const Buffer *json, bool is_start);
static void gone(Call *call);
static void look(Hub *hub);
static void looked(const Outcome *outcome, void *arg);
static void remove_gone(HubWaits *waits);
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
	wait->next = hub->waits->waits;
	hub->waits->waits = wait;
	nwaits++;
	call->state = wait;
	call->gone = gone;
	call_keep(call);
	waits_look(hub);
}

static void
gone(Call *call)
{
	Wait	   *wait = call->state;

	/* A look may have it; remove_gone frees it. */
	wait->call = NULL;
	call_release(call);
}

void
waits_look(Hub *hub)
{
	if (hub->waits == NULL || hub->waits->waits == NULL)
		return;
	hub->waits->interval = SHORTEST_MS;
	if (hub->waits->is_looking)
		hub->waits->look_again = true;
	else
		look(hub);
}

static void
look(Hub *hub)
{
	HubWaits   *waits = hub->waits;
	Look	   *what;
	Buffer		arrays[3] = {{.limit = SIZE_MAX / 4}, {.limit = SIZE_MAX / 4}, {.limit = SIZE_MAX / 4}};
	const char *values[3];
	Access		access = {NULL, hub->role, true};
	int			skip = waits->offset;

	remove_gone(waits);
	if (waits->waits == NULL)
		return;
	what = must_alloc(sizeof(Look));
	what->hub = hub;
	for (Wait *wait = waits->waits; wait != NULL && what->n < MOST_AT_A_TIME; wait = wait->next)
		if (skip-- <= 0)
		{
			array_add(&arrays[0], wait->id);
			array_add(&arrays[1], wait->is_start ? "start" : "end");
			array_add(&arrays[2], wait->with_payloads ? "t" : "f");
			what->waits[what->n++] = wait;
		}
	waits->offset = what->n == MOST_AT_A_TIME ? waits->offset + what->n : 0;
	for (int i = 0; i < 3; i++)
	{
		buffer_add_byte(&arrays[i], '}');
		values[i] = what->n == 0 ? "{}" : buffer_text(&arrays[i]);
	}
	waits->is_looking = true;
	waits->look_again = waits->offset > 0;
	pool_run(&waits_statement, values, &access, looked, what);
	for (int i = 0; i < 3; i++)
		buffer_free(&arrays[i]);
}

static void
looked(const Outcome *outcome, void *arg)
{
	Look	   *what = arg;
	Hub		   *hub = what->hub;
	HubWaits   *waits = hub->waits;
	GrpcStatus	status = outcome->rows == NULL ? rpc_status(outcome->sqlstate) : GRPC_OK;
	struct timeval pause;

	waits->is_looking = false;
	for (int i = 0; outcome->rows != NULL && i < PQntuples(outcome->rows); i++)
	{
		int			n = atoi(PQgetvalue(outcome->rows, i, 0)) - 1;
		Wait	   *wait = n >= 0 && n < what->n ? what->waits[n] : NULL;
		Call	   *call = wait != NULL ? wait->call : NULL;

		if (call == NULL)
			continue;
		wait->call = NULL;
		if (rpc_send(call, call->rpc->answer, PQgetvalue(outcome->rows, i, 1), (size_t) PQgetlength(outcome->rows, i, 1)))
			call_finish(call, GRPC_OK, "%s", "");
		call_release(call);
	}
	/* While the database is away they wait; an error of another kind would come again. */
	if (outcome->rows == NULL && status != GRPC_UNAVAILABLE && status != GRPC_UNKNOWN)
		for (int i = 0; i < what->n; i++)
		{
			Call	   *call = what->waits[i]->call;

			if (call == NULL)
				continue;
			what->waits[i]->call = NULL;
			rpc_fail(call, outcome);
			call_release(call);
		}
	free(what);
	remove_gone(waits);
	if (waits->waits == NULL)
		return;
	if (waits->look_again && outcome->rows != NULL)
	{
		look(hub);
		return;
	}
	pause.tv_sec = 0;
	pause.tv_usec = waits->interval * 1000;
	waits->interval = waits->interval * 3 / 2 < LONGEST_MS ? waits->interval * 3 / 2 : LONGEST_MS;
	event_add(waits->timer, &pause);
}

/* Only while no look has them. */
static void
remove_gone(HubWaits *waits)
{
	if (waits->is_looking)
		return;
	for (Wait **link = &waits->waits; *link != NULL;)
	{
		Wait	   *wait = *link;

		if (wait->call != NULL)
		{
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		nwaits--;
		free(wait->id);
		free(wait);
	}
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
