/*
 * collector.h - requests that go into one statement together.
 */
#ifndef CLIENTS_SERVE_GRPC_COLLECTOR_H
#define CLIENTS_SERVE_GRPC_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>

/* The first member of each request that is collected. */
typedef struct Collected
{
	struct Collected *next;
	bool		alone;			/* it was in a batch that has failed, and gets a statement to itself */
} Collected;

/* All zero: empty. */
typedef struct Collector
{
	Collected  *first;
	Collected **end;			/* not valid while it is empty */
	bool		is_busy;		/* a statement is under way */
	bool		is_sending;
} Collector;

extern void collector_add(Collector *collector, Collected *request);

/*
 * Calls send(arg) until a statement is under way or nothing is left.  send takes a batch, sets is_busy, and runs the
 * statement; when that has ended, is_busy is cleared and this function is called again.
 */
extern void collector_send(Collector *collector, void (*send) (void *arg), void *arg);

/*
 * Takes the next batch in order: at most most requests, and no further one after largest bytes.  add puts a request into
 * the statement and returns its bytes.  Returns the list; *n is its length.
 */
extern Collected *collector_take(Collector *collector, int most, size_t largest, size_t (*add) (void *arg, const Collected *request),
								 void *arg, int *n);

/* Puts requests back to the front, in their order; alone: each gets a statement to itself from now on. */
extern void collector_give_back(Collector *collector, Collected *list, bool alone);

#endif
