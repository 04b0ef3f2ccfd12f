/*
 * child_id.h
 *		Ids that the engine makes for instances.
 */
#ifndef DURABLE_CHILD_ID_H
#define DURABLE_CHILD_ID_H

#include "utils/uuid.h"

#include "turn.h"

/* 32 hexadecimal digits, which the type uuid reads. */
extern char *durable_id_of_uuid(const pg_uuid_t *uuid);

/* For the call of that number in the present execution of an instance. */
extern char *durable_child_id(const Instance *instance, int task);

/* For a further attempt of it; base is the id of the first one. */
extern char *durable_child_attempt_id(const Instance *instance, int task, const char *base, int attempt);

/* Of the instance that undoes the steps of this one. */
extern char *durable_undo_id(const Instance *instance);

#endif							/* DURABLE_CHILD_ID_H */
