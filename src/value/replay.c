/*-------------------------------------------------------------------------
 *
 * replay.c
 *		The replay of an orchestration against its history.
 *
 * History is an ordered list of two kinds of events: calls, which the orchestration
 * made, and answers, which it received.  A run of the orchestration makes its calls
 * again from the top.  The n-th call is matched with the n-th recorded call, wherever
 * that stands in the list.  Answers are seen through a cursor: a call that has to wait
 * moves it on, one event at a time, until its answer has been passed.  Events beyond
 * the cursor have no influence.  So the answers that an orchestration gets depend only on
 * the calls it has made, and not on later events, and the same calls give the same
 * answers in every run.
 *
 * External events go through the cursor, too.  When it passes an event, the newest
 * open wait for that name takes it; if there is none, the event is buffered, and the
 * next wait that is opened for the name takes the oldest.  A wait that was canceled
 * takes nothing.
 *
 * A change of the code is recorded as a call, too, when durable.patched() is asked about
 * it after all recorded calls.  No other call is matched with such a record: the record is
 * skipped, so code from which the question was removed (because every remaining instance
 * has the change) still matches.
 *
 * This file is pure: it takes a history and calls, and touches no database.
 *
 * Owns:	struct Replay
 * Called by: turn.c and the *_calls.c (runs); all files that add or inspect events
 * Locks:	none
 * Memory:	events and calls in the context current when they are added;
 *			the run's state in replay->run
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "replay.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

typedef struct ReplayPatch
{
	struct ReplayPatch *next;
	char	   *change_id;
	bool		patched;
}			ReplayPatch;

static int	new_task(Replay *replay, HistoryType type, const char *name);
static void pass_over_patches(Replay *replay);
static HistoryEvent *find_patch(const Replay *replay, const char *change_id);
static void see_event(Replay *replay, int index);
static void answer(Replay *replay, int task, int index, bool failed);
static void close_wait(Replay *replay, int task);
static bool same_event_name(const char *a, const char *b);
static char *describe_call(HistoryType type, const char *name);

void
durable_replay_add(Replay *replay, HistoryEvent *event)
{
	/* The clock may be set back; the time in a history is not. */
	if (replay->nevents > 0 && event->time < replay->events[replay->nevents - 1]->time)
		event->time = replay->events[replay->nevents - 1]->time;
	durable_history_append(&replay->events, &replay->nevents,
						   &replay->allocated, event);

	if (event->type == HISTORY_REWOUND)
		durable_replay_take_back(replay, event);
	if (!durable_history_is_call(event->type))
		return;
	if (event->task != replay->ncalls + 1)
		elog(ERROR, "history has call %d, but call %d was expected",
			 event->task, replay->ncalls + 1);
	if (replay->ncalls >= replay->calls_allocated)
	{
		replay->calls_allocated = Max(8, replay->calls_allocated * 2);
		if (replay->calls == NULL)
			replay->calls = palloc(replay->calls_allocated * sizeof(int));
		else
			replay->calls = repalloc(replay->calls,
									 replay->calls_allocated * sizeof(int));
	}
	replay->calls[replay->ncalls++] = replay->nevents - 1;
	if (HISTORY_IS_ENTITY_CALL(event->type))
		replay->entity_calls++;
}

void
durable_replay_take_back(Replay *replay, const HistoryEvent *rewound)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;

	if (rewound->extra == NULL)
		return;
	it = JsonbIteratorInit(&rewound->extra->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		int64		number;

		if (token != WJB_ELEM || value.type != jbvNumeric)
			continue;
		number = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value.val.numeric)));
		if (number >= 1 && number <= replay->nevents)
			replay->events[number - 1]->taken_back = true;
	}
}

void
durable_replay_truncate(Replay *replay, int nevents)
{
	while (replay->ncalls > 0 && replay->calls[replay->ncalls - 1] >= nevents)
	{
		replay->ncalls--;
		if (HISTORY_IS_ENTITY_CALL(replay->events[replay->calls[replay->ncalls]]->type))
			replay->entity_calls--;
	}
	replay->nevents = nevents;
}

void
durable_replay_rewind(Replay *replay, MemoryContext run)
{
	replay->cursor = 0;
	replay->ntasks = 0;
	replay->tasks = NULL;
	replay->tasks_allocated = 0;
	replay->open_wait = 0;
	replay->buffered = NULL;
	replay->nbuffered = 0;
	replay->buffered_allocated = 0;
	replay->now = replay->started;
	replay->draws = 0;
	replay->patches = NULL;
	replay->section = 0;
	replay->run = run;
}

