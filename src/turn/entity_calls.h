/*
 * entity_calls.h
 *		Durable calls that concern entities; for other files that take an entity as argument.
 */
#ifndef DURABLE_ENTITY_CALLS_H
#define DURABLE_ENTITY_CALLS_H

#include "durable.h"
#include "fmgr.h"

/* Raises 42704 unless entities of that name are registered for the role. */
extern void durable_entity_require_registered(const char *id, Oid role);

/* durable.signal_entity() of an orchestration. */
extern Datum durable_turn_signal_entity(FunctionCallInfo fcinfo);

#endif							/* DURABLE_ENTITY_CALLS_H */
