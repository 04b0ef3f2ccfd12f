/*
 * shared.h
 *		Layout of shared memory; for the files of this folder and the processes only.
 *
 * All other files use the functions of shmem.h.
 *
 * Locking.  The LWLock "durable" protects to which database an entry of databases[] belongs,
 * and for which owner a slot is reserved.  It is never taken in a commit callback.  Each
 * entry and each slot has a spinlock for the fields that change often.  The order is LWLock,
 * then one spinlock; no process holds two spinlocks at once.  Fields marked (L) are written
 * under the LWLock and the spinlock, so holding either is enough to read them.  (S) are read
 * and written under the spinlock.  (A) are atomics.
 *
 * DurableDatabase.slots lets a committing session find the workers of its database without
 * reading the other slots.
 */
#ifndef DURABLE_SHARED_H
#define DURABLE_SHARED_H

#include "duration.h"
#include "failpoint.h"
#include "flight_file.h"
#include "guc.h"
#include "slot.h"
#include "suspect.h"
#include "waiter.h"

#define WAITER_BUCKETS		256
#define MAX_SUSPECTS		256
#define MAX_EXITS			16

/* A registered process that has not attached after that time is given up; in ms. */
#define DURABLE_START_TIMEOUT	30000

/* How a worker ended. */
typedef enum WorkerExit
{
	EXIT_CLEAN,					/* it was idle, was asked to leave, or is replaced */
	EXIT_USELESS,				/* the same, and it found no work */
	EXIT_NOT_STARTED,			/* it could not connect, or the process was not started */
	EXIT_FAILED,				/* error between two units */
	EXIT_LOST,					/* it ended within a unit */
	EXIT_BY_CODE				/* user code ended the process */
}			WorkerExit;

typedef struct WorkerExitReport
{
	Oid			owner;
	WorkerExit	how;
}			WorkerExitReport;

typedef enum CoordinatorState
{
	COORDINATOR_NONE,
	COORDINATOR_STARTING,		/* registered, not yet attached */
	COORDINATOR_RUNNING
}			CoordinatorState;

struct DurableDatabase
{
	slock_t		mutex;
	Oid			database;		/* (L) */
	DatabaseState state;		/* (L) */
	pg_atomic_uint64 slots;		/* (A) bit n: slot n belongs to this database; set under LWLock */
	pg_atomic_uint64 generation;	/* (A) counts changes of registrations */
	pg_atomic_uint64 clock_offset;	/* (A) virtual clock, microseconds */
	pg_atomic_uint64 newest_key;	/* (A) about the highest key of an instance that got a message since the start */
	pg_atomic_uint32 flags;		/* (A) paused, held: DATABASE_PAUSED | HeldReason */
	pg_atomic_uint32 watch_changed; /* (A) a watched table has changed; see watch.c */
	pg_atomic_uint32 watch_all;	/* (A) any watched table may have changed; 1 after a start of the server */

	/* coordinator */
	CoordinatorState coordinator;	/* (L) */
	int			coordinator_pid;	/* (S) */
	Latch	   *coordinator_latch;	/* (S) NULL: none */
	TimestampTz coordinator_started;	/* (L) real time; for the throttle, and identifies the reservation */
	int			coordinator_failures;	/* (L) in a row */
	TimestampTz coordinator_sleeps_until;	/* (S) virtual time; DT_NOEND: it is awake; if it has left: when it
											 * is started again */
	bool		coordinator_left;	/* (S) it has ended because it had nothing to do, or to make room */
	bool		coordinator_asked;	/* (S) it is asked to make room for that of another database */
	TimestampTz coordinator_quiet_since;	/* (S) real time; 0: it has something to do */
	TimestampTz coordinator_awaited_since;	/* (S) real time; no process is free for it; 0: it is not needed */

