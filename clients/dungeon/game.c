/*
 * game.c - one player's game: the connection's ups and downs under it.
 *
 * Deeds and crashes.  A deed is one statement that commits by itself.  If the
 * connection breaks while it runs nobody knows whether it was committed.  It
 * must not be done twice (a second "kill" would be refused, though the first
 * one was a success) nor forgotten.  So game_do looks at the world after the
 * reconnect: if what the deed was meant to bring about is there, and was not
 * there before, it was done; otherwise it is done now.  Refused then, the world
 * is given a moment, because the first one's effect may come through a workflow.
 *
 * Waiting.  Whatever the workflows are about to do is waited for, at most
 * "patience" long; every notification is a reason to look again, and a look
 * every quarter of a second covers workflows that end without a word.
 *
 * Owns: the Feed and the last look at the World.
 * Called by: commands.c, play.c, terminal.c, auto.c.
 * Memory: player and dungeon live as long as the game; one World at a time.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "game.h"
#include "interrupt.h"
#include "print.h"

#define LOOK_INTERVAL	250		/* ms */
#define OUTAGE			60000	/* ms without a server before a script gives up */
#define DOUBT			3000	/* ms for an effect that comes through a workflow */
#define RETRIES			5		/* for serialization failures and deadlocks */

static void narrate(const FeedLine *line, void *arg);
static bool await_goal(Game *g, Goal goal, const char *thing, int timeout);
static void print_reply(Game *g, const char *command, bool ok, int status, const char *message);
static bool try_again(const PGresult *res);
static void wait_a_little(Game *g);

bool
game_begin(Game *g, Conn *c)
{
	g->conn = c;
	if (!conn_open(c))
	{
		g->exit_code = EXIT_CONNECTION;
		return false;
	}
	g->feed = feed_new(c, -1, "", narrate, g);
	return game_online(g);
}

void
game_end(Game *g)
{
	world_free(&g->world);
	feed_free(g->feed);
	dungeon_free(g->dungeon);
	free(g->player);
}

bool
game_online(Game *g)
{
	for (;;)
	{
		FeedStatus	status;

		if (!conn_alive(g->conn) &&
			!conn_restore(g->conn, g->interactive ? 0 : conn_now() + OUTAGE))
		{
			if (!interrupt_pending())
			{
				g->exit_code = EXIT_CONNECTION;
				g->quit = true;
			}
			break;
		}
		if (g->dungeon_generation != g->conn->generation)
		{
			/* Crashed servers come back with the same game, but a restored one may have it elsewhere. */
			dungeon_free(g->dungeon);
			g->dungeon = dungeon_find(g->conn, &g->exit_code);
			if (g->dungeon == NULL)
			{
				if (!conn_alive(g->conn))
					continue;
				g->quit = true;
				break;
			}
			g->exit_code = EXIT_OK;
			g->dungeon_generation = g->conn->generation;
		}
		status = feed_follow(g->feed);
		if (status == FEED_OK)
			return true;
		if (status == FEED_LOST)
			continue;
		if (status == FEED_MISSING)
		{
			print_error("could not read table \"dungeon.console\"");
			print_hint("To play, a role needs dungeon.grant_play.");
			g->exit_code = EXIT_SETUP;
			g->quit = true;
		}
		break;
	}
	g->failed = true;
	return false;
}

void
game_narrate(Game *g)
{
	if (conn_alive(g->conn))
		(void) feed_follow(g->feed);
}

static void
narrate(const FeedLine *line, void *arg)
{
	Game	   *g = arg;

	g->narrated++;
	if (g->expected != NULL && strcmp(g->expected, line->message) == 0)
		g->heard = true;
	if (g->json)
	{
		print_open(stdout);
		printf("{\"id\": %lld, \"created\": \"%s\", \"message\": ", (long long) line->id, print_iso(line->created));
		print_json_string(stdout, line->message);
		putchar('}');
		print_close(stdout);
	}
	else
		print_line(STYLE_NARRATION, "* %s", line->message);
}

bool
game_become(Game *g, const char *player)
{
	char	   *name = player != NULL ? strdup(player) : NULL;

	for (;;)
	{
		FeedStatus	status;

		if (!game_online(g))
		{
			free(name);
			return false;
		}
		status = feed_switch(g->feed, name != NULL ? name : "");
		if (status == FEED_OK)
			break;
		if (status != FEED_LOST)
		{
			g->failed = true;
			free(name);
			return false;
		}
	}
	free(g->player);
	g->player = name;
	g->narrated = 0;
	/* It is that of another player. */
	world_free(&g->world);
	return true;
}

