/*
 * slot.h
 *		Slots of workers: who works for which owner, and what it is told.
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

/* Instances that a slot remembers one by one, see wakeup.c. */
#define DURABLE_MAX_HINTED	16

/* What a worker learns from its slot; see durable_slot_take_hints. */
typedef struct DurableHints
{
	int64		low_key;		/* inbox rows with key >= this may be new; 0: look everywhere; INT64_MAX: none */
	int			nhinted;		/* and those of these keys */
	int64		hinted[DURABLE_MAX_HINTED];
	TimestampTz due;			/* a timer may be due from then on; DT_NOEND: none */
	TimestampTz task_due;		/* a task may be due from then on */
	bool		leave;			/* finish the unit and exit */
}			DurableHints;

/*
 * Slots of workers.  A worker attaches to the slot its coordinator reserved
 * (bgw_extra), and detaches at exit.  terminate is its handler of SIGTERM.
 */
extern bool durable_slot_attach(int slotno, uint32 generation, pqsigfunc terminate);	/* false: the slot is reserved for another process */
extern int	durable_slot_number(void);	/* of this worker; -1: this process is no worker */
extern void durable_slot_set_state(SlotState state);

/* Records why this worker is about to exit: it got SIGTERM (called by its handler), or it was idle for too long. */
extern void durable_slot_note_terminated(void);
extern void durable_slot_note_idle_end(void);

extern bool durable_slot_sleep(TimestampTz until);	/* enters IDLE; false if there are hints already */
extern void durable_slot_take_hints(DurableHints *hints);	/* and resets those of the slot */
extern void durable_slot_look_at_everything(void);	/* tells all workers of this database to do so */
extern void durable_slot_want_peer(void);	/* the batch of this worker was full: another worker would help */
extern void durable_slot_was_light(void);	/* the batch of this worker found work and was not full */
extern bool durable_slot_is_surplus(void);	/* the batch of this worker was full: should other owners' workers come first? */
extern void durable_slot_begin_task(int64 key, int32 task);
extern CancelReason durable_slot_cancel_reason(void);	/* is the running task to be stopped? */
extern CancelReason durable_slot_end_task(void);	/* why it was cancelled, if it was */
extern void durable_slot_partition(int *part, int *nparts);	/* the number of this worker among those of its owner */
extern void durable_slot_count(int64 turns, int64 activities);	/* statistics for durable.workers */
extern bool durable_task_may_start(void);	/* would another worker be left for turns? */
extern void durable_task_ended(void);	/* after each call of may_start that returned true */
extern void durable_task_not_due(void); /* no task is due */

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
