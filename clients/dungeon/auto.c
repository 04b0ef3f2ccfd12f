/*
 * auto.c - "dungeon play --auto": plays a whole game by itself and checks it.
 *
 * It types the commands that a player would type and looks at the same answers.
 * In the middle of the fight it can have a command run that brings the server
 * down.  In the end it wants to see that the game is won, that every workflow of
 * the game has completed, and that the narration it received is the narration
 * that was written: every line, once.
 *
 * A game takes as long as the watchman's interval, twenty seconds.  Whatever
 * hangs is ended by an alarm.
 *
 * Called by: play.c.
 * Memory: nothing is kept.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "commands.h"
#include "exits.h"
#include "print.h"
#include "programs.h"

#define TIME_LIMIT	120			/* seconds */
#define NAME_TRIES	20

static const char *const heroes[] = {
	"Ada", "Brünhild", "Cadfael", "Dorothea", "Eustace", "Fenella", "Gawain", "Hedwig", "Ivo", "Jocasta", "Kunigunde",
	"Lancelot", "Mirabel", "Nimue", "Odo", "Perpetua", "Quentin", "Rosalind", "Siegfried", "Theodora", "Ulrich",
	"Viola", "Wilhelmina", "Xanthe", "Yorick", "Zebedee"
};

static void print_verdict(const Game *g);
static bool begin(Game *g, const char *name);
static bool play_through(Game *g);
static bool crash(Game *g);
static bool await_workflows(Game *g);
static bool check_narration(Game *g, long lines_before);
static bool type(Game *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool expect(Game *g, Phase phase, const char *after);
static long count_lines(Game *g, const char *name);
static unsigned random_number(unsigned below);
static void time_is_up(int signal_number);

void
auto_play(Game *g)
{
	long		lines_before = 0;
	bool		begun = false;

	/* No wait of this file is as long; the alarm is for calls that hang. */
	signal(SIGALRM, time_is_up);
	alarm(TIME_LIMIT);
	g->patience = TIME_LIMIT * 1000;

	if (g->player != NULL)
	{
		char	   *name = strdup(g->player);

		lines_before = count_lines(g, name);
		begun = lines_before >= 0 && begin(g, name);
		free(name);
	}
	for (int i = 0; !begun && g->player == NULL && !g->quit && i < NAME_TRIES; i++)
	{
		char		name[64];

		snprintf(name, sizeof(name), "%s %u", heroes[random_number(sizeof(heroes) / sizeof(heroes[0]))],
				 1 + random_number(9999));
		lines_before = count_lines(g, name);
		begun = lines_before >= 0 && begin(g, name);
	}

	if (begun && play_through(g) && await_workflows(g) && check_narration(g, lines_before))
		print_verdict(g);
	else
		g->failed = true;
	alarm(0);
}

static void
print_verdict(const Game *g)
{
	if (!g->json)
	{
		print_line(STYLE_GOOD, "%s has won. Every workflow is completed, and all %ld lines of the story arrived once.",
				   g->player, g->narrated);
		return;
	}
	print_open(stdout);
	fputs("{\"won\": ", stdout);
	print_json_string(stdout, g->player);
	printf(", \"lines\": %ld}", g->narrated);
	print_close(stdout);
}

/* False also if the name is taken. */
static bool
begin(Game *g, const char *name)
{
	return type(g, "new %s", name) && expect(g, PHASE_UNCONFIRMED, "new");
}

static bool
play_through(Game *g)
{
	char	   *weapon;
	char	   *monster;
	char	   *treasure;
	bool		won;

	if (!type(g, "confirm") || !expect(g, PHASE_PLAYING, "confirm") || !type(g, "look"))
		return false;
	if (g->world.weapon == NULL || g->world.monster == NULL || g->world.treasure == NULL)
	{
		print_error("there is no weapon, no monster or no treasure in this dungeon");
		return false;
	}
	weapon = strdup(g->world.weapon);
	monster = strdup(g->world.monster);
	treasure = strdup(g->world.treasure);

	won = type(g, "get %s", weapon) &&
		(g->crash_command == NULL || crash(g)) &&
		type(g, "kill %s with %s", monster, weapon) &&
		type(g, "get %s", treasure) &&
		expect(g, PHASE_WON, "get");

	free(weapon);
	free(monster);
	free(treasure);
	return won;
}

/* Without an interrupted connection the crash would not have been tested. */
static bool
crash(Game *g)
{
	unsigned	generation = g->conn->generation;

	if (!type(g, "crash") || !type(g, "look"))
		return false;
	if (g->conn->generation == generation)
	{
		print_error("the server has survived the crash command");
		return false;
	}
	return true;
}

/* The watchman's workflow notices the treasure in its next round. */
static bool
await_workflows(Game *g)
{
	bool		running = true;

	print_note("waiting for the watchman's next round");
	while (running)
	{
		if (!game_look(g))
			return false;
		running = false;
		for (int i = 0; i < WORKFLOWS; i++)
			running = running || workflow_runs(&g->world, i);
		if (running)
			conn_wait(g->conn, -1, 0, 250);
		game_narrate(g);
	}
	type(g, "workflows");
	for (int i = 0; i < WORKFLOWS; i++)
	{
		if (g->world.status[i] == NULL || strcmp(g->world.status[i], "Completed") != 0)
		{
			print_error("%s should be Completed", workflow_names[i]);
			return false;
		}
	}
	return true;
}

static bool
check_narration(Game *g, long lines_before)
{
	long		lines;

	/* Whatever was committed before the count has been announced before its answer. */
	lines = count_lines(g, g->player);
	if (lines < 0 || !game_online(g))
		return false;
	if (lines - lines_before != g->narrated)
	{
		print_error("the story has %ld lines, %ld arrived", lines - lines_before, g->narrated);
		return false;
	}
	return true;
}

/* Types one command; true if nothing went wrong. */
static bool
type(Game *g, const char *format, ...)
{
	va_list		args;
	char	   *line;

	va_start(args, format);
	if (vasprintf(&line, format, args) < 0)
		abort();
	va_end(args);
	if (!g->json)
		print_line(STYLE_NAME, "> %s", line);
	g->failed = false;
	command_run(g, line);
	free(line);
	return !g->failed && !g->quit;
}

static bool
expect(Game *g, Phase phase, const char *after)
{
	if (g->world.phase == phase)
		return true;
	print_error("the game is not where it should be after \"%s\"", after);
	type(g, "status");
	return false;
}

/* The number of lines of this player's narration; -1: the query failed, and the error was printed. */
static long
count_lines(Game *g, const char *name)
{
	const char *values[1] = {name};
	long		lines = -1;

	do
	{
		PGresult   *res;

		if (!game_online(g))
			return -1;
		res = conn_query(g->conn, "SELECT count(*) FROM dungeon.console WHERE player = $1", 1, values);
		if (conn_ok(res))
			lines = strtol(PQgetvalue(res, 0, 0), NULL, 10);
		else if (conn_alive(g->conn))
			conn_report(res);
		PQclear(res);
	} while (!conn_alive(g->conn));
	return lines;
}

static unsigned
random_number(unsigned below)
{
	unsigned	number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (unsigned) conn_now();
	return number % below;
}

static void
time_is_up(int signal_number)
{
	static const char message[] = "dungeon: error: the game has not been won within two minutes\n";
	ssize_t		ignored;

	(void) signal_number;
	ignored = write(STDERR_FILENO, message, sizeof(message) - 1);
	(void) ignored;
	_exit(EXIT_FAILED);
}
