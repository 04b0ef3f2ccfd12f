/*-------------------------------------------------------------------------
 *
 * restart_api.c
 *		durable.restart: runs an orchestration again with the same input;
 *		durable.rewind: continues an instance that has failed (run/rewind.c).
 *
 * The new instance belongs to the owner of the old one, and not to the calling role, which
 * has the owner's privileges.  It is started in the same way as by durable.start, as that
 * owner, so names, privileges and inputs are checked again.
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
#include "verbatim.h"

static DurableSql what_it_was = {
	.text = "SELECT name, version, input, tags, handler, trace FROM durable.instance WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

/* Leaves out instances whose parents have failed, because they are rewound with their parents. */
static DurableSql failed_instances = {
	.text = "SELECT i.key, i.owner FROM durable.finished f JOIN durable.instance i ON i.key = f.key "
	"WHERE f.status = 'F' AND i.status = 'F' AND i.failure ->> 'compensation' IS NULL AND ($1 IS NULL OR f.name = $1) "
	"AND ($2 IS NULL OR f.completed_at >= $2) AND pg_has_role($3, f.owner, 'USAGE') "
	"AND NOT EXISTS (SELECT FROM durable.instance p WHERE p.key = i.parent_key AND p.status = 'F') "
	"ORDER BY i.key",
	.nargs = 3,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, OIDOID}
};

static DurableSql compensation_of = {
	.text = "SELECT failure ->> 'compensation' FROM durable.instance WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static void refuse_undone(const char *instance_id, int64 key);
static bool read_request(int64 key, StartRequest *request);

PG_FUNCTION_INFO_V1(durable_restart);
PG_FUNCTION_INFO_V1(durable_rewind);
PG_FUNCTION_INFO_V1(durable_rewind_all);

Datum
durable_restart(PG_FUNCTION_ARGS)
{
	StartRequest request = {0};
	ClientInstance instance;
	char	   *instance_id;
	bool		new_id;
	bool		is_new;

	durable_client_enter("restart", "Call it from an activity.");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("new_instance_id must not be null"),
				 errhint("Use false to replace the instance, or true to start a new instance beside it.")));
	new_id = PG_GETARG_BOOL(1);

	durable_client_require(instance_id, &instance);
	if (!new_id && !STATUS_IS_FINISHED(instance.status))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("instance \"%s\" is not finished", instance_id),
				 errdetail("Its status is %s.", durable_client_status_word(instance.status)),
				 errhint("SELECT durable.restart(%s, new_instance_id => true) starts another one beside it.",
						 quote_literal_cstr(instance_id))));

	if (!read_request(instance.key, &request))
		durable_client_no_instance(instance_id);
	request.instance_id = new_id ? NULL : instance_id;
	request.on_conflict = "replace_finished";
	PG_RETURN_TEXT_P(cstring_to_text(durable_client_start_as(instance.owner, &request, &is_new)));
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
		request->queue = durable_verbatim_queue(durable_sql_text(0, 5));
		request->is_text = request->queue != NULL;
		request->trace = durable_sql_text(0, 6);
		request->start_at = DT_NOBEGIN;
		MemoryContextSwitchTo(spi);
	}
	PopActiveSnapshot();
	durable_sql_finish();
	return found;
}

Datum
durable_rewind(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	char	   *instance_id;
	char	   *reason;

	durable_client_enter("rewind", "Call it from an activity.");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	reason = durable_client_text(fcinfo, 1);
	durable_client_require(instance_id, &instance);
	if (instance.status != STATUS_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("instance \"%s\" has not failed", instance_id),
				 errdetail("Its status is %s.", durable_client_status_word(instance.status)),
				 STATUS_IS_FINISHED(instance.status) ?
				 errhint("SELECT durable.restart(%s) starts it anew.", quote_literal_cstr(instance_id)) :
				 errhint("Use durable.explain(%s) to see the calls for which it waits.", quote_literal_cstr(instance_id))));
	refuse_undone(instance_id, instance.key);
	durable_client_send(&instance, MESSAGE_REWIND, NULL, durable_client_reason(reason));
	PG_RETURN_VOID();
}

/* An instance whose steps have been undone cannot be rewound, because later steps may need these effects. */
static void
refuse_undone(const char *instance_id, int64 key)
{
	Datum		values[1] = {Int64GetDatum(key)};
	char	   *compensation = NULL;

	durable_sql_connect();
	if (durable_sql_run(&compensation_of, values, NULL, false, 1) > 0)
		compensation = durable_sql_text(0, 1);
	if (compensation != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot rewind instance \"%s\"", instance_id),
				 errdetail("Instance \"%s\" runs its compensations.", compensation),
				 errhint("SELECT durable.restart(%s) starts it anew.", quote_literal_cstr(instance_id))));
	durable_sql_finish();
}

Datum
durable_rewind_all(PG_FUNCTION_ARGS)
{
	Datum		values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), ObjectIdGetDatum(GetUserId())};
	char		nulls[4] = "   ";
	Jsonb	   *reason;
	ClientInstance *found;
	uint64		nrows;

	durable_client_enter("rewind_all", "Call it from an activity.");
	nulls[0] = PG_ARGISNULL(0) ? 'n' : ' ';
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	reason = durable_client_reason(durable_client_text(fcinfo, 2));

	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	nrows = durable_sql_run(&failed_instances, values, nulls, true, 0);
	found = MemoryContextAllocHuge(CurrentMemoryContext, Max(nrows, 1) * sizeof(ClientInstance));
	for (uint64 row = 0; row < nrows; row++)
	{
		found[row].key = durable_sql_int8(row, 1);
		found[row].owner = durable_sql_oid(row, 2);
	}
	for (uint64 row = 0; row < nrows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		durable_client_send(&found[row], MESSAGE_REWIND, NULL, reason);
	}
	PopActiveSnapshot();
	durable_sql_finish();
	PG_RETURN_INT64(nrows);
}
