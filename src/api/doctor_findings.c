/*-------------------------------------------------------------------------
 *
 * doctor_findings.c
 *		Describes the findings of durable.doctor in the instances.
 *
 * Owns:	nothing
 * Called by: doctor_walk.c
 * Locks:	those of reading
 * Memory:	the context of the check
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "code_table.h"
#include "doctor_walk.h"
#include "handler.h"
#include "kept_code.h"
#include "sql.h"

static void say_coverage(Walk *walk);
static void say_owners(Walk *walk);
static void say_codes(Walk *walk);
static void say_suspended(Walk *walk);
static void say_mistyped(Walk *walk);
static void say_stuck(Walk *walk);
static void say_orphans(Walk *walk);
static void resolve_code(void *arg);

/* One pass over the timers.  It does not search by key, so it does not use the plans of engine SQL. */
static const char *const timers_of_keys =
"SELECT DISTINCT t.key FROM durable.timer t WHERE t.key = ANY ($1)";

void
durable_doctor_say_walk(Walk *walk)
{
	say_coverage(walk);
	say_owners(walk);
	say_codes(walk);
	say_suspended(walk);
	say_mistyped(walk);
	say_stuck(walk);
	say_orphans(walk);
}

/*
 * An incomplete walk is not a fault, so the check is ok; the detail says how many
 * instances the answer does not cover.
 */
static void
say_coverage(Walk *walk)
{
	int64		looked_at = walk->n_oldest + walk->n_newest;
	int64		all;

	if (walk->complete)
	{
		durable_doctor_say(walk->doctor, "coverage", true,
						   psprintf("checked all %s", durable_doctor_count_exactly(looked_at, "instance", "instances")), NULL);
		return;
	}
	durable_doctor_query("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'durable.instance'::regclass",
						 0, NULL, NULL);
	all = durable_sql_int8(0, 1);
	durable_doctor_say(walk->doctor, "coverage", true,
					   psprintf("checked only the " INT64_FORMAT " oldest and the " INT64_FORMAT " newest%s instances; "
								"SELECT * FROM durable.doctor(time_limit => NULL) checks all of them",
								walk->n_oldest, walk->n_newest,
								all > looked_at ? psprintf(" of about " INT64_FORMAT, all) : ""),
					   NULL);
}

static void
say_owners(Walk *walk)
{
	HASH_SEQ_STATUS scan;
	OwnerCount *entry;
	StringInfoData detail;
	char	   *hint = NULL;
	int			n = 0;

	initStringInfo(&detail);
	hash_seq_init(&scan, walk->owners);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(entry->owner));
		bool		exists = HeapTupleIsValid(tuple);
		bool		can_work = exists;
		char	   *name = psprintf("%u", entry->owner);

		if (exists)
		{
			Form_pg_authid role = (Form_pg_authid) GETSTRUCT(tuple);

			can_work = role->rolcanlogin;
			name = pstrdup(NameStr(role->rolname));
			ReleaseSysCache(tuple);
		}
		if (can_work)
			continue;
		if (n++ < DOCTOR_LISTED)
			appendStringInfo(&detail, "%s%s %s, and has %s", detail.len > 0 ? "; " : "",
							 exists ? quote_identifier(name) : name,
							 exists ? "is not permitted to log in" : "does not exist",
							 durable_doctor_count_exactly(entry->instances, "instance", "instances"));
		if (hint == NULL)
			hint = exists ? psprintf("Workers connect as the owner of the instances: ALTER ROLE %s LOGIN; lets them run.", quote_identifier(name)) :
				psprintf("Instances of a role that does not exist cannot run. "
						 "SELECT durable.terminate(instance_id) FROM durable.instances WHERE owner::oid = %s AND runtime_status IN ('Pending', 'Running', 'Suspended'); "
						 "called by a superuser, ends them.", name);
	}
	if (n > DOCTOR_LISTED)
		appendStringInfo(&detail, "; and %d more", n - DOCTOR_LISTED);
	durable_doctor_say(walk->doctor, "owners", n == 0,
					   n == 0 ? "workers can connect as all owners of unfinished instances" : detail.data, hint);
}

/* Checks for each name of a function whether it still exists and has the same code. */
static void
say_codes(Walk *walk)
{
	ListCell   *cell;
	int			norphans = 0;
	int			nchanged = 0;
	StringInfoData orphans;
	StringInfoData changed;

	initStringInfo(&orphans);
	initStringInfo(&changed);
	foreach(cell, walk->codes)
	{
		Code	   *code = lfirst(cell);
		ErrorData  *error = durable_doctor_attempt(resolve_code, code);

		if (error && norphans++ < DOCTOR_LISTED)
			appendStringInfo(&orphans, "%s%s", orphans.len > 0 ? "; " : "", error->message);
		if (code->changed && nchanged++ < DOCTOR_LISTED)
			appendStringInfo(&changed, "%s%s began with different code of %s", changed.len > 0 ? "; " : "",
							 durable_doctor_count_exactly(code->instances, "instance", "instances"), code->signature);
	}
	if (norphans > DOCTOR_LISTED)
		appendStringInfo(&orphans, "; and %d more", norphans - DOCTOR_LISTED);
	if (nchanged > DOCTOR_LISTED)
		appendStringInfo(&changed, "; and %d more", nchanged - DOCTOR_LISTED);

	durable_doctor_say(walk->doctor, "orphan_handlers", norphans == 0,
					   norphans == 0 ? "all functions that are registered or in use exist" : orphans.data,
					   "Use CREATE FUNCTION with the same schema, name and argument types; then SELECT durable.resume(instance_id) FROM durable.instances WHERE runtime_status = 'Suspended'; resumes its instances.");
	durable_doctor_say(walk->doctor, "old_code", nchanged == 0,
					   nchanged == 0 ? "all unfinished instances began with the current code" : changed.data,
					   "These instances continue to run as long as the new code makes the same durable calls. An instance whose calls differ is suspended; SELECT * FROM durable.verify_replay(name); shows these instances and the first difference.");
}

