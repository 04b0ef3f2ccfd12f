/*
 * top.c - "durable top": the instances of a database, live.
 *
 * Every second the program requests the counts and the newest 200 instances that match, and
 * sorts these.  Both statements are fast with a million instances.  If the connection is
 * lost, the program waits for the server, and shows the last picture and a line about it.
 *
 * If the output is not a terminal, it prints one table and exits, as ps does.
 *
 * Owns, locks: none.
 * Called by: main.c.
 * Memory: the last results, and the lines of the history that is shown.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exits.h"
#include "screen.h"
#include "table.h"
#include "top.h"

#define INTERVAL	1000		/* ms */
#define ROWS		"200"

enum
{
	OPT_FAILED, OPT_ALL
};

static const CommandOption top_options[] = {
	[OPT_FAILED] = {"failed", 'f', NULL, "failed instances, instead of those that have not ended"},
	[OPT_ALL] = {"all", 'a', NULL, "all instances"},
	{0}
};

static int	top_main(Client *c, const Args *args);
static int	print_once(Top *t);
static void live(Top *t);
static void refresh(Top *t);
static bool take_counts(Top *t);
static bool take_rows(Top *t);
static void sort(Top *t);
static int	compare(const void *a, const void *b);
static void handle_key(Top *t, int key);
static char *prompt(Top *t, const char *question);
static void act(Top *t, const char *sql, int n, const char *const *values, const char *done);
static void say(Top *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static const Top *sorting;

static const char counts_sql[] =
"SELECT c.live, c.pending, c.suspended, c.completed, c.failed, c.ended_otherwise, w.workers, w.busy, w.turns, q.ready, q.delayed, q.leased, "
"(extract(epoch FROM pg_catalog.now() - q.oldest) * 1000000)::pg_catalog.int8, pg_catalog.current_database(), current_user "
"FROM (SELECT coalesce(sum(instances) FILTER (WHERE runtime_status = 'Running'), 0) AS live, "
"coalesce(sum(instances) FILTER (WHERE runtime_status = 'Pending'), 0) AS pending, "
"coalesce(sum(instances) FILTER (WHERE runtime_status = 'Suspended'), 0) AS suspended, "
"coalesce(sum(instances) FILTER (WHERE runtime_status = 'Completed'), 0) AS completed, "
"coalesce(sum(instances) FILTER (WHERE runtime_status = 'Failed'), 0) AS failed, "
"coalesce(sum(instances) FILTER (WHERE runtime_status = 'Terminated'), 0) AS ended_otherwise FROM durable.counts) c, "
"(SELECT count(*) AS workers, count(*) FILTER (WHERE state <> 'idle') AS busy, coalesce(sum(turns), 0) AS turns FROM durable.workers) w, "
"(SELECT coalesce(sum(ready), 0) AS ready, coalesce(sum(delayed), 0) AS delayed, coalesce(sum(leased), 0) AS leased, min(oldest) AS oldest "
"FROM durable.queues) q";

#define ROWS_FROM(condition) \
	"durable.query(statuses => $1::pg_catalog.text[], " condition ", page_size => " ROWS ")"

#define ROWS_COLUMNS \
	"SELECT q.instance_id, q.runtime_status, pg_catalog.regexp_replace(q.name, '^public[.]', ''), " \
	"pg_catalog.regexp_replace(q.waiting_on, ' [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:.+-]+', '', 'g'), " \
	"(SELECT (extract(epoch FROM min(w.due) - durable.clock()) * 1000000)::pg_catalog.int8 FROM durable.waiting w " \
	"WHERE w.instance_id = q.instance_id AND w.owner = q.owner AND q.completed_time IS NULL), " \
	"(extract(epoch FROM q.duration) * 1000000)::pg_catalog.int8, (extract(epoch FROM q.compute_time) * 1000000)::pg_catalog.int8, " \
	"pg_catalog.row_to_json(q) "

static const char rows_sql[] = ROWS_COLUMNS "FROM " ROWS_FROM("id_prefix => NULL") " q ORDER BY q.created_time DESC";

static const char filtered_sql[] =
ROWS_COLUMNS "FROM (SELECT * FROM " ROWS_FROM("id_prefix => $2") " UNION SELECT * FROM " ROWS_FROM("name => $2") ") q "
"ORDER BY q.created_time DESC LIMIT " ROWS;

const Command command_top = {
	.name = "top",
	.arguments = "",
	.summary = "the instances of the database, live",
	.details = "Shows instances that have not ended, and lets you act on them. Press h for the keys.\n"
	"If the output is no terminal, it prints one table.\n",
	.least = 0,
	.most = 0,
	.options = top_options,
	.statement_timeout = "5s",
	.run = top_main
};

static int
top_main(Client *c, const Args *args)
{
	Top			top = {.c = c, .statuses = "{Pending,Running,Suspended}"};
	bool		is_live = screen_is_possible() && !c->json;
	int			code;

	if (args_has(args, OPT_ALL))
		top.statuses = NULL;
	else if (args_has(args, OPT_FAILED))
		top.statuses = "{Failed}";
	c->connection.is_second = is_live;	/* nothing is to be printed over the screen */
	if ((code = client_open(c)) != EXIT_OK)
		return code;
	if (!is_live)
		return print_once(&top);
	/* Errors at the start are printed in the ordinary way. */
	top.counts = client_ask(c, counts_sql, 0, NULL, &code);
	if (top.counts == NULL)
		return code;
	c->echo = false;
	screen_begin();
	live(&top);
	screen_end();
	top_close_history(&top);
	PQclear(top.counts);
	PQclear(top.rows);
	free(top.sorted);
	free(top.filter);
	free(top.selected_id);
	free(top.message);
	return EXIT_OK;
}

static int
print_once(Top *t)
{
	static const Column columns[] = {
		{"ID", COLUMN_LONG}, {"STATUS", COLUMN_STATUS}, {"NAME", COLUMN_LONG}, {"WAITS FOR", COLUMN_LONG}, {"DUE", COLUMN_DURATION},
		{"AGE", COLUMN_DURATION}, {"COMPUTE", COLUMN_DURATION}
	};
	const char *values[] = {t->statuses};
	int			code;
	PGresult   *res = client_ask(t->c, rows_sql, 1, values, &code);

	if (res == NULL)
		return code;
	if (t->c->json)
		table_print_json(res, TOP_JSON);
	else
		table_print(res, columns, 7, t->c->quiet);
	PQclear(res);
	return EXIT_OK;
}

static void
live(Top *t)
{
	while (!t->quit)
	{
		int64_t		now = conn_now();
		int			key;

		if (now >= t->next && !t->is_paused)
		{
			refresh(t);
			t->next = conn_now() + INTERVAL;
		}
		top_draw(t);
		key = screen_key(t->is_paused ? 10000 : (int) (t->next - conn_now() > 0 ? t->next - conn_now() : 0));
		if (key == KEY_GONE)
			return;
		if (key == KEY_NONE || key == KEY_RESIZED)
			continue;
		free(t->message);
		t->message = NULL;
		if (t->history_of != NULL)
			top_history_key(t, key);
		else
			handle_key(t, key);
	}
}

/* --- what is shown --------------------------------------------------------------------------- */

static void
refresh(Top *t)
{
	int			wait;

	if (!conn_mend(&t->c->conn, &wait))
		;
	else if (t->history_of != NULL)
		top_refresh_history(t);
	else if (take_counts(t) && take_rows(t))
		sort(t);
	t->is_away = !conn_alive(&t->c->conn);
	if (t->is_away)
	{
		free(t->message);
		t->message = NULL;
	}
}

/* NULL: the error is shown at the bottom of the screen. */
PGresult *
top_ask(Top *t, const char *sql, int n, const char *const *values)
{
	PGresult   *res;

	if (!conn_alive(&t->c->conn))
		return NULL;
	res = conn_query(&t->c->conn, sql, n, values);
	if (conn_ok(res))
		return res;
	if (conn_alive(&t->c->conn))
		say(t, "%s", PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) :
			PQresultErrorMessage(res));
	PQclear(res);
	return NULL;
}