	/* requests to the coordinator */
	bool		look;			/* (S) look at the tables */
	bool		admit;			/* (S) start activities that wait in queues */
	bool		examine;		/* (S) an ABSENT database may have the extension by now */
	int			nwanted;		/* (S) */
	Oid			wanted[DURABLE_MAX_WANTED]; /* (S) owners that need a worker */
	int			nexits;			/* (S) */
	WorkerExitReport exits[MAX_EXITS];	/* (S) */

	/* DROP DATABASE or the like needs the database without connections until then (real time) */
	TimestampTz stop_until;		/* (S) 0: not */

	/* since when an owner has waited for a free worker (real time); 0: none waits */
	TimestampTz short_since;	/* (L) */

	/* for durable.doctor() */
	Oid			problem_owner;	/* (S) */
	TimestampTz looked_at;		/* (S) */
};

#define DATABASE_PAUSED		0x100	/* the low byte of flags is a HeldReason */
#define DATABASE_STATE		0xffff	/* the other bits count pauses: durable_database_set_flags ignores older values */

struct DurableSlot
{
	slock_t		mutex;
	SlotState	state;			/* (S) UNUSED <-> STARTING also under the LWLock */
	uint32		generation;		/* (L) incremented by each reservation */
	int			database_index; /* (L) */
	Oid			database;		/* (L) */
	Oid			owner;			/* (L) */
	bool		solo;			/* (L) */
	int			pid;			/* (S) 0: not attached */
	Latch	   *latch;			/* (S) NULL: not attached */
	bool		connected;		/* (S) */
	bool		leave;			/* (S) it is to exit after its unit */
	bool		task_allowed;	/* (L) it may start a task, or runs one */
	bool		task_denied;	/* (S) it has a due task and may not start it */
	int64		low_key;		/* (S) hints, see DurableHints */
	int			nhinted;			/* (S) */
	int64		hinted[DURABLE_MAX_HINTED]; /* (S) */
	TimestampTz due;			/* (S) */
	TimestampTz task_due;		/* (S) */
	TimestampTz sleeps_until;	/* (S) virtual time; while IDLE */
	TimestampTz started_at;		/* (L) */
	TimestampTz state_since;	/* (S) */
	TimestampTz light_at;		/* (S) real time of its last batch that was not full; 0: none */
	TimestampTz denied_since;	/* (S) */
	int64		task_key;		/* (S) */
	int32		task;			/* (S) */
	CancelReason cancel;		/* (S) */
	TimestampTz cancelled_at;	/* (S) */
	TimestampTz pressed_at;		/* (S) last signal for the cancellation */
	int			signallers;		/* (S) processes that are about to signal its task */
	pg_atomic_uint64 units;		/* (A) written by the worker only */
	pg_atomic_uint64 turns;		/* (A) */
	pg_atomic_uint64 activities;	/* (A) */
};

typedef struct Waiter
{
	int			next;			/* in the bucket or the free list; -1: last */
	Oid			database;
	int64		key;
	Latch	   *latch;
	bool		signalled;
}			Waiter;

typedef struct Suspect
{
	Oid			database;		/* InvalidOid: free */
	int			entered;
	int64		key;
	TimestampTz last;
	TimestampTz held_until;		/* its code has ended a process: it does not run before */
	bool		condemned;		/* it could not be stopped: it is not entered again */
}			Suspect;

/* An activity's duration: key is database << 32 | function, 0: free. */
typedef struct Duration
{
	pg_atomic_uint64 key;
	pg_atomic_uint64 us;
}			Duration;

/* A table that orchestrations wait for; see watch.c. */
#define DURABLE_MAX_WATCHED	1024

typedef struct WatchEntry
{
	pg_atomic_uint64 key;		/* database << 32 | relation; 0: free */
	pg_atomic_uint64 changes;
	pg_atomic_uint32 armed;		/* 1: the next change is to be reported */
	pg_atomic_uint32 changed;	/* 1: the coordinator has not handled the change yet */
}			WatchEntry;

/* See xid_time.c. */
#define MAX_XID_SAMPLES		512

