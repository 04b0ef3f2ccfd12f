/*-------------------------------------------------------------------------
 *
 * admin_api.c
 *		Functions to operate the engine of this database (pause, unpause, adopt, version), and
 *		small functions that the views use.
 *
 * The first three require only the privilege EXECUTE, which initially only the extension's
 * owner has.
 *
 * Owns:	durable.engine (with client.c, which makes its first row)
 * Called by: administrators; the views
 * Locks:	the rows of durable.engine, until the caller's transaction ends
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "client.h"
#include "guc.h"
#include "clock.h"
#include "shmem.h"
#include "slot.h"
#include "sql.h"
#include "wakeup.h"

/* There may be several rows with the same contents (see client.c), so this changes all of them. */
static DurableSql set_paused = {
	.text = "UPDATE durable.engine SET paused = $1",
	.nargs = 1,
	.argtypes = {BOOLOID}
};

static DurableSql adopt_engine = {
	.text = "WITH former AS (DELETE FROM durable.engine RETURNING paused) "
	"INSERT INTO durable.engine (system_identifier, database, paused) "
	"SELECT $1, $2, coalesce(bool_or(paused), false) FROM former",
	.nargs = 2,
	.argtypes = {INT8OID, OIDOID}
};

static void change_paused(bool paused);
static const char *slot_state_word(SlotState state);

PG_FUNCTION_INFO_V1(durable_pause);
PG_FUNCTION_INFO_V1(durable_unpause);
PG_FUNCTION_INFO_V1(durable_adopt);
PG_FUNCTION_INFO_V1(durable_version);
PG_FUNCTION_INFO_V1(durable_clock);
PG_FUNCTION_INFO_V1(durable_worker_slots);

Datum
durable_pause(PG_FUNCTION_ARGS)
{
	durable_client_enter("pause", "Call it from an activity.");
	change_paused(true);
	PG_RETURN_VOID();
}

Datum
durable_unpause(PG_FUNCTION_ARGS)
{
	durable_client_enter("unpause", "Call it from an activity.");
	change_paused(false);
	PG_RETURN_VOID();
}

static void
change_paused(bool paused)
{
	Datum		values[1] = {BoolGetDatum(paused)};

	durable_client_seed_engine();
	durable_sql_connect();
	durable_sql_run(&set_paused, values, NULL, false, 0);
	durable_sql_finish();
	durable_wakeup_pause(paused);
}

/*
 * Lets the instances in these tables run in this cluster and database.  They came with a
 * dump or a clone, and the administrator has made sure that they do not run at their origin.
 */
Datum
durable_adopt(PG_FUNCTION_ARGS)
{
	Datum		values[2] = {
		Int64GetDatum((int64) GetSystemIdentifier()),
		ObjectIdGetDatum(MyDatabaseId)
	};

	durable_client_enter("adopt", "Call it from an activity.");
	durable_sql_connect();
	durable_sql_run(&adopt_engine, values, NULL, false, 0);
	durable_sql_finish();
	durable_wakeup_engine();
	PG_RETURN_VOID();
}

/* The library's version; durable.doctor() compares it with that of the SQL objects. */
Datum
durable_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(DURABLE_VERSION));
}

Datum
durable_clock(PG_FUNCTION_ARGS)
{
	durable_client_refuse_in_turn("clock", "Use durable.now().");
	PG_RETURN_TIMESTAMPTZ(durable_clock_now());
}

/* Workers of this database whose owner the current user may see. */
Datum
durable_worker_slots(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	durable_client_refuse_in_turn("worker_slots", "Call it from an activity.");
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; durable_shmem_available() && i < DURABLE_MAX_SLOTS; i++)
	{
		DurableSlotInfo slot;
		Datum		values[10];
		bool		nulls[10] = {0};

		if (!durable_slot_info(i, &slot) || slot.database != MyDatabaseId ||
			!durable_client_may_see(slot.owner))
			continue;

		values[0] = Int32GetDatum(slot.pid);
		nulls[0] = slot.pid == 0;
		values[1] = ObjectIdGetDatum(slot.owner);
		values[2] = CStringGetTextDatum(slot_state_word(slot.state));
		values[3] = BoolGetDatum(slot.leaving);
		values[4] = TimestampTzGetDatum(slot.started_at);
		values[5] = TimestampTzGetDatum(slot.state_since);
		values[6] = Int64GetDatum(slot.units);
		values[7] = Int64GetDatum(slot.turns);
		values[8] = Int64GetDatum(slot.activities);
		values[9] = Int64GetDatum(slot.task_key);
		nulls[9] = slot.task_key == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static const char *
slot_state_word(SlotState state)
{
	switch (state)
	{
		case SLOT_STARTING:
			return "starting";
		case SLOT_IDLE:
			return "idle";
		case SLOT_BATCH:
			return "turns";
		case SLOT_TASK:
			return "activity";
		default:
			return "unused";
	}
}
