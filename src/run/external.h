/*
 * external.h
 *		Turns of external orchestrations, in a unit of work.
 */
#ifndef DURABLE_EXTERNAL_H
#define DURABLE_EXTERNAL_H

#include "batch.h"

/* Does its code run outside of the database? */
extern bool durable_external_is(const Instance *instance);

/* Applies a completed turn: its calls become events, and the execution may end. */
extern void durable_external_apply(Batch * batch, Instance *instance, const Message *message);

/*
 * Called when the messages of a unit have been absorbed.  Carries out the decisions of the turn,
 * and puts the next turn into the queue if there are new events.
 */
extern void durable_external_go_on(Batch * batch, Instance *instance);

/*
 * The start of an orchestration by an external program.  A name that is not registered is that
 * of an external orchestration in the given queue.
 */
typedef struct ExternalStart
{
	const char *name;
	const char *version;		/* or NULL; replaced by that of the registration */
	const Jsonb *input;			/* a text (verbatim.h); replaced by the input as it is stored */
	const char *queue;
	char	   *signature;		/* result: handler of the instance */
	Jsonb	   *failure;		/* result: why it cannot be started; NULL: it can */
}			ExternalStart;

extern void durable_external_resolve_start(ExternalStart *start, Oid owner, MemoryContext context);

/* Converts a payload to {"reason": text}, for a termination. */
extern Jsonb *durable_external_reason(const Jsonb *payload);

#endif							/* DURABLE_EXTERNAL_H */
