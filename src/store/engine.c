/*
 * engine.c
 *		Decides whether the engine may run in this database.
 *
 * Owns: reading durable.engine, and the flags "paused" and "held" in shared
 * memory that come from it.
 * Called by: the coordinator, when it looks at the tables, and its jobs; workers and
 * companions; durable.drain; schedule_api.c, ddl_code.c.
 * Locks: AccessShareLock on the extension (durable_engine_lock), until the
 * transaction ends.
 * Memory: the caller's SPI context.
 *
 * A database that was restored or cloned on another server has the instances of the
 * original.  If it ran them, mails would be sent twice.  So durable.engine records the
 * cluster and the database in which the tables were written, and in any other one the
 * engine is held until durable.adopt() is called.
 *
 * The engine is also held while the installed extension is not of the library's version:
 * after an update of the one and before that of the other, the library's statements may
 * not fit the tables.
 */
#include "durable.h"
#include "engine.h"

#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "sql.h"
#include "storage/lmgr.h"

static DurableSql read_engine = {
	.text = "SELECT system_identifier, database, paused FROM durable.engine",
};

static DurableSql read_version = {
	.text = "SELECT extversion FROM pg_extension WHERE extname = 'durable'",
};

static DurableSql any_instance = {
	.text = "SELECT 1 FROM durable.instance LIMIT 1",
};

static HeldReason judge(bool *paused);
static bool version_fits(void);

bool
durable_engine_check(bool *paused, HeldReason *held)
{
	uint32		flags = durable_database_flags();

	durable_sql_connect();
	*held = judge(paused);
	durable_sql_finish();

	durable_database_set_flags(flags, *paused, *held);
	return !*paused && *held == HELD_NOT;
}

static HeldReason
judge(bool *paused)
{
	HeldReason	held = HELD_NOT;
	uint64		rows;

	*paused = false;
	if (!version_fits())
		return HELD_OTHER_VERSION;

	rows = durable_sql_run(&read_engine, NULL, NULL, false, 0);
	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;

		if ((uint64) durable_sql_int8(row, 1) != GetSystemIdentifier())
			held = HELD_OTHER_CLUSTER;
		else if (durable_sql_oid(row, 2) != MyDatabaseId && held == HELD_NOT)
			held = HELD_OTHER_DATABASE;
		if (DatumGetBool(durable_sql_datum(row, 3, &isnull)))
			*paused = true;
	}

	/* The first start writes the row together with the first instance. */
	if (rows == 0 && durable_sql_run(&any_instance, NULL, NULL, false, 1) > 0)
		held = HELD_NO_IDENTITY;
	return held;
}

static bool
version_fits(void)
{
	return durable_sql_run(&read_version, NULL, NULL, false, 0) == 1 &&
		strcmp(durable_sql_text(0, 1), DURABLE_VERSION) == 0;
}

bool
durable_engine_fits(void)
{
	bool		fits;

	durable_sql_connect();
	fits = version_fits();
	durable_sql_finish();
	return fits;
}

bool
durable_engine_lock(void)
{
	Oid			extension = durable_extension_oid();

	if (!OidIsValid(extension))
		return false;

	/* Processes the invalidation messages that arrived while this process waited. */
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	return durable_extension_oid() == extension;
}
