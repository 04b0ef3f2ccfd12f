/*
 * message_rows.h
 *		Deleting the rows of messages: in the inbox, or of timers that are due.
 */
#ifndef DURABLE_MESSAGE_ROWS_H
#define DURABLE_MESSAGE_ROWS_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "sql.h"
#include "table_write.h"

/* Of a list that has both kinds of messages, those that are timers, or those that are not. */
extern void durable_message_delete(DurableWritable *writable, List *messages, bool timers);

/* The same with a statement that has the places of the rows as its parameter, a tid[]. */
extern void durable_message_delete_orphans(DurableSql *sql, List *messages, bool timers);

#endif							/* DURABLE_MESSAGE_ROWS_H */
