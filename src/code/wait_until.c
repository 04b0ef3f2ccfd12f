/*-------------------------------------------------------------------------
 *
 * wait_until.c
 *		The built-in activity behind durable.wait_until(): runs the query and finds out
 *		whether the orchestration has to continue waiting.
 *
 * The condition holds when the query returns a row.  A single row with a single column
 * of type boolean has to be true, so that "SELECT count(*) > 5 FROM t" can be used.
 *
 * The query runs as the owner, in a read-only subtransaction.  Before its snapshot is
 * taken the watched tables are armed (watch.c).  A partitioned table is watched with all
 * its partitions, and pg_inherits with it, so that a new partition causes another look.
 *
 * Called by: activity.c, inside the activity's subtransaction, as the owner;
 *			data_calls.c for the input
 * Locks:	AccessShareLock on the tables of the query
 * Memory:	result in the context that is current at the call
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"

#include "call_sql.h"
#include "compat.h"
#include "json.h"
#include "wait_until.h"
#include "watch.h"

static Jsonb *number(int64 value);
static Jsonb *names_of(const Oid *relations, int nrelations);
static void check_relation(Oid relation);
static int64 get_us(const Jsonb *input, const char *member);
static void watch(const Jsonb *input, WaitUntil *wait);
static void watch_one(WaitUntil *wait, Oid relation);
static bool holds(const Jsonb *rows);

/* --- the input ---------------------------------------------------------------------------- */

Jsonb *
durable_wait_until_input(const char *query, const Jsonb *params, int64 recheck_us,
						 int64 timeout_us, const Oid *relations, int nrelations)
{
	JsonbParseState *state = NULL;
	Jsonb	   *input;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	durable_json_push_member(&state, "query", durable_json_text(query));
	durable_json_push_member(&state, "params", params);
	durable_json_push_member(&state, "watched", nrelations > 0 ? names_of(relations, nrelations) : NULL);
	durable_json_push_member(&state, "recheck_us", recheck_us > 0 ? number(recheck_us) : NULL);
	durable_json_push_member(&state, "timeout_us", timeout_us > 0 ? number(timeout_us) : NULL);
	input = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
	durable_json_check_size(input, "input of an activity");
	return input;
}

static Jsonb *
number(int64 value)
{
	JsonbValue	result = {.type = jbvNumeric};

	result.val.numeric = int64_to_numeric(value);
	return JsonbValueToJsonb(&result);
}

/* The input has names and not OIDs, because it may be dumped, and the query has names, too. */
static Jsonb *
names_of(const Oid *relations, int nrelations)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < nrelations; i++)
	{
		JsonbValue	name = {.type = jbvString};

		check_relation(relations[i]);
		name.val.string.val = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relations[i])),
														 get_rel_name(relations[i]));
		name.val.string.len = strlen(name.val.string.val);
		pushJsonbValue(&state, WJB_ELEM, &name);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* Can changes of the table be detected, and may the owner see its rows? */
static void
check_relation(Oid relation)
{
	char	   *name = get_rel_name(relation);
	char		kind = name ? get_rel_relkind(relation) : '\0';

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relation)));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot watch relation \"%s\"", name),
				 errdetail("Only tables, partitioned tables and materialized views can be watched."),
				 errhint("Watch the tables of a view. For a foreign table, set a short recheck interval instead.")));
	if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot watch temporary table \"%s\"", name),
				 errdetail("Only the session that has created the table sees its rows.")));
	if (pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relation, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to watch table \"%s\"", name),
				 errdetail("Role \"%s\" must have the SELECT privilege on the table.", GetUserNameFromId(GetUserId(), false)),
				 errhint("Use GRANT SELECT ON %s TO %s.", quote_identifier(name),
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

/* --- a look ------------------------------------------------------------------------------- */

Jsonb *
durable_wait_until_look(const Jsonb *input, WaitUntil *wait)
{
	Jsonb	   *rows;

	wait->recheck_us = get_us(input, "recheck_us");
	wait->timeout_us = get_us(input, "timeout_us");
	watch(input, wait);

	/* The snapshot must not be older than the watch. */
	PushActiveSnapshot(GetTransactionSnapshot());
	rows = durable_call_sql(input);
	PopActiveSnapshot();
	wait->holds = holds(rows);
	return rows;
}

/* The input may have been written by a user, because call_activity accepts any. */
static int64
get_us(const Jsonb *input, const char *member)
{
	char	   *text = durable_json_get_text(input, member);
	int64		us = text ? strtoll(text, NULL, 10) : 0;

	return Max(us, 0);
}

static void
watch(const Jsonb *input, WaitUntil *wait)
{
	Jsonb	   *names = durable_json_get_member(input, "watched");
	int			n = names && JB_ROOT_IS_ARRAY(names) && !JB_ROOT_IS_SCALAR(names) ? JB_ROOT_COUNT(names) : 0;

	for (int i = 0; i < n; i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(&names->root, i);
		char	   *text;
		Oid			relation;

		if (name->type != jbvString)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("watched must be an array of names of tables")));
		text = pnstrdup(name->val.string.val, name->val.string.len);
		relation = RangeVarGetRelid(makeRangeVarFromNameList(durable_qualified_name(text)), NoLock, false);
		check_relation(relation);
		if (has_subclass(relation))
		{
			ListCell   *cell;

			watch_one(wait, InheritsRelationId);
			foreach(cell, find_all_inheritors(relation, NoLock, NULL))
				watch_one(wait, lfirst_oid(cell));
		}
		else
		{
			if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
				watch_one(wait, InheritsRelationId);
			watch_one(wait, relation);
		}
	}
}

static void
watch_one(WaitUntil *wait, Oid relation)
{
	MemoryContext old = MemoryContextSwitchTo(wait->context);

	/* If there is no room, the changes are found at the recheck interval. */
	(void) durable_watch_arm(relation);
	if (wait->relations == NULL)
		wait->relations = palloc(sizeof(Oid));
	else
		wait->relations = repalloc(wait->relations, (wait->nrelations + 1) * sizeof(Oid));
	wait->relations[wait->nrelations++] = relation;
	MemoryContextSwitchTo(old);
}

static bool
holds(const Jsonb *rows)
{
	JsonbIterator *iterator;
	JsonbValue *row;
	JsonbValue	value;

	if (JB_ROOT_COUNT(rows) == 0)
		return false;
	if (JB_ROOT_COUNT(rows) > 1)
		return true;
	row = getIthJsonbValueFromContainer(unconstify(JsonbContainer *, &rows->root), 0);
	if (row->type != jbvBinary || JsonContainerSize(row->val.binary.data) != 1)
		return true;

	iterator = JsonbIteratorInit(row->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &value, true);	/* the object */
	(void) JsonbIteratorNext(&iterator, &value, true);	/* its key */
	(void) JsonbIteratorNext(&iterator, &value, true);
	return !(value.type == jbvNull || (value.type == jbvBool && !value.val.boolean));
}
