/*-------------------------------------------------------------------------
 *
 * start_api.c
 *		durable.start and start_or_get: create an instance, and the message that makes it run.
 *
 * This file makes all checks whose result the caller can act upon: the name, the
 * privilege to execute the function, whether the input fits its parameters, and whether
 * the owner can have workers.  Then it inserts one row into durable.instance and one into
 * durable.inbox (or, with start_at in the future, into durable.timer).
 *
 * Instances with generated ids are written directly (table_write.c), because no other
 * instance has such an id.  An id that the caller chose is inserted with ON CONFLICT DO
 * NOTHING.  This waits for another transaction that is inserting the same id, and does not
 * abort the transaction if the id is taken.  Only in that case is the other instance read.
 *
 * The function that belongs to a name is cached for the last name, because INSERT ...
 * SELECT durable.start(...) looks it up a hundred thousand times a second.  Registered
 * names are looked up each time, because the registry has a cache of its own.
 *
 * Owns:	inserting into durable.instance and durable.timer for clients
 * Called by: clients; run_api.c, restart_api.c, schedule_*.c, signal_api.c
 * Locks:	a unique index entry for the instance id
 * Memory:	the remembered name in a context that is reset when it changes
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "arguments.h"
#include "child_id.h"
#include "client.h"
#include "clock.h"
#include "failpoint.h"
#include "handler.h"
#include "inbox_table.h"
#include "instance_insert.h"
#include "json.h"
#include "queue_api.h"
#include "registry.h"
#include "sql.h"
#include "timer_table.h"
#include "verbatim.h"
#include "waiting.h"

/* The end of a version 7 UUID; two bits of it are fixed. */
#define RANDOM_PER_ID	8

/* The result of looking up a name. */
typedef struct StartTarget
{
	const char *name;			/* as stored */
	const char *version;		/* of the registration; NULL if it has none */
	bool		is_registered;
	Handler    *handler;		/* NULL: it is external */
	const char *queue;			/* of its turns, if it is external */
	const Jsonb *input;			/* as its parameters have read it */
}			StartTarget;

/* The function found for the last name, and the state on which that depended. */
static struct
{
	bool		valid;
	MemoryContext context;
	char	   *wanted;
	Oid			role;
	char	   *search_path;
	char	   *signature;
}			last_function;

static void read_arguments(FunctionCallInfo fcinfo, StartRequest *request);
static char *start_or_get(const StartRequest *request, int64 *key, bool *is_new);
static void check_request(const StartRequest *request);
static void check_owner(Oid owner);
static bool admit(const StartRequest *request, Oid owner);
static void take_quota(const DurableQuota *quota, int inserted);
static void resolve(const StartRequest *request, Oid owner, StartTarget *target);
static Handler *recall_function(const char *name, Oid owner);
static void remember_function(const char *name, Oid owner, const Handler *handler);
static void forget_function(Datum arg, int cacheid, uint32 hashvalue);
static void check_target(const StartRequest *request, StartTarget *target);
static char *new_instance_id(void);
static void draw_random(unsigned char *bytes);
static bool insert(const StartRequest *request, const StartTarget *target, Oid owner,
				   const char *instance_id, int64 *key);
static bool settle_conflict(const StartRequest *request, Oid owner, int64 *key);

PG_FUNCTION_INFO_V1(durable_start);
PG_FUNCTION_INFO_V1(durable_start_or_get);
PG_FUNCTION_INFO_V1(durable_start_external);

Datum
durable_start(PG_FUNCTION_ARGS)
{
	StartRequest request = {0};
	int64		key;

	durable_client_enter("start", "Use durable.start_orchestration(), or durable.call_sub_orchestrator() to wait for it.");

	read_arguments(fcinfo, &request);
	request.on_conflict = durable_client_text(fcinfo, 6);

	PG_RETURN_TEXT_P(cstring_to_text(durable_client_start(&request, &key)));
}

