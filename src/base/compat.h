/*
 * compat.h
 *		Differences between PostgreSQL 15 to 19.
 *
 * The engine is written for the newest API; this file provides it on the older versions.
 * No other file tests PG_VERSION_NUM.
 */
#ifndef DURABLE_COMPAT_H
#define DURABLE_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 200000
#error "durable needs PostgreSQL 15, 16, 17, 18 or 19"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Up to 18 other headers include these. */
#if PG_VERSION_NUM >= 190000
#include <limits.h>
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#endif

/* Precedes the declaration of a function that does not return. */
#if PG_VERSION_NUM >= 180000
#define pg_noreturn_compat pg_noreturn
#else
#define pg_noreturn_compat pg_attribute_noreturn()
#endif

#if PG_VERSION_NUM >= 180000
#define DURABLE_MODULE_MAGIC(version_) \
	PG_MODULE_MAGIC_EXT(.name = "durable", .version = version_)
#else
#define DURABLE_MODULE_MAGIC(version_) PG_MODULE_MAGIC
#endif

/* fmgr.h declares _PG_init from 16 on. */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

/*
 * An extension can name its wait events from 17 on.  Registering a name needs shared
 * memory, so it happens at the first wait of a process.
 */
static inline uint32
durable_wait_event(uint32 *cache, const char *name)
{
#if PG_VERSION_NUM >= 170000
	if (*cache == 0)
		*cache = WaitEventExtensionNew(name);
	return *cache;
#else
	(void) cache;
	(void) name;
	return PG_WAIT_EXTENSION;
#endif
}

/*
 * Pins search_path to pg_catalog for the engine's own statements.  17 removed the
 * override stack of 15 and 16, and made it cheap to set the variable itself.  On error the
 * abort of the (sub)transaction undoes both.
 */
static inline int
durable_search_path_pin(void)
{
#if PG_VERSION_NUM >= 170000
	int			level = NewGUCNestLevel();

	RestrictSearchPath();
	return level;
#else
	OverrideSearchPath path = {.schemas = NIL, .addCatalog = true, .addTemp = false};

	PushOverrideSearchPath(&path);
	return 0;
#endif
}

static inline void
durable_search_path_unpin(int level)
{
#if PG_VERSION_NUM >= 170000
	AtEOXact_GUC(false, level);
#else
	(void) level;
	PopOverrideSearchPath();
#endif
}

/* Which indexes need new entries after an update.  Summarizing indexes are told apart from 16 on. */
#if PG_VERSION_NUM < 160000
typedef bool TU_UpdateIndexes;
#define TU_None			false
#define DURABLE_ONLY_SUMMARIZING(indexes)	false
#define DURABLE_INDEX_SUMMARIZES(info)	false
#else
#define DURABLE_ONLY_SUMMARIZING(indexes)	((indexes) == TU_Summarizing)
#define DURABLE_INDEX_SUMMARIZES(info)	((info)->ii_Summarizing)
#endif

/* From 17 on access methods may keep state between inserts, which the caller has to release. */
#if PG_VERSION_NUM < 170000
#define index_insert_cleanup(index, info)	((void) 0)
#endif

/* Is it left over from an interrupted DROP DATABASE?  15 to 17 got the mark in minor releases. */
static inline bool
durable_database_is_invalid(Form_pg_database database)
{
#ifdef DATCONNLIMIT_INVALID_DB
	return database->datconnlimit == DATCONNLIMIT_INVALID_DB;
#else
	return database->datconnlimit == -2;
#endif
}

/* 16 replaced the access checks for each kind of object by one function. */
#if PG_VERSION_NUM < 160000
static inline AclResult
durable_function_aclcheck(Oid function, Oid role)
{
	return pg_proc_aclcheck(function, role, ACL_EXECUTE);
}

static inline AclResult
durable_schema_aclcheck(Oid namespace, Oid role, AclMode mode)
{
	return pg_namespace_aclcheck(namespace, role, mode);
}

static inline bool
durable_owns_function(Oid function, Oid role)
{
	return pg_proc_ownercheck(function, role);
}

static inline bool
durable_owns_database(Oid database, Oid role)
{
	return pg_database_ownercheck(database, role);
}
#else
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
static inline AclResult
durable_function_aclcheck(Oid function, Oid role)
{
	return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
}

static inline AclResult
durable_schema_aclcheck(Oid namespace, Oid role, AclMode mode)
{
	return object_aclcheck(NamespaceRelationId, namespace, role, mode);
}

static inline bool
durable_owns_function(Oid function, Oid role)
{
	return object_ownercheck(ProcedureRelationId, function, role);
}

static inline bool
durable_owns_database(Oid database, Oid role)
{
	return object_ownercheck(DatabaseRelationId, database, role);
}
#endif

/* ProcedureCreate takes the types of TRANSFORM, and from 18 on also a list of the transforms. */
#if PG_VERSION_NUM >= 180000
#define DURABLE_TRANSFORMS(types)	(types), NIL
#else
#define DURABLE_TRANSFORMS(types)	(types)
#endif

