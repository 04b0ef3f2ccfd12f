/*
 * feed.c - reads dungeon.console and hands out every line once.
 *
 * The difficulty.  A line's id comes from a sequence and is drawn before its
 * transaction commits, so lines become visible out of id order: line 7 can
 * appear after line 8 was read.  "WHERE id > last" loses it.  A transaction that
 * waits for a lock can be late by minutes, a prepared one by days.
 *
 * While connected.  LISTEN is committed before the first look at the table.  A
 * line committed before that look's snapshot is in the look; a line committed
 * later was committed after LISTEN, so its notification reaches us, and it
 * carries the id and is sent at commit.  So from the first look on the
 * notifications tell exactly which rows to fetch, whatever their order, and
 * nothing has to be read twice.  A notification for a row the first look already
 * found is recognised by the set of ids seen.
 *
 * Over an outage.  Notifications of the time without a connection are gone, so
 * after each reconnect the table itself is swept for rows above a horizon that
 * are not in the set of ids seen.  The horizon is an id at or below which
 * nothing can become visible any more, and it moves by this rule:
 *
 *	  A sweep notes, from its own snapshot S1, the greatest id visible, M, and
 *	  S1's xmax.  Every id up to M has been drawn by then.  Whoever drew one and
 *	  has not committed it in S1 is a transaction running in S1, and so has an xid
 *	  below S1's xmax.  When a later sweep's snapshot S2 has xmin >= S1's xmax, all
 *	  of these are over, committed or not, and S2 shows what they committed.  So
 *	  when the sweep of S2 has handed out its rows, nothing up to M is left to
 *	  come: M is the new horizon, and ids up to M leave the set.
 *
 * Prepared transactions count as running in a snapshot, and a crash ends all
 * others: the rule holds over crashes, however often, and with anybody's
 * transaction open for as long as he likes; the horizon then stays and the set
 * grows.  (A crash may also hand out again a few xids that had left no trace on
 * disk.  Then the horizon waits longer than it must.)  A sweep's pages have
 * snapshots of their own; M, xmin and xmax are those of its first page, and a
 * row that becomes visible behind the reading position sends a notification.
 *
 * What the rule leaves open.
 * - Between drawing an id and getting an xid a transaction is not in anybody's
 *   snapshot.  That lasts microseconds inside one INSERT; a horizon becomes
 *   valid no sooner than SETTLE_TIME after its sweep.
 * - The sequence must have CACHE 1 (the default); cached ids are drawn early.
 * - Starting with "from now on" the first look reads only the last
 *   FIRST_WINDOW ids: a row that was older than that, uncommitted, and commits
 *   during an outage before the first horizon is missed.
 * - With synchronous_commit off a crash can take back lines that have been
 *   shown, and their ids are drawn again.  So a line is known by its id and its
 *   time, and the new ones are shown too.
 * - The table is dropped and made again: its oid changes.  Then everything in it
 *   is new.
 * - It is truncated or put back as it was, or its last lines are deleted: its
 *   greatest id falls below the horizon.  Then an id up to there may be an old
 *   line or a new one, and its time tells: old ones are no later than all that
 *   was read.
 *
 * The set of ids seen is an array in order of id.  In a quiet world it empties
 * within seconds and then no statement is sent at all.
 *
 * Owns: the LISTEN on dungeon_console, the notifications of the connection.
 * Called by: console.c, game.c.
 * Memory: the set; one page of rows at a time.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "print.h"

#define PAGE			1000
#define FIRST_WINDOW	10000	/* ids */
#define SETTLE_TIME		5000	/* ms */
#define SWEEP_INTERVAL	6000	/* ms, while the set is not empty */
#define RECHECK_INTERVAL 1000	/* ms between sweeps because of an old id */

typedef struct Seen
{
	int64_t		id;
	int64_t		created;
} Seen;

struct Feed
{
	Conn	   *conn;
	char	   *player;
	FeedSink	sink;
	void	   *arg;
	unsigned	generation;		/* of the connection that listens and has been swept; 0 = none */
	bool		from_now;		/* the first look is still to come and prints nothing */
	bool		sweep_wanted;
	int64_t		swept_at;
	unsigned	table;			/* its oid, 0 = not known yet */

	int64_t		horizon;
	Seen	   *seen;			/* ids above the horizon, ascending */
	size_t		nseen;
	size_t		seen_size;