typedef struct XidSample
{
	TransactionId next;
	TimestampTz at;				/* real time */
}			XidSample;

/* See quota.c.  Under quota_mutex. */
#define DURABLE_MAX_QUOTAS	128

typedef struct QuotaState
{
	Oid			database;		/* InvalidOid: free */
	Oid			owner;
	bool		counted;
	int64		base;
	int64		changes;
	int64		reserved;
	TimestampTz counted_at;		/* real time, as next_count_at and used_at */
	TimestampTz next_count_at;
	TimestampTz used_at;
	double		tokens;
	TimestampTz refilled_at;	/* virtual time; 0: never */
}			QuotaState;

typedef struct DurableShared
{
	LWLock	   *lock;

	/* launcher; (S) under launcher_mutex */
	slock_t		launcher_mutex;
	int			launcher_pid;
	TimestampTz began_at;		/* real time of the first start of the launcher, after recovery; 0: not yet */
	Latch	   *launcher_latch;
	bool		rescan;			/* there may be a new database */

	/* The server had no process for a worker or coordinator; under the LWLock, real time; 0: never */
	TimestampTz refused_at;
	TimestampTz refusal_logged_at;
	int			worker_cap;		/* number of workers at that time; no further one is started */
	TimestampTz worker_cap_until;	/* before this time */

	uint64		nxid_samples;	/* number of samples taken; xid_samples is a ring; under the LWLock */
	XidSample	xid_samples[MAX_XID_SAMPLES];

	DurableDatabase databases[DURABLE_MAX_DATABASES];
	DurableSlot slots[DURABLE_MAX_SLOTS];

	/* waiters: a bucket's chain under its spinlock, the free list under waiter_mutex */
	pg_atomic_uint32 nwaiters;
	slock_t		waiter_mutex;
	int			free_waiter;
	slock_t		bucket_mutex[WAITER_BUCKETS];
	int			bucket[WAITER_BUCKETS];
	Waiter		waiters[DURABLE_MAX_WAITERS];

	slock_t		suspect_mutex;
	pg_atomic_uint32 nsuspects; /* written under suspect_mutex */
	Suspect		suspects[MAX_SUSPECTS];
	int			suspect_runner; /* under suspect_mutex: pid of the process that runs a suspect; 0: none */
	TimestampTz suspect_since;	/* same; real time */

	/* the flight recorder */
	slock_t		report_mutex;
	pg_atomic_uint32 has_reports;	/* 0: there is none; set under report_mutex */
	FlightFile	flight;			/* used if there is no file */

	Duration	durations[DURABLE_MAX_DURATIONS];

	pg_atomic_uint32 nwatched;	/* entries that are armed */
	WatchEntry	watched[DURABLE_MAX_WATCHED];

	slock_t		quota_mutex;
	QuotaState	quotas[DURABLE_MAX_QUOTAS];

#ifdef DURABLE_TESTING
	pg_atomic_uint64 failpoint_passed[FAILPOINT_COUNT];
	pg_atomic_uint64 failpoint_left[FAILPOINT_COUNT];	/* 0: not armed */
	pg_atomic_uint64 failpoint_holds[FAILPOINT_COUNT];	/* key of an advisory lock; 0: none */
#endif
}			DurableShared;

/* NULL if the library was not preloaded. */
extern DurableShared *durable_shared;

/* database.c: entries of databases */
extern DurableDatabase *durable_database_find(Oid database);	/* NULL: no entry */
extern DurableDatabase *durable_database_add(Oid database); /* NULL: no room */
extern DurableDatabase *durable_my_database(void);	/* cached; NULL: no entry */
extern void durable_database_set_state(DurableDatabase *db, DatabaseState state);
extern void durable_database_forget(DurableDatabase *db, Oid database);
extern void durable_database_stop(DurableDatabase *db, TimestampTz until);	/* 0: it may run again */
extern bool durable_database_stopping(DurableDatabase *db);
extern void durable_database_want(DurableDatabase *db, Oid owner);
extern void durable_database_examine(DurableDatabase *db);
extern void durable_coordinator_wake(DurableDatabase *db, bool look);
extern void durable_coordinator_wake_to_admit(DurableDatabase *db);
extern void durable_launcher_wake(void);
extern void durable_launcher_rescan(void);	/* wakes it, and lets it read pg_database */