Datum
durable_start_or_get(PG_FUNCTION_ARGS)
{
	StartRequest request = {.on_conflict = "return"};
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};
	bool		is_new;
	int64		key;

	durable_client_enter("start_or_get", "Use durable.start_orchestration(), or durable.call_sub_orchestrator() to wait for it.");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	read_arguments(fcinfo, &request);
	values[0] = CStringGetTextDatum(start_or_get(&request, &key, &is_new));
	values[1] = BoolGetDatum(is_new);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/* start_external(queue, name, input, instance_id, start_at, version, tags, on_conflict, trace) */
Datum
durable_start_external(PG_FUNCTION_ARGS)
{
	StartRequest request = {.is_text = true};
	int64		key;

	durable_require_arguments(fcinfo, 9);
	durable_client_enter("start_external", "Use durable.start_orchestration(), or durable.call_sub_orchestrator() to wait for it.");
	request.queue = durable_client_name(fcinfo, 0, "queue name");
	request.name = durable_client_name(fcinfo, 1, "orchestration name");
	request.input = durable_verbatim_wrap(durable_client_text(fcinfo, 2));
	request.instance_id = durable_client_text(fcinfo, 3);
	request.start_at = PG_ARGISNULL(4) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(4);
	request.version = durable_client_text(fcinfo, 5);
	request.tags = PG_ARGISNULL(6) ? NULL : PG_GETARG_JSONB_P(6);
	request.on_conflict = durable_client_text(fcinfo, 7);
	request.trace = durable_client_text(fcinfo, 8);
	if (request.version != NULL)
		durable_client_check_name(request.version, "orchestration version");
	durable_queue_require_or_make(request.queue, false);

	PG_RETURN_TEXT_P(cstring_to_text(durable_client_start(&request, &key)));
}

/* The arguments that both functions have. */
static void
read_arguments(FunctionCallInfo fcinfo, StartRequest *request)
{
	request->name = durable_client_name(fcinfo, 0, "orchestration name");
	request->input = durable_client_json(fcinfo, 1, "input", &request->is_json_text);
	request->instance_id = durable_client_text(fcinfo, 2);
	request->start_at = PG_ARGISNULL(3) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(3);
	request->version = durable_client_text(fcinfo, 4);
	request->tags = PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5);
}

char *
durable_client_start(const StartRequest *request, int64 *key)
{
	bool		is_new;

	return start_or_get(request, key, &is_new);
}

/* *is_new: false if on_conflict has returned an instance that existed. */
static char *
start_or_get(const StartRequest *request, int64 *key, bool *is_new)
{
	Oid			owner = GetUserId();
	StartTarget target = {0};
	char	   *instance_id;
	bool		admitted;

	check_request(request);
	check_owner(owner);
	resolve(request, owner, &target);
	check_target(request, &target);
	durable_client_seed_engine();

	instance_id = request->instance_id ? pstrdup(request->instance_id) : new_instance_id();

	*is_new = true;
	admitted = admit(request, owner);
	while (!insert(request, &target, owner, instance_id, key))
	{
		CHECK_FOR_INTERRUPTS();
		if (settle_conflict(request, owner, key))
		{
			*is_new = false;
			break;
		}
		admitted = admit(request, owner);
	}
	/* The instance that had the id was purged after admit() had seen it. */
	if (*is_new && !admitted)
		take_quota(durable_registry_quota(owner), 1);
	return instance_id;
}

/* On error the abort of the (sub)transaction restores the role. */
char *
durable_client_start_as(Oid owner, const StartRequest *request, bool *is_new)
{
	Oid			user;
	int			context;
	int64		key;
	char	   *instance_id;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_LOCAL_USERID_CHANGE);
	instance_id = start_or_get(request, &key, is_new);
	SetUserIdAndSecContext(user, context);
	return instance_id;
}

char *
durable_client_check_start(const StartRequest *request, const Jsonb **input)
{
	Oid			owner = GetUserId();
	StartTarget target = {0};

	check_request(request);
	check_owner(owner);
	resolve(request, owner, &target);
	check_target(request, &target);
	*input = target.handler != NULL ? target.input : request->input;
	/* The name of a function alone depends on the search_path, and may become ambiguous later. */
	return pstrdup(target.is_registered ? target.name : target.handler->signature);
}

