/*
 * replay.h
 *		What an orchestration may know at each point of its run.
 */
#ifndef DURABLE_REPLAY_H
#define DURABLE_REPLAY_H

#include "history.h"

/* The state of one durable call, as far as the cursor has come. */
typedef struct TaskState
{
	HistoryType kind;			/* of the call that made it */
	const char *name;
	bool		done;			/* answered, at or before the cursor */
	bool		failed;			/* payload is a failure */
	bool		canceled;
	Jsonb	   *payload;		/* NULL: SQL NULL */
	bool		seen;			/* the orchestration has asked for the answer */
	int			answered_at;	/* orders when_any: odd when passing an event answered it,
								 * even when it took one that had been passed before */
	int			answer;			/* index of the event that answered it */
	int			older_wait;		/* that is open, too; 0: none (open waits for events) */
}			TaskState;

typedef struct Replay
{
	/* History of this execution, stored and new; grows only. */
	HistoryEvent **events;
	int			nevents;
	int			allocated;
	int		   *calls;			/* calls[task - 1] = index of the event that recorded it */
	int			ncalls;
	int			calls_allocated;
	int			entity_calls;	/* how many of them concern entities */

	/* State of the present run; durable_replay_rewind starts it again. */
	int			cursor;			/* events before it have been seen */
	int			ntasks;			/* durable calls made so far */
	TaskState  *tasks;			/* tasks[task - 1] */
	int			tasks_allocated;
	int			open_wait;		/* the newest open wait for an event, 0: none */
	int		   *buffered;		/* indexes of events no wait has consumed, oldest first */
	int			nbuffered;
	int			buffered_allocated;
	TimestampTz started;
	TimestampTz now;			/* time at the cursor */
	uint32		draws;			/* of durable.uuid() and durable.random() */
	struct ReplayPatch *patches;	/* what durable.patched() has said in this run */
	int			section;		/* task of the lock of the critical section it is in; 0: none */
	MemoryContext run;			/* for the state of the run */
}			Replay;

/* Appends an event, recording its task number when it is a call. */
extern void durable_replay_add(Replay *replay, HistoryEvent *event);

/* Takes back the failures that an event REWOUND lists; adding the event does it, too. */
extern void durable_replay_take_back(Replay *replay, const HistoryEvent *rewound);

/* Forgets events from that index on (a turn that is discarded). */
extern void durable_replay_truncate(Replay *replay, int nevents);

/* Back to the top.  run holds the state until the next rewind. */
extern void durable_replay_rewind(Replay *replay, MemoryContext run);

/*
 * The orchestration makes its next durable call.  Returns its task number.
 * *recorded is the event that recorded it in an earlier run, NULL when the call is
 * new.  *mismatch is what to say when history has something else, else NULL.
 */
extern int	durable_replay_call(Replay *replay, HistoryType type, const char *name,
								HistoryEvent **recorded, char **mismatch);

/*
 * Is the change part of this execution?  *is_new: it is, and has to be recorded as the
 * next call (HISTORY_PATCHED).  An answer stays the same for the rest of the run.
 */
extern bool durable_replay_patched(Replay *replay, const char *change_id, bool *is_new);

/* The state of a call; NULL when there is no such task. */
extern TaskState *durable_replay_task(Replay *replay, int task);

/* An event wait was opened: takes the oldest buffered event of that name. */
extern void durable_replay_open_wait(Replay *replay, int task);

/* A timer or event wait is given up. */
extern void durable_replay_cancel(Replay *replay, int task);

/* Sees one more event; false when there is none. */
extern bool durable_replay_advance(Replay *replay);

/* Will the next call, other than patched(), be one that is not recorded? */
extern bool durable_replay_at_end(Replay *replay);
/*
 * The recorded request for the locks of a critical section that the execution has not left,
 * granted or not; NULL: there is none.  Independent of the run.
 */
extern const HistoryEvent *durable_replay_open_section(const Replay *replay);

/* Was it rewound in a critical section, and does it not have the locks again?  Then it cannot go on. */
extern bool durable_replay_lacks_locks(const Replay *replay);

/* Recorded calls that this run has not made; the text for the mismatch, or NULL. */
extern char *durable_replay_leftover(Replay *replay, const char *instead);

#endif							/* DURABLE_REPLAY_H */
