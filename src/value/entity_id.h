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

/*
 * The payload of an operation that an external program has sent (is_text): the text of the input, as
 * verbatim.h has it, and the queue in which operations of entities wait whose name nobody
 * has registered.
 */
extern Jsonb *durable_entity_text(const Jsonb *input, const char *queue);
extern Jsonb *durable_entity_input(const Jsonb *payload, bool is_text, bool wants_text);
extern char *durable_entity_queue(const Jsonb *payload, bool is_text);

/* The maximum number of entities in a critical section. */
#define ENTITY_MAX_LOCKS	100

/*
 * Ids of a critical section.  Sorts them in the order in which all sections lock, and removes duplicates: returns how
 * many are left.  As a text, which is displayed, and compared with the history.  As an array.
 */
extern int	durable_entity_ids_sort(char **ids, int n);
extern char *durable_entity_ids_join(char **ids, int nids);
extern Jsonb *durable_entity_ids_json(char **ids, int nids);

/* Raises 22023 if that is no name of an operation. */
extern void durable_entity_check_operation(const char *operation);

#endif							/* DURABLE_ENTITY_ID_H */
