/*
 * companion.h
 *		A second process that keeps the orchestration running between its calls.
 */
#ifndef DURABLE_COMPANION_H
#define DURABLE_COMPANION_H

#include "turn.h"

/*
 * These functions run in the worker.  The companion only saves replays: if it does not answer as
 * expected, the worker runs the turn itself.
 */

/*
 * Lets the companion run that instance from the beginning, or starts the process.  False: it
 * is not available now.
 */
extern bool durable_companion_begin(Instance *instance, Handler *handler);

/* Does the companion run this instance, and has it seen all but the new events of its history? */
extern bool durable_companion_runs(const Instance *instance);

/*
 * Sends the new events, and adds the calls of activities that the orchestration makes next to
 * the history.  False: the orchestration did something else, and the worker has to run the turn.
 */
extern bool durable_companion_step(Instance *instance, TimestampTz clock);

/* Stops the companion's run, if there is one. */
extern void durable_companion_stop(void);

extern PGDLLEXPORT void durable_companion_main(Datum arg);

#endif							/* DURABLE_COMPANION_H */
