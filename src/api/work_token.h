/*
 * work_token.h
 *		Tokens of leased work, and arguments that the functions for workers share.
 */
#ifndef DURABLE_WORK_TOKEN_H
#define DURABLE_WORK_TOKEN_H

#include "durable.h"
#include "fmgr.h"
#include "queued_table.h"
#include "utils/jsonb.h"

#define WORK_LONGEST_LEASE_US	(7 * USECS_PER_DAY)

typedef struct Token
{
	int64		key;
	int64		id;
	int32		attempt;
	int64		nonce;
}			Token;

typedef struct Tokens
{
	int			n;
	Datum		values[4];		/* arrays of keys, ids, attempts, nonces, as of WORK_TOKENS */
	char	  **texts;
}			Tokens;

/*
 * work_fetch.c: for functions with the arguments queue, worker, number ("what" names it), lease
 * and names.  Leases tasks according to wanted->kind and wanted->session, and sets the other
 * members of wanted.  Returns a List of QueuedTask.
 */
extern List *durable_work_fetch(FunctionCallInfo fcinfo, QueuedWanted * wanted, const char *function, const char *what,
								int most);

/* The number of this session (queued_table.c) if that argument is true, else 0. */
extern int64 durable_work_session(FunctionCallInfo fcinfo, int argno);

/* A lease argument in microseconds; NULL: 30 seconds. */
extern int64 durable_work_lease(FunctionCallInfo fcinfo, int argno);

extern char *durable_work_make_token(const QueuedTask * task, int64 nonce);
extern bool durable_work_read_token(const char *text, Token *token);

/* Of an argument that is an array of tokens, or one token. */
extern void durable_work_tokens(FunctionCallInfo fcinfo, int argno, Tokens *tokens);
extern void durable_work_token(FunctionCallInfo fcinfo, int argno, Tokens *tokens);

/*
 * The elements of an argument that is an array with one element for each of n tokens.  A null
 * array has only null elements.
 */
extern Jsonb **durable_work_jsonbs(FunctionCallInfo fcinfo, int argno, int n, const char *what);
extern char **durable_work_texts(FunctionCallInfo fcinfo, int argno, int n, const char *what);

pg_noreturn_compat extern void durable_work_bad_token(const char *text);

/* Raises WF008. */
pg_noreturn_compat extern void durable_work_stale(const char *token);

/* An argument on_stale: "error" (false) or "skip" (true). */
extern bool durable_work_skips_stale(FunctionCallInfo fcinfo, int argno);

/*
 * Checks whether the caller may work for the queue, unless it is the one of the previous call
 * (*checked).  Returns whether it was checked and has limits, so that completed work makes room
 * for other work.
 */
extern bool durable_work_check_queue(const char *queue, char **checked);

/*
 * Called after the completion of tokens: queues[i] is the queue of a valid token, and NULL for a stale
 * one.  Checks the queues, wakes waiting workers if there is room, and raises WF008 for a stale token
 * unless skips.  Returns the number of valid tokens.
 */
extern int	durable_work_completed(const Tokens *tokens, char **queues, bool skips);

#endif							/* DURABLE_WORK_TOKEN_H */
