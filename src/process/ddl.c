/*
 * ddl.c
 *		Stops the engine's processes for statements that conflict with them, and
 *		notifies them of others.
 *
 * Owns: the mark "stopping" of databases in shared memory.
 * Called by: ProcessUtility, in every database of the server.
 * Locks: none while it waits.
 * Memory: none.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME and SET TABLESPACE, and CREATE DATABASE
 * with one of ours as its template need a database without connections.  The engine's
 * processes are told to exit, and kept out until the statement is over.  DROP EXTENSION
 * durable and ALTER EXTENSION durable UPDATE would wait for the end of a running unit:
 * for them the processes are kept out until the transaction is over.  The mark has a
 * deadline: if it is not removed, it expires, and the engine starts again by itself.
 *
 * This is done only if the current role may execute the statement: no other role shall
 * be able to stop workers.  If the statement fails nevertheless, a few transactions
 * were rolled back and are run again.
 *
 * ddl_code.c handles statements that replace orchestrations.
 *
 * CREATE EXTENSION tells the launcher at its commit.  ALTER SCHEMA durable RENAME is
 * refused.
 */
#include "durable.h"
#include "ddl_code.h"
#include "process.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "shared.h"
#include "sql.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "table_write.h"
#include "tcop/utility.h"
#include "usercall.h"
#include "utils/acl.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
#include "wakeup.h"
#include "watch.h"

/* How long a mark lasts when it is not removed, and how long we wait. */
#define MARK_US			(60 * USECS_PER_SEC)
#define PATIENCE_MS		4000
#define POLL_MS			5

/* The arguments of ProcessUtility. */
typedef struct UtilityCall
{
	PlannedStmt *statement;
	const char *query;
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
}			UtilityCall;

static ProcessUtility_hook_type next_hook = NULL;

/* Until this transaction ends. */
static Oid	stopped_database = InvalidOid;
static Oid	dropped_database = InvalidOid;
static bool database_created = false;

static void process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *environment, DestReceiver *dest,
							QueryCompletion *completion);
static void go_on(const UtilityCall *call);
static void go_on_in_empty_database(const UtilityCall *call, Oid database);
static Oid	database_to_empty(Node *statement);
static Oid	template_of(CreatedbStmt *statement);
static bool changes_extension(Node *statement);
static bool names_us(List *objects);
static void refuse_renaming(Node *statement);
static void stop(Oid database);
static void let_go_on(Oid database);
static void end_of_transaction(XactEvent event, void *arg);

void
durable_ddl_install_hooks(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	durable_writer_allow_held();
	RegisterXactCallback(end_of_transaction, NULL);
}

static void
process_utility(PlannedStmt *statement, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	UtilityCall call = {statement, query, read_only_tree, context, params,
	environment, dest, completion};
	Node	   *node = statement->utilityStmt;
	bool		creates_extension = IsA(node, CreateExtensionStmt);
	bool		creates_database = IsA(node, CreatedbStmt);
	Oid			database = InvalidOid;

	List	   *old_code;

	durable_writer_release_held();
	refuse_renaming(node);
	if (context == PROCESS_UTILITY_TOPLEVEL && !IsTransactionBlock())
		database = database_to_empty(node);
	if (IsA(node, VariableSetStmt))
		durable_usercall_note_settings();
	if (IsA(node, ConstraintsSetStmt))
		durable_usercall_note_constraints();
	if (changes_extension(node))
	{
		stopped_database = MyDatabaseId;
		stop(MyDatabaseId);
	}

	old_code = durable_ddl_code_before(node);
	if (OidIsValid(database))
		go_on_in_empty_database(&call, database);
	else
		go_on(&call);
	durable_ddl_code_after(old_code);

	/*
	 * The launcher shall notice a copy of a database of ours at once.  With CASCADE,
	 * the creation of another extension may create ours, too.
	 */
	database_created |= creates_database;

	/* Its rows are visible now, and its commit callback has run in another session. */
	if (IsA(node, TransactionStmt) && castNode(TransactionStmt, node)->kind == TRANS_STMT_COMMIT_PREPARED)
	{
		durable_database_look();
		durable_watch_changed_all();
	}
	if (creates_extension && OidIsValid(durable_extension_oid()))
		durable_wakeup_extension();
}

static void
go_on(const UtilityCall *call)
{
	(next_hook ? next_hook : standard_ProcessUtility)
		(call->statement, call->query, call->read_only_tree, call->context, call->params,
		 call->environment, call->dest, call->completion);
}

static void
go_on_in_empty_database(const UtilityCall *call, Oid database)
{
	PG_TRY();
	{
		stop(database);
		go_on(call);
	}
	PG_CATCH();
	{
		let_go_on(database);
		PG_RE_THROW();
	}
	PG_END_TRY();

	/* A dropped database stays closed until the launcher has noticed. */
	if (IsA(call->statement->utilityStmt, DropdbStmt))
		dropped_database = database;
	else
		let_go_on(database);
}

