/*-------------------------------------------------------------------------
 *
 * client.c
 *		Code that the functions for clients share: it reads arguments, finds instances,
 *		checks privileges and sends messages.
 *
 * A client never changes the row of an instance that is not finished.  It reads the row,
 * and puts messages into the inbox.  So it waits for no other transaction, and no unit
 * waits for it, even if its transaction stays open for a long time.
 *
 * Instances are looked up with the latest snapshot, also under repeatable read, because
 * the present state of an instance decides whether a message may be sent to it.  There is
 * one race: the instance may finish before the sender commits.  Therefore the engine
 * discards messages for instances that are finished or purged.
 *
 * Owns:	durable.engine (with admin_api.c)
 * Called by: most files of src/api
 * Locks:	those of plain inserts and reads; purging locks finished instances
 * Memory:	results in CurrentMemoryContext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "client.h"
#include "clock.h"
#include "finished.h"
#include "inbox_table.h"
#include "instance_table.h"
#include "json.h"
#include "shmem.h"
#include "sql.h"
#include "table_scan.h"
#include "turn.h"

/* The number of bytes of an instance id or a name that an error message shows. */
#define SHOWN_NAME	200

static DurableSql find_engine = {
	.text = "SELECT xmin FROM durable.engine",
};

static DurableSql insert_engine = {
	.text = "INSERT INTO durable.engine (system_identifier, database) VALUES ($1, $2)",
	.nargs = 2,
	.argtypes = {INT8OID, OIDOID}
};

/* The extension whose durable.engine is known to hold a committed row. */
static Oid	seeded_extension = InvalidOid;

/* The extension that this transaction seeds, if that happened outside of subtransactions. */
static Oid	seeding_extension = InvalidOid;
static TransactionId seeding_transaction = InvalidTransactionId;

/* The role for which a view is read, if it is not the current user. */
static Oid	asking_role = InvalidOid;

static bool looks_like_json(const char *text);
static void find(const char *instance_id, bool (*allowed) (Oid owner), ClientInstance *instance);

static void send(const ClientInstance *instance, char kind, const char *name, const Jsonb *payload, bool is_text);

PG_FUNCTION_INFO_V1(durable_may_read);
PG_FUNCTION_INFO_V1(durable_may_see);

/* --- arguments ------------------------------------------------------------------------ */

void
durable_client_enter(const char *function, const char *instead)
{
	char		command[64];

	durable_client_refuse_in_turn(function, instead);
	durable_shmem_require();

	snprintf(command, sizeof(command), "durable.%s()", function);
	PreventCommandIfReadOnly(command);
}

void
durable_client_refuse_in_turn(const char *function, const char *instead)
{
	if (durable_turn_active())
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_NONDETERMINISTIC),
				 errmsg("durable.%s() cannot be called inside an orchestration", function),
				 errdetail("An orchestration is replayed from its beginning after each wait, and each replay must make the same calls and see the same values."),
				 errhint("%s", instead)));
}

Jsonb *
durable_client_json(FunctionCallInfo fcinfo, int argno, const char *what, bool *is_json_text)
{
	Jsonb	   *result = durable_json_from_any(fcinfo, argno, what);

	*is_json_text = result != NULL && get_fn_expr_argtype(fcinfo->flinfo, argno) == UNKNOWNOID &&
		looks_like_json(DatumGetCString(PG_GETARG_DATUM(argno)));
	return result;
}

Jsonb *
durable_client_event_data(FunctionCallInfo fcinfo, int argno)
{
	bool		is_json_text;
	Jsonb	   *data = durable_client_json(fcinfo, argno, "event data", &is_json_text);

	if (is_json_text)
		durable_client_warn_of_json_text("event data");
	return data;
}

/* Does the text look like an object, or like an array that does not begin with a word? */
static bool
looks_like_json(const char *text)
{
	const char *begin = text + strspn(text, " \t\r\n");
	const char *next;
	int			length = strlen(begin);

	while (length > 0 && strchr(" \t\r\n", begin[length - 1]))
		length--;
	if (length < 2)
		return false;
	next = begin + 1 + strspn(begin + 1, " \t\r\n");
	return (*begin == '{' && begin[length - 1] == '}' && (*next == '"' || *next == '}')) ||
		(*begin == '[' && begin[length - 1] == ']' && strchr("{[\"]-0123456789", *next) != NULL);
}

