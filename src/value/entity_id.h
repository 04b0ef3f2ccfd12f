/*
 * entity_id.h
 *		Ids of entities, "@name@key", and the numbers that stand for them.
 */
#ifndef DURABLE_ENTITY_ID_H
#define DURABLE_ENTITY_ID_H

#include "durable.h"

/* The id of an entity.  The name is folded to lower case.  Raises 22023 if a part is not valid. */
extern char *durable_entity_id(const char *name, const char *key);

/* Checks an id that a user wrote, and folds its name to lower case.  Raises 22023 if it is not valid. */
extern char *durable_entity_id_parse(const char *text);

/* The name in an id. */
extern char *durable_entity_name(const char *id);

/*
 * inbox.key of messages for the entity: a hash of the bytes of the id.  Two ids may have the
 * same key.
 */
extern int64 durable_entity_key(const char *id);

/* Message.name of an operation: the id and the operation.  An operation has no line break. */
extern char *durable_entity_address(const char *id, const char *operation);
extern void durable_entity_address_read(const char *address, char **id, char **operation);

/*
 * The payload of an operation that an external program has sent (is_text).  It has the text
 * of the input (verbatim.h), and the queue for operations of entities whose name is not
 * registered.
 */
extern Jsonb *durable_entity_text(const Jsonb *input, const char *queue);
extern Jsonb *durable_entity_input(const Jsonb *payload, bool is_text, bool wants_text);
extern char *durable_entity_queue(const Jsonb *payload, bool is_text);

/* The maximum number of entities in a critical section. */
#define ENTITY_MAX_LOCKS	100

/*
 * Ids of the entities of a critical section.  All sections lock in the order of sort, which
 * prevents deadlocks.  sort also removes duplicates and returns the number of ids that are
 * left.  join yields the text that is displayed and compared with the history; json yields
 * an array.
 */
extern int	durable_entity_ids_sort(char **ids, int n);
extern char *durable_entity_ids_join(char **ids, int nids);
extern Jsonb *durable_entity_ids_json(char **ids, int nids);

/* Raises 22023 if that is not a valid name of an operation. */
extern void durable_entity_check_operation(const char *operation);

#endif							/* DURABLE_ENTITY_ID_H */