static bool
take_counts(Top *t)
{
	PGresult   *res = top_ask(t, counts_sql, 0, NULL);
	int64_t		turns;
	int64_t		now = conn_now();

	if (res == NULL)
		return false;
	PQclear(t->counts);
	t->counts = res;
	turns = strtoll(PQgetvalue(res, 0, 8), NULL, 10);
	/* The count of a worker is lost when it exits. */
	t->turns = t->turns_at > 0 && turns >= t->turns_before && now > t->turns_at ? (turns - t->turns_before) * 1000.0 / (now - t->turns_at) : 0;
	t->turns_before = turns;
	t->turns_at = now;
	return true;
}

static bool
take_rows(Top *t)
{
	const char *values[] = {t->statuses, t->filter};
	PGresult   *res = top_ask(t, t->filter != NULL ? filtered_sql : rows_sql, t->filter != NULL ? 2 : 1, values);

	if (res == NULL)
		return false;
	PQclear(t->rows);
	t->rows = res;
	return true;
}

/* The selection stays with its instance. */
static void
sort(Top *t)
{
	int			n = PQntuples(t->rows);

	free(t->sorted);
	t->sorted = malloc(sizeof(int) * (size_t) (n + 1));
	if (t->sorted == NULL)
		abort();
	for (int i = 0; i < n; i++)
		t->sorted[i] = i;
	sorting = t;
	qsort(t->sorted, (size_t) n, sizeof(int), compare);
	for (int i = 0; i < n && t->selected_id != NULL; i++)
	{
		if (strcmp(PQgetvalue(t->rows, t->sorted[i], TOP_ID), t->selected_id) == 0)
			t->selected = i;
	}
	if (t->selected >= n)
		t->selected = n > 0 ? n - 1 : 0;
}