	int64_t		newest;			/* the latest time of a line that was read */
	int64_t		old_horizon;	/* before ids may have started again: lines with an id up to this */
	int64_t		old_newest;		/* and a time up to this are old */
	int64_t		top;			/* the greatest id of any sweep */
	int64_t		mark;			/* M of the rule, valid if mark_xmax is not 0 */
	uint64_t	mark_xmax;
	int64_t		mark_at;
};

#define COLUMNS "c.id, (extract(epoch FROM c.created_at) * 1000000)::bigint, c.player, c.message"

static const char sweep_sql[] =
"SELECT pg_snapshot_xmin(s.s), pg_snapshot_xmax(s.s), coalesce(m.id, 0), 'dungeon.console'::regclass::oid, " COLUMNS
" FROM (SELECT pg_current_snapshot() AS s) s"
" CROSS JOIN (SELECT max(id) AS id FROM dungeon.console) m"
" LEFT JOIN LATERAL (SELECT * FROM dungeon.console"
"  WHERE id > greatest($1::bigint, m.id - $4::bigint) AND ($2::text IS NULL OR player = $2)"
"  ORDER BY id LIMIT $3::bigint) c ON true"
" ORDER BY c.id";

static const char fetch_sql[] =
"SELECT " COLUMNS " FROM dungeon.console c"
" WHERE c.id = ANY ($1::bigint[]) AND ($2::text IS NULL OR c.player = $2) ORDER BY c.id";

static FeedStatus listen(Feed *f);
static FeedStatus read_notifications(Feed *f);
static FeedStatus fetch(Feed *f, const char *ids);
static FeedStatus sweep(Feed *f, bool silent);
static void advance(Feed *f, uint64_t xmin, uint64_t xmax, int64_t max_id);
static void raise_horizon(Feed *f, int64_t id);
static void begin_anew(Feed *f, unsigned table);
static void take_row(Feed *f, const PGresult *res, int row, int column, bool silent);
static bool remember(Feed *f, int64_t id, int64_t created);
static size_t position(const Feed *f, int64_t id);
static int64_t notified_id(const char *payload);
static FeedStatus failure(Feed *f, PGresult *res);

Feed *
feed_new(Conn *c, int64_t start, const char *player, FeedSink sink, void *arg)
{
	Feed	   *f = calloc(1, sizeof(Feed));

	if (f == NULL)
		abort();
	f->conn = c;
	f->player = player != NULL ? strdup(player) : NULL;
	f->sink = sink;
	f->arg = arg;
	f->from_now = start < 0;
	f->horizon = start < 0 ? 0 : start;
	return f;
}

void
feed_free(Feed *f)
{
	if (f == NULL)
		return;
	free(f->player);
	free(f->seen);
	free(f);
}

/*
 * The set holds the old player's lines only, so the new one's are entered
 * unseen but unprinted; and what the old one's feed owes is handed out first.
 */
FeedStatus
feed_switch(Feed *f, const char *player)
{
	FeedStatus	status = feed_follow(f);

	if (status != FEED_OK)
		return status;
	free(f->player);
	f->player = player != NULL ? strdup(player) : NULL;
	return sweep(f, true);
}

FeedStatus
feed_follow(Feed *f)
{
	FeedStatus	status;

	if (!conn_alive(f->conn))
		return FEED_LOST;
	if (f->generation != f->conn->generation)
	{
		status = listen(f);
		if (status == FEED_OK)
			status = sweep(f, f->from_now);
		if (status != FEED_OK)
			return status;
		f->from_now = false;
		f->generation = f->conn->generation;
	}
	status = read_notifications(f);
	if (status == FEED_OK && (f->sweep_wanted || feed_timeout(f) == 0))
		status = sweep(f, false);
	return status;
}

int
feed_timeout(const Feed *f)
{
	int64_t		left;

	if (f->top <= f->horizon)
		return -1;
	left = f->swept_at + SWEEP_INTERVAL - conn_now();
	return left > 0 ? (int) left : 0;
}

static FeedStatus
listen(Feed *f)
{
	PGresult   *res = conn_query(f->conn, "LISTEN dungeon_console", 0, NULL);

	if (!conn_ok(res))
		return failure(f, res);
	PQclear(res);
	return FEED_OK;
}

