/*-------------------------------------------------------------------------
 *
 * inbox_table.c
 *		The table durable.inbox: messages that make an instance runnable.
 *
 * Clients, units and activities insert messages; the unit that holds the row lock of
 * the instance deletes them.  A message is numbered from a sequence, in the order in
 * which messages are sent.  The start of an instance is always its first message, so
 * it takes no number from the sequence and has 0.
 *
 * Owns:	durable.inbox; finished.c deletes its rows together with their instances
 * Called by: batch_claim.c, batch_store.c, batch_statements.c, entity_batch.c, lease.c, client.c,
 *			start_api.c, entity_api.c, wait_api.c
 * Locks:	none on rows that it reads; row locks on those that it deletes
 * Memory:	rows in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "inbox_table.h"
#include "sql.h"
#include "message_rows.h"
#include "table_scan.h"
#include "table_write.h"
#include "wakeup.h"

DurableTable durable_inbox_table = {
	.name = "inbox",
	.indexes = {[INBOX_BY_KEY] = "inbox_pkey"},
	.ncolumns = INBOX_COLUMNS,
	.columns = {
		[INBOX_ID] = "id",
		[INBOX_OWNER] = "owner",
		[INBOX_KEY] = "key",
		[INBOX_KIND] = "kind",
		[INBOX_EXECUTION] = "execution",
		[INBOX_TASK] = "task",
		[INBOX_ATTEMPT] = "attempt",
		[INBOX_IS_TEXT] = "is_text",
		[INBOX_NAME] = "name",
		[INBOX_PAYLOAD] = "payload",
		[INBOX_SENT_AT] = "sent_at",
		[INBOX_SENDER] = "sender"
	}
};

static DurableWritable writable = {
	.table = &durable_inbox_table,
	.sequence = "inbox_id_seq",
	.deletes = true,
	.holds = true
};

/*
 * A message that is visible was committed together with its instance, or after it.  So
 * an instance that is missing has been purged.
 */
static DurableSql delete_orphans = {
	"DELETE FROM durable.inbox m WHERE ctid = ANY ($1) AND NOT EXISTS "
	"(SELECT FROM durable.instance i WHERE i.key = m.key)",
	1, {TIDARRAYOID}
};

/* Another row may have been stored at the same place since it was read, so the number is compared. */
static DurableSql delete_orphan = {
	"DELETE FROM durable.inbox m WHERE ctid = $1 AND m.owner = $2 AND m.key = $3 AND m.id = $4 AND NOT EXISTS "
	"(SELECT FROM durable.instance i WHERE i.key = m.key)",
	4, {TIDOID, REGROLEOID, INT8OID, INT8OID}
};

/* A failed child with a rewind that it has not taken yet is about to run again. */
#define CHILD_RUNS \
	"(i.status IN ('P', 'R', 'S') OR (i.status = 'F' AND EXISTS " \
	"(SELECT FROM durable.inbox m WHERE m.owner = i.owner AND m.key = i.key AND m.kind = 'w')))"

static DurableSql terminate_children = {
	"INSERT INTO durable.inbox (id, owner, key, kind, payload, sent_at) "
	"SELECT pg_catalog.nextval('durable.inbox_id_seq'), owner, key, 't', "
	"pg_catalog.jsonb_build_object('reason', $3), $2 "
	"FROM durable.instance i WHERE parent_key = ANY ($1) AND " CHILD_RUNS " "
	"AND (close_policy IS NULL OR close_policy = $4) RETURNING key",
	4, {INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID, CHAROID}
};

static DurableSql cancel_child = {
	"INSERT INTO durable.inbox (id, owner, key, kind, payload, sent_at) "
	"SELECT pg_catalog.nextval('durable.inbox_id_seq'), owner, key, 't', $4, $5 "
	"FROM durable.instance i WHERE parent_key = $1 AND parent_execution = $2 AND parent_task = $3 "
	"AND " CHILD_RUNS " RETURNING key",
	5, {INT8OID, INT4OID, INT4OID, JSONBOID, TIMESTAMPTZOID}
};

