/*-------------------------------------------------------------------------
 *
 * determinism.c
 *		Stops an orchestration that would see different values in its next replay.
 *
 * Four hooks, which do nothing unless a turn is running:
 * - ExecutorStart: queries that read a table.  System catalogs are allowed, since
 *   casts and lookups of names use them.
 * - object access: calls of functions that give another answer each time.  The
 *   hook is called when the expression is prepared, in PL/pgSQL once for each
 *   transaction; so a call in a helper function that an activity of the same
 *   transaction has used before may not be detected.
 * - ProcessUtility: statements that a read-only transaction may run, and that affect
 *   other sessions or read tables.
 * - post-parse analysis: CURRENT_TIMESTAMP and similar expressions are not function calls,
 *   and 'now'::timestamptz is a constant afterwards, for as long as the session has the plan.
 *
 * These are the cases that the hooks can detect and report with a hint.  Requests for
 * the time that they cannot detect, because the code was parsed before (a view, a body in
 * standard SQL, a helper function that an activity has used), get the turn's time: see
 * clock.c.
 *
 * The remaining cases are detected by the replay: an instance whose calls do not match
 * is suspended.
 *
 * Owns:	the hooks
 * Called by: PostgreSQL, through the hooks; durable.c, which has them installed
 * Locks:	none
 * Memory:	no memory is kept
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "determinism.h"
#include "guc.h"
#include "turn.h"
#include "usercall.h"

/* The reasons why something is forbidden. */
#define COULD_DIFFER	"The result could differ when the orchestration is replayed."
#define DONE_AGAIN		"It would be repeated whenever the orchestration is replayed."

/* Functions of pg_catalog, and the functions to call instead. */
static const struct
{
	const char *name;
	const char *instead;
}			forbidden[] =
{
	{"now", "durable.now()"},
	{"transaction_timestamp", "durable.now()"},
	{"statement_timestamp", "durable.now()"},
	{"clock_timestamp", "durable.now()"},
	{"timeofday", "durable.now()"},
	{"random", "durable.random()"},
	{"random_normal", "durable.random()"},
	{"setseed", "durable.random()"},
	{"gen_random_uuid", "durable.uuid()"},
	{"uuidv4", "durable.uuid()"},
	{"uuidv7", "durable.uuid()"},
	{"pg_sleep", "durable.sleep()"},
	{"pg_sleep_for", "durable.sleep()"},
	{"pg_sleep_until", "durable.create_timer()"},
	{"nextval", "an activity, or durable.call_sql()"},
	{"currval", "an activity, or durable.call_sql()"},
	{"lastval", "an activity, or durable.call_sql()"},
	{"setval", "an activity, or durable.call_sql()"},
	{"txid_current", "an activity, or durable.call_sql()"},
	{"pg_current_xact_id", "an activity, or durable.call_sql()"},
	{"txid_current_if_assigned", "an activity, or durable.call_sql()"},
	{"pg_current_xact_id_if_assigned", "an activity, or durable.call_sql()"},
	{"txid_current_snapshot", "an activity, or durable.call_sql()"},
	{"pg_current_snapshot", "an activity, or durable.call_sql()"},
	{"pg_backend_pid", "durable.instance_id()"},
	{"pg_cancel_backend", "an activity, or durable.call_sql()"},
	{"pg_terminate_backend", "an activity, or durable.call_sql()"},
	{"pg_logical_emit_message", "an activity, or durable.call_sql()"},
	{"pg_notify", "an activity, or durable.call_sql()"},
	{"pg_advisory_lock", "an activity, or durable.call_sql()"},
	{"pg_advisory_lock_shared", "an activity, or durable.call_sql()"},
	{"pg_advisory_xact_lock", "an activity, or durable.call_sql()"},
	{"pg_advisory_xact_lock_shared", "an activity, or durable.call_sql()"},
	{"pg_try_advisory_lock", "an activity, or durable.call_sql()"},
	{"pg_try_advisory_lock_shared", "an activity, or durable.call_sql()"},
	{"pg_try_advisory_xact_lock", "an activity, or durable.call_sql()"},
	{"pg_try_advisory_xact_lock_shared", "an activity, or durable.call_sql()"},
	{"pg_advisory_unlock", "an activity, or durable.call_sql()"},
	{"pg_advisory_unlock_all", "an activity, or durable.call_sql()"},
	{"pg_advisory_unlock_shared", "an activity, or durable.call_sql()"},
	{"pg_ls_dir", "an activity, or durable.call_sql()"},
	{"pg_read_binary_file", "an activity, or durable.call_sql()"},
	{"pg_read_file", "an activity, or durable.call_sql()"},
	{"pg_stat_file", "an activity, or durable.call_sql()"},
	{"lo_creat", "an activity, or durable.call_sql()"},
	{"lo_create", "an activity, or durable.call_sql()"},
	{"lo_from_bytea", "an activity, or durable.call_sql()"},
	{"lo_get", "an activity, or durable.call_sql()"},
	{"lo_open", "an activity, or durable.call_sql()"},
	{"lo_put", "an activity, or durable.call_sql()"},
	{"lo_unlink", "an activity, or durable.call_sql()"},
	{"query_to_xml", "an activity, or durable.call_sql()"},
	{"table_to_xml", "an activity, or durable.call_sql()"},
};