bool
game_look(Game *g)
{
	world_free(&g->world);
	do
	{
		if (!game_online(g))
			return false;
		if (world_look(g->conn, g->dungeon, g->player, &g->world))
			return true;
	} while (!conn_alive(g->conn));
	g->failed = true;
	return false;
}

bool
game_settle(Game *g, Phase phase)
{
	unsigned	generation = g->conn->generation;
	int64_t		deadline = conn_now() + g->patience;

	while (game_look(g))
	{
		if (generation != g->conn->generation)
		{
			/* The workflows were away as long as the server was. */
			generation = g->conn->generation;
			deadline = conn_now() + g->patience;
		}
		if (!phase_passes(g->world.phase) && g->world.phase != phase)
		{
			/* What the workflows said on the way was committed before what we saw. */
			game_narrate(g);
			return true;
		}
		if (interrupt_pending())
			return false;
		if (conn_now() >= deadline)
		{
			print_error("the dungeon did not get ready within %d s", g->patience / 1000);
			print_hint("\"workflows\" shows what it is doing; SELECT * FROM durable.doctor() what may be wrong.");
			g->failed = true;
			return false;
		}
		wait_a_little(g);
	}
	return false;
}

bool
game_do(Game *g, const char *command, Deed deed, const char *const *values,
		Goal goal, const char *thing)
{
	bool		was_so;
	bool		doubt = false;
	int			retries = 0;

	if (!game_look(g))
		return false;
	was_so = goal(&g->world, thing);
	for (;;)
	{
		PGresult   *res;
		bool		ok;

		if (!game_online(g))
			return false;
		if (doubt && !was_so && game_look(g) && goal(&g->world, thing))
		{
			print_reply(g, command, true, 200, "done before the server went away");
			return true;
		}
		if (!conn_alive(g->conn))
			continue;

		res = world_do(g->conn, g->dungeon, deed, values);
		if (!conn_ok(res))
		{
			bool		again = !conn_alive(g->conn) || (try_again(res) && retries++ < RETRIES);

			doubt = doubt || !conn_alive(g->conn);
			if (!again)
				conn_report(res);
			PQclear(res);
			if (again)
				continue;
			g->failed = true;
			return false;
		}

		ok = strcmp(PQgetvalue(res, 0, 0), "t") == 0;
		if (!ok && doubt && !was_so && await_goal(g, goal, thing, DOUBT))
		{
			print_reply(g, command, true, 200, "done before the server went away");
			ok = true;
		}
		else
			print_reply(g, command, ok, atoi(PQgetvalue(res, 0, 1)), PQgetvalue(res, 0, 2));
		PQclear(res);
		if (!ok)
			g->failed = true;
		return ok;
	}
}

static bool
await_goal(Game *g, Goal goal, const char *thing, int timeout)
{
	int64_t		deadline = conn_now() + timeout;

	while (game_look(g))
	{
		if (goal(&g->world, thing))
			return true;
		if (conn_now() >= deadline || interrupt_pending())
			return false;
		wait_a_little(g);
	}
	return false;
}

void
game_refuse(Game *g, const char *command, const char *format, ...)
{
	va_list		args;
	char	   *message;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		abort();
	va_end(args);
	print_reply(g, command, false, 0, message);
	free(message);
	g->failed = true;
}

/* The narration repeats the reply, which need not be printed twice. */
static void
print_reply(Game *g, const char *command, bool ok, int status, const char *message)
{
	g->expected = message;
	g->heard = false;
	game_narrate(g);
	g->expected = NULL;

	if (g->json)
	{
		print_open(stdout);
		fputs("{\"command\": ", stdout);
		print_json_string(stdout, command);
		printf(", \"ok\": %s, \"http_status\": ", ok ? "true" : "false");
		if (status != 0)
			printf("%d", status);
		else
			fputs("null", stdout);
		fputs(", \"message\": ", stdout);
		print_json_string(stdout, message);
		putchar('}');
		print_close(stdout);
	}
	else if (!g->heard && message[0] != '\0')
		print_line(ok ? STYLE_PLAIN : STYLE_BAD, "%s", message);
}

static bool
try_again(const PGresult *res)
{
	const char *sqlstate = conn_sqlstate(res);

	return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0;
}

static void
wait_a_little(Game *g)
{
	conn_wait(g->conn, -1, 0, LOOK_INTERVAL);
	game_narrate(g);
}
