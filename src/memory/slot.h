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
	TimestampTz task_due;		/* same for tasks */
	bool		leave;			/* finish the unit and exit */
}			DurableHints;

/*
 * Slots of workers.  A worker attaches to the slot its coordinator reserved
 * (bgw_extra), and detaches at exit.  terminate is its handler of SIGTERM.
 */
extern bool durable_slot_attach(int slotno, uint32 generation, pqsigfunc terminate);	/* false: reserved for another by now */
extern int	durable_slot_number(void);	/* of this worker; -1: it is none */
extern void durable_slot_set_state(SlotState state);

/* Why this worker is about to exit: SIGTERM came (called by its handler); it had nothing to do for too long. */
extern void durable_slot_note_terminated(void);
extern void durable_slot_note_idle_end(void);

extern bool durable_slot_sleep(TimestampTz until);	/* IDLE; false when hints are there already */
extern void durable_slot_take_hints(DurableHints *hints);	/* takes them: slot's are reset */
extern void durable_slot_look_at_everything(void);	/* says so to all workers of this database */
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

#endif							/* DURABLE_SLOT_H */