static int
compare(const void *a, const void *b)
{
	static const int columns[ORDERS] = {[ORDER_DURATION] = TOP_DURATION, [ORDER_DUE] = TOP_DUE, [ORDER_COMPUTE] = TOP_COMPUTE};
	const PGresult *res = sorting->rows;
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	int			column = columns[sorting->order];
	int64_t		difference = 0;

	if (sorting->order == ORDER_NAME)
		difference = strcmp(PQgetvalue(res, x, TOP_NAME), PQgetvalue(res, y, TOP_NAME));
	else if (sorting->order == ORDER_DUE && PQgetisnull(res, x, TOP_DUE) != PQgetisnull(res, y, TOP_DUE))
		difference = PQgetisnull(res, x, TOP_DUE) - PQgetisnull(res, y, TOP_DUE);
	else if (sorting->order != ORDER_NEWEST)
	{
		difference = strtoll(PQgetvalue(res, y, column), NULL, 10) - strtoll(PQgetvalue(res, x, column), NULL, 10);
		if (sorting->order == ORDER_DUE)
			difference = -difference;
	}
	/* The server's order is from the newest on. */
	if (difference == 0)
		difference = x - y;
	return difference < 0 ? -1 : difference > 0;
}

/* --- keys ------------------------------------------------------------------------------------ */

