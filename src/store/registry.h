/*
 * registry.h
 *		Registered orchestrations, activities and entities, cached in each process.
 *
 * durable_registry_load fills the cache.  It runs engine SQL, so it must not be called while
 * user code is on the stack.  A registration applies to a role, in this order of precedence, if
 *
 *	1. the role made it itself;
 *	2. a superuser or the owner of the extension made it;
 *	3. the role has the privileges of the role that made it.  This does not apply to
 *	   superusers, who have the privileges of all roles: otherwise any role could define names
 *	   that superusers then use.
 */
#ifndef DURABLE_REGISTRY_H
#define DURABLE_REGISTRY_H

#include "durable.h"
#include "nodes/pg_list.h"
#include "quota.h"
#include "utils/timestamp.h"

typedef enum ActivityExecution
{
	EXECUTION_AUTO,
	EXECUTION_INLINE,
	EXECUTION_TASK,
	EXECUTION_EXTERNAL			/* by a program outside of the database */
}			ActivityExecution;

typedef struct Registration
{
	char	   *name;
	Oid			owner;			/* the role that registered it */
	char	   *handler;		/* signature; NULL: it is external */
	char	   *version;		/* orchestrations, or NULL */
	TimestampTz registered_at;	/* orchestrations: this version, for the first time */
	ActivityExecution execution;	/* activities */
	Jsonb	   *retry;			/* activities: default policy, or NULL */
	Interval   *timeout;		/* activities, or NULL */
	char	   *queue;			/* of activities, or NULL; of the turns and batches of external
								 * orchestrations and entities */
	int			priority;		/* in the queue: smaller is more urgent */
	char	   *share;			/* member of the input that is the key in the queue, or NULL */
}			Registration;

/*
 * Loads the registrations if they have changed, or always with force.  Must be called before a
 * unit and before the look-ups of a client.
 */
extern void durable_registry_load(bool force);

/* The owner's quota; NULL: it has none. */
extern const DurableQuota *durable_registry_quota(Oid owner);

/*
 * The registration of that name that applies to the role; NULL: there is none.  The result is
 * valid until the end of the transaction.  Of an orchestration it is the newest version: the
 * one that its owner registered last, where registering a version again does not count.
 */
extern const Registration *durable_registry_orchestration(const char *name, Oid role);
extern const Registration *durable_registry_activity(const char *name, Oid role);
extern const Registration *durable_registry_entity(const char *name, Oid role);

/*
 * Versions of an orchestration by the same owner: the given one, or NULL; and all versions
 * (char *), the newest first.
 */
extern const Registration *durable_registry_version(const Registration *newest, const char *version);
extern List *durable_registry_versions(const Registration *newest);

/*
 * Was it made by the role itself, a superuser or the owner of the extension?  Else it applies
 * because of a role membership, and the role may have more privileges than the one that made
 * it: see durable_handler_registration.
 */
extern bool durable_registry_is_trusted(const Registration *registration, Oid role);

/* Names (char *) that apply to that role, for hints; kind is "orchestration", "activity" or "entity". */
extern List *durable_registry_names(const char *kind, Oid role);

/*
 * This transaction has changed registrations.  Its own look-ups read the tables each time until
 * it ends, because it may roll back to a savepoint.  Other processes are notified at commit.
 */
extern void durable_registry_changed(void);

/* auto, inline, task, external; false if it is none of them. */
extern bool durable_registry_execution(const char *word, ActivityExecution *execution);

#endif							/* DURABLE_REGISTRY_H */
