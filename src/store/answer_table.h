/*
 * answer_table.h
 *		The table durable.queued_answer: answers of workers, which are remembered for a while.
 */
#ifndef DURABLE_ANSWER_TABLE_H
#define DURABLE_ANSWER_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"

typedef struct AnsweredTask
{
	int			n;				/* the place of its token, from 0 */
	int32		execution;
	int32		task;
	int32		attempt;
	int64		key;
	Oid			owner;
	char	   *queue;
}			AnsweredTask;

/* All of these connect to SPI themselves.  tokens: the arrays of WORK_TOKENS. */

/*
 * Deletes the activities that these tokens are good for, and remembers the answer.  Returns them
 * (AnsweredTask).
 */
extern List *durable_answer_complete(const Datum *tokens, TimestampTz now);

/* Deletes a task that the caller has locked or leased, and remembers that it has failed. */
extern void durable_answer_fail(int64 key, int64 id, TimestampTz now);

/* Sets queues[n] to the queue of each token whose task has been completed. */
extern void durable_answer_find_completed(const Datum *tokens, char **queues);

/* The queue of a task that was leased with that number and has failed; NULL: it has not. */
extern char *durable_answer_failed(int64 id, int64 nonce);

/* Deletes older answers.  Returns true when there may be more. */
extern bool durable_answer_forget(TimestampTz before, int limit);

/* Are there answers from before that time?  Another process may be forgetting them. */
extern bool durable_answer_any_before(TimestampTz before);

#endif							/* DURABLE_ANSWER_TABLE_H */
