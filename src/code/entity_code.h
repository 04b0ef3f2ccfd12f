/*
 * entity_code.h
 *		Functions that are the code of entities.
 */
#ifndef DURABLE_ENTITY_CODE_H
#define DURABLE_ENTITY_CODE_H

#include "durable.h"
#include "handler.h"

/*
 * Raises 42P13 unless the function can be the handler of an entity: (state jsonb, operation
 * text, input jsonb) returns durable.entity_result.
 */
extern void durable_entity_code_check(const Handler *handler);

/*
 * Runs an operation as the current user, after a check of its EXECUTE privilege.  The caller
 * has begun a subtransaction.  Results are in "context"; NULL: SQL NULL.
 */
typedef struct EntityCall
{
	const char *signature;
	const Jsonb *state;			/* NULL: there is none */
	const char *operation;
	const Jsonb *input;			/* or NULL */
	MemoryContext context;

	Jsonb	   *new_state;
	Jsonb	   *result;
}			EntityCall;

extern void durable_entity_code_call(EntityCall *call);

#endif							/* DURABLE_ENTITY_CODE_H */
