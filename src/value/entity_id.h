/*
 * entity_id.h
 *		Ids of entities, "@name@key", and the numbers that stand for them.
 */
#ifndef DURABLE_ENTITY_ID_H
#define DURABLE_ENTITY_ID_H

#include "durable.h"

/* The id of an entity; name in any case.  Raises 22023 if the parts make no id. */
extern char *durable_entity_id(const char *name, const char *key);

/* An id that somebody has written, with the name in lower case; raises 22023 if it is none. */
extern char *durable_entity_id_parse(const char *text);

/* The name in an id. */
extern char *durable_entity_name(const char *id);

/*
 * inbox.key of messages for the entity.  It depends on the bytes of the id and nothing
 * else.  Two ids may have the same key.
 */
extern int64 durable_entity_key(const char *id);

/* Message.name of an operation: the id and the operation.  An operation has no line break. */
extern char *durable_entity_address(const char *id, const char *operation);
extern void durable_entity_address_read(const char *address, char **id, char **operation);

/* Raises 22023 if that is no name of an operation. */
extern void durable_entity_check_operation(const char *operation);

#endif							/* DURABLE_ENTITY_ID_H */
