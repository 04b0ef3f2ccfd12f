/*-------------------------------------------------------------------------
 *
 * http_instance.c
 *		Answers GET instances/ID of the management API without PL/pgSQL.
 *
 * Programs that wait for a workflow send this request repeatedly.  durable.http() would
 * cost several times as much as all other work of the gateway and the backend for it,
 * because a transaction that calls PL/pgSQL initializes the expressions of each function.
 * This file reads the table once and makes the response from it.
 *
 * durable.http() defines the responses.  This file leaves all unusual requests to it:
 * parameters that have a meaning, escaped characters, and ids of no instance or of several,
 * which includes all errors.  A test compares the responses of both (http_message).
 *
 * Called by: http_api.c
 * Locks:	none that is kept
 * Memory:	in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/string.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "client.h"
#include "http_instance.h"
#include "instance_table.h"
#include "json.h"
#include "table_scan.h"
#include "turn.h"

#define MANAGEMENT	"/runtime/webhooks/durabletask/"
#define INSTANCES	"instances/"

/* The columns of an instance that the response shows. */
typedef struct Shown
{
	bool		is_ambiguous;
	char		status;
	char	   *name;
	TimestampTz created,
				updated;
	Jsonb	   *input,			/* NULL: it has none, or the role may not read it */
			   *custom_status,
			   *output;
}			Shown;

static const char *wanted_instance(const HttpRequest *request);
static bool has_no_meaning(const char *query);
static char *base_address(const Jsonb *headers);
static char *header(const Jsonb *headers, const char *name, bool *is_text);
static bool find(const char *instance_id, Shown *shown);
static bool look_up(const char *instance_id, Oid owner, Shown *shown);
static void take(DurableScan *scan, Shown *shown);
static Jsonb *failure_member(DurableScan *scan, const char *member);
static void append_body(StringInfo message, const char *instance_id, const Shown *shown);
static void append_json(StringInfo message, const char *name, const Jsonb *value);
static void append_time(StringInfo message, const char *name, TimestampTz moment);
static void append_encoded(StringInfo message, const char *part);

bool
durable_http_instance(const HttpRequest *request, StringInfo message)
{
	const char *instance_id = wanted_instance(request);
	char	   *base;
	Shown		shown;

	/* durable.status() raises an error inside an orchestration. */
	if (instance_id == NULL || durable_turn_active())
		return false;
	base = base_address(request->headers);
	if (base == NULL || !find(instance_id, &shown))
		return false;

	if (STATUS_IS_FINISHED(shown.status))
		appendStringInfoString(message, "200\n");
	else
	{
		appendStringInfo(message, "202\nLocation: %s%s%s", base, MANAGEMENT, INSTANCES);
		append_encoded(message, instance_id);
		if (request->query != NULL && request->query[0] != '\0')
			appendStringInfo(message, "?%s", request->query);
		appendStringInfoString(message, "\nRetry-After: 5\n");
	}
	appendStringInfoString(message, "Content-Type: application/json; charset=utf-8\n\n");
	append_body(message, instance_id, &shown);
	return true;
}

/* --- the request ---------------------------------------------------------------------- */

/* The ID of GET instances/ID; NULL: it is another request, or the ID has escaped characters. */
static const char *
wanted_instance(const HttpRequest *request)
{
	const char *rest = request->path;

	if (request->method == NULL || pg_strcasecmp(request->method, "GET") != 0 ||
		rest == NULL || pg_strncasecmp(rest, MANAGEMENT, strlen(MANAGEMENT)) != 0)
		return NULL;
	rest += strlen(MANAGEMENT);
	if (pg_strncasecmp(rest, INSTANCES, strlen(INSTANCES)) != 0)
		return NULL;
	rest += strlen(INSTANCES);
	if (rest[0] == '\0' || strpbrk(rest, "/%") != NULL || !has_no_meaning(request->query))
		return NULL;

	/* It is encoded in UTF-8 in the response. */
	if (GetDatabaseEncoding() != PG_UTF8 && !pg_is_ascii(rest))
		return NULL;
	return rest;
}

/* Are there only parameters without a meaning, as in the addresses that durable.http returns? */
static bool
has_no_meaning(const char *query)
{
	static const char *const known[] = {"taskHub", "connection"};

	if (query == NULL)
		return true;
	if (strpbrk(query, "%\r\n") != NULL)
		return false;
	while (*query != '\0')
	{
		size_t		length = strcspn(query, "&");
		size_t		name = strcspn(query, "=&");
		bool		is_known = false;

		for (int i = 0; i < lengthof(known); i++)
			is_known |= name == strlen(known[i]) && pg_strncasecmp(query, known[i], name) == 0;
		if (!is_known)
			return false;
		query += length;
		if (*query == '&')
			query++;
	}
	return true;
}

/* Does the same as durable.http_base(); NULL: the headers are not those of a gateway. */
static char *
base_address(const Jsonb *headers)
{
	bool		is_text;
	char	   *protocol;
	char	   *host;

	if (headers != NULL && !JB_ROOT_IS_OBJECT(headers))
		return NULL;
	protocol = header(headers, "x-forwarded-proto", &is_text);
	if (!is_text)
		return NULL;
	host = header(headers, "host", &is_text);
	if (!is_text)
		return NULL;
	if (host == NULL || host[0] == '\0' ||
		host[strspn(host, "[]ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:_-")] != '\0')
		host = "localhost";
	return psprintf("%s://%s", protocol != NULL && strcmp(protocol, "https") == 0 ? "https" : "http", host);
}

