/*-------------------------------------------------------------------------
 *
 * upgrade_api.c
 *		Tools of the scripts that update the extension (extension/upgrade).
 *
 * A script makes SQL functions of them, and drops these before its end.
 *
 * Called by: ALTER EXTENSION durable UPDATE
 * Locks:	none
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "handler.h"

PG_FUNCTION_INFO_V1(durable_upgrade_code_hash);
PG_FUNCTION_INFO_V1(durable_upgrade_execute);

/* upgrade_code_hash(signature) -> bigint: NULL if there is no such function */
Datum
durable_upgrade_code_hash(PG_FUNCTION_ARGS)
{
	Handler    *handler = durable_handler_lookup(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (handler == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(durable_handler_code_hash(handler));
}

/*
 * upgrade_execute(statement): objects and privileges that the script makes in this way are
 * not recorded as the extension's own.  pg_dump dumps privileges that are granted like this.
 */
Datum
durable_upgrade_execute(PG_FUNCTION_ARGS)
{
	bool		in_script = creating_extension;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to execute a statement of an upgrade script")));
	SPI_connect();
	creating_extension = false;
	PG_TRY();
	{
		(void) SPI_execute(text_to_cstring(PG_GETARG_TEXT_PP(0)), false, 0);
	}
	PG_FINALLY();
	{
		creating_extension = in_script;
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}