static void
handle_key(Top *t, int key)
{
	int			n = t->rows != NULL ? PQntuples(t->rows) : 0;
	int			page = screen_height() - HEAD_LINES - 2;
	const char *id = n > 0 ? PQgetvalue(t->rows, t->sorted[t->selected], TOP_ID) : NULL;
	const char *values[3] = {id, NULL, NULL};
	char	   *text;
	char	   *data;

	switch (key)
	{
		case 'q':
		case KEY_CTRL_C:
			t->quit = true;
			return;
		case KEY_UP:
		case 'k':
			t->selected--;
			break;
		case KEY_DOWN:
		case 'j':
			t->selected++;
			break;
		case KEY_PAGE_UP:
			t->selected -= page;
			break;
		case KEY_PAGE_DOWN:
		case ' ':
			t->selected += page;
			break;
		case KEY_HOME:
			t->selected = 0;
			break;
		case KEY_END:
			t->selected = n - 1;
			break;
		case 's':
			t->order = (t->order + 1) % ORDERS;
			if (t->rows != NULL)
				sort(t);
			return;
		case 'f':
			t->statuses = t->statuses != NULL && strcmp(t->statuses, "{Failed}") == 0 ? "{Pending,Running,Suspended}" : "{Failed}";
			t->next = 0;
			return;
		case 'a':
			t->statuses = t->statuses == NULL ? "{Pending,Running,Suspended}" : NULL;
			t->next = 0;
			return;
		case 'p':
			t->is_paused = !t->is_paused;
			t->next = 0;
			return;
		case '/':
			text = prompt(t, "Beginning of the id, or name (empty: all): ");
			if (text != NULL)
			{
				free(t->filter);
				t->filter = *text != '\0' ? text : NULL;
				if (*text == '\0')
					free(text);
			}
			t->next = 0;
			return;
		case 'h':
		case '?':
			top_help(t);
			return;
		default:
			break;
	}
	if (t->selected >= n)
		t->selected = n - 1;
	if (t->selected < 0)
		t->selected = 0;
	free(t->selected_id);
	t->selected_id = n > 0 ? strdup(PQgetvalue(t->rows, t->sorted[t->selected], TOP_ID)) : NULL;
	if (id == NULL)
		return;
	switch (key)
	{
		case KEY_ENTER:
			top_open_history(t);
			break;
		case 'e':
			text = prompt(t, "Name of the event: ");
			data = text != NULL && *text != '\0' ? prompt(t, "Data as JSON (empty: none): ") : NULL;
			values[1] = text;
			values[2] = data != NULL && *data != '\0' ? data : NULL;
			if (data != NULL)
				act(t, "SELECT durable.raise_event($1, $2, $3::pg_catalog.jsonb)", 3, values, "The event was sent.");
			free(text);
			free(data);
			break;
		case 't':
			text = prompt(t, "Terminate the selected instance? Type yes: ");
			if (text != NULL && strcmp(text, "yes") == 0)
				act(t, "SELECT durable.terminate($1, 'durable top')", 1, values, "It is being terminated.");
			free(text);
			break;
		case 'z':
			act(t, "SELECT durable.suspend($1, 'durable top')", 1, values, "It is being suspended.");
			break;
		case 'r':
			act(t, "SELECT durable.resume($1, 'durable top')", 1, values, "It is being resumed.");
			break;
		default:
			break;
	}
}

static void
act(Top *t, const char *sql, int n, const char *const *values, const char *done)
{
	PGresult   *res = top_ask(t, sql, n, values);

	if (res != NULL)
		say(t, "%s", done);
	else if (!conn_alive(&t->c->conn))
		say(t, "There is no server.");
	PQclear(res);
	t->next = 0;
}

/* A line of input at the bottom; NULL: Escape.  The caller frees it. */
static char *
prompt(Top *t, const char *question)
{
	char	   *text = calloc(1, 4096);
	size_t		length = 0;

	if (text == NULL)
		abort();
	for (;;)
	{
		int			key;

		say(t, "%s%s_", question, text);
		top_draw(t);
		key = screen_key(60000);
		if (key == KEY_GONE || key == KEY_ESCAPE || key == KEY_CTRL_C)
		{
			t->quit = t->quit || key == KEY_GONE;
			free(text);
			text = NULL;
			break;
		}
		if (key == KEY_ENTER)
			break;
		if (key == KEY_BACKSPACE)
		{
			while (length > 0 && ((unsigned char) text[--length] & 0xc0) == 0x80)
				;
			text[length] = '\0';
		}
		else if (key >= ' ' && key < 256 && length < 4095)
			text[length++] = (char) key;
	}
	free(t->message);
	t->message = NULL;
	return text;
}

static void
say(Top *t, const char *format, ...)
{
	va_list		args;

	free(t->message);
	va_start(args, format);
	if (vasprintf(&t->message, format, args) < 0)
		abort();
	va_end(args);
}