void
durable_client_check_tables(void)
{
	durable_instance_check_table();
	durable_inbox_check_table();
	durable_timer_check_table();
}

/* --- checks --------------------------------------------------------------------------- */

static void
check_request(const StartRequest *request)
{
	if (request->instance_id)
		durable_client_check_name(request->instance_id, "instance id");
	if (TIMESTAMP_IS_NOEND(request->start_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("start_at must be finite"),
				 errhint("Start the instance later, or let its orchestration wait for an event first.")));
	if (request->tags)
	{
		if (!JB_ROOT_IS_OBJECT(request->tags))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("tags must be a JSON object"),
					 errhint("For example, use '{\"customer\": \"Pat\"}'.")));
		durable_json_check_size(request->tags, "object of tags");
	}
	if (request->on_conflict == NULL ||
		(strcmp(request->on_conflict, "error") != 0 &&
		 strcmp(request->on_conflict, "return") != 0 &&
		 strcmp(request->on_conflict, "replace_finished") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for parameter \"on_conflict\": \"%s\"",
						request->on_conflict ? durable_clip(request->on_conflict) : "null"),
				 errhint("Valid values are \"error\", \"return\", and \"replace_finished\".")));
}

/* Without LOGIN no worker could run as that role. */
static void
check_owner(Oid owner)
{
	HeapTuple	tuple;
	bool		can_login;

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for role %u", owner);
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);

	if (!can_login)
	{
		const char *role = quote_identifier(GetUserNameFromId(owner, false));

		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" cannot own workflows because it cannot log in",
						GetUserNameFromId(owner, false)),
				 errdetail("A worker connects as the owner of the workflow, so the owner needs the LOGIN attribute."),
				 errhint("Use ALTER ROLE %s LOGIN. A role without a password still cannot connect where pg_hba.conf requires a password.",
						 role)));
	}
}

/*
 * A quota exists only if an administrator has set one, which is rare.  Returns false if it was not
 * checked because an instance of that id exists: either none is started, or it is replaced, and the
 * caller checks the quota after that.
 */
static bool
admit(const StartRequest *request, Oid owner)
{
	const DurableQuota *quota = durable_registry_quota(owner);
	ClientInstance present;

	if (quota == NULL)
		return true;
	if (request->instance_id && durable_client_look_up(owner, request->instance_id, &present))
		return false;
	take_quota(quota, 0);
	return true;
}

/* inserted: number of rows for which it is taken that this transaction has inserted already */
static void
take_quota(const DurableQuota *quota, int inserted)
{
	QuotaAnswer answer;
	int64		value;

	if (quota == NULL)
		return;

	while ((answer = durable_quota_take(quota, &value)) == QUOTA_MUST_COUNT)
	{
		TimestampTz began_at = GetCurrentTimestamp();
		int64		begun = durable_quota_begin_count(quota->owner);

		durable_quota_counted(quota->owner, begun, durable_instance_count_live(quota->owner) - inserted, began_at);
	}
	if (answer == QUOTA_TOO_MANY)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("role \"%s\" has too many unfinished instances", GetUserNameFromId(quota->owner, false)),
				 errdetail("It has " INT64_FORMAT ", and may have %d.", value, quota->max_live),
				 errhint("Start the instance when others have ended. An administrator can change the limit with durable.set_quota().")));
	if (answer == QUOTA_TOO_FAST)
		ereport(ERROR,
				(errcode(ERRCODE_DURABLE_LIMIT),
				 errmsg("role \"%s\" starts instances too fast", GetUserNameFromId(quota->owner, false)),
				 errdetail("It may start %d in %s.", quota->start_rate,
						   DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(&(Interval) {.time = quota->per_us})))),
				 errhint("The next start is possible in " INT64_FORMAT " ms. An administrator can change the limit with durable.set_quota().", value)));
}