/*
 * Reservation of the coordinator's process.  started identifies it, like the generation of a
 * slot.
 */
extern bool durable_coordinator_reserve(DurableDatabase *db, TimestampTz *started);
extern void durable_coordinator_release(DurableDatabase *db, TimestampTz started, bool failed);
extern bool durable_coordinator_attach(DurableDatabase *db, Oid database, TimestampTz started);

/*
 * process_room.c: the server has a limited number of background workers.  At most
 * durable_coordinator_limit coordinators run at a time, and one leaves when another database
 * needs its process.
 */
extern int	durable_coordinator_limit(void);
extern bool durable_coordinator_is_asked(DurableDatabase *db);
extern void durable_coordinator_leave(DurableDatabase *db, TimestampTz back_at);
extern bool durable_coordinator_make_room(const DurableDatabase *for_db, bool urgent);
extern void durable_process_refused(int workers);	/* the server had no process; logged from time to time */

/* Sends SIGTERM to all processes of that database, and stores their pids in pids unless it is NULL. */
#define DATABASE_MAX_PROCESSES	(DURABLE_MAX_SLOTS + 1)
extern int	durable_database_terminate(DurableDatabase *db, int *pids);

/* slot.c */
#define SLOT_BIT(n)		(UINT64CONST(1) << (n))
extern DurableSlot *durable_my_slot(void);	/* NULL: this process is not a worker */
extern int	durable_slot_reserve(DurableDatabase *db, Oid owner, bool solo, bool in_need,
								 uint32 *generation);
extern void durable_slot_release(int slotno, uint32 generation, WorkerExit how);
extern void durable_slot_withdraw(int slotno, uint32 generation);	/* the server had no process for it */
extern void durable_slot_release_lost(DurableDatabase *db); /* slots whose process did not attach in time */
extern void durable_slot_no_shortage(void);	/* this database does not wait for a slot */
extern void durable_slot_connected(void);
extern void durable_slot_ask_to_leave(int slotno, uint32 generation);
extern int	durable_slots_used(void);

extern void durable_slot_change_state(DurableSlot *slot, SlotState state, TimestampTz now);	/* under its spinlock */

/* slot_hints.c: hints of a slot; the caller holds its spinlock */
#define EVERYTHING_NEW(slot) \
	((slot)->low_key = 0, (slot)->nhinted = 0, (slot)->due = DT_NOBEGIN, (slot)->task_due = DT_NOBEGIN)
#define NOTHING_NEW(slot) \
	((slot)->low_key = PG_INT64_MAX, (slot)->nhinted = 0, (slot)->due = DT_NOEND, (slot)->task_due = DT_NOEND)
extern bool durable_slot_has_messages(const DurableSlot *slot);
extern int	durable_slot_tell_peers(DurableDatabase *db, Oid owner, Latch **latches);	/* under the LWLock */
extern void durable_slot_hint_key(DurableSlot *slot, int64 key);

/* slot_task.c */
extern void durable_slot_cancel(DurableDatabase *db, int64 key, CancelReason reason);
extern bool durable_slot_press_cancels(DurableDatabase *db);	/* false: there are none */
extern void durable_task_wake_denied(void);

/* waiter.c: after the commit of an instance's end; database from MyDatabaseId */
extern void durable_waiter_signal(int64 key);

/* Parts of the initialization, called once with the memory zeroed. */
extern void durable_database_init(void);
extern void durable_waiter_init(void);
extern void durable_slot_init(void);

#endif							/* DURABLE_SHARED_H */
