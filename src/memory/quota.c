/*
 * quota.c
 *		Limits the number of unfinished instances of an owner, and the rate at which the
 *		owner starts them.
 *
 * Owns: quotas[] in shared memory, and the numbers of starts of the current transaction.
 * Called by: start_api.c for clients, batch_store.c for units of work; only for owners
 * that have a quota.
 * Locks: quota_mutex, a spinlock.
 * Memory: an array in TopMemoryContext that is kept, so that the callbacks neither
 * allocate nor fail.
 *
 * The number of unfinished instances is
 *
 *		base + changes + reserved
 *
 * base was counted in the table.  changes are those that transactions have committed
 * since; reserved are starts of transactions that have not ended.  A count begins by
 * reading changes and takes them from its result, so several sessions may count at
 * once.  A transaction that commits during a count may be counted twice or not at all,
 * so the number may be wrong by that much until the next count.  The instances are
 * counted when a start would be refused, but not within a second after the last count,
 * or within 20 times its duration.  The count also corrects for the rollback of a
 * prepared transaction, which no callback sees.
 *
 * Starts in a time are limited by a token bucket that holds as many as may be started
 * in the time.  It is full after a restart of the server.  A start that is rolled back has
 * used its token, because it has cost the server as much as another start.
 */
#include "durable.h"
#include "quota.h"

#include "access/xact.h"
#include "clock.h"
#include "miscadmin.h"
#include "shared.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define COUNT_EVERY_MS		1000
#define COUNT_PART			20

/* The starts of one owner in one level of subtransactions. */
typedef struct PendingQuota
{
	Oid			owner;
	int			level;
	int64		taken;
	int64		change;
}			PendingQuota;

static struct
{
	bool		installed;
	int			n;
	int			size;
	PendingQuota *entries;
}			pending;

static QuotaState *find_state(Oid owner, bool add);
static int64 live(const QuotaState *state);
static void refill(QuotaState *state, const DurableQuota *quota, TimestampTz now);
static PendingQuota *pending_of(Oid owner);
static void end_of_transaction(XactEvent event, void *arg);
static void end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
								  SubTransactionId parent, void *arg);
static void settle(const PendingQuota *entry, bool committed);

/* --- starts by clients -------------------------------------------------------------- */

QuotaAnswer
durable_quota_take(const DurableQuota *quota, int64 *value)
{
	PendingQuota *entry = pending_of(quota->owner);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz clock = durable_clock_now();
	QuotaAnswer answer = QUOTA_ADMITTED;
	QuotaState *state;

	*value = 0;
	SpinLockAcquire(&durable_shared->quota_mutex);
	state = find_state(quota->owner, true);
	if (state != NULL)
	{
		refill(state, quota, clock);
		if (quota->max_live > 0 && !state->counted)
			answer = QUOTA_MUST_COUNT;
		else if (quota->max_live > 0 && live(state) >= quota->max_live)
		{
			*value = live(state);
			answer = now >= state->counted_at && now < state->next_count_at ? QUOTA_TOO_MANY : QUOTA_MUST_COUNT;
		}
		else if (quota->start_rate > 0 && state->tokens < 1.0)
		{
			*value = (int64) ((1.0 - state->tokens) * quota->per_us / quota->start_rate / 1000.0) + 1;
			answer = QUOTA_TOO_FAST;
		}
		else
		{
			state->tokens -= 1.0;
			state->reserved++;
			state->used_at = now;
			entry->taken++;
		}
	}
	SpinLockRelease(&durable_shared->quota_mutex);
	return answer;
}

/* Without a limit the bucket is full, so starts from before count no more when a limit is set again. */
static void
refill(QuotaState *state, const DurableQuota *quota, TimestampTz now)
{
	double		elapsed = (double) Max(now - state->refilled_at, 0);

	if (quota->start_rate == 0 || state->refilled_at == 0)
		state->tokens = quota->start_rate;
	else
		state->tokens = Min(state->tokens + elapsed * quota->start_rate / quota->per_us,
							(double) quota->start_rate);
	state->refilled_at = quota->start_rate == 0 ? 0 : now;
}

/* --- the number of unfinished instances ---------------------------------------------- */

static int64
live(const QuotaState *state)
{
	return state->base + state->changes + state->reserved;
}

