/*-------------------------------------------------------------------------
 *
 * recall.c
 *		Keeps long histories in memory for the next units of this process.
 *
 * An instance may run in many units, in a long burst or for one event after the other.
 * Its whole history would be read and decoded in each unit.  But the process that ran the
 * instance last usually runs it next, and has the history already.
 *
 * The history in memory is the beginning of the stored history of the same execution,
 * because only a unit that holds the row lock appends to a history, and events are never
 * changed.  So only the events that other processes have appended since are read.
 * (Entries are also compared by created_at, because keys begin anew with a new extension.)
 *
 * A history is kept before the transaction commits.  If the transaction or the
 * subtransaction around it is rolled back, which only durable.drain survives, all entries
 * are discarded: a history with the same number of events may then have other events.
 *
 * Owns:	entries[]
 * Called by: batch_read.c (recall), unit.c (keep)
 * Locks:	none; the caller holds the instance's row lock
 * Memory:	a context for each entry, in TopMemoryContext; entries and bytes are limited
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "recall.h"

/* Shorter histories are not kept, as reading them is fast. */
#define WORTH_EVENTS	100

#define NENTRIES		32
#define MAX_BYTES		(64 * 1024 * 1024)

/* An entry that was not used in this number of units may be replaced. */
#define STALE_UNITS		32

typedef struct Entry
{
	MemoryContext context;		/* NULL: free */
	int64		key;
	TimestampTz created_at;
	bool		valid;			/* if false, the entry only waits for its removal */
	int32		execution;
	Replay		replay;			/* events and calls only */
	uint64		used;			/* last use, counted in units of this process */
}			Entry;

static Entry *find_entry(const Instance *instance);
static Entry *make_entry(const Instance *instance);
static Entry *least_used(void);
static void append(Entry *entry, const Instance *instance);
static HistoryEvent *copy_event(const HistoryEvent *event);
static Jsonb *copy_jsonb(const Jsonb *value);
static Size allocated(void);
static void forget(Entry *entry);
static void forget_all(void);
static void register_callbacks(void);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
								  SubTransactionId parent, void *arg);

static Entry entries[NENTRIES];
static uint64 units = 0;

/* The subtransaction in which an entry was kept, until it is committed. */
static SubTransactionId kept_in = InvalidSubTransactionId;

void
durable_recall_history(Instance *instance)
{
	Entry	   *entry = find_entry(instance);
	Replay	   *replay = &instance->replay;
	int			room;

	if (entry == NULL || !entry->valid || entry->execution != instance->execution ||
		entry->replay.nevents > instance->stored_events)
		return;

	/* The events themselves are shared; they never change. */
	room = entry->replay.nevents + Max(64, entry->replay.nevents / 4);
	replay->events = MemoryContextAllocHuge(instance->context, room * sizeof(HistoryEvent *));
	memcpy(replay->events, entry->replay.events, entry->replay.nevents * sizeof(HistoryEvent *));
	replay->nevents = entry->replay.nevents;
	replay->allocated = room;
	replay->calls = MemoryContextAllocHuge(instance->context, room * sizeof(int));
	memcpy(replay->calls, entry->replay.calls, entry->replay.ncalls * sizeof(int));
	replay->ncalls = entry->replay.ncalls;
	replay->calls_allocated = room;
	replay->entity_calls = entry->replay.entity_calls;
}

/*
 * Stores known histories first, and then new ones, because making room may free a history
 * that an instance of this unit uses.
 */
void
durable_recall_keep(List *instances)
{
	ListCell   *cell;

	units++;
	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);
		Entry	   *entry = find_entry(instance);

		if (entry == NULL)
			continue;
		entry->valid &= !STATUS_IS_FINISHED(instance->status) &&
			entry->execution == instance->execution &&
			entry->replay.nevents <= instance->stored_events;
		if (entry->valid)
			append(entry, instance);
	}
	for (int i = 0; i < NENTRIES; i++)
		if (entries[i].context != NULL && !entries[i].valid)
			forget(&entries[i]);

	foreach(cell, instances)
	{
		Instance   *instance = lfirst(cell);

		/* The next unit notices if it has begun a new execution or was changed elsewhere. */
		if (!STATUS_IS_FINISHED(instance->status) && !instance->discard_history &&
			instance->replay.nevents >= WORTH_EVENTS && find_entry(instance) == NULL)
		{
			Entry	   *entry = make_entry(instance);

			if (entry != NULL)
				append(entry, instance);
		}
	}
	while (allocated() > MAX_BYTES)
		forget(least_used());
}

