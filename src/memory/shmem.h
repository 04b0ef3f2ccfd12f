/*
 * shmem.h
 *		Shared memory of the engine: whether it is there, and the entries of
 *		databases.  All of it can be lost: everything in it is derived from the
 *		tables, or is a hint.  Its other parts: slot.h, waiter.h, duration.h, quota.h, suspect.h, flight.h.
 */
#ifndef DURABLE_SHMEM_H
#define DURABLE_SHMEM_H

#include "durable.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define DURABLE_MAX_DATABASES	64

#define DURABLE_MAX_WANTED		32		/* owners a database can ask workers for at once */


typedef enum DatabaseState
{
	DATABASE_UNUSED,			/* entry is free */
	DATABASE_UNKNOWN,			/* not looked at: launcher must start a coordinator */
	DATABASE_ABSENT,			/* looked at: extension is not there */
	DATABASE_ACTIVE				/* extension is there */
}			DatabaseState;

/* shmem.c owns these structs; others go through the functions below. */
typedef struct DurableDatabase DurableDatabase;
typedef struct DurableSlot DurableSlot;

extern void durable_shmem_install_hooks(void);	/* from _PG_init */

/* True in a server that preloaded us; else the error that says what to do. */
extern bool durable_shmem_available(void);
extern void durable_shmem_require(void);
extern char *durable_shmem_preload_line(void);	/* for postgresql.conf */

/*
 * For durable.doctor(): this process's database.  False when the launcher has
 * not heard of it yet.
 */
typedef enum HeldReason
{
	HELD_NOT,
	HELD_NO_IDENTITY,			/* instances, but no row in durable.engine: restored from a dump */
	HELD_OTHER_CLUSTER,			/* the system identifier is another one */
	HELD_OTHER_DATABASE,		/* same cluster, other database: a clone */
	HELD_OTHER_VERSION			/* of the extension than the library is for */
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
	TimestampTz short_since;	/* an owner waits for a free worker since then; 0: none does */
	TimestampTz refused_at;		/* when the server last had no process for us; 0: never */
	bool		coordinator_left;	/* it had nothing to do, and comes back when it has */
	TimestampTz coordinator_back_at;	/* virtual time; DT_NOEND: not known of any */
	TimestampTz coordinator_awaited_since;	/* it is needed and there is no room; 0: it is not */
	int			coordinators;	/* of the cluster */
	int			databases;		/* that have the extension */
	int			coordinator_limit;
	Oid			problem_owner;	/* a worker cannot connect as this role; InvalidOid: none known */
	TimestampTz looked_at;		/* last time the coordinator looked at the tables */
}			DurableDatabaseInfo;
extern bool durable_database_info(DurableDatabaseInfo *info);

/* This process's database, as the coordinator (or durable_engine_check) last read it. */
extern bool durable_database_paused(void);	/* paused, or held because the database is a copy */

/* durable.pause() or unpause() has been committed. */
extern void durable_database_set_paused(bool paused);

/* What has been read from the tables after flags was, unless somebody has paused the engine in between. */
extern uint32 durable_database_flags(void);
extern void durable_database_set_flags(uint32 flags, bool paused, uint32 held);
extern void durable_database_look(void);	/* something may be due: look at its tables */
extern uint64 durable_database_generation(void);	/* changes when registrations change */

#endif							/* DURABLE_SHMEM_H */
