/*
 * kept_code.h
 *		Copies of functions that were replaced while instances were running them.
 */
#ifndef DURABLE_KEPT_CODE_H
#define DURABLE_KEPT_CODE_H

#include "access/htup.h"
#include "durable.h"
#include "handler.h"

/* A handler as it was before a statement that may change it. */
typedef struct OldCode
{
	HeapTuple	tuple;			/* of pg_proc */
	char	   *signature;
	int64		hash;
} OldCode;

/*
 * The function as it is, in CurrentMemoryContext; NULL if it cannot be a handler, or was
 * made by this very transaction.
 */
extern OldCode *durable_kept_code_remember(Oid function);

/* Is the function of that signature other code now, or gone? */
extern bool durable_kept_code_has_changed(const OldCode *old);

/* Makes a copy, and a row of durable.code, unless there are. */
extern void durable_kept_code_keep(const OldCode *old);

/*
 * The copy of the code with that hash (0: the newest) of the handler with that signature,
 * as if it stood in the place of the original; in CurrentMemoryContext.  NULL: there is none.
 * Raises 55000 if somebody has altered the copy, 42883 if it was dropped.  Not inside user code.
 */
extern Handler *durable_kept_code_resolve(const char *copy, int64 hash, const char *signature);

/*
 * May the copy be dropped?  False if another open transaction keeps it; true also if it does
 * not exist.  Until the end of the transaction nobody keeps it then.
 */
extern bool durable_kept_code_claim(const char *copy);

/* Drops a copy that was claimed, and that nobody needs. */
extern void durable_kept_code_drop(const char *copy);

#endif							/* DURABLE_KEPT_CODE_H */