int64
durable_quota_begin_count(Oid owner)
{
	QuotaState *state;
	int64		changes = 0;

	SpinLockAcquire(&durable_shared->quota_mutex);
	state = find_state(owner, true);
	if (state != NULL)
		changes = state->changes;
	SpinLockRelease(&durable_shared->quota_mutex);
	return changes;
}

/* The transaction has seen its own starts, which are reserved, and its changes. */
void
durable_quota_counted(Oid owner, int64 begun, int64 nlive, TimestampTz began_at)
{
	TimestampTz now = GetCurrentTimestamp();
	QuotaState *state;

	for (int i = 0; i < pending.n; i++)
		if (pending.entries[i].owner == owner)
			nlive -= pending.entries[i].taken + pending.entries[i].change;
	SpinLockAcquire(&durable_shared->quota_mutex);
	state = find_state(owner, true);
	if (state != NULL)
	{
		state->base = nlive - begun;
		state->counted = true;
		state->counted_at = now;
		state->next_count_at = now + Max(COUNT_EVERY_MS * INT64CONST(1000),
										 COUNT_PART * Max(now - began_at, 0));
	}
	SpinLockRelease(&durable_shared->quota_mutex);
}

void
durable_quota_change(Oid owner, int64 change)
{
	if (change != 0)
		pending_of(owner)->change += change;
}

/*
 * Called under the spinlock.  If there is no room, the entry that was not used for the
 * longest time is replaced; the instances of its owner are counted again when needed.
 */
static QuotaState *
find_state(Oid owner, bool add)
{
	QuotaState *victim = NULL;

	for (int i = 0; i < DURABLE_MAX_QUOTAS; i++)
	{
		QuotaState *state = &durable_shared->quotas[i];

		if (state->database == MyDatabaseId && state->owner == owner)
			return state;
		if (state->reserved == 0 && (victim == NULL || state->used_at < victim->used_at))
			victim = state;
	}
	if (!add || victim == NULL)
		return NULL;
	memset(victim, 0, sizeof(QuotaState));
	victim->database = MyDatabaseId;
	victim->owner = owner;
	return victim;
}

/* --- starts of this transaction ------------------------------------------------------- */

static PendingQuota *
pending_of(Oid owner)
{
	int			level = GetCurrentTransactionNestLevel();
	PendingQuota *entry;

	durable_shmem_require();
	for (int i = pending.n - 1; i >= 0; i--)
		if (pending.entries[i].owner == owner && pending.entries[i].level == level)
			return &pending.entries[i];

	if (!pending.installed)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
		pending.installed = true;
	}
	if (pending.n == pending.size)
	{
		int			size = pending.size ? pending.size * 2 : 16;

		if (pending.entries)
			pending.entries = repalloc(pending.entries, size * sizeof(PendingQuota));
		else
			pending.entries = MemoryContextAlloc(TopMemoryContext, size * sizeof(PendingQuota));
		pending.size = size;
	}
	entry = &pending.entries[pending.n++];
	*entry = (PendingQuota) {.owner = owner, .level = level};
	return entry;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	bool		committed = event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE;

	if (pending.n == 0 || (!committed && event != XACT_EVENT_ABORT))
		return;
	for (int i = 0; i < pending.n; i++)
		settle(&pending.entries[i], committed);
	pending.n = 0;
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	int			kept = 0;

	if (pending.n == 0 || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	for (int i = 0; i < pending.n; i++)
	{
		PendingQuota entry = pending.entries[i];
		int			k = 0;

		if (entry.level >= level && event == SUBXACT_EVENT_ABORT_SUB)
		{
			settle(&entry, false);
			continue;
		}
		entry.level = Min(entry.level, event == SUBXACT_EVENT_COMMIT_SUB ? level - 1 : level);
		while (k < kept && (pending.entries[k].owner != entry.owner || pending.entries[k].level != entry.level))
			k++;
		if (k == kept)
			pending.entries[kept++] = entry;
		else
		{
			pending.entries[k].taken += entry.taken;
			pending.entries[k].change += entry.change;
		}
	}
	pending.n = kept;
}

static void
settle(const PendingQuota *entry, bool committed)
{
	QuotaState *state;

	SpinLockAcquire(&durable_shared->quota_mutex);
	state = find_state(entry->owner, false);
	if (state != NULL)
	{
		state->reserved -= entry->taken;
		if (committed)
			state->changes += entry->taken + entry->change;
	}
	SpinLockRelease(&durable_shared->quota_mutex);
}
