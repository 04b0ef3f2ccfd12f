/*
 * sweep.c
 *		The positions at which a worker looks for messages, and their order.
 *
 * A sweep goes from low keys to high ones.  News of keys that it has passed does not
 * move it back: otherwise an instance that always has new messages would keep all
 * those with higher keys waiting.  Such keys are "behind".  Old instances (compared to
 * the newest) that have news are looked up one by one: a sweep from there would visit the
 * dead rows of all younger ones, which takes long when an old snapshot prevents their
 * removal.  For the same reason the regular look at everything is a separate walk for
 * which the others do not wait.  Batches alternate between the walks that find messages.
 *
 * Owns: the positions of this process.
 * Called by: worker.c
 * Locks: none.
 * Memory: static.
 */
#include "durable.h"
#include "slot.h"
#include "sweep.h"

#define NOWHERE		PG_INT64_MAX

/* A scan that has visited only dead rows for this time continues in the next unit; ms. */
#define REMAINS_US	10000

/* Number of keys that are looked up; further keys are swept. */
#define MAX_HINTED	(2 * DURABLE_MAX_HINTED)

typedef enum Way
{
	WAY_HINTED,
	WAY_SWEEP,
	WAY_BEHIND,
	WAY_WALK,
	NWAYS
}			Way;

/* See UnitScan. */
typedef struct Position
{
	int64		inbox_from;
	int64		part_from;
}			Position;

static Position positions[NWAYS] = {{NOWHERE, NOWHERE}, {NOWHERE, NOWHERE}, {NOWHERE, NOWHERE}, {NOWHERE, NOWHERE}};
static int64 hinted[MAX_HINTED];
static int	nhinted = 0;
static Way	way = WAY_SWEEP;	/* the positions of the present batch, or of the last one */

static void add_hinted(int64 key);
static void note(int64 key);
static void note_position(int64 *of_sweep, int64 *of_behind, int64 key);
static bool has_something(Way which);
static int	compare_keys(const void *a, const void *b);
static void keep_hinted(int64 from);
static void move_on(int64 *of_sweep, int64 *of_behind);

void
durable_sweep_everywhere(void)
{
	positions[WAY_WALK] = (Position) {0, 0};
}

bool
durable_sweep_is_walking(void)
{
	return has_something(WAY_WALK);
}

bool
durable_sweep_is_over(void)
{
	for (Way which = 0; which < NWAYS; which++)
		if (has_something(which))
			return false;
	return true;
}

void
durable_sweep_at(const DurableHints *hints)
{
	if (hints->low_key == 0)
		durable_sweep_everywhere();
	else if (hints->low_key != NOWHERE)
		note(hints->low_key);
	for (int i = 0; i < hints->nhinted; i++)
		add_hinted(hints->hinted[i]);
}

static void
add_hinted(int64 key)
{
	for (int i = 0; i < nhinted; i++)
		if (hinted[i] == key)
			return;
	if (nhinted < MAX_HINTED)
		hinted[nhinted++] = key;
	else
		note(key);
}

/* For instances with that key or a higher one. */
static void
note(int64 key)
{
	note_position(&positions[WAY_SWEEP].inbox_from, &positions[WAY_BEHIND].inbox_from, key);
	note_position(&positions[WAY_SWEEP].part_from, &positions[WAY_BEHIND].part_from, key);
}

static void
note_position(int64 *of_sweep, int64 *of_behind, int64 key)
{
	if (*of_sweep == NOWHERE)
		*of_sweep = key;
	else if (key < *of_sweep)
		*of_behind = Min(*of_behind, key);
}

static bool
has_something(Way which)
{
	if (which == WAY_HINTED)
		return nhinted > 0;
	return positions[which].inbox_from != NOWHERE || positions[which].part_from != NOWHERE;
}

/* --- a batch ---------------------------------------------------------------------- */

/* When there are no positions to look at, a batch finds only timers. */
void
durable_sweep_begin(UnitScan *scan)
{
	for (int i = 0; i < NWAYS; i++)
	{
		way = (way + 1) % NWAYS;
		if (has_something(way))
			break;
	}
	if (way == WAY_HINTED)
		qsort(hinted, nhinted, sizeof(int64), compare_keys);
	scan->inbox_from = positions[way].inbox_from;
	scan->part_from = positions[way].part_from;
	scan->hinted = way == WAY_HINTED ? hinted : NULL;
	scan->nhinted = way == WAY_HINTED ? nhinted : 0;
	scan->remains_us = REMAINS_US;
}

static int
compare_keys(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* The scan has moved its positions to the remaining messages. */
void
durable_sweep_end(const UnitScan *scan)
{
	if (way == WAY_HINTED)
	{
		keep_hinted(scan->inbox_from);
		return;
	}
	positions[way].inbox_from = scan->inbox_from;
	positions[way].part_from = scan->nparts > 1 ? scan->part_from : scan->inbox_from;

	move_on(&positions[WAY_SWEEP].inbox_from, &positions[WAY_BEHIND].inbox_from);
	move_on(&positions[WAY_SWEEP].part_from, &positions[WAY_BEHIND].part_from);
	if (positions[WAY_WALK].inbox_from >= positions[WAY_SWEEP].inbox_from &&
		positions[WAY_WALK].part_from >= positions[WAY_SWEEP].part_from)
		positions[WAY_WALK] = (Position) {NOWHERE, NOWHERE};
}

static void
keep_hinted(int64 from)
{
	int			kept = 0;

	for (int i = 0; i < nhinted; i++)
		if (hinted[i] >= from)
			hinted[kept++] = hinted[i];
	nhinted = kept;
}

/* The sweep has reached its end, or the walk behind it has caught up. */
static void
move_on(int64 *of_sweep, int64 *of_behind)
{
	if (*of_sweep == NOWHERE || *of_behind >= *of_sweep)
	{
		*of_sweep = Min(*of_sweep, *of_behind);
		*of_behind = NOWHERE;
	}
}
