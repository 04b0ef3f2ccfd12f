/*
 * child_id.h
 *		Ids that the engine generates for instances.
 */
#ifndef DURABLE_CHILD_ID_H
#define DURABLE_CHILD_ID_H

#include "utils/uuid.h"

#include "turn.h"

/* 32 hexadecimal digits, which the type uuid reads. */
extern char *durable_id_of_uuid(const pg_uuid_t *uuid);

/* The id of the sub-orchestration that a call of the present execution starts. */
extern char *durable_child_id(const Instance *instance, int task);

/* The id of a further attempt; base is the id of the first attempt. */
extern char *durable_child_attempt_id(const Instance *instance, int task, const char *base, int attempt);

/* The id of the instance that runs the compensations of this one. */
extern char *durable_undo_id(const Instance *instance);

#endif							/* DURABLE_CHILD_ID_H */