void
durable_client_warn_of_json_text(const char *what)
{
	ereport(WARNING,
			(errmsg("%s is a text that looks like JSON", what),
			 errdetail("A literal without a type is passed as a text, and not as an object or array."),
			 errhint("Add the type, as in '{\"a\": 1}'::jsonb, or ::text if you mean a text.")));
}

char *
durable_client_text(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

char *
durable_client_name(FunctionCallInfo fcinfo, int argno, const char *what)
{
	char	   *name = durable_client_text(fcinfo, argno);

	durable_client_check_name(name, what);
	return name;
}

void
durable_client_check_name(const char *name, const char *what)
{
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be null", what)));
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", what)));
	if (strlen(name) > DURABLE_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", what),
				 errdetail("It has %zu bytes, but the limit is %d bytes.", strlen(name), DURABLE_MAX_NAME)));
}

/* --- finding an instance -------------------------------------------------------------- */

const char *
durable_client_status_word(char status)
{
	switch (status)
	{
		case STATUS_PENDING:
			return "Pending";
		case STATUS_RUNNING:
			return "Running";
		case STATUS_SUSPENDED:
			return "Suspended";
		case STATUS_COMPLETED:
			return "Completed";
		case STATUS_FAILED:
			return "Failed";
		case STATUS_TERMINATED:
			return "Terminated";
		default:
			elog(ERROR, "unexpected status \"%c\"", status);
	}
}

/* Holds no lock afterwards, because durable.wait sleeps after it. */
bool
durable_client_look_up(Oid owner, const char *instance_id, ClientInstance *instance)
{
	DurableScan scan;
	bool		found;

	durable_scan_open_latest(&scan, &durable_instance_table, INSTANCE_BY_ID);
	durable_scan_key(&scan, INSTANCE_ID, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(instance_id));
	durable_scan_key(&scan, INSTANCE_OWNER, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(owner));
	durable_scan_begin(&scan);
	found = durable_scan_next(&scan);
	if (found)
		durable_client_take(&scan, instance);
	durable_scan_close_latest(&scan);

	if (found)
		instance->instance_id = pstrdup(instance_id);
	return found;
}

void
durable_client_require(const char *instance_id, ClientInstance *instance)
{
	find(instance_id, durable_client_may_act_for, instance);
}

void
durable_client_require_visible(const char *instance_id, ClientInstance *instance)
{
	find(instance_id, durable_client_may_see, instance);
}

/* Finds the caller's own instance of that id, else the only one of the permitted owners. */
static void
find(const char *instance_id, bool (*allowed) (Oid owner), ClientInstance *instance)
{
	DurableScan scan;
	Oid			others[2];
	int			nothers = 0;
	bool		own = false;

	if (durable_client_look_up(GetUserId(), instance_id, instance))
		return;

	durable_scan_open_latest(&scan, &durable_instance_table, INSTANCE_BY_ID);
	durable_scan_key(&scan, INSTANCE_ID, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(instance_id));
	durable_scan_begin(&scan);
	while (!own && nothers < lengthof(others) && durable_scan_next(&scan))
	{
		Oid			owner = durable_scan_oid(&scan, INSTANCE_OWNER);

		own = owner == GetUserId(); /* the caller's own instance has been started since */
		if (!own && !allowed(owner))
			continue;
		durable_client_take(&scan, instance);
		others[nothers++] = owner;
	}
	durable_scan_close_latest(&scan);

	if (nothers == 0)
		durable_client_no_instance(instance_id);
	if (nothers > 1 && !own)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("instance id \"%s\" is ambiguous", durable_client_shown(instance_id)),
				 errdetail("Roles \"%s\" and \"%s\" each have an instance of that id.",
						   GetUserNameFromId(others[0], true) ? GetUserNameFromId(others[0], true) : "(gone)",
						   GetUserNameFromId(others[1], true) ? GetUserNameFromId(others[1], true) : "(gone)"),
				 errhint("Use SET ROLE to act as the owner of the intended instance.")));
	instance->instance_id = pstrdup(instance_id);
}

