/*
 * companion_link.h
 *		The messages between a worker and its companion.
 *
 * Messages, in both directions: one byte, then jsonb.
 *	worker -> companion		B object		begin: what the run needs
 *							A history		answer: events, see history.c; preceded by
 *											B too
 *							S				stop
 *							A and S for a run that has ended are ignored
 *	companion -> worker		C [history, custom status]	calls
 *							E				the run is over
 */
#ifndef DURABLE_COMPANION_LINK_H
#define DURABLE_COMPANION_LINK_H

#include "durable.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"

/* What a worker hands to its companion (bgw_extra). */
typedef struct CompanionStart
{
	dsm_handle	segment;
	Oid			database;
	int32		slot;			/* the worker's */
}			CompanionStart;

#define MESSAGE_BEGIN	'B'
#define MESSAGE_ANSWER	'A'
#define MESSAGE_STOP	'S'
#define MESSAGE_CALLS	'C'
#define MESSAGE_END		'E'

/* One end of it, in either process. */
typedef struct CompanionLink
{
	dsm_segment *segment;
	Oid			database;
	Oid			owner;
	shm_mq_handle *out;
	shm_mq_handle *in;
}			CompanionLink;

/* The worker's end; false: no segment is to be had.  Memory: the current context. */
extern bool durable_link_create(CompanionLink *link);

/*
 * The companion's end: first to know whom to connect as, and when it has connected to
 * be ready for messages.  False: the worker has gone already.
 */
extern bool durable_link_attach(CompanionLink *link, dsm_handle handle);
extern void durable_link_open(CompanionLink *link);

/* Has it done so? */
extern bool durable_link_is_open(const CompanionLink *link);

/* False when the other end has gone. */
extern bool durable_link_send(CompanionLink *link, char kind, const Jsonb *body);

/*
 * The kind of the next message, its body (NULL: none) in the current context; 0: none
 * in that time (-1: no limit), or the other end has gone.
 */
extern char durable_link_receive(CompanionLink *link, Jsonb **body, long timeout_ms);

#endif							/* DURABLE_COMPANION_LINK_H */
