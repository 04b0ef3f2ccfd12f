/*
 * external.h
 *		Turns of external orchestrations, in a unit of work.
 */
#ifndef DURABLE_EXTERNAL_H
#define DURABLE_EXTERNAL_H

#include "batch.h"

/* Does its code run outside of the database? */
extern bool durable_external_is(const Instance *instance);

/* A worker has completed a turn: its calls become events, and the execution may end. */
extern void durable_external_apply(Batch * batch, Instance *instance, const Message *message);

/*
 * When the messages of a unit have been absorbed: carries out what the turn has decided, and
 * puts the next turn into the queue if there are events that no turn has seen.
 */
extern void durable_external_go_on(Batch * batch, Instance *instance);

/*
 * The start of an orchestration by an external program.  A name is that of a registration, or else of an external
 * orchestration in that queue.
 */
typedef struct ExternalStart
{
	const char *name;
	const char *version;		/* or NULL; afterwards that of the registration */
	const Jsonb *input;			/* a text; afterwards as the orchestration reads it */
	const char *queue;
	char	   *signature;		/* set: the handler of the instance */
	Jsonb	   *failure;		/* set: why it cannot be started; NULL: it can */
}			ExternalStart;

extern void durable_external_resolve_start(ExternalStart *start, Oid owner, MemoryContext context);

/* {"reason": text} of a payload, for a termination. */
extern Jsonb *durable_external_reason(const Jsonb *payload);

#endif							/* DURABLE_EXTERNAL_H */