static void
check_target(const StartRequest *request, StartTarget *target)
{
	Handler    *handler = target->handler;

	if (handler != NULL)
		durable_handler_check_privilege(handler);

	/* Parameters of other types take a text, or their input functions report that the input does not fit. */
	if (handler != NULL && request->is_json_text && handler->nargs == 1 &&
		(handler->parameters[0].reader.type == JSONBOID || handler->parameters[0].reader.type == JSONOID))
		durable_client_warn_of_json_text("input");
	target->input = durable_verbatim_convert(request->input, request->is_text, handler == NULL);
	if (handler != NULL)
		target->input = durable_handler_check_input(handler, target->input);
	durable_json_check_size(target->input, "input");
}

/* --- looking up the name -------------------------------------------------------------- */

static void
resolve(const StartRequest *request, Oid owner, StartTarget *target)
{
	const char *name = request->name;
	const Registration *registration;

	durable_registry_load(false);
	registration = durable_handler_registration(name, "orchestration", owner, InvalidOid);
	if (request->version != NULL && (registration != NULL || request->queue == NULL))
	{
		const Registration *same = registration ? durable_registry_version(registration, request->version) : NULL;

		/* The workers of an external orchestration know its versions, so they need not be registered. */
		if (same != NULL)
			registration = same;
		else if (registration == NULL || registration->handler != NULL || request->queue == NULL)
			registration = durable_handler_version(name, request->version, owner);
	}
	target->is_registered = registration != NULL;
	if (registration)
	{
		target->name = registration->name;
		target->version = registration->handler == NULL && request->version != NULL ? request->version : registration->version;
		target->queue = registration->queue;
		target->handler = registration->handler ? durable_handler_resolve(registration->handler) : NULL;
		return;
	}
	if (request->queue != NULL)
	{
		target->name = request->name;
		target->version = request->version;
		target->queue = request->queue;
		target->handler = NULL;
		return;
	}

	target->handler = recall_function(name, owner);
	if (target->handler == NULL)
	{
		target->handler = durable_handler_find(name, "orchestration", InvalidOid);
		remember_function(name, owner, target->handler);
	}
	target->name = target->handler->name;
	target->version = NULL;
}

static Handler *
recall_function(const char *name, Oid owner)
{
	if (!last_function.valid ||
		last_function.role != owner ||
		strcmp(last_function.wanted, name) != 0 ||
		strcmp(last_function.search_path, namespace_search_path) != 0)
		return NULL;
	return durable_handler_resolve(last_function.signature);
}

static void
remember_function(const char *name, Oid owner, const Handler *handler)
{
	MemoryContext old;

	if (last_function.context == NULL)
	{
		last_function.context = AllocSetContextCreate(CacheMemoryContext,
													  "durable last orchestration",
													  ALLOCSET_SMALL_SIZES);
		CacheRegisterSyscacheCallback(PROCOID, forget_function, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_function, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_function, (Datum) 0);
	}

	last_function.valid = false;
	MemoryContextReset(last_function.context);
	old = MemoryContextSwitchTo(last_function.context);
	last_function.wanted = pstrdup(name);
	last_function.role = owner;
	last_function.search_path = pstrdup(namespace_search_path);
	last_function.signature = pstrdup(handler->signature);
	MemoryContextSwitchTo(old);
	last_function.valid = true;
}

/* A function, schema, privilege on a schema or membership has changed, so the name is looked up again. */
static void
forget_function(Datum arg, int cacheid, uint32 hashvalue)
{
	last_function.valid = false;
}

/* --- rows ----------------------------------------------------------------------------- */

/*
 * A UUID of version 7: 48 bits of milliseconds since 1970, 12 bits of the fraction of a
 * millisecond, and random bits.  Ids that grow with time go to the end of the unique
 * index.  Random ids modified another page of it for each instance and took a fifth of the
 * time of a start.
 */
