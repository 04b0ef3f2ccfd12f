/*
 * slot.h
 *		Slots of workers: the owner that a worker works for, its state, and hints about new work.
 */
#ifndef DURABLE_SLOT_H
#define DURABLE_SLOT_H

#include "shmem.h"

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

/* Number of instances that a slot remembers individually; see wakeup.c. */
#define DURABLE_MAX_HINTED	16

/* Hints about new work; see durable_slot_take_hints. */
typedef struct DurableHints
{
	int64		low_key;		/* inbox rows with this key or a higher one may be new; 0: any; INT64_MAX: none */
	int			nhinted;		/* inbox rows with these keys may be new, too */
	int64		hinted[DURABLE_MAX_HINTED];
	TimestampTz due;			/* a timer may be due from then on; DT_NOEND: none */
	TimestampTz task_due;		/* a task may be due from then on */
	bool		leave;			/* finish the unit and exit */
}			DurableHints;

/*
 * A worker attaches to the slot that its coordinator has reserved (bgw_extra), and detaches at
 * exit.  terminate is its handler of SIGTERM.
 */
extern bool durable_slot_attach(int slotno, uint32 generation, pqsigfunc terminate);	/* false: the slot is reserved for another process */
extern void durable_slot_set_state(SlotState state);

/* Record why this worker is about to exit: it got SIGTERM (called by the handler), or it was idle for too long. */
extern void durable_slot_note_terminated(void);
extern void durable_slot_note_idle_end(void);

extern bool durable_slot_sleep(TimestampTz until);	/* enters IDLE; false if there are hints already */
extern void durable_slot_take_hints(DurableHints *hints);	/* resets those of the slot */
extern void durable_slot_look_at_everything(void);	/* tells all workers of this database to look for any work */
extern void durable_slot_want_peer(void);	/* the batch of this worker was full: another worker would help */
extern void durable_slot_was_light(void);	/* the batch of this worker found work and was not full */
extern bool durable_slot_is_surplus(void);	/* after a full batch: should it leave its slot to another owner's worker? */
extern void durable_slot_begin_task(int64 key, int32 task);
extern CancelReason durable_slot_cancel_reason(void);	/* why the running task is to be stopped */
extern CancelReason durable_slot_end_task(void);	/* the same, when it has ended */
extern void durable_slot_partition(int *part, int *nparts);	/* the place of this worker among those of its owner */
extern void durable_slot_count(int64 turns, int64 activities);	/* statistics for durable.workers */
extern bool durable_task_may_start(void);	/* only if another worker is left for turns */
extern void durable_task_ended(void);	/* called after each call of may_start that returned true */
extern void durable_task_not_due(void); /* the worker found no due task */

/* For the view durable.workers: one slot, false when it is unused. */
typedef struct DurableSlotInfo
{
	int			slot;
	int			pid;			/* 0 while STARTING */
	Oid			database;
	Oid			owner;
	SlotState	state;
	TimestampTz started_at;		/* real time, like the other times */
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

#endif							/* DURABLE_SLOT_H */
