/*
 * play.c - "dungeon play": sets a game up, and plays it from a script.
 *
 * A script is anything but a terminal on standard input and output: lines are
 * read as they come, without a prompt, and each is carried out before the next
 * is looked at.  Between lines the narration goes on, so a slow pipe sees it live.
 * An action that fails does not stop the script; the exit code tells.
 *
 * Called by: main.c.
 * Memory: one buffer for what has been read and is not yet a line.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "exits.h"
#include "interrupt.h"
#include "programs.h"

typedef struct Script
{
	char	   *text;			/* read, not yet taken */
	size_t		length;
	size_t		size;
	bool		ended;
} Script;

static void play_script(Game *g);
static char *take_line(Script *s);
static void read_more(Script *s);

int
play_main(const Options *options)
{
	Conn		conn;
	Game		game = {
		.json = options->json,
		.interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !options->automatic && !options->json,
		.patience = options->patience,
		.crash_command = options->crash_command
	};
	int			code;

	conn_configure(&conn, &options->connection);
	if (game.interactive)
		interrupt_catch();
	if (game_begin(&game, &conn))
	{
		if (options->automatic && options->player != NULL)
			game_become(&game, options->player);
		else if (options->player != NULL)
			command_join(&game, options->player);

		if (options->automatic)
			auto_play(&game);
		else if (game.interactive)
			terminal_play(&game);
		else
			play_script(&game);
	}

	code = game.exit_code;
	if (code == EXIT_OK && !game.interactive && (game.failed || command_lost(&game)))
		code = EXIT_FAILED;
	game_end(&game);
	conn_close(&conn);
	return code;
}

static void
play_script(Game *g)
{
	Script		script = {NULL, 0, 0, false};

	while (!g->quit)
	{
		char	   *line = take_line(&script);

		if (line != NULL)
		{
			command_run(g, line);
			free(line);
		}
		else if (script.ended)
			break;
		else
		{
			/* If the server goes away between two lines, the next line waits for it. */
			bool		readable = conn_wait(g->conn, STDIN_FILENO, POLLIN,
											 conn_alive(g->conn) ? feed_timeout(g->feed) : -1);

			game_narrate(g);
			if (readable)
				read_more(&script);
		}
	}
	free(script.text);

	/* Waits for the last narration of the workflows, and determines the exit code. */
	if (g->player != NULL && g->exit_code == EXIT_OK)
		game_settle(g, PHASE_WINNING);
}

/* A line of its own memory, without its end; NULL if none is complete.  At the end of the input, what is left is one. */
static char *
take_line(Script *s)
{
	char	   *end = s->length > 0 ? memchr(s->text, '\n', s->length) : NULL;
	size_t		length;
	char	   *line;

	if (end == NULL && (!s->ended || s->length == 0))
		return NULL;
	length = end != NULL ? (size_t) (end - s->text) : s->length;
	line = malloc(length + 1);
	if (line == NULL)
		abort();
	memcpy(line, s->text, length);
	line[length] = '\0';
	/* A zero byte would hide the rest of its line. */
	for (size_t i = 0; i < length; i++)
	{
		if (line[i] == '\0')
			line[i] = '?';
	}
	if (end != NULL)
		length++;
	s->length -= length;
	memmove(s->text, s->text + length, s->length);
	return line;
}

static void
read_more(Script *s)
{
	ssize_t		n;

	if (s->length + 4096 > s->size)
	{
		s->size = s->length + 65536;
		s->text = realloc(s->text, s->size);
		if (s->text == NULL)
			abort();
	}
	n = read(STDIN_FILENO, s->text + s->length, 4096);
	if (n > 0)
		s->length += n;
	else if (n == 0 || errno != EINTR)
		s->ended = true;
}
