/*-------------------------------------------------------------------------
 *
 * signal_api.c
 *		durable.start_with_event, and topics: subscribe, unsubscribe, publish.
 *
 * A published event is sent to each instance that has subscribed to the topic, like any
 * other event: it is kept until the instance waits for it, and is passed on when the
 * instance continues as new.  A subscription is a row of
 * durable.subscription, which belongs to the instance and not to one execution.
 *
 * To save time, the end of an instance does not delete its subscriptions.  A session that
 * publishes skips them, and deletes those that no other transaction has locked.
 *
 * Owns:	durable.subscription
 * Called by: clients
 * Locks:	those of plain inserts and deletes; row locks with SKIP LOCKED
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client.h"
#include "failpoint.h"
#include "json.h"
#include "sql.h"

static DurableSql insert_subscription = {
	.text = "INSERT INTO durable.subscription (topic, owner, key) VALUES (lower($1), $2, $3) "
	"ON CONFLICT (topic, key) DO NOTHING",
	.nargs = 3,
	.argtypes = {TEXTOID, OIDOID, INT8OID}
};

static DurableSql delete_subscription = {
	.text = "DELETE FROM durable.subscription WHERE topic = lower($1) AND key = $2",
	.nargs = 2,
	.argtypes = {TEXTOID, INT8OID}
};

static DurableSql delete_stale = {
	.text = "DELETE FROM durable.subscription d USING "
	"(SELECT s.topic, s.key FROM durable.subscription s WHERE s.topic = lower($1) AND NOT EXISTS "
	"(SELECT FROM durable.instance i WHERE i.key = s.key AND i.status IN ('P', 'R', 'S')) "
	"FOR UPDATE SKIP LOCKED) stale WHERE d.topic = stale.topic AND d.key = stale.key",
	.nargs = 1,
	.argtypes = {TEXTOID}
};

static DurableSql find_subscribers = {
	.text = "SELECT i.key, i.owner, i.status FROM durable.subscription s "
	"JOIN durable.instance i ON i.key = s.key WHERE s.topic = lower($1) AND s.key > $2 "
	"AND pg_has_role($3, s.owner, 'USAGE') ORDER BY s.key LIMIT 1000",
	.nargs = 3,
	.argtypes = {TEXTOID, INT8OID, OIDOID}
};

static int64 publish(const char *topic, const Jsonb *data);

PG_FUNCTION_INFO_V1(durable_start_with_event);
PG_FUNCTION_INFO_V1(durable_subscribe_instance);
PG_FUNCTION_INFO_V1(durable_unsubscribe_instance);
PG_FUNCTION_INFO_V1(durable_publish);

/*
 * Starts the instance unless it exists, and sends it the event.  After the statement the
 * instance exists and has the event, also if other sessions do the same concurrently.
 */
Datum
durable_start_with_event(PG_FUNCTION_ARGS)
{
	StartRequest request = {0};
	ClientInstance instance;
	char	   *instance_id;
	char	   *event;
	char	   *on_finished;
	Jsonb	   *data;
	int64		key;

	durable_client_enter("start_with_event", "Use durable.send_event() with an existing instance.");
	request.name = durable_client_name(fcinfo, 0, "orchestration name");
	instance_id = durable_client_name(fcinfo, 1, "instance id");
	event = durable_client_name(fcinfo, 2, "event name");
	data = durable_client_event_data(fcinfo, 3);
	request.input = durable_client_json(fcinfo, 4, "input", &request.is_json_text);
	request.tags = PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5);
	on_finished = durable_client_text(fcinfo, 6);
	if (on_finished == NULL || (strcmp(on_finished, "error") != 0 && strcmp(on_finished, "replace") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"on_finished\": \"%s\"", on_finished ? durable_client_shown(on_finished) : "null"),
				 errhint("Valid values are \"error\" and \"replace\".")));

	request.instance_id = instance_id;
	request.start_at = DT_NOBEGIN;
	request.on_conflict = strcmp(on_finished, "replace") == 0 ? "replace_finished" : "return";
	request.accept_unfinished = true;

	/* An instance that existed may end, or be purged, before it is looked at. */
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		durable_client_start(&request, &key);
		durable_failpoint_pass(FAILPOINT_START_SETTLED);
		if (!durable_client_look_up(GetUserId(), instance_id, &instance))
			continue;
		if (!STATUS_IS_FINISHED(instance.status))
			break;
		if (strcmp(on_finished, "replace") != 0)
			durable_client_require_unfinished(instance_id, &instance);
	}
	durable_client_send(&instance, MESSAGE_EVENT, event, data);
	PG_RETURN_VOID();
}

