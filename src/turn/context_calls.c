/*-------------------------------------------------------------------------
 *
 * context_calls.c
 *		Durable calls about the instance itself.
 *
 * The time, identifiers and random numbers that are the same in every replay,
 * the custom status, the log, changes of the code, and continuing as a new execution.
 *
 * Called by: user code, in a turn; start_calls.c (random numbers)
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include <math.h>

#include "activity.h"
#include "calls.h"
#include "handler.h"
#include "json.h"

static void read_message(NewCall *call);

PG_FUNCTION_INFO_V1(durable_continue_as_new);
PG_FUNCTION_INFO_V1(durable_now);
PG_FUNCTION_INFO_V1(durable_uuid);
PG_FUNCTION_INFO_V1(durable_random);
PG_FUNCTION_INFO_V1(durable_instance_id);
PG_FUNCTION_INFO_V1(durable_parent_instance_id);
PG_FUNCTION_INFO_V1(durable_attempt);
PG_FUNCTION_INFO_V1(durable_is_replaying);
PG_FUNCTION_INFO_V1(durable_set_custom_status);
PG_FUNCTION_INFO_V1(durable_log);
PG_FUNCTION_INFO_V1(durable_patched);

/* continue_as_new(input, preserve_unprocessed_events) */
Datum
durable_continue_as_new(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("continue_as_new");
	const Jsonb *input = durable_json_from_any(fcinfo, 0, "input of an orchestration");

	input = durable_handler_check_input(turn->handler, input);
	durable_json_check_size(input, "input of an orchestration");
	turn->result.payload = NULL;
	if (input != NULL)
	{
		turn->result.payload = MemoryContextAlloc(turn->instance->context, VARSIZE(input));
		memcpy(turn->result.payload, input, VARSIZE(input));
	}
	turn->result.keeps_events = PG_ARGISNULL(1) || PG_GETARG_BOOL(1);
	durable_turn_stop(turn, TURN_CONTINUED_AS_NEW);
}

Datum
durable_now(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("now");

	PG_RETURN_TIMESTAMPTZ(turn->instance->replay.now);
}

/*
 * Returns the attempt of an activity; in an orchestration, the attempt of the call that has
 * started it, which is the same in each replay.
 */
Datum
durable_attempt(PG_FUNCTION_ARGS)
{
	if (durable_turn_active())
		PG_RETURN_INT32(Max(durable_turn_current("attempt")->instance->parent_attempt, 1));
	if (durable_activity_attempt() == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_OUTSIDE),
				 errmsg("durable.attempt() can only be called by a running activity or orchestration"),
				 errhint("Use durable.start() or durable.run() to start an orchestration.")));
	PG_RETURN_INT32(durable_activity_attempt());
}

Datum
durable_uuid(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("uuid");
	pg_uuid_t  *uuid = palloc(sizeof(pg_uuid_t));

	durable_call_draw(turn, uuid->data);
	PG_RETURN_UUID_P(uuid);
}

/* random() -> float8 in [0, 1) */
Datum
durable_random(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("random");
	uint8		bytes[UUID_LEN];
	uint64		bits;

	durable_call_draw(turn, bytes);
	memcpy(&bits, bytes + UUID_LEN - sizeof(bits), sizeof(bits));
	/* The two highest bits of this half are the variant of the UUID. */
	PG_RETURN_FLOAT8(ldexp((double) (bits & UINT64CONST(0x1FFFFFFFFFFFFF)), -53));
}

/*
 * Returns the next of the instance's random numbers: SHA-256 of values that are the same
 * in every replay and differ between instances, executions and draws.  The bytes are those
 * of a UUID of version 8.  They can be guessed, so they must not be used for secrets.
 */
void
durable_call_draw(Turn *turn, uint8 *bytes)
{
	Instance   *instance = turn->instance;
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	int64		parts[4] = {instance->key, instance->created_at, instance->execution,
	instance->replay.draws++};

	if (hash == NULL || pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (uint8 *) parts, sizeof(parts)) < 0 ||
		pg_cryptohash_update(hash, (uint8 *) instance->instance_id,
							 strlen(instance->instance_id)) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a SHA-256 hash");
	pg_cryptohash_free(hash);
	memcpy(bytes, digest, UUID_LEN);
	bytes[6] = (bytes[6] & 0x0F) | 0x80;
	bytes[8] = (bytes[8] & 0x3F) | 0x80;
}

Datum
durable_instance_id(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("instance_id");

	PG_RETURN_TEXT_P(cstring_to_text(turn->instance->instance_id));
}

Datum
durable_parent_instance_id(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("parent_instance_id");

	if (turn->instance->parent_instance_id == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(turn->instance->parent_instance_id));
}

/* Does this part of the run replay the history? */
Datum
durable_is_replaying(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("is_replaying");
	Replay	   *replay = &turn->instance->replay;

	PG_RETURN_BOOL(replay->ntasks < turn->known_calls || replay->cursor < turn->fresh_events);
}

/* patched(change_id) -> boolean */
Datum
durable_patched(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("patched");
	char	   *change_id = durable_call_name(fcinfo, 0, "change id");
	HistoryEvent *recorded;
	bool		is_new;
	bool		patched = durable_replay_patched(&turn->instance->replay, change_id, &is_new);

	if (is_new)
		(void) durable_turn_record(turn, HISTORY_PATCHED, change_id, NULL, NULL, &recorded);
	PG_RETURN_BOOL(patched);
}

/* set_custom_status(status jsonb) */
Datum
durable_set_custom_status(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("set_custom_status");
	Jsonb	   *status = durable_call_jsonb(fcinfo, 0);
	MemoryContext old;

	if (status != NULL)
	{
		durable_json_check_size(status, "custom status");
		old = MemoryContextSwitchTo(turn->instance->context);
		status = (Jsonb *) PG_DETOAST_DATUM_COPY(PointerGetDatum(status));
		MemoryContextSwitchTo(old);
	}
	turn->result.custom_status = status;
	PG_RETURN_VOID();
}

/* log(message): once into the history and the server's log, however often it is replayed */
Datum
durable_log(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("log");
	HistoryEvent *recorded;
	NewCall		call = {.fcinfo = fcinfo, .turn = turn};
	int			task;

	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_LOG_WRITTEN, read_message);
	task = durable_turn_record(turn, HISTORY_LOG_WRITTEN, NULL, NULL, call.payload, &recorded);
	durable_call_refuse_again(turn, task, recorded);
	/* In a turn of a companion, its worker writes to the log. */
	if (recorded == NULL && turn->at_frontier == NULL && !turn->dry)
		durable_turn_log(turn->instance,
						 turn->instance->replay.events[turn->instance->replay.nevents - 1]);
	PG_RETURN_VOID();
}

static void
read_message(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;

	call->payload = durable_json_text(PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	durable_json_check_size(call->payload, "message for the log");
}
