/*
 * wait_api.h
 *		What the functions and procedures that wait for an instance have in common.
 */
#ifndef DURABLE_WAIT_API_H
#define DURABLE_WAIT_API_H

#include "durable.h"
#include "fmgr.h"

/* Raises WF007 inside an activity.  function is the name after "durable.". */
extern void durable_wait_refuse_in_activity(const char *function);

/* 25001 where a procedure may not commit; detail and hint are sentences. */
extern void durable_wait_require_nonatomic(FunctionCallInfo fcinfo, const char *function, const char *detail,
										   const char *hint);

/* The ids of an array argument: not null, not empty, and not too many. */
extern char **durable_wait_ids(FunctionCallInfo fcinfo, int argno, int *nids);

/*
 * Finds the first instance of the list that has ended, or returns false, with the keys of all.
 * WF003 if the caller may see no instance of an id.  in_transaction: WF007 if it was started by
 * this transaction.
 */
struct ClientInstance;
extern bool durable_wait_any_ended(char **ids, int nids, bool in_transaction, int64 *keys,
								   struct ClientInstance *ended);

/* Now plus an interval argument; DT_NOEND for NULL: without limit. */
extern TimestampTz durable_wait_deadline(FunctionCallInfo fcinfo, int argno);

/* Milliseconds until the deadline or the next look, whichever is first; 0 when the deadline is over. */
extern long durable_wait_ms(TimestampTz deadline);

#endif							/* DURABLE_WAIT_API_H */
