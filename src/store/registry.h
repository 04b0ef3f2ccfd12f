/*
 * registry.h
 *		Registered orchestrations and activities, cached per process.
 *
 * The cache is filled by durable_registry_load, which runs engine SQL, so never while
 * user code is on the stack.  A registration applies to a role, in this order, if
 *
 *	1. the role made it itself;
 *	2. a superuser or the owner of the extension made it;
 *	3. the role has the privileges of the role that made it.  Not for superusers,
 *	   who have everybody's privileges: otherwise anybody could give names to
 *	   functions that superusers then run.
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
 * Must be called before a unit, or before a client asks, and outside user code;
 * cheap when nothing changed.  force: whether anything changed or not.
 */
extern void durable_registry_load(bool force);

/* The owner's quota; NULL: it has none. */
extern const DurableQuota *durable_registry_quota(Oid owner);

/*
 * NULL when there is none that counts for that role.  The result is valid for the
 * current transaction.  Of the versions of an orchestration it is the newest: the one
 * that its owner registered last, where registering a version again does not count.
 */
extern const Registration *durable_registry_orchestration(const char *name, Oid role);
extern const Registration *durable_registry_activity(const char *name, Oid role);
extern const Registration *durable_registry_entity(const char *name, Oid role);

/*
 * Other versions of an orchestration by the same owner: that one, or NULL; and all that
 * have a version (char *), the newest first.
 */
extern const Registration *durable_registry_version(const Registration *newest, const char *version);
extern List *durable_registry_versions(const Registration *newest);

/*
 * Was it made by the role itself, or by somebody whom everybody has to trust?  Else
 * it counts because the role is a member of another one, and may have more rights
 * than that: see durable_handler_registration.
 */
extern bool durable_registry_is_trusted(const Registration *registration, Oid role);

/* Names (char *) that count for that role; kind "orchestration", "activity" or "entity". For suggestions. */
extern List *durable_registry_names(const char *kind, Oid role);

/*
 * This transaction changed registrations: its own look-ups read the tables each
 * time until it ends, because it may roll back to a savepoint; the others hear of
 * it at commit.
 */
extern void durable_registry_changed(void);

/* auto, inline, task, external; false if it is none of them. */
extern bool durable_registry_execution(const char *word, ActivityExecution *execution);

#endif							/* DURABLE_REGISTRY_H */
