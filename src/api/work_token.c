/*-------------------------------------------------------------------------
 *
 * work_token.c
 *		Tokens of leased work, and arguments that the functions for workers have in common.
 *
 * Owns:	the form of tokens
 * Called by: work_api.c, turn_api.c, entity_work_api.c, work_fetch.c
 * Locks:	none
 * Memory:	the caller's
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client.h"
#include "columns.h"
#include "queue_api.h"
#include "queue_table.h"
#include "retry.h"
#include "work_token.h"

static void tokens_of(Datum array, Tokens *tokens);
static Datum *elements_of(FunctionCallInfo fcinfo, int argno, Oid type, int n, const char *what, bool **nulls);

int64
durable_work_lease(FunctionCallInfo fcinfo, int argno)
{
	int64		us = PG_ARGISNULL(argno) ? 30 * USECS_PER_SEC :
		durable_retry_interval_us(PG_GETARG_INTERVAL_P(argno));

	if (us <= 0 || us > WORK_LONGEST_LEASE_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lease must be positive, and not longer than 7 days"),
				 errhint("Use durable.extend_lease() to extend the lease during the work.")));
	return us;
}

char *
durable_work_make_token(const QueuedTask * task, int64 nonce)
{
	return psprintf("%llx-%llx-%x-%016llx", (unsigned long long) task->key, (unsigned long long) task->id,
					task->attempt, (unsigned long long) nonce);
}

bool
durable_work_read_token(const char *text, Token *token)
{
	unsigned long long key;
	unsigned long long id;
	unsigned int attempt;
	unsigned long long nonce;
	int			length = 0;

	if (text == NULL || strlen(text) > 60 || strspn(text, "0123456789abcdef-") != strlen(text) ||
		sscanf(text, "%llx-%llx-%x-%llx%n", &key, &id, &attempt, &nonce, &length) != 4 ||
		text[length] != '\0')
		return false;
	*token = (Token) {(int64) key, (int64) id, (int32) attempt, (int64) nonce};
	return true;
}

void
durable_work_bad_token(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid token \"%s\"", text ? durable_client_shown(text) : "(null)"),
			 errdetail("durable.fetch_work(), durable.fetch_turns() and durable.fetch_entities() return tokens.")));
}

void
durable_work_tokens(FunctionCallInfo fcinfo, int argno, Tokens *tokens)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tokens must not be null")));
	tokens_of(PG_GETARG_DATUM(argno), tokens);
}

void
durable_work_token(FunctionCallInfo fcinfo, int argno, Tokens *tokens)
{
	Datum		token;

	if (PG_ARGISNULL(argno))
		durable_work_bad_token(NULL);
	token = PG_GETARG_DATUM(argno);
	tokens_of(PointerGetDatum(construct_array(&token, 1, TEXTOID, -1, false, TYPALIGN_INT)), tokens);
}

static void
tokens_of(Datum array, Tokens *tokens)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, INT8OID, InvalidOid};
	Datum	   *elements;
	bool	   *nulls;
	Columns    *columns;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &tokens->n);
	tokens->texts = palloc(Max(tokens->n, 1) * sizeof(char *));
	columns = durable_columns_create(tokens->n, types);
	for (int i = 0; i < tokens->n; i++)
	{
		Token		token;

		tokens->texts[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
		if (!durable_work_read_token(tokens->texts[i], &token))
			durable_work_bad_token(tokens->texts[i]);
		durable_columns_set(columns, i, 0, Int64GetDatum(token.key));
		durable_columns_set(columns, i, 1, Int64GetDatum(token.id));
		durable_columns_set(columns, i, 2, Int32GetDatum(token.attempt));
		durable_columns_set(columns, i, 3, Int64GetDatum(token.nonce));
	}
	durable_columns_arrays(columns, tokens->values);
}

Jsonb **
durable_work_jsonbs(FunctionCallInfo fcinfo, int argno, int n, const char *what)
{
	Jsonb	  **values = palloc0(Max(n, 1) * sizeof(Jsonb *));
	bool	   *nulls;
	Datum	   *elements = elements_of(fcinfo, argno, JSONBOID, n, what, &nulls);

	for (int i = 0; elements != NULL && i < n; i++)
		values[i] = nulls[i] ? NULL : DatumGetJsonbP(elements[i]);
	return values;
}

char **
durable_work_texts(FunctionCallInfo fcinfo, int argno, int n, const char *what)
{
	char	  **values = palloc0(Max(n, 1) * sizeof(char *));
	bool	   *nulls;
	Datum	   *elements = elements_of(fcinfo, argno, TEXTOID, n, what, &nulls);

	for (int i = 0; elements != NULL && i < n; i++)
		values[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
	return values;
}

/* NULL: the array is null. */
static Datum *
elements_of(FunctionCallInfo fcinfo, int argno, Oid type, int n, const char *what, bool **nulls)
{
	Datum	   *elements;
	int			given;

	if (PG_ARGISNULL(argno))
		return NULL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), type, -1, false, TYPALIGN_INT, &elements, nulls, &given);
	if (given != n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("tokens and %s must have the same length", what),
				 errdetail("There are %d and %d.", n, given)));
	return elements;
}

void
durable_work_stale(const char *token)
{
	ereport(ERROR,
			(errcode(ERRCODE_DURABLE_LEASE_LOST),
			 errmsg("the lease of token \"%s\" is lost", token),
			 errdetail("It has ended and another worker has the task, or the task was answered, released or terminated."),
			 errhint("Stop working on this task.")));
}

/* Checks a queue only when it differs from the previous one. */
bool
durable_work_check_queue(const char *queue, char **checked)
{
	bool		is_limited;

	if (*checked != NULL && strcmp(*checked, queue) == 0)
		return false;
	is_limited = durable_queue_require_work(queue);
	*checked = pstrdup(queue);
	return is_limited;
}

int
durable_work_completed(const Tokens *tokens, char **queues, bool skips)
{
	char	   *checked = NULL;
	int			ncompleted = 0;

	for (int i = 0; i < tokens->n; i++)
	{
		if (queues[i] != NULL)
		{
			if (durable_work_check_queue(queues[i], &checked))
				durable_queue_wake(queues[i]);
			ncompleted++;
		}
		else if (!skips)
			durable_work_stale(tokens->texts[i]);
	}
	return ncompleted;
}

bool
durable_work_skips_stale(FunctionCallInfo fcinfo, int argno)
{
	char	   *word = durable_client_text(fcinfo, argno);

	if (word == NULL || strcmp(word, "error") == 0)
		return false;
	if (strcmp(word, "skip") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"on_stale\": \"%s\"", durable_client_shown(word)),
			 errhint("Valid values are \"error\" (the call fails if a lease was lost) and \"skip\" (such tokens are skipped).")));
	return false;
}