void
durable_client_take(DurableScan *scan, ClientInstance *instance)
{
	instance->key = durable_scan_int8(scan, INSTANCE_KEY);
	instance->owner = durable_scan_oid(scan, INSTANCE_OWNER);
	instance->status = durable_scan_char(scan, INSTANCE_STATUS);
	instance->inserted_by = durable_scan_xmin(scan);
}

void
durable_client_no_instance(const char *instance_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_DURABLE_NO_INSTANCE),
			 errmsg("instance \"%s\" does not exist", durable_client_shown(instance_id)),
			 errhint("The view durable.instances lists the instances you may see. An instance becomes visible when the transaction that started it commits.")));
}

bool
durable_client_may_act_for(Oid owner)
{
	return has_privs_of_role(OidIsValid(asking_role) ? asking_role : GetUserId(), owner);
}

bool
durable_client_may_see(Oid owner)
{
	return durable_client_may_act_for(owner) || durable_client_may_act_for(ROLE_PG_MONITOR);
}

void
durable_client_ask_as(Oid role)
{
	asking_role = role;
}

/* durable.may_read(owner): payloads of that owner's instances, for the views. */
Datum
durable_may_read(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(durable_client_may_act_for(PG_GETARG_OID(0)));
}

/* durable.may_see(owner): everything but the payloads. */
Datum
durable_may_see(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(durable_client_may_see(PG_GETARG_OID(0)));
}

char *
durable_client_shown(const char *name)
{
	int			len = strlen(name);

	if (len <= SHOWN_NAME)
		return pstrdup(name);
	len = pg_mbcliplen(name, len, SHOWN_NAME);
	return psprintf("%.*s...", len, name);
}

/* --- changing one --------------------------------------------------------------------- */

void
durable_client_send(const ClientInstance *instance, char kind, const char *name,
					const Jsonb *payload)
{
	send(instance, kind, name, payload, false);
}

void
durable_client_send_text(const ClientInstance *instance, char kind, const char *name,
						 const Jsonb *payload)
{
	send(instance, kind, name, payload, true);
}

static void
send(const ClientInstance *instance, char kind, const char *name, const Jsonb *payload, bool is_text)
{
	Message		message = {
		.owner = instance->owner,
		.key = instance->key,
		.kind = kind,
		.is_text = is_text,
		.name = unconstify(char *, name),
		.payload = unconstify(Jsonb *, payload),
		.at = durable_clock_now()
	};

	durable_inbox_insert(list_make1(&message));
}

int64
durable_client_purge(int64 key)
{
	int64		all;
	int64		purged;

	durable_sql_connect();
	all = durable_finished_delete(&key, 1, true, &purged);
	durable_sql_finish();
	return purged > 0 ? all : 0;
}

/* --- identity ------------------------------------------------------------------------- */

/*
 * The first start records the cluster and the database to which the tables belong.  The
 * install script does not record them: a restored dump contains its own row, and a copy is
 * recognized by a row of another database.
 *
 * Two first starts at the same moment write a row each, with the same contents.  With a
 * unique index one of them would wait for the other's transaction, which may stay open in
 * an idle session.
 */
void
durable_client_seed_engine(void)
{
	Oid			extension = durable_extension_oid();
	bool		found;

	if (seeded_extension == extension)
		return;
	if (seeding_extension == extension &&
		TransactionIdIsValid(seeding_transaction) &&
		TransactionIdEquals(seeding_transaction, GetTopTransactionIdIfAny()))
		return;

	durable_sql_connect();
	found = durable_sql_run(&find_engine, NULL, NULL, false, 1) > 0;
	if (found)
	{
		bool		isnull;
		TransactionId inserted_by = DatumGetTransactionId(durable_sql_datum(0, 1, &isnull));

		/* The row that this transaction wrote may still be rolled back. */
		if (!TransactionIdIsCurrentTransactionId(inserted_by))
			seeded_extension = extension;
	}
	else
	{
		Datum		values[2] = {
			Int64GetDatum((int64) GetSystemIdentifier()),
			ObjectIdGetDatum(MyDatabaseId)
		};

		durable_sql_run(&insert_engine, values, NULL, false, 0);
		if (GetCurrentTransactionNestLevel() == 1)
		{
			seeding_extension = extension;
			seeding_transaction = GetTopTransactionId();
		}
	}
	durable_sql_finish();
}
