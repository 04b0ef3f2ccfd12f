/*
 * top_draw.c - draws the screen of "durable top".
 *
 * A picture is composed as a whole and shown at once.  Texts of the database pass through
 * table_cell, which replaces control characters and fits them to the width of the column.
 *
 * Owns, locks: none.
 * Called by: top.c.
 * Memory: one picture.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "screen.h"
#include "table.h"
#include "top.h"

static void draw_head(Top *t, FILE *out, int width);
static void draw_rows(Top *t, FILE *out, int width, int height);
static void draw_history(Top *t, FILE *out, int width, int height);
static const char *short_duration(int64_t us);
static const char *value(const PGresult *res, int row, int column);

void
top_draw(Top *t)
{
	int			width = screen_width();
	int			height = screen_height();
	char	   *screen = NULL;
	size_t		size;
	FILE	   *out = open_memstream(&screen, &size);

	if (out == NULL)
		abort();
	if (t->history_of != NULL)
		draw_history(t, out, width, height);
	else
	{
		draw_head(t, out, width);
		draw_rows(t, out, width, height - HEAD_LINES - 1);
	}
	/* The last line: what was said, or what can be done. */
	if (t->is_away && t->message == NULL)
	{
		fputs(print_code(STYLE_BAD, true), out);
		table_cell(out, "Waiting for the server", width, false, false);
		fputs(print_code(STYLE_BAD, false), out);
	}
	else
	{
		fputs(print_code(t->message != NULL ? STYLE_NAME : STYLE_DIM, true), out);
		table_cell(out, t->message != NULL ? t->message : t->history_of != NULL ?
				   "Up Down: scroll   q: back" :
				   "Enter: history  s: sort  /: filter  f: failed  a: all  h: help  q: quit", width, false, false);
		fputs(print_code(STYLE_DIM, false), out);
	}
	fclose(out);
	screen_show(screen);
	free(screen);
}

static void
draw_head(Top *t, FILE *out, int width)
{
	static const char *const orders[] = {"newest first", "longest first", "due first", "most compute time first", "by name"};
	time_t		now = time(NULL);
	struct tm	parts;
	char		clock[16];
	char	   *line;

	localtime_r(&now, &parts);
	strftime(clock, sizeof(clock), "%H:%M:%S", &parts);
	if (asprintf(&line, "durable top  %s  %s as %s%s", clock, value(t->counts, 0, 13), value(t->counts, 0, 14),
				 t->is_paused ? "  PAUSED (p continues)" : "") < 0)
		abort();
	fputs(print_code(STYLE_NAME, true), out);
	table_cell(out, line, width, false, false);
	fprintf(out, "%s\n", print_code(STYLE_NAME, false));
	free(line);
	if (asprintf(&line, "running %s  pending %s  suspended %s  completed %s  failed %s  terminated %s", value(t->counts, 0, 0),
				 value(t->counts, 0, 1), value(t->counts, 0, 2), value(t->counts, 0, 3), value(t->counts, 0, 4), value(t->counts, 0, 5)) < 0)
		abort();
	table_cell(out, line, width, false, false);
	fputc('\n', out);
	free(line);
	if (asprintf(&line, "turns/s %.0f  workers %s, %s busy  queues: %s ready, %s delayed, %s leased%s%s", t->turns, value(t->counts, 0, 6),
				 value(t->counts, 0, 7), value(t->counts, 0, 9), value(t->counts, 0, 10), value(t->counts, 0, 11),
				 PQgetisnull(t->counts, 0, 12) ? "" : ", oldest ",
				 PQgetisnull(t->counts, 0, 12) ? "" : short_duration(strtoll(value(t->counts, 0, 12), NULL, 10))) < 0)
		abort();
	table_cell(out, line, width, false, false);
	fputc('\n', out);
	free(line);
	if (asprintf(&line, "%s%s%s, %s", t->statuses == NULL ? "all instances" : strcmp(t->statuses, "{Failed}") == 0 ? "failed instances" :
				 "instances that have not ended", t->filter != NULL ? " that fit " : "", t->filter != NULL ? t->filter : "", orders[t->order]) < 0)
		abort();
	fputs(print_code(STYLE_DIM, true), out);
	table_cell(out, line, width, false, false);
	fprintf(out, "%s\n", print_code(STYLE_DIM, false));
	free(line);
}

