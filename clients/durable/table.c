/*
 * table.c - results as tables.
 *
 * Widths are those of the values.  If a terminal is too narrow, the columns that may be long
 * share the remaining width.  If the output is not a terminal, values are never cut, because
 * a program may read them.
 *
 * Owns, locks: none.
 * Called by: the subcommands.
 * Memory: freed before return.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "program.h"
#include "table.h"

#define MAX_COLUMNS	16
#define GAP			2

static char *cell_text(const PGresult *res, int row, int column, ColumnKind kind);
static void fit(const Column *columns, int ncolumns, int *widths);

void
table_print(const PGresult *res, const Column *columns, int ncolumns, bool names_only)
{
	int			rows = PQntuples(res);
	int			widths[MAX_COLUMNS];
	char	  **cells;

	if (names_only)
	{
		for (int r = 0; r < rows; r++)
		{
			print_open(stdout);
			print_text(stdout, PQgetvalue(res, r, 0));
			print_close(stdout);
		}
		return;
	}

	cells = malloc(sizeof(char *) * (size_t) (rows * ncolumns + 1));
	if (cells == NULL)
		abort();
	for (int i = 0; i < ncolumns; i++)
		widths[i] = (int) strlen(columns[i].title);
	for (int r = 0; r < rows; r++)
	{
		for (int i = 0; i < ncolumns; i++)
		{
			char	   *text = cell_text(res, r, i, columns[i].kind);
			int			width = print_columns(text, strlen(text));

			cells[r * ncolumns + i] = text;
			if (width > widths[i])
				widths[i] = width;
		}
	}
	fit(columns, ncolumns, widths);

	for (int r = -1; r < rows; r++)
	{
		print_open(stdout);
		for (int i = 0; i < ncolumns; i++)
		{
			bool		right = columns[i].kind == COLUMN_NUMBER || columns[i].kind == COLUMN_DURATION;
			const char *text = r < 0 ? columns[i].title : cells[r * ncolumns + i];
			Style		style = r < 0 ? STYLE_DIM :
				columns[i].kind == COLUMN_STATUS ? table_status_style(text) : STYLE_PLAIN;
			char	   *cell = NULL;
			size_t		size;
			FILE	   *out = open_memstream(&cell, &size);

			if (out == NULL)
				abort();
			table_cell(out, text, widths[i], i < ncolumns - 1 || right, right);
			fclose(out);
			print_piece(stdout, style, "%s", cell);
			if (i < ncolumns - 1)
				printf("%*s", GAP, "");
			free(cell);
		}
		print_close(stdout);
	}
	for (int i = 0; i < rows * ncolumns; i++)
		free(cells[i]);
	free(cells);
}

void
table_print_json(const PGresult *res, int column)
{
	for (int r = 0; r < PQntuples(res); r++)
	{
		print_open(stdout);
		print_json(stdout, PQgetvalue(res, r, column));
		print_close(stdout);
	}
}

static char *
cell_text(const PGresult *res, int row, int column, ColumnKind kind)
{
	const char *value = PQgetvalue(res, row, column);

	if (PQgetisnull(res, row, column))
		return strdup("");
	if (kind == COLUMN_DURATION)
		return strdup(table_duration(strtoll(value, NULL, 10)));
	return print_clean(value);
}

static void
fit(const Column *columns, int ncolumns, int *widths)
{
	int			screen = table_screen_width();
	int			total = GAP * (ncolumns - 1);

	for (int i = 0; i < ncolumns; i++)
		total += widths[i];
	/* The widest column that may be cut is shortened first. */
	while (screen > 0 && total > screen)
	{
		int			widest = -1;

		for (int i = 0; i < ncolumns; i++)
		{
			if (columns[i].kind == COLUMN_LONG && widths[i] > 8 && (widest < 0 || widths[i] > widths[widest]))
				widest = i;
		}
		if (widest < 0)
			return;
		widths[widest]--;
		total--;
	}
}

int
table_screen_width(void)
{
	struct winsize window;

	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col >= 20 ? window.ws_col : 80;
}

int
table_screen_height(void)
{
	struct winsize window;

	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 ? window.ws_row : 24;
}

void
table_cell(FILE *out, const char *text, int width, bool pad, bool right)
{
	const char *more = program_draws_unicode() ? "\u2026" : "~";
	char	   *clean = print_clean(text);
	size_t		length = strlen(clean);
	int			columns = print_columns(clean, length);

	if (columns > width)
	{
		while (length > 0 && columns > width - 1)
		{
			do
				length--;
			while (length > 0 && ((unsigned char) clean[length] & 0xc0) == 0x80);
			columns = print_columns(clean, length);
		}
		fwrite(clean, 1, length, out);
		fputs(width > 0 ? more : "", out);
		columns += width > 0 ? 1 : 0;
	}
	else
	{
		if (pad && right)
			fprintf(out, "%*s", width - columns, "");
		fwrite(clean, 1, length, out);
		if (right)
			columns = width;
	}
	if (pad && columns < width)
		fprintf(out, "%*s", width - columns, "");
	free(clean);
}

const char *
table_duration(int64_t us)
{
	static char buffer[48];
	const char *sign = us < 0 ? "-" : "";
	int64_t		s;

	if (us < 0)
		us = -us;
	s = us / 1000000;
	if (us < 1000000)
		snprintf(buffer, sizeof(buffer), "%s%.1f ms", sign, us / 1e3);
	else if (s < 60)
		snprintf(buffer, sizeof(buffer), "%s%.1f s", sign, us / 1e6);
	else if (s < 3600)
		snprintf(buffer, sizeof(buffer), "%s%d min %02d s", sign, (int) (s / 60), (int) (s % 60));
	else if (s < 86400)
		snprintf(buffer, sizeof(buffer), "%s%d h %02d min", sign, (int) (s / 3600), (int) (s / 60 % 60));
	else
		snprintf(buffer, sizeof(buffer), "%s%lld d %02d h", sign, (long long) (s / 86400), (int) (s / 3600 % 24));
	return buffer;
}

Style
table_status_style(const char *status)
{
	if (strcmp(status, "Failed") == 0 || strcmp(status, "Terminated") == 0)
		return STYLE_BAD;
	if (strcmp(status, "Completed") == 0)
		return STYLE_GOOD;
	if (strcmp(status, "Suspended") == 0)
		return STYLE_NARRATION;
	return STYLE_PLAIN;
}
