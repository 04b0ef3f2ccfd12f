/*-------------------------------------------------------------------------
 *
 * entity_id.c
 *		Makes ids of entities, "@name@key", and the numbers that stand for them.
 *
 * A message needs the number of the instance or entity that it is for.  A sender must not
 * have to look for the entity, which may not exist yet, or create it, which might have to
 * wait for another transaction that does the same.  So the number is computed from the id.
 * Two ids with the same number are rare and do no harm: a message has the id, too.
 *
 * Owns:	the form of these ids and numbers
 * Called by: entity_calls.c, entity_api.c, entity_table.c, registration_api.c, the entity_*.c
 *			of run/
 * Locks:	none
 * Memory:	results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "entity_id.h"
#include "json.h"
#include "utils/formatting.h"
#include "verbatim.h"

/* The constants of FNV-1a, and of the finalizer of MurmurHash3, which mixes its bits. */
#define FNV_BASIS	UINT64CONST(0xcbf29ce484222325)
#define FNV_PRIME	UINT64CONST(0x100000001b3)
#define MURMUR_1	UINT64CONST(0xff51afd7ed558ccd)
#define MURMUR_2	UINT64CONST(0xc4ceb9fe1a85ec53)

pg_noreturn_compat static void refuse_id(const char *problem);
static int	compare_ids(const void *a, const void *b);

char *
durable_entity_id(const char *name, const char *key)
{
	char	   *id;

	if (name[0] == '\0')
		refuse_id("The name is empty.");
	if (strchr(name, '@') != NULL)
		refuse_id("The name of an entity cannot contain \"@\".");
	id = psprintf("@%s@%s", asc_tolower(name, strlen(name)), key);
	if (strlen(id) > DURABLE_MAX_NAME)
		refuse_id(psprintf("It has %zu bytes, but the limit is %d bytes.", strlen(id), DURABLE_MAX_NAME));
	return id;
}

char *
durable_entity_id_parse(const char *text)
{
	const char *separator = text[0] == '@' ? strchr(text + 1, '@') : NULL;

	if (separator == NULL)
		refuse_id("An id has the form \"@name@key\".");
	return durable_entity_id(pnstrdup(text + 1, separator - text - 1), separator + 1);
}

static void
refuse_id(const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid id of an entity"),
			 errdetail("%s", problem)));
}

char *
durable_entity_name(const char *id)
{
	const char *separator = id[0] == '@' ? strchr(id + 1, '@') : NULL;

	if (separator == NULL)
		elog(ERROR, "invalid id of an entity: \"%s\"", id);
	return pnstrdup(id + 1, separator - id - 1);
}

/* Hashes byte by byte, so that the number is the same on every machine: keys are stored and dumped. */
int64
durable_entity_key(const char *id)
{
	uint64		hash = FNV_BASIS;

	for (const char *c = id; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * FNV_PRIME;
	hash = (hash ^ (hash >> 33)) * MURMUR_1;
	hash = (hash ^ (hash >> 33)) * MURMUR_2;
	hash ^= hash >> 33;

	/* PG_INT64_MAX has a special meaning (unit.h). */
	return Min((int64) (hash >> 2) | DURABLE_FIRST_ENTITY_KEY, PG_INT64_MAX - 1);
}

char *
durable_entity_address(const char *id, const char *operation)
{
	return psprintf("%s\n%s", id, operation);
}

void
durable_entity_address_read(const char *address, char **id, char **operation)
{
	const char *separator = strrchr(address, '\n');

	if (separator == NULL)
		elog(ERROR, "invalid address of an entity: \"%s\"", address);
	*id = pnstrdup(address, separator - address);
	*operation = pstrdup(separator + 1);
}

Jsonb *
durable_entity_text(const Jsonb *input, const char *queue)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "input", input);
	if (queue != NULL)
		durable_json_push_member(&state, "queue", durable_json_text(queue));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

Jsonb *
durable_entity_input(const Jsonb *payload, bool is_text, bool wants_text)
{
	const Jsonb *input = is_text ? durable_json_get_member(payload, "input") : payload;

	return durable_verbatim_convert(input, is_text, wants_text);
}

char *
durable_entity_queue(const Jsonb *payload, bool is_text)
{
	return is_text ? durable_json_get_text(payload, "queue") : NULL;
}

void
durable_entity_check_operation(const char *operation)
{
	if (strchr(operation, '\n') != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of an operation must not contain a line break")));
}

/* --- sets of ids -------------------------------------------------------------------------- */

int
durable_entity_ids_sort(char **ids, int n)
{
	int			nids = 0;

	qsort(ids, n, sizeof(char *), compare_ids);
	for (int i = 0; i < n; i++)
		if (nids == 0 || strcmp(ids[nids - 1], ids[i]) != 0)
			ids[nids++] = ids[i];
	return nids;
}

static int
compare_ids(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Joins the ids into a text, which is displayed, and compared with the history. */
char *
durable_entity_ids_join(char **ids, int nids)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < nids; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", ids[i]);
	return text.data;
}

Jsonb *
durable_entity_ids_json(char **ids, int nids)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nids; i++)
	{
		JsonbValue	value = {.type = jbvString};

		value.val.string.val = ids[i];
		value.val.string.len = strlen(ids[i]);
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}
