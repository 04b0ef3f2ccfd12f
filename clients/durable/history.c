/*
 * history.c - "durable history": the timeline of an instance, with --follow until it ends.
 *
 * To follow an instance, the program requests the status twice a second, and the history
 * only if the number of turns or the time of the last change has changed.  If the connection
 * is lost, it waits for the server and continues after the last event that was drawn.
 * continue_as_new deletes the history, and the drawing starts again.
 *
 * Owns, locks: none.
 * Called by: main.c.
 * Memory: the Timeline's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "exits.h"
#include "print.h"
#include "table.h"
#include "timeline.h"

#define FOLLOW_INTERVAL 500		/* ms */

enum
{
	OPT_FOLLOW, OPT_MERMAID
};

static const CommandOption history_options[] = {
	[OPT_FOLLOW] = {"follow", 'f', NULL, "go on until the instance ends; the exit code tells whether it has completed"},
	[OPT_MERMAID] = {"mermaid", 0, NULL, "a sequence diagram in the language of Mermaid"},
	{0}
};

static int	history_main(Client *c, const Args *args);
static int	draw(Client *c, const char *id, bool follow);
static void print_event(Style style, const char *line, void *arg);
static bool is_finished(const char *status);
static void tell_waits(const PGresult *status);
static bool changed(char **seen, const PGresult *status);

const Command command_history = {
	.name = "history",
	.arguments = "ID",
	.summary = "the timeline of an instance; --follow: live",
	.details = "Draws the history of an instance: one line for each durable call, with the time since\n"
	"the creation, the answer, and how long that took.  With --json, the rows of\n"
	"durable.history.\n",
	.least = 1,
	.most = 1,
	.options = history_options,
	.run = history_main
};

static const char json_sql[] =
"SELECT h.seq, pg_catalog.row_to_json(h) FROM durable.history($1) h WHERE h.seq > $2::pg_catalog.int4 OR $2 = '-1'";

static int
history_main(Client *c, const Args *args)
{
	int			code = client_open(c);

	if (code != EXIT_OK)
		return code;
	if (args_has(args, OPT_MERMAID))
	{
		const char *values[] = {args->values[0], "mermaid"};
		PGresult   *res = client_ask(c, "SELECT durable.explain($1, $2)", 2, values, &code);

		for (int i = 0; res != NULL && i < PQntuples(res); i++)
			print_line(STYLE_PLAIN, "%s", PQgetvalue(res, i, 0));
		PQclear(res);
		return code;
	}
	return draw(c, args->values[0], args_has(args, OPT_FOLLOW));
}

static int
draw(Client *c, const char *id, bool follow)
{
	Timeline   *timeline = NULL;
	char	   *execution = NULL;
	char	   *seen = NULL;
	char		last[24] = "-1";	/* of --json */
	int			code = EXIT_OK;

	if (follow)
		c->patience = 0;
	for (;;)
	{
		PGresult   *status = client_try(c, timeline_status_sql, 1, &id, NULL);
		bool		finished;

		if (status == NULL)
		{
			code = EXIT_CONNECTION;
			break;
		}
		if (!conn_ok(status))
		{
			code = client_report(c, status);
			PQclear(status);
			break;
		}
		finished = is_finished(PQgetvalue(status, 0, STATUS_STATUS));
		if (execution == NULL || strcmp(execution, PQgetvalue(status, 0, STATUS_EXECUTION)) != 0)
		{
			timeline_free(timeline);
			timeline = timeline_new(table_screen_width(), print_event, NULL);
			free(execution);
			execution = strdup(PQgetvalue(status, 0, STATUS_EXECUTION));
			strcpy(last, "-1");
			if (!c->json)
				timeline_head(timeline, status);
		}
		if (changed(&seen, status))
		{
			const char *values[] = {id, c->json ? last : timeline_last(timeline)};
			PGresult   *events = client_try(c, c->json ? json_sql : timeline_sql, 2, values, NULL);

			if (events == NULL || !conn_ok(events))
			{
				code = events == NULL ? EXIT_CONNECTION : client_report(c, events);
				PQclear(events);
				PQclear(status);
				break;
			}
			if (c->json)
			{
				table_print_json(events, 1);
				for (int i = 0; i < PQntuples(events); i++)
				{
					if (!PQgetisnull(events, i, 0))
						snprintf(last, sizeof(last), "%s", PQgetvalue(events, i, 0));
				}
			}
			else
				timeline_add(timeline, events);
			PQclear(events);
		}
		if (finished || !follow)
		{
			if (!finished && !c->json)
				tell_waits(status);
			if (follow && strcmp(PQgetvalue(status, 0, STATUS_STATUS), "Completed") != 0)
				code = EXIT_FAILED;
			PQclear(status);
			break;
		}
		PQclear(status);
		/* The reader may have closed the pipe; the next line may come hours later. */
		if (conn_wait(&c->conn, STDOUT_FILENO, 0, FOLLOW_INTERVAL))
		{
			code = EXIT_FAILED;
			break;
		}
	}
	timeline_free(timeline);
	free(execution);
	free(seen);
	return code;
}

/* Something has happened since the last look? */
static bool
changed(char **seen, const PGresult *status)
{
	char	   *now;
	bool		same;

	if (asprintf(&now, "%s %s %s %s %s", PQgetvalue(status, 0, STATUS_EXECUTION), PQgetvalue(status, 0, STATUS_TURNS),
				 PQgetvalue(status, 0, STATUS_UPDATED), PQgetvalue(status, 0, STATUS_STATUS),
				 PQgetvalue(status, 0, STATUS_WAITING)) < 0)
		abort();
	same = *seen != NULL && strcmp(*seen, now) == 0;
	free(*seen);
	*seen = now;
	return !same;
}

static void
print_event(Style style, const char *line, void *arg)
{
	(void) arg;
	print_open(stdout);
	print_piece(stdout, style, "%s", line);
	print_close(stdout);
}

static bool
is_finished(const char *status)
{
	return strcmp(status, "Completed") == 0 || strcmp(status, "Failed") == 0 || strcmp(status, "Terminated") == 0;
}

static void
tell_waits(const PGresult *status)
{
	const char *waiting = PQgetvalue(status, 0, STATUS_WAITING);

	if (*waiting != '\0')
		print_note("It waits for: %s", waiting);
}
