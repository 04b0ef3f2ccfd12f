/*
 * recall.h
 *		Long histories that this process has in memory from its last units.
 */
#ifndef DURABLE_RECALL_H
#define DURABLE_RECALL_H

#include "turn.h"

/*
 * Gives a locked instance the beginning of its stored history, as far as it is known
 * here.  What was given stays valid until the next durable_recall_keep.
 */
extern void durable_recall_history(Instance *instance);

/* The unit has stored these instances: keeps the histories of those that may go on. */
extern void durable_recall_keep(List *instances);

#endif							/* DURABLE_RECALL_H */
