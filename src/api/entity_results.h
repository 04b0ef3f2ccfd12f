/*
 * entity_results.h
 *		Checks the results that a worker sends for a batch of operations of an entity.
 */
#ifndef DURABLE_ENTITY_RESULTS_H
#define DURABLE_ENTITY_RESULTS_H

#include "durable.h"
#include "utils/jsonb.h"

/*
 * Makes {"results", "state", "actions"} for run/entity_external.c.  Raises 22023 if a member is
 * not as docs/external.md describes it.
 */
extern Jsonb *durable_entity_results(const Jsonb *results, const char *state, const Jsonb *actions);

/* Adds the ids of the operations that have results; raises 22023 if there are more results. */
extern Jsonb *durable_entity_results_of(const Jsonb *payload, const Jsonb *ids);

#endif							/* DURABLE_ENTITY_RESULTS_H */
