/*
 * shmem.h
 *		Shared memory of the engine, and the state of this process's database.
 *
 * Everything in shared memory is derived from the tables or is a hint, so it may be lost.  The
 * other parts are declared in slot.h, waiter.h, duration.h, quota.h, suspect.h, watch.h and
 * flight.h.
 */
#ifndef DURABLE_SHMEM_H
#define DURABLE_SHMEM_H

#include "durable.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define DURABLE_MAX_DATABASES	64

#define DURABLE_MAX_WANTED		32		/* owners for which a database can request workers at once */

typedef enum DatabaseState
{
	DATABASE_UNUSED,			/* entry is free */
	DATABASE_UNKNOWN,			/* not examined yet: the launcher must start a coordinator */
	DATABASE_ABSENT,			/* examined: the extension does not exist */
	DATABASE_ACTIVE				/* the extension exists */
}			DatabaseState;

/* Layouts are in shared.h, for the files of this folder and the processes. */
typedef struct DurableDatabase DurableDatabase;
typedef struct DurableSlot DurableSlot;

extern void durable_shmem_install_hooks(void);	/* from _PG_init */

/* Was the library preloaded?  require raises 55000 with a hint if it was not. */
extern bool durable_shmem_available(void);
extern void durable_shmem_require(void);
extern char *durable_shmem_preload_line(void);	/* for postgresql.conf */

/* Why the engine does not run in this database, although it is not paused. */
typedef enum HeldReason
{
	HELD_NOT,
	HELD_NO_IDENTITY,			/* there are instances and durable.engine has no row: restored from a dump */
	HELD_OTHER_CLUSTER,			/* the row has the system identifier of another cluster */
	HELD_OTHER_DATABASE,		/* the row belongs to another database of this cluster: a clone */
	HELD_OTHER_VERSION			/* the version of the extension does not match the library */
}			HeldReason;

typedef struct DurableDatabaseInfo
{
	DatabaseState state;
	int			launcher_pid;	/* 0: not running (standby, or about to restart) */
	int			coordinator_pid;	/* 0: not running */
	bool		stopping;		/* DROP DATABASE or the like is under way */
	bool		paused;
	HeldReason	held;
	int			workers;		/* of this database, starting ones included */
	int			workers_total;	/* of the cluster */
	TimestampTz short_since;	/* since when an owner has waited for a free worker; 0: none waits */
	TimestampTz refused_at;		/* when the server last had no process for the engine; 0: never */
	bool		coordinator_left;	/* it had nothing to do, and is started again when there is work */
	TimestampTz coordinator_back_at;	/* virtual time of that work; DT_NOEND: not known */
	TimestampTz coordinator_awaited_since;	/* since when no process has been free for it; 0: it is not needed */
	int			coordinators;	/* of the cluster */
	int			databases;		/* that have the extension */
	int			coordinator_limit;
	Oid			problem_owner;	/* a worker cannot connect as this role; InvalidOid: none known */
	TimestampTz looked_at;		/* last time the coordinator looked at the tables */
}			DurableDatabaseInfo;

/* For durable.doctor().  False if the launcher has not seen this database yet. */
extern bool durable_database_info(DurableDatabaseInfo *info);

/*
 * Is this process's database paused or held, as the coordinator (or durable_engine_check) last
 * read it?
 */
extern bool durable_database_paused(void);

/* For the commit of durable.pause() and durable.unpause(). */
extern void durable_database_set_paused(bool paused);

/*
 * set_flags stores the state that was read from the tables, unless the engine was paused or
 * unpaused since "flags" was read with durable_database_flags.
 */
extern uint32 durable_database_flags(void);
extern void durable_database_set_flags(uint32 flags, bool paused, uint32 held);
extern void durable_database_look(void);	/* work may be due: the coordinator looks at the tables */
extern uint64 durable_database_generation(void);	/* changes when registrations change */

#endif							/* DURABLE_SHMEM_H */
