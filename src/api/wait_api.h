/*
 * wait_api.h
 *		Functions that the files about waiting for instances share.
 */
#ifndef DURABLE_WAIT_API_H
#define DURABLE_WAIT_API_H

#include "durable.h"
#include "access/tupdesc.h"
#include "fmgr.h"

/*
 * Begins a procedure that commits before it waits (run_api.c, work_wait.c), and returns the
 * description of its result.  Raises an error in an orchestration (in_turn is the hint), in
 * an activity (WF007), and where the procedure cannot commit (25001; detail and hint).
 * function is the name without the schema.
 */
extern TupleDesc durable_wait_procedure(FunctionCallInfo fcinfo, const char *function, const char *in_turn,
										const char *detail, const char *hint);

/* Raises WF007 inside an activity. */
extern void durable_wait_refuse_in_activity(const char *function);

/* The ids of an array argument.  Raises an error if it is null or empty, or has too many elements. */
extern char **durable_wait_ids(FunctionCallInfo fcinfo, int argno, int *nids);

/*
 * Finds the first instance of the list that has ended, or returns false.  *keys: the keys of all
 * instances.  Raises WF003 if there is no instance that the caller may see for an id.
 * in_transaction: raises WF007 if an instance was started by this transaction.
 */
struct ClientInstance;
extern bool durable_wait_any_ended(char **ids, int nids, bool in_transaction, int64 *keys,
								   struct ClientInstance *ended);

/* Now plus an interval argument; DT_NOEND for NULL: without limit. */
extern TimestampTz durable_wait_deadline(FunctionCallInfo fcinfo, int argno);

/* Milliseconds until the deadline or the next look, whichever is first; 0: the deadline has passed. */
extern long durable_wait_ms(TimestampTz deadline);

#endif							/* DURABLE_WAIT_API_H */
