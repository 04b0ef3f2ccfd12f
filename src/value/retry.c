/*
 * retry.c
 *		Makes, reads and applies retry policies.
 *
 * This file is pure: its functions take and return values.  A policy is jsonb in calls,
 * registrations and history, and may be written by hand, so it is checked whenever it is
 * read.  Numbers saturate: a wait that exceeds max_interval is max_interval, and no time
 * is later than the last timestamp.
 *
 * Owns:		the form of policies
 * Called by:	durable calls, registration_api.c and probe.c (check); execution.c, dispatch.c,
 *				activity.c, task_unit.c, lease.c, work_api.c (next attempt); files that use
 *				its arithmetic of intervals
 * Locks:		none
 * Memory:		CurrentMemoryContext
 */
#include "postgres.h"

#include "retry.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "json.h"
#include "nodes/pg_list.h"
#include "suggest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define DEFAULT_ATTEMPTS		3
#define DEFAULT_FIRST_US		USECS_PER_SEC
#define DEFAULT_BACKOFF			2.0
#define DEFAULT_MAX_US			USECS_PER_HOUR

static const char *const members[] = {
	"max_attempts", "first_interval", "backoff", "max_interval", "timeout", "non_retryable"
};

static void check_members(const Jsonb *retry);
pg_noreturn_compat static void invalid(const char *member, const char *must);
static void name_member(void *arg);
static Datum get_member(const Jsonb *retry, const char *member, Oid type, bool *isnull);
static void parse_attempts(const Jsonb *retry, RetryPolicy *policy);
static void parse_interval(const Jsonb *retry, const char *member, int64 minimum, int64 *us);
static void parse_backoff(const Jsonb *retry, RetryPolicy *policy);
static void parse_codes(const Jsonb *retry, RetryPolicy *policy);
static bool is_retryable(const RetryPolicy *policy, int sqlerrcode);
static void push_member(JsonbParseState **state, FunctionCallInfo fcinfo, int argno, Oid type);

/* --- arithmetic ---------------------------------------------------------------------------------------------------------- */

bool
durable_retry_next(const RetryPolicy *policy, int attempt, TimestampTz first_scheduled,
				   TimestampTz now, int sqlerrcode, int64 *delay_us)
{
	double		wait;
	int64		delay;
	int64		elapsed;

	if (policy->max_attempts != RETRY_UNLIMITED && attempt >= policy->max_attempts)
		return false;
	if (!is_retryable(policy, sqlerrcode))
		return false;

	/* the numbers are compared as floats, which may be infinite, before the conversion to an integer */
	wait = policy->first_us == 0 ? 0 : policy->first_us * pow(policy->backoff, attempt - 1);
	delay = wait < (double) policy->max_us ? (int64) wait : policy->max_us;
	delay = Min(delay, END_TIMESTAMP - 1 - now);

	if (policy->timeout_us > 0 &&
		(pg_sub_s64_overflow(now + delay, first_scheduled, &elapsed) ||
		 elapsed >= policy->timeout_us))
		return false;

	*delay_us = delay;
	return true;
}

bool
durable_retry_after(const Jsonb *retry, int attempt, TimestampTz first_scheduled,
					TimestampTz now, int sqlerrcode, int64 *delay_us)
{
	MemoryContext context = CurrentMemoryContext;
	RetryPolicy policy;
	volatile bool readable = true;

	if (retry == NULL)
		return false;
	PG_TRY();
	{
		durable_retry_parse(retry, &policy);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not read retry policy, so there is no further attempt: %s", error->message)));
		readable = false;
	}
	PG_END_TRY();
	return readable &&
		durable_retry_next(&policy, attempt, first_scheduled, now, sqlerrcode, delay_us);
}

static bool
is_retryable(const RetryPolicy *policy, int sqlerrcode)
{
	const char *sqlstate = unpack_sql_state(sqlerrcode);

	for (int i = 0; i < policy->ncodes; i++)
		if (strncmp(policy->codes[i], sqlstate, strlen(policy->codes[i])) == 0)
			return false;

	return true;
}

int64
durable_retry_interval_us(const Interval *interval)
{
	/* cannot overflow: 2^31 months and days are less than 2^39 days */
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	int64		us;

	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &us))
		return days > 0 ? PG_INT64_MAX : PG_INT64_MIN;
	if (pg_add_s64_overflow(us, interval->time, &us))
		return interval->time > 0 ? PG_INT64_MAX : PG_INT64_MIN;
	return us;
}

/* --- reading a policy ------------------------------------------------------------------------------------------------------ */

void
durable_retry_parse(const Jsonb *retry, RetryPolicy *policy)
{
	if (!JB_ROOT_IS_OBJECT(retry))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retry policy must be a JSON object"),
				 errhint("Use durable.retry(), for example retry => durable.retry(max_attempts => 5).")));

	check_members(retry);
	parse_attempts(retry, policy);
	policy->first_us = DEFAULT_FIRST_US;
	parse_interval(retry, "first_interval", 0, &policy->first_us);
	parse_backoff(retry, policy);
	policy->max_us = DEFAULT_MAX_US;
	parse_interval(retry, "max_interval", 0, &policy->max_us);
	policy->timeout_us = 0;
	parse_interval(retry, "timeout", 1, &policy->timeout_us);
	parse_codes(retry, policy);
}

