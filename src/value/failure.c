/*
 * failure.c
 *		Converts errors to values, ErrorData to jsonb, and raises them again.
 *
 * The failure of an activity is stored as jsonb and raised again in the orchestration, at
 * each replay, with all fields that users handle and read: SQLSTATE, message, detail,
 * hint, the names of the objects that the error is about, and where it was raised.
 *
 * Owns:		the form of failures
 * Called by:	activity.c, turn.c, files of run/ and api/ (recording); the durable calls and
 *				run_api.c (raising)
 * Locks:		none
 * Memory:		results in CurrentMemoryContext
 */
#include "postgres.h"

#include "json.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* Error texts may contain user data of any size; this is the number of bytes that history keeps. */
#define MAX_MESSAGE		8192
#define MAX_DETAIL		8192
#define MAX_HINT		2048
#define MAX_CONTEXT		4096
#define MAX_LOGGED		2000
#define MAX_OBJECT		(2 * NAMEDATALEN)

/* The objects that an error is about, named as the options of RAISE are. */
static const struct
{
	const char *member;
	size_t		offset;			/* in ErrorData */
	int			field;
}			objects[] = {
	{"schema", offsetof(ErrorData, schema_name), PG_DIAG_SCHEMA_NAME},
	{"table", offsetof(ErrorData, table_name), PG_DIAG_TABLE_NAME},
	{"column", offsetof(ErrorData, column_name), PG_DIAG_COLUMN_NAME},
	{"datatype", offsetof(ErrorData, datatype_name), PG_DIAG_DATATYPE_NAME},
	{"constraint", offsetof(ErrorData, constraint_name), PG_DIAG_CONSTRAINT_NAME},
};

static void push_text(JsonbParseState **state, const char *member, const char *text, int limit);
static void push_int(JsonbParseState **state, const char *member, int value);
static void push_value(JsonbParseState **state, const char *member, JsonbValue *value);
static int	sqlstate_from_text(const char *text);

Jsonb *
durable_json_failure(const ErrorData *edata, const char *activity, int attempt)
{
	return durable_json_failure_repeated(edata, activity, attempt, 0);
}

Jsonb *
durable_json_failure_repeated(const ErrorData *edata, const char *activity, int attempt, int repeats)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_text(&state, "sqlstate", unpack_sql_state(edata->sqlerrcode), 5);
	push_text(&state, "message", edata->message ? edata->message : "missing error text", MAX_MESSAGE);
	push_text(&state, "detail", edata->detail, MAX_DETAIL);
	push_text(&state, "hint", edata->hint, MAX_HINT);
	push_text(&state, "context", edata->context, MAX_CONTEXT);
	for (int i = 0; i < lengthof(objects); i++)
		push_text(&state, objects[i].member,
				  *(char *const *) ((const char *) edata + objects[i].offset), MAX_OBJECT);
	push_text(&state, "activity", activity, DURABLE_MAX_NAME);
	if (attempt > 0)
		push_int(&state, "attempt", attempt);
	if (repeats > 0)
		push_int(&state, "repeats", repeats);

	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

void
durable_json_throw_failure(const Jsonb *failure)
{
	char	   *sqlstate = durable_json_get_text(failure, "sqlstate");
	char	   *message = durable_json_get_text(failure, "message");
	char	   *detail = durable_json_get_text(failure, "detail");
	char	   *hint = durable_json_get_text(failure, "hint");
	char	   *context = durable_json_get_text(failure, "context");
	char	   *names[lengthof(objects)];

	/* The class of an error of another language. */
	if (detail == NULL)
		detail = durable_json_get_text(failure, "type");

	for (int i = 0; i < lengthof(objects); i++)
		names[i] = durable_json_get_text(failure, objects[i].member);

	errstart(ERROR, TEXTDOMAIN);
	errcode(sqlstate_from_text(sqlstate));
	errmsg_internal("%s", message ? message : "missing error text");
	if (detail)
		errdetail_internal("%s", detail);
	if (hint)
		errhint("%s", hint);
	if (context)
		errcontext("%s", context);
	for (int i = 0; i < lengthof(objects); i++)
		if (names[i])
			err_generic_string(objects[i].field, names[i]);
	errfinish(__FILE__, __LINE__, __func__);
	pg_unreachable();
}

char *
durable_clip(const char *text)
{
	int			length = strlen(text);

	if (length <= MAX_LOGGED)
		return pstrdup(text);
	return psprintf("%.*s... (%d bytes)", pg_mbcliplen(text, length, MAX_LOGGED), text, length);
}

/*
 * A failure may come from outside (an external worker, a restored dump), so its code is
 * checked: one that is malformed, or that does not stand for an error, becomes XX000.
 */
static int
sqlstate_from_text(const char *text)
{
	if (text == NULL || strlen(text) != 5 ||
		strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
		strncmp(text, "00", 2) == 0)
		return ERRCODE_INTERNAL_ERROR;

	return MAKE_SQLSTATE(text[0], text[1], text[2], text[3], text[4]);
}

static void
push_text(JsonbParseState **state, const char *member, const char *text, int limit)
{
	JsonbValue	value;
	int			length;

	if (text == NULL)
		return;

	length = strlen(text);
	if (length > limit)
		length = pg_mbcliplen(text, length, limit);

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = length;
	push_value(state, member, &value);
}

static void
push_int(JsonbParseState **state, const char *member, int number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	push_value(state, member, &value);
}

static void
push_value(JsonbParseState **state, const char *member, JsonbValue *value)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, member);
	key.val.string.len = strlen(member);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, value);
}

Jsonb *
durable_json_make_failure(int sqlerrcode, const char *message)
{
	ErrorData	error = {0};

	error.sqlerrcode = sqlerrcode;
	error.message = unconstify(char *, message);
	return durable_json_failure(&error, NULL, 0);
}
