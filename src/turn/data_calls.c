/*-------------------------------------------------------------------------
 *
 * data_calls.c
 *		The durable call that waits for data: wait_until.
 *
 * In the history it is one activity with one answer, however often its query has been
 * run.  The result of a query that did not meet the condition is only in the row of the
 * task (task_unit.c).
 *
 * Called by: user code, in a turn
 * Locks:	none
 * Memory:	recorded events are in the instance's context (turn.c)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "calls.h"
#include "retry.h"
#include "wait_until.h"

/* The limit on watched tables, because their names are looked up for each run of the query. */
#define MAX_WATCHED		100

static void read_wait(NewCall *call);
static int64 get_us(FunctionCallInfo fcinfo, int argno, const char *parameter);
static Oid *get_relations(FunctionCallInfo fcinfo, int argno, int *nrelations);

PG_FUNCTION_INFO_V1(durable_wait_until);

/* wait_until(query, recheck, watched, params, timeout) -> jsonb */
Datum
durable_wait_until(PG_FUNCTION_ARGS)
{
	Turn	   *turn = durable_turn_current("wait_until");
	NewCall		call = {.fcinfo = fcinfo, .turn = turn, .name = ACTIVITY_WAIT_UNTIL};
	HistoryEvent *recorded;
	int			task;

	if (durable_turn_next_is_new(turn))
		durable_call_read(&call, HISTORY_TASK_SCHEDULED, read_wait);
	task = durable_turn_record(turn, HISTORY_TASK_SCHEDULED, ACTIVITY_WAIT_UNTIL, NULL, call.payload, &recorded);
	durable_call_refuse_again(turn, task, recorded);
	return durable_call_answer(fcinfo, turn, task);
}

static void
read_wait(NewCall *call)
{
	FunctionCallInfo fcinfo = call->fcinfo;
	int64		recheck_us = get_us(fcinfo, 1, "recheck");
	int64		timeout_us = get_us(fcinfo, 4, "timeout");
	int			nrelations;
	Oid		   *relations = get_relations(fcinfo, 2, &nrelations);

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("query must not be null")));
	if (recheck_us == 0 && nrelations == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("recheck must not be null if no table is watched"),
				 errdetail("The query would be run only once.")));
	call->payload = durable_wait_until_input(text_to_cstring(PG_GETARG_TEXT_PP(0)), durable_call_jsonb(fcinfo, 3),
											 recheck_us, timeout_us, relations, nrelations);
}

/* 0: NULL */
static int64
get_us(FunctionCallInfo fcinfo, int argno, const char *parameter)
{
	int64		us;

	if (PG_ARGISNULL(argno))
		return 0;
	us = durable_retry_interval_us(PG_GETARG_INTERVAL_P(argno));
	if (us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero", parameter)));
	return us;
}

static Oid *
get_relations(FunctionCallInfo fcinfo, int argno, int *nrelations)
{
	Datum	   *values;
	bool	   *nulls;
	Oid		   *relations;

	*nrelations = 0;
	if (PG_ARGISNULL(argno))
		return NULL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, nrelations);
	if (*nrelations > MAX_WATCHED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("too many tables to watch: %d", *nrelations),
				 errdetail("The maximum is %d tables. Partitions are not counted.", MAX_WATCHED)));
	relations = palloc(Max(*nrelations, 1) * sizeof(Oid));
	for (int i = 0; i < *nrelations; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("watched must not contain null")));
		relations[i] = DatumGetObjectId(values[i]);
	}
	return relations;
}
