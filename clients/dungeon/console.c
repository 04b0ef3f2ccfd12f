/*
 * console.c - "dungeon console": tells what happens, as it happens.
 *
 * One line for each line of the narration, in plain text (time, player, message)
 * or JSON.  On a terminal long lines are broken between words, and a row of dots
 * grows while nothing happens, so that a quiet dungeon and a dead program do not
 * look the same.
 *
 * Never gives up on a server that goes away: feed.c promises that nothing is lost
 * or told twice meanwhile.
 *
 * Called by: main.c.
 * Memory: the Feed's.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "feed.h"
#include "print.h"
#include "programs.h"

#define DOT_INTERVAL	500		/* ms */
#define DOTS			60
#define MESSAGE_INDENT	10		/* columns: below the player, behind "12:34:56  " */
#define RETRY_INTERVAL	2000	/* ms, while the table cannot be read */
#define RETRIES			5		/* for errors other than a lost connection */

static int	dots = 0;

static int	follow(Conn *c, Feed *f, bool with_dots);
static void tell(const FeedLine *line, void *arg);
static int	columns_before(const FeedLine *line);
static void draw_dot(void);
static void erase_dots(void);

int
console_main(const Options *options)
{
	Conn		conn;
	Feed	   *f;
	bool		with_dots = print_can_move() && !options->quiet && !options->json;
	int			code;

	conn_configure(&conn, &options->connection);
	if (!conn_open(&conn))
	{
		conn_close(&conn);
		return EXIT_CONNECTION;
	}
	f = feed_new(&conn, options->since, options->player, tell, (void *) options);
	if (with_dots)
		print_note("The story of %s. While nothing happens a dot appears each half second; Ctrl-C leaves.",
				   options->player != NULL ? options->player : "all players");
	print_over(with_dots ? erase_dots : NULL, NULL);
	code = follow(&conn, f, with_dots);
	feed_free(f);
	conn_close(&conn);
	return code;
}

static int
follow(Conn *c, Feed *f, bool with_dots)
{
	bool		ever = false;
	int			errors = 0;

	for (;;)
	{
		FeedStatus	status = feed_follow(f);
		int			timeout = feed_timeout(f);

		switch (status)
		{
			case FEED_OK:
				ever = true;
				errors = 0;
				break;
			case FEED_LOST:
				/* While the server is away, the reader of the output may close the pipe. */
				while (!conn_mend(c, &timeout))
				{
					if (conn_wait(c, STDOUT_FILENO, 0, timeout))
						return EXIT_FAILED;
				}
				continue;
			case FEED_MISSING:
				/*
				 * The extension may be about to be installed again; if it has never been there,
				 * that is reported.
				 */
				if (!ever)
				{
					print_error("could not read table \"dungeon.console\"");
					print_hint("CREATE EXTENSION durable_dungeon CASCADE; then dungeon.grant_play lets a role read and play.");
					return EXIT_SETUP;
				}
				poll(NULL, 0, RETRY_INTERVAL);
				continue;
			case FEED_FAILED:
				if (++errors > RETRIES)
					return EXIT_FAILED;
				poll(NULL, 0, RETRY_INTERVAL);
				continue;
		}

		if (with_dots && (timeout < 0 || timeout > DOT_INTERVAL))
			timeout = DOT_INTERVAL;
		/* The reader has closed the pipe ("| head"); the next line may come hours later. */
		if (conn_wait(c, STDOUT_FILENO, 0, timeout))
			return EXIT_FAILED;
		if (with_dots)
			draw_dot();
	}
}

static void
tell(const FeedLine *line, void *arg)
{
	const Options *options = arg;

	print_open(stdout);
	if (options->json)
	{
		printf("{\"id\": %lld, \"created\": \"%s\", \"player\": ", (long long) line->id, print_iso(line->created));
		print_json_string(stdout, line->player);
		fputs(", \"message\": ", stdout);
		print_json_string(stdout, line->message);
		putchar('}');
	}
	else
	{
		print_piece(stdout, STYLE_DIM, "%s", print_clock(line->created));
		fputs("  ", stdout);
		print_piece(stdout, STYLE_NAME, "%s", line->player != NULL ? line->player : "-");
		fputs("  ", stdout);
		print_rest(line->message, columns_before(line), MESSAGE_INDENT);
	}
	print_close(stdout);
}

/* The number of columns that time and player take. */
static int
columns_before(const FeedLine *line)
{
	char	   *player = print_clean(line->player != NULL ? line->player : "-");
	int			columns = MESSAGE_INDENT + print_columns(player, strlen(player)) + 2;

	free(player);
	return columns;
}

static void
draw_dot(void)
{
	static int64_t last = 0;
	int64_t		now = conn_now();

	if (now < last + DOT_INTERVAL - 50)
		return;
	last = now;
	if (dots == DOTS)
		erase_dots();
	putchar('.');
	fflush(stdout);
	dots++;
}

static void
erase_dots(void)
{
	if (dots > 0)
		fputs("\r\033[K", stdout);
	dots = 0;
}
