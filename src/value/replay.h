/*
 * replay.h
 *		Replay of a history: what an orchestration has seen at each point of its run.
 *
 * The cursor separates the events that the code has seen from those that it has not.  The
 * answers, the time and the buffered events of an execution depend on the events before the
 * cursor and on nothing else, so each replay of the same history takes the same course.
 */
#ifndef DURABLE_REPLAY_H
#define DURABLE_REPLAY_H

#include "history.h"

/* The state of one durable call, as far as the cursor has come. */
typedef struct TaskState
{
	HistoryType kind;			/* of the event that recorded the call */
	const char *name;
	bool		done;			/* answered, at or before the cursor */
	bool		failed;			/* payload is a failure */
	bool		canceled;
	Jsonb	   *payload;		/* NULL: SQL NULL */
	bool		seen;			/* the orchestration has asked for the answer */
	int			answered_at;	/* order of answers for when_any(): 2 * index + 1 of the event, or
								 * 2 * cursor when the call took a buffered event */
	int			answer;			/* index of the event that answered it */
	int			older_wait;		/* open waits for events are a list: the next older one; 0: none */
}			TaskState;

typedef struct Replay
{
	/* History of this execution, stored and new events. */
	HistoryEvent **events;
	int			nevents;
	int			allocated;
	int		   *calls;			/* calls[task - 1] = index of the event that recorded it */
	int			ncalls;
	int			calls_allocated;
	int			entity_calls;	/* how many of them concern entities */

	/* State of the present run; durable_replay_rewind resets it. */
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
	uint32		draws;			/* number of calls of durable.uuid() and durable.random() */
	struct ReplayPatch *patches;	/* results of durable.patched() in this run */
	int			section;		/* in a critical section: task of its lock; 0: not in one */
	MemoryContext run;			/* of the state of the run */
}			Replay;

/* Appends an event, recording its task number when it is a call. */
extern void durable_replay_add(Replay *replay, HistoryEvent *event);

/* Takes back the failures that an event REWOUND lists.  durable_replay_add does this itself. */
extern void durable_replay_take_back(Replay *replay, const HistoryEvent *rewound);

/* Removes the events from that index on, for a turn that is discarded. */
extern void durable_replay_truncate(Replay *replay, int nevents);

/* Starts a run from the beginning.  run is the memory context of its state until the next rewind. */
extern void durable_replay_rewind(Replay *replay, MemoryContext run);

/*
 * The orchestration makes its next durable call.  Returns its task number.  *recorded is the
 * event that recorded it in an earlier run; NULL: the call is new.  *mismatch is a message if
 * the history has a different call there, else NULL.
 */
extern int	durable_replay_call(Replay *replay, HistoryType type, const char *name,
								HistoryEvent **recorded, char **mismatch);

/*
 * Does this execution run the changed code?  *is_new: it does, and the caller has to record
 * that as the next call (HISTORY_PATCHED).  The result is the same for the rest of the run.
 */
extern bool durable_replay_patched(Replay *replay, const char *change_id, bool *is_new);

/* The state of a call; NULL when there is no such task. */
extern TaskState *durable_replay_task(Replay *replay, int task);

/* Opens a wait for an event.  It takes the oldest buffered event of its name, if there is one. */
extern void durable_replay_open_wait(Replay *replay, int task);

/* Cancels a timer or a wait for an event. */
extern void durable_replay_cancel(Replay *replay, int task);

/* Moves the cursor by one event; false if there is none. */
extern bool durable_replay_advance(Replay *replay);

/* Will the next call, other than patched(), be one that is not recorded? */
extern bool durable_replay_at_end(Replay *replay);

/*
 * The event that requested the locks of the critical section that the execution has not
 * left, whether they are granted or not; NULL: there is none.  Independent of the run.
 */
extern const HistoryEvent *durable_replay_open_section(const Replay *replay);

/* Was it rewound within a critical section without getting the locks again?  Then it cannot go on. */
extern bool durable_replay_lacks_locks(const Replay *replay);

/*
 * A message about the first recorded call that this run has not made, or NULL.  instead: what
 * the run did in its place.
 */
extern char *durable_replay_leftover(Replay *replay, const char *instead);

#endif							/* DURABLE_REPLAY_H */