static char *
new_instance_id(void)
{
	pg_uuid_t	uuid;
	uint64		us;
	uint64		ms;
	uint32		fraction;

	draw_random(uuid.data + UUID_LEN - RANDOM_PER_ID);

	us = (uint64) GetCurrentTimestamp() +
		(uint64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	ms = us / 1000;
	fraction = (uint32) (us % 1000) * 4096 / 1000;
	for (int i = 0; i < 6; i++)
		uuid.data[i] = (unsigned char) (ms >> (8 * (5 - i)));
	uuid.data[6] = 0x70 | (unsigned char) (fraction >> 8);
	uuid.data[7] = (unsigned char) fraction;
	uuid.data[8] = (uuid.data[8] & 0x3f) | 0x80;
	return durable_id_of_uuid(&uuid);
}

/*
 * Random bytes are fetched for many ids at once, because fetching a few takes as long as
 * fetching a thousand.  It was an eighth of the time of a start.
 */
static void
draw_random(unsigned char *bytes)
{
	static unsigned char supply[64 * RANDOM_PER_ID];
	static int	left = 0;

	if (left == 0)
	{
		if (!pg_strong_random(supply, sizeof(supply)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		left = sizeof(supply);
	}
	left -= RANDOM_PER_ID;
	memcpy(bytes, supply + left, RANDOM_PER_ID);
}

/* Returns false if the instance id is taken. */
static bool
insert(const StartRequest *request, const StartTarget *target, Oid owner,
	   const char *instance_id, int64 *key)
{
	TimestampTz now = durable_clock_now();
	NewInstance row = {
		.instance_id = instance_id,
		.owner = owner,
		.name = target->name,
		.handler = target->handler ? target->handler->signature : durable_verbatim_handler(target->queue),
		.version = target->version,
		.input = target->input,
		.tags = request->tags,
		.trace = target->handler == NULL ? request->trace : NULL,
		.created_at = now
	};

	if (request->start_at > now)
		row.waiting = durable_waiting_for_start(now, request->start_at);
	if (request->instance_id == NULL)
		durable_instance_insert(&row);
	else
	{
		durable_sql_connect();
		durable_instance_insert_unless_taken(&row);
		durable_sql_finish();
	}
	if (!row.created)
		return false;

	*key = row.key;
	if (request->start_at > now)
	{
		TimerRow	timer = {.key = row.key, .execution = 1, .due = request->start_at};

		durable_timer_insert(owner, list_make1(&timer));
	}
	else
	{
		Message		message = {.owner = owner, .key = row.key, .kind = MESSAGE_START, .at = now};

		durable_inbox_insert(list_make1(&message));
	}
	durable_failpoint_pass(FAILPOINT_START_INSERTED);
	return true;
}

/*
 * The owner has an instance of that id.  Returns true if the caller gets it, and false if
 * the id is free now, so that the caller inserts again.
 */
static bool
settle_conflict(const StartRequest *request, Oid owner, int64 *key)
{
	ClientInstance instance;

	/* The instance was purged, or its insertion rolled back, in the meantime. */
	if (!durable_client_look_up(owner, request->instance_id, &instance))
		return false;

	if (strcmp(request->on_conflict, "return") == 0 ||
		(request->accept_unfinished && !STATUS_IS_FINISHED(instance.status)))
	{
		*key = instance.key;
		return true;
	}
	if (strcmp(request->on_conflict, "replace_finished") == 0 &&
		STATUS_IS_FINISHED(instance.status))
	{
		/* Another session may have replaced it first, so the id is free or in use again. */
		durable_client_purge(instance.key);
		return false;
	}
	ereport(ERROR,
			(errcode(ERRCODE_DURABLE_INSTANCE_EXISTS),
			 errmsg("instance \"%s\" already exists", request->instance_id),
			 errdetail("Its status is %s.", durable_client_status_word(instance.status)),
			 STATUS_IS_FINISHED(instance.status) ?
			 errhint("Use on_conflict => 'replace_finished' to replace the instance, or 'return' to keep it.") :
			 errhint("Use on_conflict => 'return' to keep the existing instance, or choose another instance id.")));
}
