/*-------------------------------------------------------------------------
 *
 * restart_api.c
 *		durable.restart: an orchestration once more, with the input it had.
 *
 * The new instance belongs to the owner of the old one, not to the role that asks,
 * which has the owner's privileges.  It is started as durable.start does it, as that
 * owner: names, rights and inputs are checked anew.
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	as durable.start, and with the same id as durable.purge
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "client.h"
#include "sql.h"

static DurableSql what_it_was = {
	.text = "SELECT name, version, input, tags FROM durable.instance WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static bool read_request(int64 key, StartRequest *request);
static char *start_as(Oid owner, const StartRequest *request);

PG_FUNCTION_INFO_V1(durable_restart);

Datum
durable_restart(PG_FUNCTION_ARGS)
{
	StartRequest request = {0};
	ClientInstance instance;
	char	   *instance_id;
	bool		new_id;

	durable_client_enter("restart", "Call it from an activity.");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("new_instance_id must not be null"),
				 errhint("Use false to replace the instance, true to start another one beside it.")));
	new_id = PG_GETARG_BOOL(1);

	durable_client_require(instance_id, &instance);
	if (!new_id && !STATUS_IS_FINISHED(instance.status))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("instance \"%s\" is not finished", instance_id),
				 errdetail("It is %s.", durable_client_status_word(instance.status)),
				 errhint("SELECT durable.restart(%s, new_instance_id => true) starts another one beside it.",
						 quote_literal_cstr(instance_id))));

	if (!read_request(instance.key, &request))
		durable_client_no_instance(instance_id);
	request.instance_id = new_id ? NULL : instance_id;
	request.on_conflict = "replace_finished";
	PG_RETURN_TEXT_P(cstring_to_text(start_as(instance.owner, &request)));
}

static bool
read_request(int64 key, StartRequest *request)
{
	Datum		values[1] = {Int64GetDatum(key)};
	MemoryContext caller = CurrentMemoryContext;
	bool		found;

	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	found = durable_sql_run(&what_it_was, values, NULL, true, 1) > 0;
	if (found)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		request->name = durable_sql_text(0, 1);
		request->version = durable_sql_text(0, 2);
		request->input = durable_sql_jsonb(0, 3);
		request->tags = durable_sql_jsonb(0, 4);
		request->start_at = DT_NOBEGIN;
		MemoryContextSwitchTo(spi);
	}
	PopActiveSnapshot();
	durable_sql_finish();
	return found;
}

/* On error the abort of the (sub)transaction gives the role back. */
static char *
start_as(Oid owner, const StartRequest *request)
{
	Oid			user;
	int			context;
	int64		key;
	char	   *instance_id;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	instance_id = durable_client_start(request, &key);
	SetUserIdAndSecContext(user, context);
	return instance_id;
}
