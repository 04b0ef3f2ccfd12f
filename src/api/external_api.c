/*-------------------------------------------------------------------------
 *
 * external_api.c
 *		For gateways between the engine and clients outside of the database:
 *		durable.instance_states and durable.external_history.
 *
 * Both show payloads as texts: those of external orchestrations as they were stored, and
 * those of orchestrations in SQL as JSON.
 *
 * Owns:	nothing
 * Called by: clients
 * Locks:	none
 * Memory:	the caller's; results in tuplestores
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "client.h"
#include "json.h"
#include "sql.h"
#include "turn_api.h"
#include "verbatim.h"

#define MOST_STATES		10000
#define STATE_COLUMNS	16

/* Of each id the caller's own instance comes first. */
static DurableSql state_rows = {
	.text = "SELECT u.n::int4, i.owner, i.handler, i.status, i.instance_id, i.name, i.version, i.created_at, "
	"coalesce(i.updated_at, i.started_at, i.created_at), i.completed_at, i.execution, "
	"(SELECT p.instance_id FROM durable.instance p WHERE p.key = i.parent_key), "
	"i.tags, i.failure, i.custom_status, i.input, i.output "
	"FROM unnest($1::text[]) WITH ORDINALITY AS u (id, n) JOIN durable.instance i ON i.instance_id = u.id "
	"ORDER BY u.n, i.owner <> $2, i.owner",
	.nargs = 2,
	.argtypes = {TEXTARRAYOID, OIDOID}
};

static DurableSql end_row = {
	.text = "SELECT output, failure FROM durable.instance WHERE key = $1",
	.nargs = 1,
	.argtypes = {INT8OID}
};

static void put_state(ReturnSetInfo *result, uint64 row, bool is_private, bool payloads);
static Datum payload_text(uint64 row, int column, bool is_external, bool *isnull);
static void read_end(Instance *instance);

PG_FUNCTION_INFO_V1(durable_instance_states);
PG_FUNCTION_INFO_V1(durable_external_history);

/* instance_states(instance_ids, with_payloads) */
Datum
durable_instance_states(PG_FUNCTION_ARGS)
{
	Datum		values[2] = {0, ObjectIdGetDatum(GetUserId())};
	bool		payloads = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	MemoryContext caller = CurrentMemoryContext;
	uint64		nrows;
	int			own = 0;		/* the last id of which the caller has an instance */

	durable_client_refuse_in_turn("instance_states", "Call it from an activity.");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("instance_ids must not be null")));
	values[0] = PG_GETARG_DATUM(0);
	if (ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(values[0])), ARR_DIMS(DatumGetArrayTypeP(values[0]))) > MOST_STATES)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("instance_ids must not have more than %d elements", MOST_STATES)));

	InitMaterializedSRF(fcinfo, 0);
	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	nrows = durable_sql_run(&state_rows, values, NULL, true, 0);
	for (uint64 row = 0; row < nrows; row++)
	{
		Oid			owner = durable_sql_oid(row, 2);
		int			n = durable_sql_int4(row, 1);

		if (owner == GetUserId())
			own = n;
		else if (n == own || !durable_client_may_see(owner))
			continue;
		put_state((ReturnSetInfo *) fcinfo->resultinfo, row, !durable_client_may_act_for(owner), payloads);
	}
	PopActiveSnapshot();
	durable_sql_finish();
	MemoryContextSwitchTo(caller);
	return (Datum) 0;
}

/* The columns of durable.instance_state.  is_private: the caller may not see what is from users. */
static void
put_state(ReturnSetInfo *result, uint64 row, bool is_private, bool payloads)
{
	Datum		values[STATE_COLUMNS] = {0};
	bool		nulls[STATE_COLUMNS] = {0};
	bool		is_external = durable_verbatim_queue(durable_sql_text(row, 3)) != NULL;

	values[0] = durable_sql_datum(row, 5, &nulls[0]);
	values[1] = durable_sql_datum(row, 2, &nulls[1]);
	values[2] = durable_sql_datum(row, 6, &nulls[2]);
	values[3] = durable_sql_datum(row, 7, &nulls[3]);
	values[4] = CStringGetTextDatum(durable_client_status_word(durable_sql_char(row, 4)));
	values[5] = BoolGetDatum(is_external);
	for (int column = 6; column <= 10; column++)	/* the times, execution, parent_instance_id */
		values[column] = durable_sql_datum(row, column + 2, &nulls[column]);
	for (int column = 11; column < STATE_COLUMNS; column++)
		nulls[column] = true;
	if (!is_private)
	{
		values[11] = durable_sql_datum(row, 13, &nulls[11]);
		values[12] = durable_sql_datum(row, 14, &nulls[12]);
	}
	/* custom_status, input, output */
	for (int column = 13; column <= 15 && payloads && !is_private; column++)
		values[column] = payload_text(row, column + 2, is_external, &nulls[column]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
payload_text(uint64 row, int column, bool is_external, bool *isnull)
{
	Jsonb	   *payload = durable_sql_jsonb(row, column);
	char	   *text = NULL;

	if (payload != NULL)
		text = is_external ? durable_verbatim_unwrap(payload) :
			JsonbToCString(NULL, &payload->root, VARSIZE(payload));
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* external_history(instance_id) */
Datum
durable_external_history(PG_FUNCTION_ARGS)
{
	ClientInstance found;
	Instance   *instance;

	durable_client_refuse_in_turn("external_history", "Call it from an activity.");
	durable_client_require(durable_client_name(fcinfo, 0, "instance id"), &found);
	instance = durable_turn_load(found.owner, found.key, 0);
	if (instance == NULL)
		durable_client_no_instance(found.instance_id);
	if (durable_verbatim_queue(instance->handler_signature) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("instance \"%s\" is not one of an external orchestration", durable_client_shown(found.instance_id)),
				 errhint("Use durable.history(), which shows the events of each instance.")));
	if (STATUS_IS_FINISHED(instance->status))
		read_end(instance);
	InitMaterializedSRF(fcinfo, 0);
	durable_turn_events_put((ReturnSetInfo *) fcinfo->resultinfo, durable_turn_history(instance));
	return (Datum) 0;
}

/* The columns that the units of work do not read. */
static void
read_end(Instance *instance)
{
	Datum		values[1] = {Int64GetDatum(instance->key)};
	MemoryContext caller = CurrentMemoryContext;

	durable_sql_connect();
	if (durable_sql_run(&end_row, values, NULL, false, 1) > 0)
	{
		MemoryContextSwitchTo(instance->context);
		instance->output = durable_sql_jsonb(0, 1);
		instance->failure = durable_sql_jsonb(0, 2);
	}
	durable_sql_finish();
	MemoryContextSwitchTo(caller);
}
