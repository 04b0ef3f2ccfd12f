/*
 * registry.c
 *		Registered orchestrations and activities, and quotas of owners, cached per process.
 *
 * Owns:		reading of durable.orchestration and durable.activity (registration_api.c
 *				writes them) and of durable.quota (quota_api.c)
 * Called by:	worker.c, companion_main.c, testing_api.c (load); client API (load and look
 *				up); batch_store.c, entity_run.c, external.c, handler_find.c and the durable
 *				calls (look up)
 * Locks:		those that a SELECT takes
 * Memory:		one context for all of a load, under CacheMemoryContext; a later load
 *				frees it when the transaction ends
 *
 * The cache is good while the generation of registrations in shared memory stays the
 * same.  The generation is read before the tables are: a commit in between causes one
 * load too many, and never one too few.  In three cases the cache is valid for a
 * shorter time:
 *
 *	- This transaction has changed registrations: the cache is not used until the
 *	  transaction ends.
 *	- The tables were read with a snapshot that is older than the generation (repeatable
 *	  read): the cache is valid for this transaction.
 *	- COMMIT PREPARED does not change the generation: the cache is valid for
 *	  durable.recheck_interval.
 */
#include "postgres.h"

#include "registry.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "clock.h"
#include "guc.h"
#include "miscadmin.h"
#include "retry.h"
#include "shmem.h"
#include "sql.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "wakeup.h"

/* Sorted by name, then owner, then from the newest version to the oldest. */
typedef struct RegistrationList
{
	int			length;
	Registration *entries;
}			RegistrationList;

static struct
{
	MemoryContext context;		/* NULL: nothing loaded */
	RegistrationList orchestrations;
	RegistrationList activities;
	RegistrationList entities;
	int			nquotas;
	DurableQuota *quotas;

	bool		valid;
	uint64		generation;
	Oid			extension;		/* of this creation of the extension */
	TimestampTz loaded_at;		/* start of the transaction */
}			registry;

static bool changed_here = false;	/* by this transaction */

static DurableSql select_orchestrations = {
	.text = "SELECT name, owner, handler, nullif(version, ''), registered_at, queue FROM durable.orchestration"
};
static DurableSql select_activities = {
	.text = "SELECT name, owner, handler, execution, retry, timeout, queue, priority, share FROM durable.activity"
};

static DurableSql select_entities = {
	.text = "SELECT name, owner, handler, queue FROM durable.entity_type"
};

static DurableSql select_quotas = {
	.text = "SELECT owner, coalesce(max_live, 0), coalesce(start_rate, 0), per FROM durable.quota"
};

static bool is_current(uint64 generation);
static void read_tables(MemoryContext context);
static void read_orchestrations(RegistrationList *list);
static void read_activities(RegistrationList *list);
static void read_entities(RegistrationList *list);
static DurableQuota *read_quotas(int *n);
static int	compare(const void *left, const void *right);
static void at_end_of_transaction(MemoryContextCallbackFunction function, void *arg);
static void free_context(void *context);
static void forget_all(void *arg);
static void forget_changes(void *arg);
static const Registration *find(const RegistrationList *list, const char *name, Oid role);
static bool is_same(const Registration *entry, const Registration *other);
static int	rank(const Registration *registration, Oid role);

/* --- loading -------------------------------------------------------------------------------------------------------------- */

void
durable_registry_load(bool force)
{
	uint64		generation = durable_database_generation();
	MemoryContext context;

	if (!force && is_current(generation))
		return;

	context = AllocSetContextCreate(CurrentMemoryContext, "durable registrations", ALLOCSET_SMALL_SIZES);
	read_tables(context);

	if (registry.context != NULL)
		at_end_of_transaction(free_context, registry.context);
	MemoryContextSetParent(context, CacheMemoryContext);
	registry.context = context;
	registry.generation = generation;
	registry.extension = durable_extension_oid();
	registry.loaded_at = durable_clock_transaction_start();
	registry.valid = true;
	if (IsolationUsesXactSnapshot())
		at_end_of_transaction(forget_all, NULL);
}

/* Generation 1 belongs to no database: shared memory has no entry of this one. */
static bool
is_current(uint64 generation)
{
	return registry.valid && !changed_here &&
		generation == registry.generation && generation > 1 &&
		registry.extension == durable_extension_oid() &&
		!TimestampDifferenceExceeds(registry.loaded_at, durable_clock_transaction_start(),
									durable_recheck_interval);
}

