/*
 * session.c
 *		The session in which a worker runs user code.
 *
 * Owns: the settings of the engine's processes; the removal of session state that
 *			user code leaves.
 * Called by: worker.c, coordinator.c, companion_main.c; usercall.c.
 * Locks: advisory locks of the session are released, after the commit.
 * Memory: none.
 *
 * All units of a worker belong to the same owner, so session state that an activity
 * leaves is visible only to code of the same owner.  It is removed nevertheless: an
 * activity must not behave differently because of code that ran before.  Settings that
 * user code changes are restored after each call already; this is a second protection.
 *
 * State that cannot be removed (loaded libraries, global variables of procedural
 * languages) ends when the worker is replaced: see durable.worker_max_units.
 */
#include "durable.h"
#include "session.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/prepare.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* The names for messages, as they were when the process connected. */
static NameData user_name = {"?"};
static NameData database_name = {"?"};

static void remember_names(void);
static void pin(const char *name, const char *value);

void
durable_session_connect(Oid database, Oid owner)
{
	/*
	 * This is the value of the server's configuration.  The owner's own setting must
	 * not weaken a guarantee that other owners' workflows rely on when messages are
	 * passed between them.
	 */
	char	   *synchronous_commit = pstrdup(GetConfigOption("synchronous_commit", false, false));

	/* The role needs LOGIN, on all versions: ALTER ROLE ... NOLOGIN stops its workflows. */
	BackgroundWorkerInitializeConnectionByOid(database, owner, 0);
	durable_process_settings("durable worker");
	pin("synchronous_commit", synchronous_commit);

	/* ALTER ROLE ... SET role or session_authorization work here, too. */
	if (GetSessionUserId() != owner)
		ereport(FATAL,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("settings of the role with OID %u change the role of the session", owner),
				 errhint("Use ALTER ROLE ... RESET session_authorization.")));
	if (GetUserId() != owner)
		pin("role", "none");
	if (GetUserId() != owner)
		elog(FATAL, "could not set the role of the session to the role with OID %u", owner);
}

bool
durable_session_may_go_on(void)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetSessionUserId()));
	bool		may;

	if (!HeapTupleIsValid(tuple))
		return false;
	may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return may;
}

/*
 * Other settings of the owner or the database stay, so that user code runs with the
 * same settings as in a session of its owner.  statement_timeout is one of them; it
 * has no effect in a background process, where activities have a limit of their own.
 */
void
durable_process_settings(const char *application_name)
{
	remember_names();
	pin("application_name", application_name);
	pin("default_transaction_isolation", "read committed");
	pin("default_transaction_read_only", "off");
	pin("default_transaction_deferrable", "off");
	pin("idle_in_transaction_session_timeout", "0");
	if (GetConfigOption("transaction_timeout", true, false) != NULL)
		pin("transaction_timeout", "0");	/* since PostgreSQL 17; it would end the process */
}

/* An error context must not read catalogs. */
static void
remember_names(void)
{
	MemoryContext context = CurrentMemoryContext;
	char	   *name;

	StartTransactionCommand();
	name = get_database_name(MyDatabaseId);
	if (name)
		namestrcpy(&database_name, name);
	name = GetUserNameFromId(GetSessionUserId(), true);
	if (name)
		namestrcpy(&user_name, name);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

const char *
durable_session_database_name(void)
{
	return NameStr(database_name);
}

char *
durable_session_context(void)
{
	return psprintf("durable worker of \"%s\" in database \"%s\"",
					NameStr(user_name), NameStr(database_name));
}

void
durable_session_strip_context(ErrorData *error)
{
	char	   *line = durable_session_context();
	size_t		all = error->context ? strlen(error->context) : 0;
	size_t		last = strlen(line);

	if (all == last && strcmp(error->context, line) == 0)
		error->context = NULL;
	else if (all > last && error->context[all - last - 1] == '\n' &&
			 strcmp(error->context + all - last, line) == 0)
		error->context[all - last - 1] = '\0';
	pfree(line);
}

static void
pin(const char *name, const char *value)
{
	SetConfigOption(name, value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Cursors WITH HOLD must be closed before the commit, which would run their queries
 * to the end.  The other steps cost almost nothing if there is no such state.  Locks
 * stay until the commit has made the changes visible that they protect.
 */
void
durable_session_before_commit(void)
{
	PortalHashTableDeleteAll();
	DropAllPreparedStatements();
	if (OidIsValid(GetCurrentRoleId()))
		pin("role", "none");
	ResetAllOptions();
}

/* Only for this transaction.  A later commit of any session that waits for the disk waits for this one, too. */
void
durable_session_commit_later(void)
{
	if (synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
		(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* PostgreSQL itself has released the transaction's locks. */
void
durable_session_after_commit(void)
{
	LockReleaseSession(USER_LOCKMETHOD);
}

bool
durable_session_left_something(void)
{
	return (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0;
}

/*
 * Drops temporary tables.  This is not done in the unit's transaction, because a table
 * that cannot be dropped would make the unit fail.
 */
void
durable_session_reset(void)
{
	MemoryContext context = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	ResetTempTableNamespace();
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}
