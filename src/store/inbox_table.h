/*
 * inbox_table.h
 *		The table durable.inbox: messages that make an instance runnable.
 */
#ifndef DURABLE_INBOX_TABLE_H
#define DURABLE_INBOX_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "storage/itemptr.h"
#include "table.h"

/* Kinds of messages that only the engine itself sends; the others are in durable.h. */
#define MESSAGE_CONTINUE	'k' /* continue where the last batch stopped */
#define MESSAGE_TURN		'x' /* a program has run a turn: its actions; task: number of events that it was given */
#define MESSAGE_RESULTS		'b' /* to an entity: a program has run a batch of its operations */
#define MESSAGE_TIMER		'T' /* in memory only: a timer is due (timer_table.c) */

enum
{
	INBOX_ID, INBOX_OWNER, INBOX_KEY, INBOX_KIND, INBOX_EXECUTION, INBOX_TASK, INBOX_ATTEMPT, INBOX_IS_TEXT, INBOX_NAME,
	INBOX_PAYLOAD, INBOX_SENT_AT, INBOX_SENDER, INBOX_COLUMNS
};

enum
{
	INBOX_BY_KEY				/* owner, key, id */
};

extern DurableTable durable_inbox_table;

/* A row of the inbox, or a due timer, which a unit handles in the same way. */
typedef struct Message
{
	ItemPointerData tid;		/* of the row in durable.inbox or durable.timer */
	int64		id;				/* inbox only; assigned when it is written */
	Oid			owner;
	int64		key;
	char		kind;
	int32		execution;		/* 0: any */
	int32		task;			/* 0: none */
	int32		attempt;		/* of the task that this message answers; 0: not known */
	bool		is_text;		/* the payload is a text (verbatim.h) */
	char	   *name;
	Jsonb	   *payload;
	TimestampTz at;				/* sent, or due */
	int64		sender;			/* to an entity, or a rewind: the key of the instance that sent it; 0: none */
	TimestampTz due;			/* in durable.entity_operation (entity_table.h): it waits until then */
	bool		live;			/* it still exists after the instance was locked */
}			Message;

/*
 * Messages for the owner's instances with the key *from or a higher one, at most limit, ordered
 * by key and id.  *from is set to the key from which on there may be more; INT64_MAX: there
 * are none.  With nparts > 1 only for instances with key % nparts = part.  remains_us: see
 * durable_scan_limit.
 */
extern List *durable_inbox_read(Oid owner, int64 *from, int part, int nparts, int limit, int64 remains_us);

/* Messages for these instances only, in the order of the keys. */
extern List *durable_inbox_read_keys(Oid owner, const int64 *keys, int nkeys, int limit);

/*
 * These handle the messages from the inbox in a list of messages and timers.  check_live sets
 * live in those that still exist; delete deletes them; delete_orphans deletes those whose
 * instance does not exist, and returns the rewinds among them that a parent has sent.
 */
extern void durable_inbox_check_live(List *messages);
extern void durable_inbox_delete(List *messages);
extern List *durable_inbox_delete_orphans(List *messages);

/* Inserts the messages, and wakes the workers of their owners at commit. */
extern void durable_inbox_insert(List *messages);

/*
 * Terminates the unfinished children of these instances (a bigint[]), unless their close policy
 * lets them go on.  The caller has connected to SPI; the same for the next functions.
 */
extern void durable_inbox_terminate_children(Oid owner, Datum keys, const char *reason, char close_policy,
											 TimestampTz now);

/* Terminates the unfinished sub-orchestration of that call of its parent. */
extern void durable_inbox_cancel_child(Oid owner, int64 parent_key, int32 execution, int32 task,
									   const Jsonb *payload, TimestampTz now);

/*
 * Sends a message to each id in arrays of ids, names, payloads, is_text and kinds (text[],
 * text[], jsonb[], bool[], "char"[]).  The receiver is an unfinished instance of the sender, or
 * else of the only role that has such an instance and whose privileges the sender has.
 * Messages without a receiver are dropped.
 */
extern void durable_inbox_send_events(Oid sender, const Datum *arrays, TimestampTz now);

/* Raises 55000 if an object was added to the table that prevents writing (table_write.h). */
extern void durable_inbox_check_table(void);

#endif							/* DURABLE_INBOX_TABLE_H */
