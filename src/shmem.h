/*
 * shmem.h
 *		Shared memory of the engine: databases, worker slots, waiters, learned
 *		durations.  All of it can be lost: everything in it is derived from the
 *		tables, or is a hint.
 */
#ifndef DURABLE_SHMEM_H
#define DURABLE_SHMEM_H

#include "durable.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#define DURABLE_MAX_DATABASES	64
#define DURABLE_MAX_SLOTS		64		/* upper bound of durable.max_workers */
#define DURABLE_MAX_WAITERS		1024
#define DURABLE_MAX_WANTED		32		/* owners a database can ask workers for at once */
#define DURABLE_MAX_DURATIONS	2048

typedef enum DatabaseState
{
	DATABASE_UNUSED,			/* entry is free */
	DATABASE_UNKNOWN,			/* not looked at: launcher must start a coordinator */
	DATABASE_ABSENT,			/* looked at: extension is not there */
	DATABASE_ACTIVE				/* extension is there */
}			DatabaseState;

typedef enum SlotState
{
	SLOT_UNUSED,
	SLOT_STARTING,				/* registered, not yet attached */
	SLOT_IDLE,					/* waiting on its latch */
	SLOT_BATCH,					/* in a batch */
	SLOT_TASK					/* in an activity with a transaction of its own */
}			SlotState;

/* Why a worker's activity was cancelled. */
typedef enum CancelReason
{
	CANCEL_NONE,
	CANCEL_TERMINATED
}			CancelReason;

/* shmem.c owns these structs; others go through the functions below. */
typedef struct DurableDatabase DurableDatabase;
typedef struct DurableSlot DurableSlot;

/* Instances that a slot remembers one by one, see wakeup.c. */
#define DURABLE_MAX_NEWS	16

/* What a worker learns from its slot; see durable_slot_take_hints. */
typedef struct DurableHints
{
	int64		low_key;		/* inbox rows with key >= this may be new; 0: look everywhere; INT64_MAX: none */
	int			nnews;			/* and those of these keys */
	int64		news[DURABLE_MAX_NEWS];
	TimestampTz due;			/* a timer may be due from then on; DT_NOEND: none */
	TimestampTz task_due;		/* same for tasks */
	bool		leave;			/* finish the unit and exit */
}			DurableHints;

extern void durable_shmem_install_hooks(void);	/* from _PG_init */

/* True in a server that preloaded us; else the error that says what to do. */
extern bool durable_shmem_available(void);
extern void durable_shmem_require(void);
extern char *durable_shmem_preload_line(void);	/* for postgresql.conf */

/*
 * Slots of workers.  A worker attaches to the slot its coordinator reserved
 * (bgw_extra), and detaches at exit.
 */
extern bool durable_slot_attach(int slotno, uint32 generation);	/* false: reserved for another by now */
extern void durable_slot_set_state(SlotState state);
extern bool durable_slot_sleep(TimestampTz until);	/* IDLE; false when hints are there already */
extern void durable_slot_take_hints(DurableHints *hints);	/* takes them: slot's are reset */
extern void durable_slot_want_peer(void);	/* my batch was full: another worker would help */
extern void durable_slot_was_light(void);	/* my batch did something and was not full */
extern bool durable_slot_is_surplus(void);	/* my batch was full: shall others come first? */
extern void durable_slot_begin_task(int64 key, int32 task);
extern CancelReason durable_slot_cancel_reason(void);	/* is the running task to be stopped? */
extern CancelReason durable_slot_end_task(void);	/* why it was cancelled, if it was */
extern void durable_slot_partition(int *part, int *nparts);	/* my ordinal among the workers of my owner */
extern void durable_slot_count(int64 turns, int64 activities);	/* statistics for durable.workers */
extern bool durable_task_may_start(void);	/* would one worker be left for turns? */
extern void durable_task_ended(void);	/* after each time that it may, whatever came of it */
extern void durable_task_not_due(void); /* or: there is none to start */

/* For the view durable.workers: one slot, false when it is unused. */
typedef struct DurableSlotInfo
{
	int			slot;
	int			pid;			/* 0 while STARTING */
	Oid			database;
	Oid			owner;
	SlotState	state;
	TimestampTz started_at;		/* real time, as are the others */
	TimestampTz state_since;
	int64		units;
	int64		turns;
	int64		activities;
	int64		task_key;		/* in SLOT_TASK: instance and task; else 0 */
	int32		task;
	bool		solo;
	bool		leaving;
}			DurableSlotInfo;
extern bool durable_slot_info(int slotno, DurableSlotInfo *info);

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
	TimestampTz no_process_since;	/* max_worker_processes is used up since then; 0: it is not */
	Oid			problem_owner;	/* a worker cannot connect as this role; InvalidOid: none known */
	TimestampTz looked_at;		/* last time the coordinator looked at the tables */
}			DurableDatabaseInfo;
extern bool durable_database_info(DurableDatabaseInfo *info);

/* This process's database, as the coordinator (or durable_engine_check) last read it. */
extern bool durable_database_paused(void);	/* paused, or held because the database is a copy */
extern uint64 durable_database_generation(void);	/* changes when registrations change */

/* Virtual clock: microseconds to add in this database. */
extern int64 durable_clock_offset(void);
extern void durable_clock_advance(int64 us);

/* How long an activity takes, in us: -1 unknown. Kept per (database, function). */
extern int64 durable_duration_get(Oid function);
extern void durable_duration_learn(Oid function, int64 us);

/*
 * Solo mode: after a worker was lost in a unit, its successor runs one instance
 * at a time, and notes it here before it runs.  enter returns how often it was
 * entered without being left, this time included; not_before says until when it
 * should be left alone (backoff), DT_NOBEGIN if it may run.  It is entered
 * DURABLE_MAX_LOST times at most.  One that cannot be stopped by other means is
 * condemned, and not entered again.
 */
#define DURABLE_MAX_LOST	5
extern int	durable_suspect_enter(int64 key);
extern void durable_suspect_leave(int64 key);
extern TimestampTz durable_suspect_not_before(int64 key);
extern void durable_suspect_condemn(int64 key);
extern bool durable_suspect_condemned(int64 key);

/*
 * Notes on disk of who is running (crash.c), by what they are of and its id: was
 * it written since the server started?
 */
extern bool durable_note_is_new(int of, int64 id);
extern void durable_note_written(int of, int64 id);

/* Waiting for the end of an instance (durable.wait). */
extern int	durable_waiter_begin(int64 key);	/* slot number; errors when none is free */
extern bool durable_waiter_signalled(int waiter);	/* and resets the signal */
extern bool durable_waiter_wait(int waiter, long ms);	/* sleeps on MyLatch until signalled or ms are over */
extern void durable_waiter_end(int waiter);	/* must be called on error too; process exit does it by itself */

#endif							/* DURABLE_SHMEM_H */
