/*
 * top_history.c - the history of an instance inside of "durable top".
 *
 * Owns, locks: none.
 * Called by: top.c.
 * Memory: the lines, until the history is closed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"
#include "timeline.h"
#include "top.h"

static void keep_line(Style style, const char *line, void *arg);

void
top_open_history(Top *t)
{
	t->history_of = strdup(t->selected_id);
	t->line = 0;
	top_refresh_history(t);
	if (t->nlines == 0)
		top_close_history(t);
}

void
top_close_history(Top *t)
{
	for (int i = 0; i < t->nlines; i++)
		free(t->lines[i]);
	free(t->lines);
	free(t->styles);
	free(t->history_of);
	free(t->seen);
	t->lines = NULL;
	t->styles = NULL;
	t->history_of = NULL;
	t->seen = NULL;
	t->nlines = 0;
	t->next = 0;
}

/* Drawn anew if something has happened. */
void
top_refresh_history(Top *t)
{
	const char *values[] = {t->history_of, "-1"};
	PGresult   *status = top_ask(t, timeline_status_sql, 1, values);
	PGresult   *events;
	Timeline   *timeline;
	char	   *now;
	int			height = screen_height() - 1;
	bool		at_end = t->line + height >= t->nlines;

	if (status == NULL)
		return;
	if (asprintf(&now, "%s %s %s %s %d", PQgetvalue(status, 0, STATUS_UPDATED), PQgetvalue(status, 0, STATUS_TURNS),
				 PQgetvalue(status, 0, STATUS_STATUS), PQgetvalue(status, 0, STATUS_WAITING), screen_width()) < 0)
		abort();
	if ((t->seen != NULL && strcmp(t->seen, now) == 0) || (events = top_ask(t, timeline_sql, 2, values)) == NULL)
	{
		free(now);
		PQclear(status);
		return;
	}
	free(t->seen);
	t->seen = now;
	for (int i = 0; i < t->nlines; i++)
		free(t->lines[i]);
	t->nlines = 0;
	timeline = timeline_new(screen_width(), keep_line, t);
	timeline_head(timeline, status);
	timeline_add(timeline, events);
	timeline_free(timeline);
	if (*PQgetvalue(status, 0, STATUS_WAITING) != '\0')
	{
		char	   *waits;

		if (asprintf(&waits, "It waits for: %s", PQgetvalue(status, 0, STATUS_WAITING)) < 0)
			abort();
		keep_line(STYLE_NARRATION, waits, t);
		free(waits);
	}
	PQclear(events);
	PQclear(status);
	/* If the end is displayed, it stays displayed when lines are added. */
	if (at_end && t->nlines > height)
		t->line = t->nlines - height;
}

static void
keep_line(Style style, const char *line, void *arg)
{
	Top		   *t = arg;

	if (t->nlines % 256 == 0)
	{
		t->lines = realloc(t->lines, sizeof(char *) * (size_t) (t->nlines + 256));
		t->styles = realloc(t->styles, sizeof(Style) * (size_t) (t->nlines + 256));
		if (t->lines == NULL || t->styles == NULL)
			abort();
	}
	t->lines[t->nlines] = strdup(line);
	t->styles[t->nlines++] = style;
}

void
top_history_key(Top *t, int key)
{
	int			height = screen_height() - 1;

	switch (key)
	{
		case 'q':
		case KEY_ESCAPE:
		case KEY_BACKSPACE:
		case KEY_ENTER:
			top_close_history(t);
			return;
		case KEY_CTRL_C:
			t->quit = true;
			return;
		case KEY_UP:
		case 'k':
			t->line--;
			break;
		case KEY_DOWN:
		case 'j':
			t->line++;
			break;
		case KEY_PAGE_UP:
			t->line -= height;
			break;
		case KEY_PAGE_DOWN:
		case ' ':
			t->line += height;
			break;
		case KEY_HOME:
			t->line = 0;
			break;
		case KEY_END:
			t->line = t->nlines;
			break;
		default:
			break;
	}
	if (t->line > t->nlines - height)
		t->line = t->nlines - height;
	if (t->line < 0)
		t->line = 0;
}
