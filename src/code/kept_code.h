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
 * The present state of the function, in CurrentMemoryContext.  NULL if it cannot be a handler,
 * or was created by this transaction.
 */
extern OldCode *durable_kept_code_remember(Oid function);

/* Was the function of that signature dropped, or does it have different code now? */
extern bool durable_kept_code_has_changed(const OldCode *old);

/* Creates a copy and a row of durable.code, unless they exist. */
extern void durable_kept_code_keep(const OldCode *old);

/*
 * The copy of the handler's code that has that hash (0: the newest), with the namespace and
 * the name of the original; in CurrentMemoryContext.  NULL: there is none.  Raises 55000 if a
 * user has altered the copy, 42883 if it was dropped.  Must not be called inside user code.
 */
extern Handler *durable_kept_code_resolve(const char *copy, int64 hash, const char *signature);

/*
 * Locks the copy in order to drop it: until the end of the transaction no other one keeps it.
 * False if another open transaction keeps it; true also if it does not exist.
 */
extern bool durable_kept_code_claim(const char *copy);

/* Drops a copy that was claimed and that no instance needs. */
extern void durable_kept_code_drop(const char *copy);

#endif							/* DURABLE_KEPT_CODE_H */
