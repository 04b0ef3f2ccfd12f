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

/* Kinds of messages that only the engine sends itself; the others are in durable.h. */
#define MESSAGE_CONTINUE	'k' /* go on where the last batch had to stop */
#define MESSAGE_TURN		'x' /* a turn was run outside: its actions; task is how many events it saw */
#define MESSAGE_RESULTS		'b' /* to an entity: a batch of its operations was run outside */
#define MESSAGE_TIMER		'T' /* in memory only: a timer that is due (timer_table.c) */

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

/* A row; or a timer that is due, which is taken by a unit in the same way. */
typedef struct Message
{
	ItemPointerData tid;		/* of the row in durable.inbox or durable.timer */
	int64		id;				/* inbox only; given when it is written */
	Oid			owner;
	int64		key;
	char		kind;
	int32		execution;		/* 0: any */
	int32		task;			/* 0: none */
	int32		attempt;		/* of the task, that this answers; 0: not known */
	bool		is_text;		/* the payload is a text (verbatim.h) */
	char	   *name;
	Jsonb	   *payload;
	TimestampTz at;				/* sent, or due */
	int64		sender;			/* to an entity: the key of the instance that sent it; 0: none */
	TimestampTz due;			/* in durable.entity_operation (entity_table.h): until then it waits */
	bool		live;			/* still there after the instance was locked */
}			Message;

/*
 * Messages for the owner's instances from *from on, at most limit, ordered by key and
 * id.  *from becomes where the next ones may be; INT64_MAX: there are no more.  With
 * nparts > 1 only those for instances with key % nparts = part.  remains_us: see
 * durable_scan_limit.
 */
extern List *durable_inbox_read(Oid owner, int64 *from, int part, int nparts, int limit, int64 remains_us);

/* Messages for just these instances, in the order of the keys. */
extern List *durable_inbox_read_keys(Oid owner, const int64 *keys, int nkeys, int limit);

/*
 * Of a list of messages and timers, those from the inbox: marks the ones that are
 * still there; deletes them; deletes the ones whose instance is gone.
 */
extern void durable_inbox_check_live(List *messages);
extern void durable_inbox_delete(List *messages);
extern void durable_inbox_delete_orphans(List *messages);

/* Writes them, and wakes at commit whom they concern. */
extern void durable_inbox_insert(List *messages);

/*
 * Tells unfinished children of these instances (a bigint[]) to terminate, unless they
 * are to go on without their parent.  The caller
 * is in SPI; so for the next one.
 */
extern void durable_inbox_terminate_children(Oid owner, Datum keys, const char *reason, char close_policy,
											 TimestampTz now);

/*
 * A message for each id in arrays of ids, names, payloads, is_text and kinds (text[], text[],
 * jsonb[], bool[], "char"[]), where the id is that of an unfinished instance of the sender's, or of the only role with
 * such an instance whose privileges the sender has.
 * The others get nothing.
 */
extern void durable_inbox_cancel_child(Oid owner, int64 parent_key, int32 execution, int32 task,
									   const Jsonb *payload, TimestampTz now);
extern void durable_inbox_send_events(Oid sender, const Datum *arrays, TimestampTz now);

/* Raises 55000 when something was added to the table that keeps it from being written. */
extern void durable_inbox_check_table(void);

#endif							/* DURABLE_INBOX_TABLE_H */
