/*
 * companion_link.h
 *		The messages between a worker and its companion.
 *
 * Messages, in both directions: one byte, then jsonb.
 *	worker -> companion		B object		begin: the data of the run; an A follows
 *							A history		answer: new events, see history.c
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

/* bgw_extra of a companion. */
typedef struct CompanionStart
{
	dsm_handle	segment;
	Oid			database;
}			CompanionStart;

#define MESSAGE_BEGIN	'B'
#define MESSAGE_ANSWER	'A'
#define MESSAGE_STOP	'S'
#define MESSAGE_CALLS	'C'
#define MESSAGE_END		'E'

/* One end of the link. */
typedef struct CompanionLink
{
	dsm_segment *segment;
	Oid			database;
	Oid			owner;
	shm_mq_handle *out;
	shm_mq_handle *in;
}			CompanionLink;

/* Creates the worker's end in the current memory context; false: no segment is available. */
extern bool durable_link_create(CompanionLink *link);

/*
 * The companion's end.  attach reads the database and the role to connect as; false: the worker
 * has detached already.  open, after the connection, makes the link ready for messages.
 */
extern bool durable_link_attach(CompanionLink *link, dsm_handle handle);
extern void durable_link_open(CompanionLink *link);

/* In the worker: has the companion opened the link? */
extern bool durable_link_is_open(const CompanionLink *link);

/* False if the other end has detached. */
extern bool durable_link_send(CompanionLink *link, char kind, const Jsonb *body);

/*
 * Returns the kind of the next message, and its body in the current context (NULL: none); 0: no
 * message came within the time (-1: no limit), or the other end has detached.
 */
extern char durable_link_receive(CompanionLink *link, Jsonb **body, long timeout_ms);

#endif							/* DURABLE_COMPANION_LINK_H */