static void
read_tables(MemoryContext context)
{
	RegistrationList orchestrations;
	RegistrationList activities;
	RegistrationList entities;
	DurableQuota *quotas;
	int			nquotas;
	MemoryContext caller;

	durable_sql_connect();
	caller = MemoryContextSwitchTo(context);
	read_orchestrations(&orchestrations);
	read_activities(&activities);
	read_entities(&entities);
	quotas = read_quotas(&nquotas);
	MemoryContextSwitchTo(caller);
	durable_sql_finish();

	registry.orchestrations = orchestrations;
	registry.activities = activities;
	registry.entities = entities;
	registry.quotas = quotas;
	registry.nquotas = nquotas;
}

static void
read_orchestrations(RegistrationList *list)
{
	list->length = durable_sql_run(&select_orchestrations, NULL, NULL, false, 0);
	list->entries = palloc0(sizeof(Registration) * list->length);
	for (int i = 0; i < list->length; i++)
	{
		Registration *entry = &list->entries[i];
		bool		isnull;

		entry->name = durable_sql_text(i, 1);
		entry->owner = durable_sql_oid(i, 2);
		entry->handler = durable_sql_text(i, 3);
		entry->version = durable_sql_text(i, 4);
		entry->registered_at = durable_sql_timestamptz(i, 5, &isnull);
		entry->queue = durable_sql_text(i, 6);
	}
	qsort(list->entries, list->length, sizeof(Registration), compare);
}

static void
read_activities(RegistrationList *list)
{
	list->length = durable_sql_run(&select_activities, NULL, NULL, false, 0);
	list->entries = palloc0(sizeof(Registration) * list->length);
	for (int i = 0; i < list->length; i++)
	{
		Registration *entry = &list->entries[i];
		char	   *execution = durable_sql_text(i, 4);
		bool		no_timeout;
		Datum		timeout = durable_sql_datum(i, 6, &no_timeout);

		entry->name = durable_sql_text(i, 1);
		entry->owner = durable_sql_oid(i, 2);
		entry->handler = durable_sql_text(i, 3);
		if (!durable_registry_execution(execution, &entry->execution))
			elog(ERROR, "activity \"%s\" has unknown execution \"%s\"", entry->name, execution);
		entry->retry = durable_sql_jsonb(i, 5);
		if (!no_timeout)
		{
			entry->timeout = palloc(sizeof(Interval));
			*entry->timeout = *DatumGetIntervalP(timeout);
		}
		entry->queue = durable_sql_text(i, 7);
		entry->priority = durable_sql_int4(i, 8);
		entry->share = durable_sql_text(i, 9);
	}
	qsort(list->entries, list->length, sizeof(Registration), compare);
}

static void
read_entities(RegistrationList *list)
{
	list->length = durable_sql_run(&select_entities, NULL, NULL, false, 0);
	list->entries = palloc0(sizeof(Registration) * list->length);
	for (int i = 0; i < list->length; i++)
	{
		Registration *entry = &list->entries[i];

		entry->name = durable_sql_text(i, 1);
		entry->owner = durable_sql_oid(i, 2);
		entry->handler = durable_sql_text(i, 3);
		entry->queue = durable_sql_text(i, 4);
	}
	qsort(list->entries, list->length, sizeof(Registration), compare);
}

static DurableQuota *
read_quotas(int *n)
{
	DurableQuota *quotas;

	*n = durable_sql_run(&select_quotas, NULL, NULL, false, 0);
	quotas = palloc0(sizeof(DurableQuota) * *n);
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;
		Datum		per = durable_sql_datum(i, 4, &isnull);

		quotas[i].owner = durable_sql_oid(i, 1);
		quotas[i].max_live = durable_sql_int4(i, 2);
		quotas[i].start_rate = durable_sql_int4(i, 3);
		quotas[i].per_us = isnull ? 0 : durable_retry_interval_us(DatumGetIntervalP(per));
	}
	return quotas;
}

static int
compare(const void *left, const void *right)
{
	const Registration *a = left;
	const Registration *b = right;
	int			order = strcmp(a->name, b->name);

	if (order == 0)
		order = (a->owner > b->owner) - (a->owner < b->owner);
	if (order == 0)
		order = (a->registered_at < b->registered_at) - (a->registered_at > b->registered_at);
	if (order == 0)
		order = strcmp(b->version ? b->version : "", a->version ? a->version : "");
	return order;
}

/* --- the end of the transaction ----------------------------------------------------------------------------------------------- */

