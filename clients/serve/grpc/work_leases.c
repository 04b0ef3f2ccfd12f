/*
 * work_leases.c - leases of the work that is out.
 *
 * There are no heartbeats in the protocol.  Leases of work are extended as long as its stream lives.
 * A worker that ends its stream and keeps the connection is finishing, and the gateway waits for its answers.
 * When the connection is lost, turns and operations are given back at once.  The leases of activities
 * expire, because their worker may connect again and answer.
 *
 * Owns: nothing.
 * Called by: work.c, work_answers.c.
 * Memory: nothing that stays.
 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

#define EXTEND_SECONDS		10
#define FINISHING_SECONDS	35		/* of a worker that has ended its stream */
#define FINISHING_TURN_SECONDS	2

static const Statement extend_statement = {
	"extend", "SELECT durable.extend_lease($1, '30 seconds')", 1
};
static const Statement release_statement = {
	"release", "SELECT durable.release_work($1, $2::pg_catalog.interval)", 2
};

static bool is_to_be_extended(const WorkItem *item, double now);
static bool is_to_be_released(const WorkItem *item, double now);
static bool is_forgotten(const WorkItem *item, double now);
static void nothing(const Outcome *outcome, void *arg);

/* Work whose workers are gone and cannot answer any more. */
void
leases_give_back(HubWork *work)
{
	Buffer		tokens = {.limit = SIZE_MAX / 4};
	const char *values[2];

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
}

void
leases_extend(HubWork *work)
{
	Buffer		tokens = {.limit = SIZE_MAX / 4};
	const char *values[1];

	if (now_seconds() - work->extended <= EXTEND_SECONDS)
		return;
	work->extended = now_seconds();
	items_tokens(work, is_to_be_extended, &tokens, false);
	if (tokens.length > 0)
	{
		values[0] = buffer_text(&tokens);
		work_statement(work, &extend_statement, values);
	}
	buffer_free(&tokens);
}

void
leases_release(HubWork *work, const char *token, const char *delay)
{
	Buffer		array = {.limit = SIZE_MAX / 4};
	const char *values[2];

	array_add(&array, token);
	buffer_add_byte(&array, '}');
	values[0] = buffer_text(&array);
	values[1] = delay;			/* NULL: the engine chooses it */
	work_statement(work, &release_statement, values);
	buffer_free(&array);
}

static bool
is_to_be_extended(const WorkItem *item, double now)
{
	(void) now;
	return !item->is_cut_off;
}

/* Gives back turns and operations of a lost connection, and work that a finishing worker has not answered in time. */
static bool
is_to_be_released(const WorkItem *item, double now)
{
	if (item->stream != NULL || (item->is_cut_off && item->kind == WORK_TASK))
		return false;
	return item->is_cut_off || now - item->orphan_since > (item->kind == WORK_TURN ? FINISHING_TURN_SECONDS : FINISHING_SECONDS);
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