static FeedStatus
read_notifications(Feed *f)
{
	FeedStatus	status = FEED_OK;
	PGnotify   *notification;

	if (PQconsumeInput(f->conn->pg) == 0)
		return FEED_LOST;
	notification = conn_notification(f->conn);
	while (notification != NULL && status == FEED_OK)
	{
		char	   *ids = NULL;
		size_t		size;
		FILE	   *list = open_memstream(&ids, &size);
		int			n = 0;

		if (list == NULL)
			abort();
		for (; notification != NULL && n < PAGE; notification = conn_notification(f->conn))
		{
			int64_t		id = notified_id(notification->extra);

			PQfreemem(notification);
			if (id > f->horizon)
				fprintf(list, "%c%lld", n++ == 0 ? '{' : ',', (long long) id);
			else if (id < 0 || conn_now() > f->swept_at + RECHECK_INTERVAL)
				f->sweep_wanted = true; /* it cannot be parsed, or ids have started again */
		}
		fputc('}', list);
		fclose(list);
		if (n > 0)
			status = fetch(f, ids);
		free(ids);
		if (notification == NULL && status == FEED_OK)
			notification = conn_notification(f->conn);
	}
	PQfreemem(notification);
	return status;
}

static FeedStatus
fetch(Feed *f, const char *ids)
{
	const char *values[2] = {ids, f->player};
	PGresult   *res = conn_query(f->conn, fetch_sql, 2, values);

	/* If these notifications cannot be used, the next sweep finds their rows. */
	f->sweep_wanted = true;
	if (!conn_ok(res))
		return failure(f, res);
	f->sweep_wanted = false;
	for (int row = 0; row < PQntuples(res); row++)
		take_row(f, res, row, 0, false);
	PQclear(res);
	return FEED_OK;
}

/*
 * Hands out (silent: only remembers) the rows above the horizon that have not
 * been seen, then moves the horizon if the rule allows it.
 */
static FeedStatus
sweep(Feed *f, bool silent)
{
	int64_t		after = f->horizon;
	uint64_t	xmin = 0;
	uint64_t	xmax = 0;
	int64_t		max_id = 0;
	int			rows;

	do
	{
		char		after_text[32];
		char		page_text[32];
		char		window_text[32];
		const char *values[4] = {after_text, f->player, page_text, window_text};
		PGresult   *res;
		bool		first = xmax == 0;

		/*
		 * A silent look shows nothing, so it does not go back to the beginning of
		 * time but begins with a later horizon; any other goes down to the horizon.
		 */
		snprintf(after_text, sizeof(after_text), "%lld", (long long) after);
		snprintf(page_text, sizeof(page_text), "%d", PAGE);
		snprintf(window_text, sizeof(window_text), "%lld", silent ? (long long) FIRST_WINDOW : INT64_MAX);
		res = conn_query(f->conn, sweep_sql, 4, values);
		if (!conn_ok(res))
			return failure(f, res);

		if (first)
		{
			unsigned	table = strtoul(PQgetvalue(res, 0, 3), NULL, 10);

			max_id = strtoll(PQgetvalue(res, 0, 2), NULL, 10);
			if (f->table != 0 &&
				(table != f->table || (max_id < f->horizon && f->horizon <= f->top)))
			{
				begin_anew(f, table);
				after = f->horizon;
				rows = PAGE;
				PQclear(res);
				continue;
			}
			f->table = table;
			xmin = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
			xmax = strtoull(PQgetvalue(res, 0, 1), NULL, 10);
			if (silent)
				raise_horizon(f, max_id - FIRST_WINDOW);
		}

		/* Without a row the join leaves one of nulls. */
		rows = PQgetisnull(res, 0, 4) ? 0 : PQntuples(res);
		for (int row = 0; row < rows; row++)
			take_row(f, res, row, 4, silent);
		if (rows > 0)
			after = strtoll(PQgetvalue(res, rows - 1, 4), NULL, 10);
		PQclear(res);
	} while (rows == PAGE);

	f->sweep_wanted = false;
	f->swept_at = conn_now();
	advance(f, xmin, xmax, max_id);
	return FEED_OK;
}

