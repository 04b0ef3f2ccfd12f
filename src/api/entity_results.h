/*
 * entity_results.h
 *		What a worker says of a batch of operations of an entity.
 */
#ifndef DURABLE_ENTITY_RESULTS_H
#define DURABLE_ENTITY_RESULTS_H

#include "durable.h"
#include "utils/jsonb.h"

/*
 * {"results", "state", "actions"}, as run/entity_external.c reads them.  Raises 22023 when anything is not
 * as docs/external.md says.
 */
extern Jsonb *durable_entity_results(const Jsonb *results, const char *state, const Jsonb *actions);

/* The same with the ids of the operations that have results; 22023 if there are more results. */
extern Jsonb *durable_entity_results_of(const Jsonb *payload, const Jsonb *ids);

#endif							/* DURABLE_ENTITY_RESULTS_H */