Datum
durable_subscribe_instance(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	Datum		values[3];
	char	   *instance_id;
	char	   *topic;

	durable_client_enter("subscribe_instance", "Use durable.subscribe().");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	topic = durable_client_name(fcinfo, 1, "topic");
	durable_client_require_unfinished(instance_id, &instance);

	values[0] = CStringGetTextDatum(topic);
	values[1] = ObjectIdGetDatum(instance.owner);
	values[2] = Int64GetDatum(instance.key);
	durable_sql_connect();
	durable_sql_run(&insert_subscription, values, NULL, false, 0);
	durable_sql_finish();
	PG_RETURN_VOID();
}

Datum
durable_unsubscribe_instance(PG_FUNCTION_ARGS)
{
	ClientInstance instance;
	Datum		values[2];
	char	   *instance_id;
	char	   *topic;

	durable_client_enter("unsubscribe_instance", "Use durable.unsubscribe().");
	instance_id = durable_client_name(fcinfo, 0, "instance id");
	topic = durable_client_name(fcinfo, 1, "topic");
	durable_client_require(instance_id, &instance);

	values[0] = CStringGetTextDatum(topic);
	values[1] = Int64GetDatum(instance.key);
	durable_sql_connect();
	durable_sql_run(&delete_subscription, values, NULL, false, 0);
	durable_sql_finish();
	PG_RETURN_VOID();
}

Datum
durable_publish(PG_FUNCTION_ARGS)
{
	char	   *topic;
	Jsonb	   *data;

	durable_client_enter("publish", "Call it from an activity.");
	topic = durable_client_name(fcinfo, 0, "topic");
	data = durable_client_event_data(fcinfo, 1);
	PG_RETURN_INT64(publish(topic, data));
}

/* Returns the number of instances that get the event.  Takes a thousand subscribers at a time. */
static int64
publish(const char *topic, const Jsonb *data)
{
	Datum		values[3] = {CStringGetTextDatum(topic), Int64GetDatum(0), ObjectIdGetDatum(GetUserId())};
	int64		sent = 0;
	bool		stale = false;
	uint64		nrows;

	do
	{
		ClientInstance *found;

		CHECK_FOR_INTERRUPTS();
		durable_sql_connect();
		nrows = durable_sql_run(&find_subscribers, values, NULL, false, 0);
		found = palloc(Max(nrows, 1) * sizeof(ClientInstance));
		for (uint64 row = 0; row < nrows; row++)
		{
			found[row].key = durable_sql_int8(row, 1);
			found[row].owner = durable_sql_oid(row, 2);
			found[row].status = durable_sql_char(row, 3);
			values[1] = Int64GetDatum(found[row].key);
		}
		for (uint64 row = 0; row < nrows; row++)
		{
			if (STATUS_IS_FINISHED(found[row].status))
			{
				stale = true;
				continue;
			}
			durable_client_send(&found[row], MESSAGE_EVENT, topic, data);
			sent++;
		}
		durable_sql_finish();
	} while (nrows > 0);

	if (stale)
	{
		durable_sql_connect();
		durable_sql_run(&delete_stale, values, NULL, false, 0);
		durable_sql_finish();
	}
	return sent;
}
