/*-------------------------------------------------------------------------
 *
 * message_rows.c
 *		Deletes the rows of messages: those in the inbox, and those of timers that are due.
 *
 * A unit takes both kinds of messages in one list.  Their rows are in two tables, and are
 * deleted in the same way, by their ctids.
 *
 * Owns:	nothing
 * Called by: inbox_table.c, timer_table.c
 * Locks:	those that a DELETE takes
 * Memory:	CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "columns.h"
#include "inbox_table.h"
#include "message_rows.h"

static bool is_timer(const Message *message);

void
durable_message_delete(DurableWritable *writable, List *messages, bool timers)
{
	DurableWriter *writer = NULL;
	ListCell   *cell;

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		if (is_timer(message) != timers)
			continue;
		if (writer == NULL)
			writer = durable_writer_open(writable);
		durable_writer_delete(writer, &message->tid);
	}
	if (writer != NULL)
		durable_writer_close(writer);
}

void
durable_message_delete_orphans(DurableSql *sql, List *messages, bool timers)
{
	Datum	   *tids = palloc(list_length(messages) * sizeof(Datum));
	int			ntids = 0;
	ListCell   *cell;
	Datum		values[1];

	foreach(cell, messages)
	{
		Message    *message = lfirst(cell);

		if (is_timer(message) == timers)
			tids[ntids++] = PointerGetDatum(&message->tid);
	}
	if (ntids == 0)
		return;
	values[0] = durable_columns_array(tids, NULL, ntids, TIDOID);
	durable_sql_connect();
	durable_sql_run(sql, values, NULL, false, 0);
	durable_sql_finish();
}

static bool
is_timer(const Message *message)
{
	return message->kind == MESSAGE_TIMER;
}
