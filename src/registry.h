/*
 * registry.h
 *		Registered orchestrations and activities, cached per process.
 *
 * The cache is filled by durable_registry_load (which runs engine SQL, so never
 * while user code is on the stack) and is good until the generation in shared
 * memory changes.  In sessions other than workers it is loaded at each use from
 * the client API.  A registration counts for a role when the role has the
 * privileges of the registering role, or when that role is a superuser or the
 * owner of the extension.  Own registrations come first.
 */
#ifndef DURABLE_REGISTRY_H
#define DURABLE_REGISTRY_H

#include "durable.h"
#include "nodes/pg_list.h"

typedef enum ActivityExecution
{
	EXECUTION_AUTO,
	EXECUTION_INLINE,
	EXECUTION_TASK
}			ActivityExecution;

typedef struct Registration
{
	char	   *name;
	Oid			owner;			/* who registered it */
	char	   *handler;		/* signature */
	char	   *version;		/* orchestrations, or NULL */
	ActivityExecution execution;	/* activities */
	Jsonb	   *retry;			/* activities: default policy, or NULL */
	Interval   *timeout;		/* activities, or NULL */
}			Registration;

/* Must be called before a unit, outside user code; cheap when nothing changed. */
extern void durable_registry_load(bool force);

/* NULL when there is none that counts for that role. */
extern const Registration *durable_registry_orchestration(const char *name, Oid role);
extern const Registration *durable_registry_activity(const char *name, Oid role);

/* Names (char *) that count for that role; kind "orchestration" or "activity". For suggestions. */
extern List *durable_registry_names(const char *kind, Oid role);

#endif							/* DURABLE_REGISTRY_H */