static void check_query(QueryDesc *queryDesc, int eflags);
static void check_function(ObjectAccessType access, Oid classId, Oid objectId,
						   int subId, void *arg);
static void check_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
						  ProcessUtilityContext context, ParamListInfo params,
						  QueryEnvironment *environment, DestReceiver *dest,
						  QueryCompletion *completion);
static void check_parsed(ParseState *pstate, Query *query, DURABLE_JUMBLE_STATE *jstate);
static bool find_time_value(Node *node, void *context);
static bool is_time(Oid type);
static bool says_now(const char *literal);
static void complain(const char *what, const char *why, const char *instead);
static bool watching(void);

static ExecutorStart_hook_type next_executor_start = NULL;
static object_access_hook_type next_object_access = NULL;
static ProcessUtility_hook_type next_utility = NULL;
static post_parse_analyze_hook_type next_post_parse_analyze = NULL;

void
durable_determinism_install_hooks(void)
{
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = check_query;
	next_object_access = object_access_hook;
	object_access_hook = check_function;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = check_utility;
	next_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = check_parsed;
}

static bool
watching(void)
{
	return durable_turn_guarded() && durable_determinism != DETERMINISM_OFF;
}

static void
check_query(QueryDesc *queryDesc, int eflags)
{
	if (watching())
	{
		PlannedStmt *statement = queryDesc->plannedstmt;
		ListCell   *cell;

		foreach(cell, statement->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, cell);
			bool		writes = durable_is_result_relation(statement, foreach_current_index(cell) + 1);
			Oid			namespace;

			/* The tables of a view have entries of their own in the list. */
			if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW)
				continue;
			namespace = get_rel_namespace(rte->relid);
			if (namespace == PG_CATALOG_NAMESPACE || namespace == PG_TOAST_NAMESPACE)
				continue;
			/* The transaction is read-only, which allows writes to temporary tables only. */
			if (writes && get_rel_persistence(rte->relid) != RELPERSISTENCE_TEMP)
				continue;
			complain(psprintf("orchestration %s table \"%s\"",
							  writes ? "writes to" : "reads", get_rel_name(rte->relid)),
					 writes ? DONE_AGAIN : COULD_DIFFER, "an activity, or durable.call_sql()");
		}
	}

	if (next_executor_start)
		next_executor_start(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

static void
check_function(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (access == OAT_FUNCTION_EXECUTE && objectId < FirstNormalObjectId && watching() &&
		func_volatile(objectId) != PROVOLATILE_IMMUTABLE)
	{
		char	   *name = get_func_name(objectId);

		for (int i = 0; name != NULL && i < lengthof(forbidden); i++)
			if (strcmp(name, forbidden[i].name) == 0)
				complain(psprintf("orchestration calls function %s()", name),
						 COULD_DIFFER, forbidden[i].instead);
	}

	if (access == OAT_FUNCTION_EXECUTE && objectId == F_SET_CONFIG)
		durable_usercall_note_settings();
	if (next_object_access)
		next_object_access(access, classId, objectId, subId, arg);
}

static void
check_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest,
			  QueryCompletion *completion)
{
	if (watching())
		switch (nodeTag(statement->utilityStmt))
		{
			case T_CopyStmt:
			case T_ListenStmt:
			case T_LockStmt:
			case T_NotifyStmt:
			case T_UnlistenStmt:
				complain(psprintf("orchestration runs %s", CreateCommandName(statement->utilityStmt)),
						 DONE_AGAIN, "an activity, or durable.call_sql()");
				break;
			default:
				break;
		}
	if (next_utility)
		next_utility(statement, query, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(statement, query, read_only_tree, context, params, environment, dest, completion);
}

static void
check_parsed(ParseState *pstate, Query *query, DURABLE_JUMBLE_STATE *jstate)
{
	if (watching())
		(void) query_tree_walker(query, find_time_value, pstate, 0);
	if (next_post_parse_analyze)
		next_post_parse_analyze(pstate, query, jstate);
}

static bool
find_time_value(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_time_value, context, 0);
	if (IsA(node, SQLValueFunction))
	{
		switch (((SQLValueFunction *) node)->op)
		{
			case SVFOP_CURRENT_DATE:
			case SVFOP_CURRENT_TIME:
			case SVFOP_CURRENT_TIME_N:
			case SVFOP_CURRENT_TIMESTAMP:
			case SVFOP_CURRENT_TIMESTAMP_N:
			case SVFOP_LOCALTIME:
			case SVFOP_LOCALTIME_N:
			case SVFOP_LOCALTIMESTAMP:
			case SVFOP_LOCALTIMESTAMP_N:
				complain("orchestration asks for the current time", COULD_DIFFER, "durable.now()");
				break;
			default:
				break;
		}
	}
	if (IsA(node, Const))
	{
		Const	   *constant = (Const *) node;
		const char *text = ((ParseState *) context)->p_sourcetext;

		if (constant->location >= 0 && text != NULL && is_time(constant->consttype) &&
			constant->location < strlen(text) && says_now(text + constant->location))
			complain("orchestration asks for the current time", COULD_DIFFER, "durable.now()");
	}
	return expression_tree_walker(node, find_time_value, context);
}