void
durable_registry_changed(void)
{
	if (!changed_here)
		at_end_of_transaction(forget_changes, NULL);
	changed_here = true;
	durable_wakeup_registrations();
}

static void
at_end_of_transaction(MemoryContextCallbackFunction function, void *arg)
{
	MemoryContextCallback *callback;

	callback = MemoryContextAlloc(TopTransactionContext, sizeof(MemoryContextCallback));
	callback->func = function;
	callback->arg = arg;
	MemoryContextRegisterResetCallback(TopTransactionContext, callback);
}

static void
free_context(void *context)
{
	MemoryContextDelete(context);
}

static void
forget_all(void *arg)
{
	registry.valid = false;
}

static void
forget_changes(void *arg)
{
	changed_here = false;
	registry.valid = false;
}

/* --- look-up --------------------------------------------------------------------------------------------------------------------- */

/* A linear search is enough, because there are few of them. */
const DurableQuota *
durable_registry_quota(Oid owner)
{
	for (int i = 0; i < registry.nquotas; i++)
		if (registry.quotas[i].owner == owner)
			return &registry.quotas[i];
	return NULL;
}

const Registration *
durable_registry_orchestration(const char *name, Oid role)
{
	return find(&registry.orchestrations, name, role);
}

const Registration *
durable_registry_activity(const char *name, Oid role)
{
	return find(&registry.activities, name, role);
}

const Registration *
durable_registry_entity(const char *name, Oid role)
{
	return find(&registry.entities, name, role);
}

const Registration *
durable_registry_version(const Registration *newest, const char *version)
{
	const Registration *end = registry.orchestrations.entries + registry.orchestrations.length;

	for (const Registration *entry = newest; entry < end && is_same(entry, newest); entry++)
		if (entry->version != NULL && strcmp(entry->version, version) == 0)
			return entry;
	return NULL;
}

List *
durable_registry_versions(const Registration *newest)
{
	const Registration *end = registry.orchestrations.entries + registry.orchestrations.length;
	List	   *versions = NIL;

	for (const Registration *entry = newest; entry < end && is_same(entry, newest); entry++)
		if (entry->version != NULL)
			versions = lappend(versions, pstrdup(entry->version));
	return versions;
}

/* Do they differ in their version only? */
static bool
is_same(const Registration *entry, const Registration *other)
{
	return entry->owner == other->owner && strcmp(entry->name, other->name) == 0;
}

/* Among equals, the role that was created first is chosen; the rule only has to be the same in every process. */
static const Registration *
find(const RegistrationList *list, const char *name, Oid role)
{
	const Registration *best = NULL;
	int			best_rank = 0;
	int			low = 0;
	int			high = list->length;

	/* the first one of that name */
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(list->entries[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}

	for (; low < list->length && strcmp(list->entries[low].name, name) == 0; low++)
	{
		int			this_rank = rank(&list->entries[low], role);

		if (this_rank > best_rank)
		{
			best = &list->entries[low];
			best_rank = this_rank;
		}
	}

	return best;
}

/* 0 means that the registration does not apply.  Higher values come first. */
static int
rank(const Registration *registration, Oid role)
{
	Oid			owner = registration->owner;

	if (owner == role)
		return 3;
	if (superuser_arg(owner) || owner == durable_extension_owner())
		return 2;
	if (!superuser_arg(role) && has_privs_of_role(role, owner))
		return 1;
	return 0;
}

bool
durable_registry_is_trusted(const Registration *registration, Oid role)
{
	return rank(registration, role) > 1;
}

List *
durable_registry_names(const char *kind, Oid role)
{
	const RegistrationList *list = strcmp(kind, "activity") == 0 ? &registry.activities :
		strcmp(kind, "entity") == 0 ? &registry.entities : &registry.orchestrations;
	List	   *names = NIL;

	for (int i = 0; i < list->length; i++)
		if (rank(&list->entries[i], role) > 0)
			names = lappend(names, pstrdup(list->entries[i].name));

	return names;
}

bool
durable_registry_execution(const char *word, ActivityExecution *execution)
{
	if (strcmp(word, "auto") == 0)
		*execution = EXECUTION_AUTO;
	else if (strcmp(word, "inline") == 0)
		*execution = EXECUTION_INLINE;
	else if (strcmp(word, "task") == 0)
		*execution = EXECUTION_TASK;
	else if (strcmp(word, "external") == 0)
		*execution = EXECUTION_EXTERNAL;
	else
		return false;

	return true;
}
