/*
 * work.c - workers.  Work is not handed out yet.
 *
 * Owns, locks, memory: none.
 * Called by: call.c, listen.c.
 */
#include "grpc.h"

static void
not_yet(Call *call)
{
	call_finish(call, GRPC_UNIMPLEMENTED, "This version of durable serve does not hand out work.");
}

void
work_begin(Call *call, const Buffer *json)
{
	(void) json;
	not_yet(call);
}

void
work_complete_turn(Call *call, const Buffer *json)
{
	(void) json;
	not_yet(call);
}

void
work_complete_task(Call *call, const Buffer *json)
{
	(void) json;
	not_yet(call);
}

void
work_abandon(Call *call, const Buffer *json)
{
	(void) json;
	not_yet(call);
}

void
work_drain(void)
{
}

int
work_out(void)
{
	return 0;
}

void
work_metrics(struct evbuffer *out)
{
	(void) out;
}