/* Raises an error if the function does not exist, and notes whether its code has changed without a kept copy. */
static void
resolve_code(void *arg)
{
	Code	   *code = arg;
	Handler    *handler = durable_handler_lookup(code->signature);
	char	   *copy;
	int64		hash;

	if (code->hash != 0 && (handler == NULL || durable_handler_code_hash(handler) != code->hash) &&
		(copy = durable_code_find_copy(code->signature, code->hash, &hash)) != NULL)
	{
		(void) durable_kept_code_resolve(copy, hash, code->signature);
		return;
	}
	handler = durable_handler_resolve(code->signature);
	code->changed = code->hash != 0 && code->hash != durable_handler_code_hash(handler);
}

static void
say_suspended(Walk *walk)
{
	char	   *detail = "no instance is suspended because of an error";

	if (walk->suspended_id)
		detail = psprintf("%s; the latest, \"%s\": %s",
						  durable_doctor_count_exactly(walk->nsuspended, "instance", "instances"),
						  walk->suspended_id, walk->suspended_why);
	durable_doctor_say(walk->doctor, "suspended", walk->suspended_id == NULL, detail,
					   walk->suspended_id == NULL ? NULL :
					   psprintf("SELECT * FROM durable.waiting WHERE kind = 'resume'; shows all reasons. "
								"After the cause is corrected, SELECT durable.resume(%s); resumes the instance.",
								quote_literal_cstr(walk->suspended_id)));
}

static void
say_mistyped(Walk *walk)
{
	char	   *detail = walk->mistyped;

	if (walk->nmistyped > 1)
		detail = psprintf("%s; and %d similar events", detail, walk->nmistyped - 1);
	durable_doctor_say(walk->doctor, "buffered_events", walk->nmistyped == 0,
					   walk->nmistyped == 0 ? "no event name seems to be mistyped" : detail,
					   walk->nmistyped == 0 ? NULL :
					   psprintf("Did you mean \"%s\"? SELECT * FROM durable.buffered_events; shows the events for which no instance waits. Use durable.raise_event() to send the intended event.",
								walk->meant));
}

/*
 * Every instance that is not finished must have a reason to continue later: a message,
 * a timer, an activity, a child, or an event that a client may raise.
 */
static void
say_stuck(Walk *walk)
{
	int			n = list_length(walk->stuck);
	int			nstuck = 0;
	const char *example = NULL;

	if (n > 0)
	{
		Datum	   *keys = palloc(n * sizeof(Datum));
		Oid			types[1] = {INT8ARRAYOID};
		Datum		values[1];
		uint64		nrows;

		for (int i = 0; i < n; i++)
			keys[i] = Int64GetDatum(*(int64 *) list_nth(walk->stuck, i));
		values[0] = PointerGetDatum(construct_array(keys, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		nrows = durable_doctor_query(timers_of_keys, 1, types, values);
		for (int i = 0; i < n; i++)
		{
			bool		has_timer = false;

			for (uint64 row = 0; row < nrows && !has_timer; row++)
				has_timer = durable_sql_int8(row, 1) == DatumGetInt64(keys[i]);
			if (!has_timer && nstuck++ == 0)
				example = list_nth(walk->stuck_ids, i);
		}
	}
	durable_doctor_say(walk->doctor, "liveness", nstuck == 0,
					   nstuck == 0 ? "every unfinished instance can make progress" :
					   psprintf("%s waiting for no message, timer, activity, or event, such as \"%s\"",
								durable_doctor_count_exactly(nstuck, "instance", "instances"), example),
					   example == NULL ? NULL :
					   psprintf("This is a defect of the engine; please report it. SELECT durable.terminate(%s); ends the instance.",
								quote_literal_cstr(example)));
}

/* A user has ended only the parent, or has purged it.  This is shown, but is not a fault. */
static void
say_orphans(Walk *walk)
{
	char	   *detail = "every running sub-orchestration has a running parent or was started with close_policy abandon";

	if (walk->norphans > 0)
		detail = psprintf("%s whose parent has ended: \"%s\" of %s%s. SELECT durable.terminate(%s); ends it",
						  durable_doctor_count_exactly(walk->norphans, "sub-orchestration runs", "sub-orchestrations run"),
						  walk->orphan,
						  walk->orphan_parent ? psprintf("\"%s\"", walk->orphan_parent) : "a parent that no longer exists",
						  walk->norphans > 1 ? ", and others" : "",
						  quote_literal_cstr(walk->orphan));
	durable_doctor_say(walk->doctor, "orphans", true, detail, NULL);
}
