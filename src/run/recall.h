/*
 * recall.h
 *		Keeps long histories in memory from one unit to the next.
 */
#ifndef DURABLE_RECALL_H
#define DURABLE_RECALL_H

#include "turn.h"

/*
 * Sets the beginning of a locked instance's history, as far as this process has it.  The events
 * are valid until the next durable_recall_keep.
 */
extern void durable_recall_history(Instance *instance);

/* The unit has stored these instances: keeps the histories of those that may continue. */
extern void durable_recall_keep(List *instances);

#endif							/* DURABLE_RECALL_H */