static DurableSql send_events = {
	"INSERT INTO durable.inbox (id, owner, key, kind, is_text, name, payload, sent_at) "
	"SELECT pg_catalog.nextval('durable.inbox_id_seq'), c.owner, c.key, u.kind, u.is_text, u.name, u.payload, $2 "
	"FROM unnest($3::text[], $4::text[], $5::jsonb[], $6::bool[], $7::\"char\"[]) WITH ORDINALITY "
	"AS u (instance_id, name, payload, is_text, kind, n), LATERAL ("
	"SELECT i.owner, i.key, i.status, pg_catalog.count(*) OVER () AS bearers FROM durable.instance i "
	"WHERE i.instance_id = u.instance_id AND pg_catalog.pg_has_role($1, i.owner, 'USAGE') OFFSET 0) c "
	"WHERE c.status IN ('P', 'R', 'S') AND (c.owner = $1 OR c.bearers = 1) "
	"ORDER BY u.n RETURNING owner, key",
	7, {OIDOID, TIMESTAMPTZOID, TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, BOOLARRAYOID, CHARARRAYOID}
};

static Message *read_message(DurableScan *scan, Oid owner);

/* --- reading ------------------------------------------------------------------------------ */

List *
durable_inbox_read(Oid owner, int64 *from, int part, int nparts, int limit, int64 remains_us)
{
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &durable_inbox_table, INBOX_BY_KEY, AccessShareLock);
	durable_scan_key(&scan, INBOX_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_key(&scan, INBOX_KEY, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(*from));
	if (remains_us > 0)
		durable_scan_limit(&scan, INBOX_KEY, *from, remains_us);
	durable_scan_begin(&scan);
	while (list_length(messages) < limit && durable_scan_next(&scan))
		if (nparts <= 1 || durable_scan_int8(&scan, INBOX_KEY) % nparts == part)
			messages = lappend(messages, read_message(&scan, owner));
	*from = list_length(messages) < limit ? scan.stopped_at : ((Message *) llast(messages))->key;
	durable_scan_close(&scan);
	return messages;
}

List *
durable_inbox_read_keys(Oid owner, const int64 *keys, int nkeys, int limit)
{
	List	   *messages = NIL;
	DurableScan scan;

	durable_scan_open(&scan, &durable_inbox_table, INBOX_BY_KEY, AccessShareLock);
	for (int i = 0; i < nkeys && list_length(messages) < limit; i++)
	{
		durable_scan_forget_keys(&scan);
		durable_scan_key(&scan, INBOX_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
		durable_scan_key(&scan, INBOX_KEY, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(keys[i]));
		durable_scan_begin(&scan);
		while (list_length(messages) < limit && durable_scan_next(&scan))
			messages = lappend(messages, read_message(&scan, owner));
	}
	durable_scan_close(&scan);
	return messages;
}

static Message *
read_message(DurableScan *scan, Oid owner)
{
	Message    *message = palloc0(sizeof(Message));

	message->tid = durable_scan_tid(scan);
	message->id = durable_scan_int8(scan, INBOX_ID);
	message->owner = owner;
	message->key = durable_scan_int8(scan, INBOX_KEY);
	message->kind = durable_scan_char(scan, INBOX_KIND);
	message->execution = durable_scan_int4(scan, INBOX_EXECUTION);
	message->task = durable_scan_int4(scan, INBOX_TASK);
	message->attempt = durable_scan_int4(scan, INBOX_ATTEMPT);
	message->is_text = durable_scan_bool(scan, INBOX_IS_TEXT);
	message->name = durable_scan_text(scan, INBOX_NAME);
	message->payload = durable_scan_jsonb(scan, INBOX_PAYLOAD);
	message->at = durable_scan_timestamptz(scan, INBOX_SENT_AT);
	message->sender = durable_scan_int8(scan, INBOX_SENDER);
	return message;
}

/* Another row may have been stored at the same place since, so the numbers are compared. */
void
durable_inbox_check_live(List *messages)
{
	bool		opened = false;
	DurableScan scan;
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		if (message->kind == MESSAGE_TIMER)
			continue;
		if (!opened)
			durable_scan_open(&scan, &durable_inbox_table, INBOX_BY_KEY, AccessShareLock);
		opened = true;
		message->live = durable_scan_fetch(&scan, &message->tid) &&
			message->key == durable_scan_int8(&scan, INBOX_KEY) &&
			message->id == durable_scan_int8(&scan, INBOX_ID);
	}
	if (opened)
		durable_scan_close(&scan);
}

/* --- writing ------------------------------------------------------------------------------ */

