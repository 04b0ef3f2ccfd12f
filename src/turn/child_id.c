/*-------------------------------------------------------------------------
 *
 * child_id.c
 *		Makes ids of instances.
 *
 * The default is a UUID as 32 hexadecimal digits.  It has no hyphens: there may be
 * millions of instances, and without them an entry of the index on (instance_id, owner)
 * takes 8 bytes less.
 *
 * The id of a sub-orchestration must be new even if an earlier parent had the same id: that
 * parent may have been purged or replaced, and its children may still exist.  So the
 * id contains the key of the parent, which no other instance of the database ever has,
 * with the execution and the number of the call.  It is made once and recorded with the
 * call, so a replay does not make it again.
 *
 *		parent:task-key				first execution of the parent
 *		parent:execution.task-key	further ones
 *		id#attempt					a retry of such an id
 *		id#attempt-key.execution.task	a retry of an id that the orchestration chose
 *
 * The key is written to the base of 36.
 *
 * Owns:	the form of these ids
 * Called by: start_calls.c, execution.c, compensation.c, external.c, rewind.c, start_api.c
 * Locks:	none
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "child_id.h"

static char *key_text(int64 key);

char *
durable_id_of_uuid(const pg_uuid_t *uuid)
{
	char	   *id = palloc(UUID_LEN * 2 + 1);

	hex_encode((const char *) uuid->data, UUID_LEN, id);
	id[UUID_LEN * 2] = '\0';
	return id;
}

char *
durable_child_id(const Instance *instance, int task)
{
	if (instance->execution == 1)
		return psprintf("%s:%d-%s", instance->instance_id, task, key_text(instance->key));
	return psprintf("%s:%d.%d-%s", instance->instance_id, instance->execution, task,
					key_text(instance->key));
}

char *
durable_child_attempt_id(const Instance *instance, int task, const char *base, int attempt)
{
	if (strcmp(base, durable_child_id(instance, task)) == 0)
		return psprintf("%s#%d", base, attempt);
	return psprintf("%s#%d-%s.%d.%d", base, attempt, key_text(instance->key), instance->execution, task);
}

char *
durable_undo_id(const Instance *instance)
{
	return psprintf("%s:undo-%s", instance->instance_id, key_text(instance->key));
}

static char *
key_text(int64 key)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char		text[16];		/* 13 digits are enough for 63 bits */
	char	   *at = text + sizeof(text) - 1;
	uint64		rest = (uint64) key;

	*at = '\0';
	do
	{
		*--at = digits[rest % 36];
		rest /= 36;
	} while (rest > 0);
	return pstrdup(at);
}