static void
draw_rows(Top *t, FILE *out, int width, int height)
{
	int			n = t->rows != NULL ? PQntuples(t->rows) : 0;
	int			room = width - 10 - 3 * 8 - 6;	/* for id, name, waiting */
	int			id_width = room > 90 ? 36 : room * 35 / 100;
	int			name_width = room > 90 ? 28 : room * 30 / 100;
	int			waiting_width = room - id_width - name_width;
	int			drawn = 1;

	if (waiting_width < 4)
		waiting_width = 4;
	fputs(print_code(STYLE_DIM, true), out);
	table_cell(out, "STATUS", 10, true, false);
	fputc(' ', out);
	table_cell(out, "ID", id_width, true, false);
	fputc(' ', out);
	table_cell(out, "NAME", name_width, true, false);
	fputc(' ', out);
	table_cell(out, "WAITS FOR", waiting_width, true, false);
	fprintf(out, " %7s %7s %7s%s\n", "DUE", "AGE", "COMPUTE", print_code(STYLE_DIM, false));
	if (t->selected < t->first)
		t->first = t->selected;
	if (t->selected >= t->first + height - 1)
		t->first = t->selected - height + 2;
	if (t->first < 0)
		t->first = 0;
	for (int i = t->first; i < n && drawn < height; i++, drawn++)
	{
		int			row = t->sorted[i];
		const char *status = value(t->rows, row, TOP_STATUS);
		Style		style = table_status_style(status);
		bool		is_selected = i == t->selected;

		fputs(is_selected ? "\033[7m" : print_code(style, true), out);
		table_cell(out, status, 10, true, false);
		fputs(is_selected ? "" : print_code(style, false), out);
		fputc(' ', out);
		table_cell(out, value(t->rows, row, TOP_ID), id_width, true, false);
		fputc(' ', out);
		table_cell(out, value(t->rows, row, TOP_NAME), name_width, true, false);
		fputc(' ', out);
		table_cell(out, value(t->rows, row, TOP_WAITING), waiting_width, true, false);
		fprintf(out, " %7s", PQgetisnull(t->rows, row, TOP_DUE) ? "" : short_duration(strtoll(value(t->rows, row, TOP_DUE), NULL, 10)));
		fprintf(out, " %7s", short_duration(strtoll(value(t->rows, row, TOP_DURATION), NULL, 10)));
		fprintf(out, " %7s%s\n", short_duration(strtoll(value(t->rows, row, TOP_COMPUTE), NULL, 10)), is_selected ? "\033[0m" : "");
	}
	if (n == 0 && drawn < height)
	{
		fputs(t->rows == NULL ? "\n" : "There are none.\n", out);
		drawn++;
	}
	for (; drawn < height; drawn++)
		fputc('\n', out);
}

void
top_help(Top *t)
{
	screen_show("Keys of durable top\n"
				"\n"
				"  Up Down k j        select an instance; also Page Up, Page Down, Home, End\n"
				"  Enter              its history, live\n"
				"  s                  sort: newest, longest, due, compute time, name\n"
				"  /                  only ids that begin so, or a name\n"
				"  f                  only failed instances, and back\n"
				"  a                  all instances, and back\n"
				"  p                  pause and continue updates of the screen\n"
				"  e                  send an event to the selected instance\n"
				"  z r                suspend it, resume it\n"
				"  t                  terminate it\n"
				"  q Ctrl-C           quit\n"
				"\n"
				"The newest 200 instances are shown; DUE is the time until the next timer.\n"
				"\n"
				"Press a key.");
	if (screen_key(600000) == KEY_GONE)
		t->quit = true;
}

/* At most seven columns. */
static const char *
short_duration(int64_t us)
{
	static char buffer[48];
	int64_t		s = us / 1000000;

	if (us < 0)
		snprintf(buffer, sizeof(buffer), "now");
	else if (s == 0)
		snprintf(buffer, sizeof(buffer), "%.1fms", us / 1e3);
	else if (s < 100)
		snprintf(buffer, sizeof(buffer), "%.1fs", us / 1e6);
	else if (s < 3600)
		snprintf(buffer, sizeof(buffer), "%dm%02ds", (int) (s / 60), (int) (s % 60));
	else if (s < 86400)
		snprintf(buffer, sizeof(buffer), "%dh%02dm", (int) (s / 3600), (int) (s / 60 % 60));
	else
		snprintf(buffer, sizeof(buffer), "%dd%02dh", (int) (s / 86400), (int) (s / 3600 % 24));
	return buffer;
}

static const char *
value(const PGresult *res, int row, int column)
{
	return PQgetvalue(res, row, column);
}

static void
draw_history(Top *t, FILE *out, int width, int height)
{
	for (int i = 0; i < height - 1; i++)
	{
		if (t->line + i < t->nlines)
		{
			fputs(print_code(t->styles[t->line + i], true), out);
			table_cell(out, t->lines[t->line + i], width, false, false);
			fputs(print_code(t->styles[t->line + i], false), out);
		}
		fputc('\n', out);
	}
}
