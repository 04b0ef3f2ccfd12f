/*
 * entity_calls.h
 *		Arguments that name an entity, and signals that an orchestration sends.
 */
#ifndef DURABLE_ENTITY_CALLS_H
#define DURABLE_ENTITY_CALLS_H

#include "durable.h"
#include "fmgr.h"

/* The id that arguments 0 and 1 make: name and key. */
extern char *durable_entity_argument(FunctionCallInfo fcinfo);

/* Raises 42704 unless entities of that name are registered for the role. */
extern void durable_entity_require_registered(const char *id, Oid role);

/* durable.signal_entity() of an orchestration. */
extern Datum durable_turn_signal_entity(FunctionCallInfo fcinfo);

#endif							/* DURABLE_ENTITY_CALLS_H */