/* NULL: it is missing. */
static char *
header(const Jsonb *headers, const char *name, bool *is_text)
{
	JsonbValue	value;

	*is_text = true;
	if (headers == NULL ||
		getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &headers->root), name, strlen(name), &value) == NULL)
		return NULL;
	*is_text = value.type == jbvString;
	return *is_text ? pnstrdup(value.val.string.val, value.val.string.len) : NULL;
}

/* --- the instance --------------------------------------------------------------------- */

/* Finds the current user's own instance of that id, else the only one that it may see (see find in client.c). */
static bool
find(const char *instance_id, Shown *shown)
{
	shown->is_ambiguous = false;
	return look_up(instance_id, GetUserId(), shown) ||
		(look_up(instance_id, InvalidOid, shown) && !shown->is_ambiguous);
}

/* Finds the instance of that owner, or, with InvalidOid, of the owners whose instances the user may see. */
static bool
look_up(const char *instance_id, Oid owner, Shown *shown)
{
	DurableScan scan;
	bool		found = false;

	durable_scan_open_latest(&scan, &durable_instance_table, INSTANCE_BY_ID);
	durable_scan_key(&scan, INSTANCE_ID, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(instance_id));
	if (OidIsValid(owner))
		durable_scan_key(&scan, INSTANCE_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_begin(&scan);
	while (!shown->is_ambiguous && durable_scan_next(&scan))
	{
		CHECK_FOR_INTERRUPTS();
		if (!durable_client_may_see(durable_scan_oid(&scan, INSTANCE_OWNER)))
			continue;
		shown->is_ambiguous = found;
		if (!found)
			take(&scan, shown);
		found = true;
	}
	durable_scan_close_latest(&scan);
	return found;
}

/* Copies everything, while TOASTed values can be fetched. */
static void
take(DurableScan *scan, Shown *shown)
{
	bool		may_read = durable_client_may_act_for(durable_scan_oid(scan, INSTANCE_OWNER));

	shown->status = durable_scan_char(scan, INSTANCE_STATUS);
	shown->name = durable_scan_text(scan, INSTANCE_NAME);
	shown->created = durable_scan_timestamptz(scan, INSTANCE_CREATED_AT);
	shown->updated = durable_scan_timestamptz(scan, INSTANCE_UPDATED_AT);
	if (shown->updated == 0)	/* no unit of work after the first */
		shown->updated = durable_scan_timestamptz(scan, INSTANCE_STARTED_AT);
	if (shown->updated == 0)
		shown->updated = shown->created;

	shown->input = may_read ? durable_scan_jsonb(scan, INSTANCE_INPUT) : NULL;
	shown->custom_status = may_read ? durable_scan_jsonb(scan, INSTANCE_CUSTOM_STATUS) : NULL;
	if (!may_read)
		shown->output = NULL;
	else if (shown->status == STATUS_FAILED)
		shown->output = failure_member(scan, "message");
	else if (shown->status == STATUS_TERMINATED)
		shown->output = failure_member(scan, "reason");
	else
		shown->output = durable_scan_jsonb(scan, INSTANCE_OUTPUT);
}

static Jsonb *
failure_member(DurableScan *scan, const char *member)
{
	Jsonb	   *failure = durable_scan_jsonb(scan, INSTANCE_FAILURE);

	return failure != NULL ? durable_json_get_member(failure, member) : NULL;
}

/* --- the response ---------------------------------------------------------------------- */

/* Does the same as durable.http_status(). */
static void
append_body(StringInfo message, const char *instance_id, const Shown *shown)
{
	appendStringInfoString(message, "{\"name\" : ");
	escape_json(message, shown->name);
	appendStringInfoString(message, ", \"instanceId\" : ");
	escape_json(message, instance_id);
	appendStringInfo(message, ", \"runtimeStatus\" : \"%s\"", durable_client_status_word(shown->status));
	append_json(message, "input", shown->input);
	append_json(message, "customStatus", shown->custom_status);
	append_json(message, "output", shown->output);
	append_time(message, "createdTime", shown->created);
	append_time(message, "lastUpdatedTime", shown->updated);
	appendStringInfoChar(message, '}');
}

static void
append_json(StringInfo message, const char *name, const Jsonb *value)
{
	appendStringInfo(message, ", \"%s\" : ", name);
	if (value == NULL)
		appendStringInfoString(message, "null");
	else
		(void) JsonbToCString(message, unconstify(JsonbContainer *, &value->root), VARSIZE(value));
}

/* In UTC and whole seconds. */
static void
append_time(StringInfo message, const char *name, TimestampTz moment)
{
	struct pg_tm tm;
	fsec_t		fraction;

	if (timestamp2tm(moment, NULL, &tm, &fraction, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	appendStringInfo(message, ", \"%s\" : \"%04d-%02d-%02dT%02d:%02d:%02dZ\"", name,
					 tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* Does the same as durable.url_encode(). */
static void
append_encoded(StringInfo message, const char *part)
{
	for (; *part != '\0'; part++)
	{
		unsigned char c = *part;

		if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("._~-", c) != NULL)
			appendStringInfoChar(message, c);
		else
			appendStringInfo(message, "%%%02X", c);
	}
}
