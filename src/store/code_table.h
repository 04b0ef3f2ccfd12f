/*
 * code_table.h
 *		The table durable.code: copies of functions whose code was replaced.
 */
#ifndef DURABLE_CODE_TABLE_H
#define DURABLE_CODE_TABLE_H

#include "durable.h"
#include "nodes/pg_list.h"

/*
 * Handlers (char *, signatures) of unfinished instances, except for those whose start is not
 * committed yet.  count: the number of unfinished instances of that handler.
 */
extern List *durable_code_live_handlers(void);
extern int64 durable_code_count_live(const char *signature);

/*
 * The signature of the copy of that handler's code with the wanted hash (0: the code that was
 * replaced last), and its hash; NULL: there is none.
 */
extern char *durable_code_find_copy(const char *signature, int64 wanted, int64 *hash);

extern void durable_code_insert(const char *signature, int64 hash, const char *copy, Oid owner);

/* Pins an instance, whose history was verified, to the code with that hash. */
extern void durable_code_pin(int64 key, int64 hash);

/* The same for the code of a version.  handler: as stored, see durable_instance_shorten. */
extern void durable_code_pin_version(int64 key, int64 hash, const char *handler, const char *version);

/*
 * Copies (char *, signatures) that no unfinished instance needs.  lock_unused locks their
 * rows, and skips rows that another transaction has locked.  delete_unused deletes the rows of
 * the copies in the list that are still unused, and returns these copies.
 */
extern List *durable_code_lock_unused(void);
extern List *durable_code_delete_unused(const List *copies);

#endif							/* DURABLE_CODE_TABLE_H */