/* --- which statements ---------------------------------------------------------------- */

static Oid
database_to_empty(Node *statement)
{
	Oid			database = InvalidOid;

	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			database = get_database_oid(((DropdbStmt *) statement)->dbname, true);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				database = get_database_oid(((RenameStmt *) statement)->subname, true);
			break;
		case T_AlterDatabaseStmt:
			{
				AlterDatabaseStmt *alter = (AlterDatabaseStmt *) statement;
				ListCell   *lc;

				foreach(lc, alter->options)
					if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
						database = get_database_oid(alter->dbname, true);
				break;
			}
		case T_CreatedbStmt:
			database = template_of((CreatedbStmt *) statement);
			break;
		default:
			return InvalidOid;
	}

	/* A database without an entry has none of our processes. */
	if (!OidIsValid(database) || durable_database_find(database) == NULL)
		return InvalidOid;
	return durable_owns_database(database, GetUserId()) ? database : InvalidOid;
}

/* None of our processes connects to a template database, but any database can serve as a template. */
static Oid
template_of(CreatedbStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "template") == 0 && option->arg)
			return get_database_oid(defGetString(option), true);
	}
	return InvalidOid;
}

static bool
changes_extension(Node *statement)
{
	bool		ours = false;

	bool		drops = false;

	if (IsA(statement, DropStmt))
	{
		DropStmt   *drop = (DropStmt *) statement;

		if (drop->removeType == OBJECT_EXTENSION || drop->removeType == OBJECT_SCHEMA)
			ours = names_us(drop->objects);
		drops = drop->removeType == OBJECT_EXTENSION;
	}
	else if (IsA(statement, AlterExtensionStmt))
		ours = strcmp(((AlterExtensionStmt *) statement)->extname, "durable") == 0;

	if (!ours || !OidIsValid(durable_extension_oid()))
		return false;
	if (has_privs_of_role(GetUserId(), durable_extension_owner()))
		return true;

	/*
	 * The server locks the extension first and asks for the privilege then.
	 * Behind such a lock request every new unit would queue until the last
	 * running one ends, so any role could bring the engine to a halt.
	 */
	if (drops)
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_EXTENSION, "durable");
	return false;
}

/* Schemas and extensions are both plain strings in DROP. */
static bool
names_us(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
		if (IsA(lfirst(lc), String) && strcmp(strVal(lfirst(lc)), "durable") == 0)
			return true;
	return false;
}

/* The engine finds its objects by the name of the schema. */
static void
refuse_renaming(Node *statement)
{
	RenameStmt *rename = (RenameStmt *) statement;

	if (IsA(statement, RenameStmt) && rename->renameType == OBJECT_SCHEMA &&
		strcmp(rename->subname, "durable") == 0 && OidIsValid(durable_extension_oid()))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot rename schema durable because extension durable requires it")));
}

/* --- stopping and going on -------------------------------------------------------------- */

/*
 * Returns when our processes are gone from that database, or after a time-out; the
 * statement itself then reports that the database is being used.  The mark is set
 * first, and a starting process writes down its pid before it looks for the mark, so
 * no process is missed.
 */
static void
stop(Oid database)
{
	static uint32 wait_event = 0;
	DurableDatabase *db = durable_database_find(database);
	TimestampTz start = GetCurrentTimestamp();
	int			pids[DATABASE_MAX_PROCESSES];
	int			n;

	if (db == NULL)
		return;
	durable_database_stop(db, start + MARK_US);
	n = durable_database_terminate(db, pids);

	for (;;)
	{
		int			alive = 0;

		for (int i = 0; i < n; i++)
		{
			PGPROC	   *proc = BackendPidGetProc(pids[i]);

			if (proc && proc->databaseId == database)
				alive++;
		}
		if (alive == 0 ||
			TimestampDifferenceExceeds(start, GetCurrentTimestamp(), PATIENCE_MS))
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 POLL_MS, durable_wait_event(&wait_event, "DurableProcessesLeave"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Callable after commit: nothing in here can fail. */
static void
let_go_on(Oid database)
{
	DurableDatabase *db = durable_database_find(database);

	if (db == NULL)
		return;
	durable_database_stop(db, 0);
	durable_database_examine(db);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (OidIsValid(stopped_database))
		let_go_on(stopped_database);
	if (OidIsValid(dropped_database) && event != XACT_EVENT_COMMIT)
		let_go_on(dropped_database);
	if ((database_created || OidIsValid(dropped_database)) && event == XACT_EVENT_COMMIT)
		durable_launcher_rescan();
	stopped_database = InvalidOid;
	dropped_database = InvalidOid;
	database_created = false;
}