static void
advance(Feed *f, uint64_t xmin, uint64_t xmax, int64_t max_id)
{
	int64_t		now = conn_now();

	if (max_id > f->top)
		f->top = max_id;
	if (f->mark_xmax != 0 && xmin >= f->mark_xmax && now >= f->mark_at + SETTLE_TIME)
	{
		raise_horizon(f, f->mark);
		f->mark_xmax = 0;
	}
	if (f->mark_xmax == 0)
	{
		f->mark = max_id;
		f->mark_xmax = xmax;
		f->mark_at = now;
	}
}

static void
raise_horizon(Feed *f, int64_t id)
{
	size_t		gone;

	if (id <= f->horizon)
		return;
	f->horizon = id;
	gone = position(f, id + 1);
	f->nseen -= gone;
	if (gone > 0)
		memmove(f->seen, f->seen + gone, f->nseen * sizeof(Seen));
}

static void
begin_anew(Feed *f, unsigned table)
{
	if (table != f->table)
		print_note("... the console has been started anew");
	if (table != f->table)
		f->old_horizon = 0;
	else if (f->horizon > f->old_horizon)
		f->old_horizon = f->horizon;
	f->old_newest = f->newest;
	f->table = table;
	f->horizon = 0;
	f->top = 0;
	f->mark_xmax = 0;
	/* The set stays: it may have lines of the new table already, and an old one's time differs. */
}

static void
take_row(Feed *f, const PGresult *res, int row, int column, bool silent)
{
	FeedLine	line;
	bool		is_old;

	line.id = strtoll(PQgetvalue(res, row, column), NULL, 10);
	line.created = strtoll(PQgetvalue(res, row, column + 1), NULL, 10);
	line.player = PQgetisnull(res, row, column + 2) ? NULL : PQgetvalue(res, row, column + 2);
	line.message = PQgetvalue(res, row, column + 3);
	if (line.created > f->newest)
		f->newest = line.created;
	is_old = line.id <= f->old_horizon && line.created <= f->old_newest;
	if (remember(f, line.id, line.created) && !silent && !is_old)
		f->sink(&line, f->arg);
}

/* Enters a line into the set; false if it is there. */
static bool
remember(Feed *f, int64_t id, int64_t created)
{
	size_t		at;

	if (id <= f->horizon)
		return false;
	at = position(f, id);
	if (at < f->nseen && f->seen[at].id == id)
	{
		bool		same = f->seen[at].created == created;

		f->seen[at].created = created;
		return !same;
	}
	if (f->nseen == f->seen_size)
	{
		f->seen_size = f->seen_size == 0 ? 256 : f->seen_size * 2;
		f->seen = realloc(f->seen, f->seen_size * sizeof(Seen));
		if (f->seen == NULL)
			abort();
	}
	memmove(f->seen + at + 1, f->seen + at, (f->nseen - at) * sizeof(Seen));
	f->seen[at].id = id;
	f->seen[at].created = created;
	f->nseen++;
	if (id > f->top)
		f->top = id;
	return true;
}

/* The index of the first entry with an id of at least this. */
static size_t
position(const Feed *f, int64_t id)
{
	size_t		low = 0;
	size_t		high = f->nseen;

	while (low < high)
	{
		size_t		middle = (low + high) / 2;

		if (f->seen[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * The id in {"id": 17, ...}, or of the bare number; -1 if there is none.  This
 * needs no parser: inside a JSON string every quote has a backslash before it,
 * so "id" with both its quotes and a colon behind it can only be a key.
 */
static int64_t
notified_id(const char *payload)
{
	const char *at = payload;
	char	   *end;
	long long	id;

	while (isspace((unsigned char) *at))
		at++;
	if (*at == '{')
	{
		const char *key = at;

		for (at = NULL; (key = strstr(key, "\"id\"")) != NULL && at == NULL;)
		{
			key += 4;
			while (isspace((unsigned char) *key))
				key++;
			if (*key == ':')
				at = key + 1;
		}
		if (at == NULL)
			return -1;
	}
	id = strtoll(at, &end, 10);
	return end != at && id > 0 ? id : -1;
}

static FeedStatus
failure(Feed *f, PGresult *res)
{
	const char *sqlstate = conn_sqlstate(res);
	FeedStatus	status = FEED_FAILED;

	if (!conn_alive(f->conn))
		status = FEED_LOST;
	else if (strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42501") == 0)
		status = FEED_MISSING;
	else
		conn_report(res);
	/* Not again at once. */
	f->swept_at = conn_now();
	PQclear(res);
	return status;
}
