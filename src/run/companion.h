/*
 * companion.h
 *		A second process that keeps the call stack of a long burst alive.
 */
#ifndef DURABLE_COMPANION_H
#define DURABLE_COMPANION_H

#include "turn.h"

/*
 * The worker's side.  All of it is an acceleration: whatever the companion says
 * or fails to say, the worker's own replay decides in the end.
 */

/*
 * Lets the companion run that instance from the top, or starts the process.
 * False: not now.
 */
extern bool durable_companion_begin(Instance *instance, Handler *handler);

/* Is it in the middle of this instance, with no history but what it has seen? */
extern bool durable_companion_runs(const Instance *instance);

/*
 * Tells it the new events and takes the activities that the orchestration asks for
 * next: their calls are added to the history.  False:
 * the orchestration did something else; it is the worker's turn.
 */
extern bool durable_companion_step(Instance *instance, TimestampTz clock);

/* Stops its run, if it is in one. */
extern void durable_companion_stop(void);

extern PGDLLEXPORT void durable_companion_main(Datum arg);

#endif							/* DURABLE_COMPANION_H */
