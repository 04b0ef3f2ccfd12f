/*
 * code_table.h
 *		The table durable.code: which function holds code that was replaced.
 */
#ifndef DURABLE_CODE_TABLE_H
#define DURABLE_CODE_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"

/*
 * Handlers (char *, signatures) of unfinished instances.  An instance whose start another
 * transaction has not committed is not among them.  count: how many of that handler there are.
 */
extern List *durable_code_live_handlers(void);
extern int64 durable_code_count_live(const char *signature);

/*
 * The signature of the function that holds the code of that handler with that hash (0: the
 * code that was replaced last), and its hash; NULL: there is none.
 */
extern char *durable_code_find_copy(const char *signature, int64 wanted, int64 *hash);

extern void durable_code_insert(const char *signature, int64 hash, const char *copy, Oid owner);

/* Instances that their history has been compared for: their code is that one from now on. */
extern void durable_code_pin(int64 key, int64 hash);

/* The same, when the code is that of a version: handler as the column has it, see durable_instance_shorten. */
extern void durable_code_pin_version(int64 key, int64 hash, const char *handler, const char *version);

/*
 * Copies (char *, signatures) that no unfinished instance needs.  lock_unused locks their
 * rows, except those that another transaction has locked.  delete_unused deletes the rows of
 * those copies of a list that are still unused, and returns these.
 */
extern List *durable_code_lock_unused(void);
extern List *durable_code_delete_unused(const List *copies);

#endif							/* DURABLE_CODE_TABLE_H */
