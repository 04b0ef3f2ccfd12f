/*
 * message_rows.h
 *		Deletion of the rows of messages, in durable.inbox or durable.timer.
 */
#ifndef DURABLE_MESSAGE_ROWS_H
#define DURABLE_MESSAGE_ROWS_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "sql.h"
#include "table_write.h"

/* Deletes the rows of those messages in the list that are timers, or of those that are not. */
extern void durable_message_delete(DurableWritable *writable, List *messages, bool timers);

/* The same by a statement that gets the rows as a tid[]. */
extern void durable_message_delete_orphans(DurableSql *sql, List *messages, bool timers);

#endif							/* DURABLE_MESSAGE_ROWS_H */