int
durable_replay_call(Replay *replay, HistoryType type, const char *name,
					HistoryEvent **recorded, char **mismatch)
{
	int			task;

	*recorded = NULL;
	*mismatch = NULL;

	if (type != HISTORY_PATCHED)
		pass_over_patches(replay);
	task = replay->ntasks + 1;
	if (task <= replay->ncalls)
	{
		HistoryEvent *event = replay->events[replay->calls[task - 1]];
		bool		same = event->type == type;

		/* The label of a timer is not compared. */
		if (type == HISTORY_TIMER_CREATED || type == HISTORY_TIMER_CANCELED)
			 /* nothing else to compare */ ;
		else if (same && type == HISTORY_EVENT_WAIT_CREATED)
			same = same_event_name(event->name, name);
		else if (same && (event->name != NULL || name != NULL))
			same = event->name != NULL && name != NULL &&
				strcmp(event->name, name) == 0;
		if (!same)
		{
			*mismatch = psprintf("history has %s (event %d), but the code now makes %s",
								 describe_call(event->type, event->name),
								 replay->calls[task - 1] + 1,
								 describe_call(type, name));
			return task;
		}
		*recorded = event;
	}
	return new_task(replay, type, *recorded ? (*recorded)->name : name);
}

static int
new_task(Replay *replay, HistoryType type, const char *name)
{
	TaskState  *state;
	int			task = replay->ntasks + 1;

	if (task > replay->tasks_allocated)
	{
		replay->tasks_allocated = Max(Max(8, replay->ncalls), replay->tasks_allocated * 2);
		if (replay->tasks == NULL)
			replay->tasks = MemoryContextAllocHuge(replay->run,
												   replay->tasks_allocated * sizeof(TaskState));
		else
			replay->tasks = repalloc_huge(replay->tasks,
										  replay->tasks_allocated * sizeof(TaskState));
	}
	replay->ntasks = task;
	state = &replay->tasks[task - 1];
	memset(state, 0, sizeof(TaskState));
	state->kind = type;
	state->name = name;
	if (type == HISTORY_EVENT_WAIT_CREATED)
	{
		state->older_wait = replay->open_wait;
		replay->open_wait = task;
	}
	return task;
}

/* Records of patches are calls with a number, and no other call is matched with them. */
static void
pass_over_patches(Replay *replay)
{
	while (replay->ntasks < replay->ncalls)
	{
		HistoryEvent *event = replay->events[replay->calls[replay->ntasks]];

		if (event->type != HISTORY_PATCHED)
			break;
		(void) new_task(replay, HISTORY_PATCHED, event->name);
	}
}

bool
durable_replay_at_end(Replay *replay)
{
	pass_over_patches(replay);
	return replay->ntasks >= replay->ncalls;
}

bool
durable_replay_patched(Replay *replay, const char *change_id, bool *is_new)
{
	ReplayPatch *patch;
	bool		recorded;

	*is_new = false;
	for (patch = replay->patches; patch != NULL; patch = patch->next)
		if (strcmp(patch->change_id, change_id) == 0)
			return patch->patched;

	/*
	 * The place of the record does not matter: unchanged code asks first at the call that
	 * recorded it, and code that asks at another place now has the change there, too.
	 */
	recorded = find_patch(replay, change_id) != NULL;
	*is_new = !recorded && durable_replay_at_end(replay);
	pass_over_patches(replay);

	patch = MemoryContextAlloc(replay->run, sizeof(ReplayPatch));
	patch->change_id = MemoryContextStrdup(replay->run, change_id);
	patch->patched = recorded || *is_new;
	patch->next = replay->patches;
	replay->patches = patch;
	return patch->patched;
}

static HistoryEvent *
find_patch(const Replay *replay, const char *change_id)
{
	for (int i = 0; i < replay->ncalls; i++)
	{
		HistoryEvent *event = replay->events[replay->calls[i]];

		if (event->type == HISTORY_PATCHED && event->name != NULL && strcmp(event->name, change_id) == 0)
			return event;
	}
	return NULL;
}

TaskState *
durable_replay_task(Replay *replay, int task)
{
	if (task < 1 || task > replay->ntasks)
		return NULL;
	return &replay->tasks[task - 1];
}

void
durable_replay_open_wait(Replay *replay, int task)
{
	TaskState  *state = durable_replay_task(replay, task);

	for (int i = 0; i < replay->nbuffered; i++)
	{
		int			index = replay->buffered[i];

		if (!same_event_name(replay->events[index]->name, state->name))
			continue;
		memmove(&replay->buffered[i], &replay->buffered[i + 1],
				(replay->nbuffered - i - 1) * sizeof(int));
		replay->nbuffered--;
		answer(replay, task, index, false);
		/* The event has become this task's answer now, and not when the cursor passed it. */
		state->answered_at = 2 * replay->cursor;
		return;
	}
}

void
durable_replay_cancel(Replay *replay, int task)
{
	TaskState  *state = durable_replay_task(replay, task);

	if (!state->done && !state->canceled)
	{
		state->canceled = true;
		close_wait(replay, task);
	}
}

