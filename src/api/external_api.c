/*-------------------------------------------------------------------------
 *
 * external_api.c
 *		Functions for gateways between the engine and clients outside of the database:
 *		durable.instance_states and durable.external_history.
 *
 * Both return payloads as texts.  Payloads of external orchestrations are returned as they
 * were stored, and those of orchestrations in SQL as JSON without blanks.
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
#include "utils/tuplestore.h"

#include "client.h"
#include "sql.h"
#include "turn_api.h"
#include "verbatim.h"

#define MOST_STATES		10000
#define STATE_COLUMNS	17

/*
 * For each id the caller's own instance comes first. The last column: whether the awaited event
 * has happened. An instance that has failed and is about to be rewound has not ended.
 */
static DurableSql state_rows = {
	.text = "SELECT u.n::int4, i.owner, i.handler, i.status, i.instance_id, i.name, i.version, i.created_at, "
	"coalesce(i.updated_at, i.started_at, i.created_at), i.completed_at, i.execution, "
	"(SELECT p.instance_id FROM durable.instance p WHERE p.key = i.parent_key), "
	"i.tags, i.failure, i.custom_status, i.input, i.output, "
	"CASE u.awaited WHEN 'start' THEN i.status <> 'P' WHEN 'end' THEN i.status IN ('C', 'T') OR (i.status = 'F' AND NOT EXISTS "
	"(SELECT FROM durable.inbox m WHERE m.owner = i.owner AND m.key = i.key AND m.kind = 'w')) ELSE true END "
	"FROM unnest($1::text[], $3::text[]) WITH ORDINALITY AS u (id, awaited, n) LEFT JOIN durable.instance i ON i.instance_id = u.id "
	"ORDER BY u.n, i.owner <> $2, i.owner",
	.nargs = 3,
	.argtypes = {TEXTARRAYOID, OIDOID, TEXTARRAYOID}
};

static void check_awaited(ArrayType *awaited, int n);
static void put_missing(ReturnSetInfo *result, int n);
static void put_state(ReturnSetInfo *result, uint64 row, bool is_private, bool payloads);
static void strip_blanks(char *json);
static Datum payload_text(uint64 row, int column, bool is_external, bool *isnull);

PG_FUNCTION_INFO_V1(durable_instance_states);
PG_FUNCTION_INFO_V1(durable_external_history);

/* instance_states(instance_ids, with_payloads, awaited) */
Datum
durable_instance_states(PG_FUNCTION_ARGS)
{
	Datum		values[3] = {0, ObjectIdGetDatum(GetUserId()), 0};
	bool		awaits = !PG_ARGISNULL(2);
	bool		payloads = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	MemoryContext caller = CurrentMemoryContext;
	uint64		nrows;
	int			own = 0;		/* the last id of which the caller has an instance */
	int			seen = 0;		/* the last id of which the caller may see one */

	durable_client_refuse_in_turn("instance_states", "Call it from an activity.");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("instance_ids must not be null")));
	values[0] = PG_GETARG_DATUM(0);
	if (ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(values[0])), ARR_DIMS(DatumGetArrayTypeP(values[0]))) > MOST_STATES)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("instance_ids must not have more than %d elements", MOST_STATES),
				 errhint("Call the function several times.")));

	if (awaits)
	{
		check_awaited(PG_GETARG_ARRAYTYPE_P(2), ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(values[0])), ARR_DIMS(DatumGetArrayTypeP(values[0]))));
		values[2] = PG_GETARG_DATUM(2);
	}

	InitMaterializedSRF(fcinfo, 0);
	durable_sql_connect();
	PushActiveSnapshot(GetLatestSnapshot());
	nrows = durable_sql_run(&state_rows, values, awaits ? NULL : "  n", true, 0);
	for (uint64 row = 0; row < nrows; row++)
	{
		Oid			owner = InvalidOid;
		int			n = durable_sql_int4(row, 1);
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		(void) durable_sql_datum(row, 2, &isnull);
		if (!isnull)
			owner = durable_sql_oid(row, 2);
		if (owner == GetUserId())
			own = n;
		else if (n == own || isnull || !durable_client_may_see(owner))
		{
			bool		is_last = row + 1 == nrows || durable_sql_int4(row + 1, 1) != n;

			if (awaits && seen != n && is_last)
				put_missing((ReturnSetInfo *) fcinfo->resultinfo, n);
			continue;
		}
		seen = n;
		if (!DatumGetBool(durable_sql_datum(row, 18, &isnull)))
			continue;
		put_state((ReturnSetInfo *) fcinfo->resultinfo, row, !durable_client_may_act_for(owner), payloads);
	}
	PopActiveSnapshot();
	durable_sql_finish();
	MemoryContextSwitchTo(caller);
	return (Datum) 0;
}

static void
check_awaited(ArrayType *awaited, int n)
{
	Datum	   *words;
	bool	   *nulls;
	int			given;

	deconstruct_array(awaited, TEXTOID, -1, false, TYPALIGN_INT, &words, &nulls, &given);
	if (given != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("instance_ids and awaited must have the same length"),
				 errdetail("There are %d and %d.", n, given)));
	for (int i = 0; i < given; i++)
	{
		char	   *word = nulls[i] ? NULL : TextDatumGetCString(words[i]);

		if (word != NULL && strcmp(word, "start") != 0 && strcmp(word, "end") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid value for parameter \"awaited\": \"%s\"", durable_client_shown(word)),
					 errhint("Valid values are \"start\", \"end\", and null.")));
	}
}

/* The wait for an instance that does not exist is over. */
static void
put_missing(ReturnSetInfo *result, int n)
{
	Datum		values[STATE_COLUMNS] = {0};
	bool		nulls[STATE_COLUMNS];

	memset(nulls, true, sizeof(nulls));
	values[16] = Int32GetDatum(n);
	nulls[16] = false;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* The columns of durable.instance_state. is_private: the caller may not see payloads. */
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
	for (int column = 11; column < 16; column++)
		nulls[column] = true;
	values[16] = Int32GetDatum(durable_sql_int4(row, 1));
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

	if (payload != NULL && is_external)
		text = durable_verbatim_unwrap(payload);
	else if (payload != NULL)
	{
		text = JsonbToCString(NULL, &payload->root, VARSIZE(payload));
		strip_blanks(text);
	}
	*isnull = text == NULL;
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

/* JSON without blanks, as programs in other languages write it. */
static void
strip_blanks(char *json)
{
	char	   *to = json;
	bool		in_string = false;

	for (const char *from = json; *from != '\0'; from++)
	{
		if (*from == '\\')
			*to++ = *from++;
		else if (*from == '"')
			in_string = !in_string;
		else if (*from == ' ' && !in_string)
			continue;
		*to++ = *from;
	}
	*to = '\0';
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
				 errmsg("instance \"%s\" does not run an external orchestration", durable_client_shown(found.instance_id)),
				 errhint("Use durable.history(), which shows the events of each instance.")));
	InitMaterializedSRF(fcinfo, 0);
	durable_turn_events_put((ReturnSetInfo *) fcinfo->resultinfo, durable_turn_history(instance));
	return (Datum) 0;
}