static Entry *
find_entry(const Instance *instance)
{
	for (int i = 0; i < NENTRIES; i++)
		if (entries[i].context != NULL && entries[i].key == instance->key &&
			entries[i].created_at == instance->created_at)
			return &entries[i];
	return NULL;
}

/* Returns a free entry, or one that is not used any more; NULL if all are needed. */
static Entry *
make_entry(const Instance *instance)
{
	Entry	   *entry = NULL;

	for (int i = 0; i < NENTRIES && entry == NULL; i++)
		if (entries[i].context == NULL)
			entry = &entries[i];
	if (entry == NULL)
	{
		entry = least_used();
		if (entry->used + STALE_UNITS > units)
			return NULL;
		forget(entry);
	}

	register_callbacks();
	entry->context = AllocSetContextCreate(TopMemoryContext, "durable history",
										   ALLOCSET_DEFAULT_SIZES);
	entry->key = instance->key;
	entry->created_at = instance->created_at;
	entry->execution = instance->execution;
	entry->valid = true;
	return entry;
}

static Entry *
least_used(void)
{
	Entry	   *least = NULL;

	for (int i = 0; i < NENTRIES; i++)
		if (entries[i].context != NULL && (least == NULL || entries[i].used < least->used))
			least = &entries[i];
	return least;
}

/* Stores the present state of the instance. */
static void
append(Entry *entry, const Instance *instance)
{
	MemoryContext old = MemoryContextSwitchTo(entry->context);
	Replay	   *known = &entry->replay;

	/* Done first: if memory runs out for one of them, all entries are discarded. */
	kept_in = Max(kept_in, GetCurrentSubTransactionId());
	while (known->nevents < instance->replay.nevents)
		durable_replay_add(known, copy_event(instance->replay.events[known->nevents]));
	entry->used = units;
	MemoryContextSwitchTo(old);
}

static HistoryEvent *
copy_event(const HistoryEvent *event)
{
	HistoryEvent *copy = palloc(sizeof(HistoryEvent));

	*copy = *event;
	if (event->name != NULL)
		copy->name = pstrdup(event->name);
	copy->extra = copy_jsonb(event->extra);
	copy->payload = copy_jsonb(event->payload);
	return copy;
}

static Jsonb *
copy_jsonb(const Jsonb *value)
{
	Jsonb	   *copy;

	if (value == NULL)
		return NULL;
	copy = palloc(VARSIZE(value));
	memcpy(copy, value, VARSIZE(value));
	return copy;
}

static Size
allocated(void)
{
	Size		bytes = 0;

	for (int i = 0; i < NENTRIES; i++)
		if (entries[i].context != NULL)
			bytes += MemoryContextMemAllocated(entries[i].context, true);
	return bytes;
}

static void
forget(Entry *entry)
{
	MemoryContextDelete(entry->context);
	memset(entry, 0, sizeof(Entry));
}

/* --- rollback ---------------------------------------------------------------- */

static void
forget_all(void)
{
	for (int i = 0; i < NENTRIES; i++)
		if (entries[i].context != NULL)
			forget(&entries[i]);
	kept_in = InvalidSubTransactionId;
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
	}
	registered = true;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		kept_in = InvalidSubTransactionId;
	else if (event == XACT_EVENT_ABORT && kept_in != InvalidSubTransactionId)
		forget_all();
}

/* Subtransactions are numbered as they begin: one that is not younger contains it. */
static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && kept_in != InvalidSubTransactionId && subid <= kept_in)
		forget_all();
}
