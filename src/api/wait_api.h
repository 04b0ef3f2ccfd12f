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

/* Now plus an interval argument; DT_NOEND for NULL: without limit. */
extern TimestampTz durable_wait_deadline(FunctionCallInfo fcinfo, int argno);

/* Milliseconds until the deadline or the next look, whichever is first; 0 when the deadline is over. */
extern long durable_wait_ms(TimestampTz deadline);

#endif							/* DURABLE_WAIT_API_H */