/* 16 added a parameter for errors that are returned instead of raised. */
#if PG_VERSION_NUM >= 160000
#define durable_qualified_name(name)	stringToQualifiedNameList(name, NULL)
#else
#define durable_qualified_name(name)	stringToQualifiedNameList(name)
#endif

/* The OID of the table of a PgStat_TableStatus. */
#if PG_VERSION_NUM >= 160000
#define DURABLE_STAT_RELATION(status)	((status)->id)
#else
#define DURABLE_STAT_RELATION(status)	((status)->t_id)
#endif

/* index_beginscan got a parameter for instrumentation in 18, and flags in 19. */
static inline IndexScanDesc
durable_index_beginscan(Relation table, Relation index, Snapshot snapshot, int nkeys)
{
#if PG_VERSION_NUM >= 190000
	return index_beginscan(table, index, snapshot, NULL, nkeys, 0, 0);
#elif PG_VERSION_NUM >= 180000
	return index_beginscan(table, index, snapshot, NULL, nkeys, 0);
#else
	return index_beginscan(table, index, snapshot, nkeys, 0);
#endif
}

/* Updates and deletions of rows got an options parameter in 19. */
#if PG_VERSION_NUM >= 190000
#define durable_table_update(relation, tid, row, command, snapshot, failure, lock, indexes) \
	table_tuple_update(relation, tid, row, command, 0, snapshot, InvalidSnapshot, true, failure, lock, indexes)
#define durable_table_delete(relation, tid, command, snapshot, failure) \
	table_tuple_delete(relation, tid, command, 0, snapshot, InvalidSnapshot, true, failure)
#else
#define durable_table_update(relation, tid, row, command, snapshot, failure, lock, indexes) \
	table_tuple_update(relation, tid, row, command, snapshot, InvalidSnapshot, true, failure, lock, indexes)
#define durable_table_delete(relation, tid, command, snapshot, failure) \
	table_tuple_delete(relation, tid, command, snapshot, InvalidSnapshot, true, failure, false)
#endif

/* All functions of a name.  19 added a parameter that returns why there is none. */
static inline FuncCandidateList
durable_functions_named(List *names)
{
#if PG_VERSION_NUM >= 190000
	int			found;

	return FuncnameGetCandidates(names, -1, NIL, false, false, false, true, &found);
#else
	return FuncnameGetCandidates(names, -1, NIL, false, false, false, true);
#endif
}

/* A hash table in shared memory for at most that many entries.  19 dropped the initial size. */
#if PG_VERSION_NUM >= 190000
#define durable_shmem_hash(name, entries, control, flags)	ShmemInitHash(name, entries, control, flags)
#else
#define durable_shmem_hash(name, entries, control, flags)	ShmemInitHash(name, entries, entries, control, flags)
#endif

/* Calls a signal handler.  From 19 on handlers receive the sender's pid and uid. */
static inline void
durable_call_handler(pqsigfunc handler, int signo, pid_t pid, uid_t uid)
{
#if PG_VERSION_NUM >= 190000
	pg_signal_info info = {.pid = pid, .uid = uid};

	handler(signo, &info);
#else
	(void) pid;
	(void) uid;
	handler(signo);
#endif
}

/* 19 gave handlers a type of their own, and with it a constant to ignore a signal. */
#if PG_VERSION_NUM < 190000
#define PG_SIG_IGN		SIG_IGN
#endif

/* The arguments with which a signal handler calls another one. */
#if PG_VERSION_NUM >= 190000
#define DURABLE_PASS_SIGNAL	postgres_signal_arg, pg_siginfo
#else
#define DURABLE_PASS_SIGNAL	postgres_signal_arg
#endif

/* The relations that a planned statement writes to: a list up to 18, a Bitmapset in 19. */
#if PG_VERSION_NUM >= 190000
#define durable_is_result_relation(statement, index)	bms_is_member(index, (statement)->resultRelationRelids)
#else
#define durable_is_result_relation(statement, index)	list_member_int((statement)->resultRelations, index)
#endif

/* In 19 the JumbleState that post_parse_analyze_hook receives is const. */
#if PG_VERSION_NUM >= 190000
#define DURABLE_JUMBLE_STATE	const JumbleState
#else
#define DURABLE_JUMBLE_STATE	JumbleState
#endif

/* 19 marks a fallthrough by a statement; before it was a comment. */
#if PG_VERSION_NUM < 190000
#define pg_fallthrough	__attribute__((fallthrough))
#endif

/*
 * Building a jsonb.  In 19 pushJsonbValue works on a JsonbInState, which has the stack and
 * the result, instead of returning the result.  This wrapper makes such a state for one call.
 */
#if PG_VERSION_NUM >= 190000
static inline JsonbValue *
durable_push_jsonb(JsonbParseState **stack, JsonbIteratorToken token, JsonbValue *value)
{
	JsonbInState state = {.parseState = *stack};

	pushJsonbValue(&state, token, value);
	*stack = state.parseState;
	return state.result;
}

#define pushJsonbValue(stack, token, value)	durable_push_jsonb(stack, token, value)
#endif

#endif							/* DURABLE_COMPAT_H */