/* Unknown members are refused, because a misspelt one would have no effect. */
static void
check_members(const Jsonb *retry)
{
	JsonbIterator *iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &retry->root));
	JsonbIteratorToken token;
	JsonbValue	value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		List	   *names = NIL;
		char	   *member;
		const char *like;
		bool		known = false;

		if (token != WJB_KEY)
			continue;

		member = pnstrdup(value.val.string.val, value.val.string.len);
		for (int i = 0; i < lengthof(members); i++)
		{
			known |= strcmp(member, members[i]) == 0;
			names = lappend(names, unconstify(char *, members[i]));
		}
		if (known)
			continue;

		like = durable_suggest(member, names);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("retry policy has no member \"%s\"", durable_clip(member)),
				 errdetail("Valid members are max_attempts, first_interval, backoff, max_interval, timeout, and non_retryable."),
				 like ? errhint("Did you mean \"%s\"?", like) : 0));
	}
}

static void
invalid(const char *member, const char *must)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("member \"%s\" of retry policy %s", member, must)));
}

static void
name_member(void *arg)
{
	errcontext("member \"%s\" of retry policy", (const char *) arg);
}

/* isnull is set for a member that is missing, too. */
static Datum
get_member(const Jsonb *retry, const char *member, Oid type, bool *isnull)
{
	ErrorContextCallback callback = {
		.previous = error_context_stack, .callback = name_member, .arg = unconstify(char *, member)
	};
	Datum		result;

	error_context_stack = &callback;
	result = durable_json_to_datum(durable_json_get_member(retry, member), type, -1, isnull);
	error_context_stack = callback.previous;
	return result;
}

/* Here JSON null means that there is no limit. */
static void
parse_attempts(const Jsonb *retry, RetryPolicy *policy)
{
	bool		isnull;
	Datum		value = get_member(retry, "max_attempts", INT4OID, &isnull);
	JsonbValue	buffer;

	if (isnull)
	{
		bool		unlimited = getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &retry->root),
															 "max_attempts", strlen("max_attempts"),
															 &buffer) != NULL;

		policy->max_attempts = unlimited ? RETRY_UNLIMITED : DEFAULT_ATTEMPTS;
		return;
	}

	policy->max_attempts = DatumGetInt32(value);
	if (policy->max_attempts < 1)
		invalid("max_attempts", "must be at least 1, or null for no limit");
}

static void
parse_interval(const Jsonb *retry, const char *member, int64 minimum, int64 *us)
{
	bool		isnull;
	Datum		value = get_member(retry, member, INTERVALOID, &isnull);

	if (isnull)
		return;

	*us = durable_retry_interval_us(DatumGetIntervalP(value));
	if (*us < minimum)
		invalid(member, minimum > 0 ? "must be positive" : "must not be negative");
}

static void
parse_backoff(const Jsonb *retry, RetryPolicy *policy)
{
	bool		isnull;
	Datum		value = get_member(retry, "backoff", FLOAT8OID, &isnull);

	policy->backoff = isnull ? DEFAULT_BACKOFF : DatumGetFloat8(value);
	if (!(policy->backoff >= 1) || isinf(policy->backoff))
		invalid("backoff", "must be a number greater than or equal to 1");
}

static void
parse_codes(const Jsonb *retry, RetryPolicy *policy)
{
	bool		isnull;
	Datum		value = get_member(retry, "non_retryable", TEXTARRAYOID, &isnull);
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	policy->ncodes = 0;
	policy->codes = NULL;
	if (isnull)
		return;

	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	policy->codes = palloc(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		char	   *code = nulls[i] ? "" : TextDatumGetCString(elements[i]);
		size_t		length = strlen(code);

		if ((length != 5 && length != 2) ||
			strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != length)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("member \"non_retryable\" of retry policy must contain SQLSTATEs or classes of SQLSTATEs"),
					 errdetail("\"%s\" is neither a SQLSTATE nor a class of SQLSTATEs.", durable_clip(code)),
					 errhint("Use, for example, '{23505}' for unique_violation or '{23}' for all integrity constraint violations.")));
		policy->codes[policy->ncodes++] = code;
	}
}

/* --- making a policy --------------------------------------------------------------------------------------------------------- */

/* durable.retry(max_attempts, first_interval, backoff, max_interval, timeout, non_retryable) */
PG_FUNCTION_INFO_V1(durable_retry);

Datum
durable_retry(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {
		INT4OID, INTERVALOID, FLOAT8OID, INTERVALOID, INTERVALOID, TEXTARRAYOID
	};
	JsonbParseState *state = NULL;
	RetryPolicy policy;
	Jsonb	   *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(types); i++)
		push_member(&state, fcinfo, i, types[i]);
	result = JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));

	durable_retry_parse(result, &policy);
	PG_RETURN_JSONB_P(result);
}

/* Arguments that are NULL are left out, except for the number of attempts, where NULL means no limit. */
static void
push_member(JsonbParseState **state, FunctionCallInfo fcinfo, int argno, Oid type)
{
	Jsonb	   *json;
	JsonbValue	key;
	JsonbValue	value;

	if (PG_ARGISNULL(argno) && argno > 0)
		return;

	if (PG_ARGISNULL(argno))
		json = durable_json_text(NULL);
	else
		json = durable_json_from_datum(PG_GETARG_DATUM(argno), type, false);

	key.type = jbvString;
	key.val.string.val = unconstify(char *, members[argno]);
	key.val.string.len = strlen(members[argno]);
	durable_json_root(json, &value);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, &value);
}