void
durable_inbox_insert(List *messages)
{
	DurableWriter *writer = durable_writer_open(&writable);
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		message->id = message->kind == MESSAGE_START ? 0 : durable_writer_next(writer);
		durable_writer_set(writer, INBOX_ID, Int64GetDatum(message->id));
		durable_writer_set(writer, INBOX_OWNER, ObjectIdGetDatum(message->owner));
		durable_writer_set(writer, INBOX_KEY, Int64GetDatum(message->key));
		durable_writer_set(writer, INBOX_KIND, CharGetDatum(message->kind));
		if (message->execution != 0)
			durable_writer_set(writer, INBOX_EXECUTION, Int32GetDatum(message->execution));
		if (message->task != 0)
			durable_writer_set(writer, INBOX_TASK, Int32GetDatum(message->task));
		if (message->attempt > 1 || message->attempt < 0)	/* NULL: the first attempt, or an unknown one */
			durable_writer_set(writer, INBOX_ATTEMPT, Int32GetDatum(message->attempt));
		if (message->is_text)
			durable_writer_set(writer, INBOX_IS_TEXT, BoolGetDatum(true));
		durable_writer_set_text(writer, INBOX_NAME, message->name);
		durable_writer_set_jsonb(writer, INBOX_PAYLOAD, message->payload);
		durable_writer_set(writer, INBOX_SENT_AT, TimestampTzGetDatum(message->at));
		if (message->sender != 0)
			durable_writer_set(writer, INBOX_SENDER, Int64GetDatum(message->sender));
		durable_writer_insert(writer);
		durable_wakeup_inbox(message->owner, message->key);
	}
	durable_writer_close(writer);
}

void
durable_inbox_delete(List *messages)
{
	durable_message_delete(&writable, messages, false);
}

List *
durable_inbox_delete_orphans(List *messages)
{
	List	   *others = NIL;
	List	   *rewinds = NIL;
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);
		Datum		values[4] = {PointerGetDatum(&message->tid), ObjectIdGetDatum(message->owner),
		Int64GetDatum(message->key), Int64GetDatum(message->id)};
		bool		deleted;

		if (message->kind != MESSAGE_REWIND || message->sender == 0)
		{
			others = lappend(others, message);
			continue;
		}
		durable_sql_connect();
		deleted = durable_sql_run(&delete_orphan, values, NULL, false, 0) > 0;
		durable_sql_finish();
		if (deleted)
			rewinds = lappend(rewinds, message);
	}
	durable_message_delete_orphans(&delete_orphans, others, false);
	return rewinds;
}

/* close_policy: that of children which are terminated like those without one. */
void
durable_inbox_terminate_children(Oid owner, Datum keys, const char *reason, char close_policy, TimestampTz now)
{
	Datum		values[4] = {keys, TimestampTzGetDatum(now), CStringGetTextDatum(reason), CharGetDatum(close_policy)};
	uint64		nsent = durable_sql_run(&terminate_children, values, NULL, false, 0);

	for (uint64 i = 0; i < nsent; i++)
		durable_wakeup_inbox(owner, durable_sql_int8(i, 1));
}

void
durable_inbox_cancel_child(Oid owner, int64 parent_key, int32 execution, int32 task, const Jsonb *payload,
						   TimestampTz now)
{
	Datum		values[5] = {Int64GetDatum(parent_key), Int32GetDatum(execution), Int32GetDatum(task),
	PointerGetDatum(payload), TimestampTzGetDatum(now)};
	uint64		nsent = durable_sql_run(&cancel_child, values, payload ? NULL : "   n ", false, 0);

	for (uint64 i = 0; i < nsent; i++)
		durable_wakeup_inbox(owner, durable_sql_int8(i, 1));
}

void
durable_inbox_send_events(Oid sender, const Datum *arrays, TimestampTz now)
{
	Datum		values[7] = {ObjectIdGetDatum(sender), TimestampTzGetDatum(now), arrays[0], arrays[1], arrays[2],
	arrays[3], arrays[4]};
	uint64		nsent = durable_sql_run(&send_events, values, NULL, false, 0);

	for (uint64 i = 0; i < nsent; i++)
		durable_wakeup_inbox(durable_sql_oid(i, 1), durable_sql_int8(i, 2));
}

void
durable_inbox_check_table(void)
{
	durable_writer_check(&writable, true);
}