/* Is it a type with the input 'now', or an array or range of one? */
static bool
is_time(Oid type)
{
	Oid			part;

	type = getBaseType(type);
	part = get_element_type(type);
	if (!OidIsValid(part))
		part = get_range_subtype(type);
	switch (OidIsValid(part) ? part : type)
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return false;
	}
}

/* Does the literal contain a word that datetime.c replaces by the present time? */
static bool
says_now(const char *literal)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	const char *end = strchr(literal, literal[0] == '$' ? '$' : '\'');

	/* A tag may follow the first dollar, so the search ends at the next dollar, which is close enough. */
	if (end == NULL)
		return false;
	end = strchr(end + 1, *end);
	for (const char *c = literal; end != NULL && c < end; c++)
	{
		const char *word = c;

		while (isalpha((unsigned char) *c))
			c++;
		for (int i = 0; i < lengthof(words); i++)
			if (c - word == strlen(words[i]) && pg_strncasecmp(word, words[i], c - word) == 0)
				return true;
	}
	return false;
}

static void
complain(const char *what, const char *why, const char *instead)
{
	ereport(durable_determinism == DETERMINISM_ERROR ? ERROR : WARNING,
			(errcode(ERRCODE_DURABLE_NONDETERMINISTIC),
			 errmsg("%s", what),
			 errdetail("%s", why),
			 errhint("Use %s.", instead)));
}