bool
durable_replay_advance(Replay *replay)
{
	if (replay->cursor >= replay->nevents)
		return false;
	see_event(replay, replay->cursor++);
	return true;
}

const HistoryEvent *
durable_replay_open_section(const Replay *replay)
{
	int			unlocked = 0;

	if (replay->entity_calls == 0)
		return NULL;
	for (int i = replay->ncalls - 1; i >= 0; i--)
	{
		const HistoryEvent *event = replay->events[replay->calls[i]];

		if (event->type == HISTORY_ENTITY_UNLOCKED)
		{
			/* An external orchestration unlocks one after the other (decision.c). */
			if (event->extra == NULL)
				return NULL;
			unlocked++;
		}
		/* A request that was refused has no payload. */
		if (event->type == HISTORY_ENTITY_LOCK_REQUESTED && event->payload != NULL)
			return unlocked < JsonContainerSize(&event->payload->root) ? event : NULL;
	}
	return NULL;
}

bool
durable_replay_lacks_locks(const Replay *replay)
{
	if (durable_replay_open_section(replay) == NULL)
		return false;
	for (int i = replay->nevents - 1; i >= 0; i--)
	{
		if (replay->events[i]->type == HISTORY_REWOUND)
			return true;
		if (replay->events[i]->type == HISTORY_ENTITY_LOCK_GRANTED)
			return false;
	}
	return false;
}

char *
durable_replay_leftover(Replay *replay, const char *instead)
{
	HistoryEvent *event;

	if (durable_replay_at_end(replay))
		return NULL;
	event = replay->events[replay->calls[replay->ntasks]];
	return psprintf("history has %s (event %d), but the code now %s",
					describe_call(event->type, event->name),
					replay->calls[replay->ntasks] + 1, instead);
}

static void
see_event(Replay *replay, int index)
{
	HistoryEvent *event = replay->events[index];

	if (event->time > replay->now)
		replay->now = event->time;
	if (event->taken_back)
		return;

	switch (event->type)
	{
		case HISTORY_TASK_COMPLETED:
		case HISTORY_SUB_COMPLETED:
		case HISTORY_TIMER_FIRED:
		case HISTORY_ENTITY_COMPLETED:
		case HISTORY_ENTITY_LOCK_GRANTED:
			answer(replay, event->task, index, false);
			break;

		case HISTORY_TASK_FAILED:
		case HISTORY_SUB_FAILED:
		case HISTORY_ENTITY_FAILED:
			answer(replay, event->task, index, true);
			break;

		case HISTORY_EVENT_RAISED:
			/* The newest open wait for the name takes it. */
			for (int task = replay->open_wait; task != 0; task = replay->tasks[task - 1].older_wait)
				if (same_event_name(event->name, replay->tasks[task - 1].name))
				{
					answer(replay, task, index, false);
					return;
				}
			if (replay->nbuffered >= replay->buffered_allocated)
			{
				replay->buffered_allocated = Max(8, replay->buffered_allocated * 2);
				if (replay->buffered == NULL)
					replay->buffered = MemoryContextAlloc(replay->run,
														  replay->buffered_allocated * sizeof(int));
				else
					replay->buffered = repalloc(replay->buffered,
												replay->buffered_allocated * sizeof(int));
			}
			replay->buffered[replay->nbuffered++] = index;
			break;

		default:
			break;
	}
}

/*
 * In a valid history an answer never stands before its call, so the task is known.  A
 * task that was canceled stays open forever.
 */
static void
answer(Replay *replay, int task, int index, bool failed)
{
	TaskState  *state = durable_replay_task(replay, task);

	if (state == NULL || state->done || state->canceled)
		return;
	state->done = true;
	state->failed = failed;
	state->payload = replay->events[index]->payload;
	state->answered_at = 2 * index + 1;
	state->answer = index;
	close_wait(replay, task);
}

/* A task that has been answered or canceled takes no more events. */
static void
close_wait(Replay *replay, int task)
{
	int		   *link = &replay->open_wait;

	if (replay->tasks[task - 1].kind != HISTORY_EVENT_WAIT_CREATED)
		return;
	while (*link != task)
		link = &replay->tasks[*link - 1].older_wait;
	*link = replay->tasks[task - 1].older_wait;
}

/* Names of events are case-insensitive, as in Durable Functions. */
static bool
same_event_name(const char *a, const char *b)
{
	return a != NULL && b != NULL && pg_strcasecmp(a, b) == 0;
}

static char *
describe_call(HistoryType type, const char *name)
{
	if (name == NULL)
		return pstrdup(durable_history_type_name(type));
	return psprintf("%s \"%s\"", durable_history_type_name(type), name);
}
