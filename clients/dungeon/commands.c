/*
 * commands.c - the sentences of "dungeon play" and what they do.
 *
 * A command works in three steps: wait until the world is ready for it (which in
 * a script, where the next line comes faster than the workflows, is what makes it
 * work at all), find out which thing is meant, call the player's function.  The
 * rules of the game are the server's: whatever is refused is refused there, and
 * only what this program cannot pass on (a name that fits two things) is refused
 * here.
 *
 * Called by: play.c, terminal.c, auto.c; complete.c for the verbs.
 * Memory: nothing is kept between commands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

#include "commands.h"
#include "looks.h"
#include "print.h"

typedef struct Verb
{
	const char *word;
	const char *form;			/* NULL: another word for the verb above it, not listed */
	const char *help;
	bool		needs_player;
	bool		in_full;		/* it cannot be abbreviated */
	void		(*run) (Game *g, char *rest);
} Verb;

static void run_new(Game *g, char *rest);
static void run_play(Game *g, char *rest);
static void run_confirm(Game *g, char *rest);
static void run_look(Game *g, char *rest);
static void run_get(Game *g, char *rest);
static void run_kill(Game *g, char *rest);
static void run_inventory(Game *g, char *rest);
static void run_status(Game *g, char *rest);
static void run_workflows(Game *g, char *rest);
static void run_crash(Game *g, char *rest);
static void run_help(Game *g, char *rest);
static void run_quit(Game *g, char *rest);

static const Verb verbs[] = {
	{"new", "new NAME", "begin a game as a new hero", false, false, run_new},
	{"play", "play NAME", "go on as a hero whose game has begun", false, false, run_play},
	{"confirm", "confirm", "tell the gatekeeper, in time, that you mean it", true, false, run_confirm},
	{"look", "look", "what is around you", true, false, run_look},
	{"get", "get THING", "pick something up", true, false, run_get},
	{"take", NULL, NULL, true, false, run_get},
	{"kill", "kill MONSTER with WEAPON", "fight", true, false, run_kill},
	{"inventory", "inventory", "what you carry", true, false, run_inventory},
	{"status", "status", "how the game stands", true, false, run_status},
	{"workflows", "workflows", "the durable workflows behind your game", true, false, run_workflows},
	{"crash", "crash", "stop the server the hard way and start it again", false, true, run_crash},
	{"help", "help", "this list", false, false, run_help},
	{"?", NULL, NULL, false, true, run_help},
	{"quit", "quit", "leave; the game goes on without you", false, false, run_quit},
	{"exit", NULL, NULL, false, false, run_quit},
};

#define NVERBS ((int) (sizeof(verbs) / sizeof(verbs[0])))

static const Verb *find_verb(const Game *g, const char *typed, Names *candidates);
static bool is_offered(const Game *g, const Verb *verb);
static void hint_at_gate(const Game *g);
static bool resolve(Game *g, const char *command, const Names *names, const char *typed, const char **meant);
static bool has_begun(const World *world, const char *thing);
static bool is_confirmed(const World *world, const char *thing);
static bool is_carried(const World *world, const char *thing);
static bool is_slain(const World *world, const char *thing);

void
command_run(Game *g, char *line)
{
	Names		candidates = {0, NULL};
	const Verb *verb;
	char	   *rest;
	char	   *word = words_first(line, &rest);
	char	   *clipped;

	if (word[0] == '\0' || word[0] == '#')
		return;
	verb = find_verb(g, word, &candidates);
	clipped = words_clip(word);
	if (verb == NULL && candidates.n > 1)
	{
		char	   *list = names_sentence(&candidates, "");

		game_refuse(g, clipped, "\"%s\" can mean %s", clipped, list);
		free(list);
	}
	else if (verb == NULL)
		game_refuse(g, clipped, "there is no command \"%s\"; \"help\" lists what there is", clipped);
	else if (verb->needs_player && g->player == NULL)
		game_refuse(g, verb->word, "you are nobody yet; \"new NAME\" makes you a hero");
	else
		verb->run(g, rest);
	free(clipped);
	names_free(&candidates);
}

/*
 * The verb itself or the only one that begins like this; with none or several,
 * NULL, and the candidates are listed.  Two words for one thing are one.
 */
static const Verb *
find_verb(const Game *g, const char *typed, Names *candidates)
{
	const Verb *found = NULL;

	for (int i = 0; i < NVERBS; i++)
	{
		if (is_offered(g, &verbs[i]) && strcasecmp(typed, verbs[i].word) == 0)
			return &verbs[i];
	}
	for (int i = 0; i < NVERBS; i++)
	{
		if (is_offered(g, &verbs[i]) && !verbs[i].in_full && words_is_prefix(typed, verbs[i].word) &&
			(found == NULL || found->run != verbs[i].run))
		{
			found = &verbs[i];
			names_add(candidates, verbs[i].word);
		}
	}
	return candidates->n == 1 ? found : NULL;
}

static bool
is_offered(const Game *g, const Verb *verb)
{
	return verb->run != run_crash || g->crash_command != NULL;
}

Names
command_beginnings(const Game *g, const char *typed)
{
	Names		beginnings = {0, NULL};

	for (int i = 0; i < NVERBS; i++)
	{
		if (verbs[i].form != NULL && is_offered(g, &verbs[i]) &&
			(typed[0] == '\0' || words_is_prefix(typed, verbs[i].word)))
		{
			char	   *beginning;

			if (asprintf(&beginning, "%s%s", verbs[i].word, strchr(verbs[i].form, ' ') != NULL ? " " : "") < 0)
				abort();
			names_add(&beginnings, beginning);
			free(beginning);
		}
	}
	return beginnings;
}

const char *
command_verb(const Game *g, const char *typed)
{
	Names		candidates = {0, NULL};
	const Verb *verb = find_verb(g, typed, &candidates);

	names_free(&candidates);
	return verb != NULL ? verb->word : NULL;
}

/* --- beginning ---------------------------------------------------------------------------------------------------------- */

static void
run_new(Game *g, char *rest)
{
	char	   *before = g->player != NULL ? strdup(g->player) : NULL;

	/* The feed is started first, so that no line about the new player is missed. */
	if (game_become(g, rest))
	{
		const char *values[1] = {rest};

		if (game_do(g, "new", DEED_NEW_USER, values, has_begun, NULL))
		{
			if (game_settle(g, PHASE_MAKING) && g->interactive && g->world.phase == PHASE_UNCONFIRMED)
				print_line(STYLE_DIM, "Type \"confirm\" before the time is up.");
		}
		else
		{
			if (g->interactive && g->world.user != NULL)
				print_line(STYLE_DIM, "If that is you: \"play %s\" goes on with the game.", rest);
			game_become(g, before);
		}
	}
	free(before);
}

static void
run_play(Game *g, char *rest)
{
	char	   *before = g->player != NULL ? strdup(g->player) : NULL;

	if (rest[0] == '\0')
		game_refuse(g, "play", "as whom? \"play NAME\" goes on with a game that has begun");
	else if (game_become(g, rest) && game_look(g))
	{
		if (g->world.phase != PHASE_NOBODY)
			look_around(g);
		else
		{
			char	   *clipped = words_clip(rest);

			game_refuse(g, "play", "nobody called \"%s\" has begun a game; \"new\" begins one", clipped);
			free(clipped);
			game_become(g, before);
		}
	}
	free(before);
}

void
command_join(Game *g, const char *name)
{
	if (!game_become(g, name) || !game_look(g))
		return;
	if (g->world.phase == PHASE_NOBODY)
	{
		char	   *copy = strdup(name);

		run_new(g, copy);
		free(copy);
	}
	else if (g->interactive)
		look_around(g);
}

static void
run_confirm(Game *g, char *rest)
{
	const char *values[1] = {g->player};

	(void) rest;
	if (!game_settle(g, PHASE_MAKING))
		return;
	if (game_do(g, "confirm", DEED_CONFIRM, values, is_confirmed, NULL) &&
		game_settle(g, PHASE_UNCONFIRMED) && g->interactive && g->world.phase == PHASE_PLAYING)
		look_around(g);
}

/* --- acting ------------------------------------------------------------------------------------------------------------- */

/*
 * Items that lie here take precedence over those that cannot be picked up. The latter are passed
 * on, too, and the server reports the reason.
 */
static void
run_get(Game *g, char *rest)
{
	const char *thing;
	Names		lying;
	Names		others;
	int			index;

	if (!game_settle(g, PHASE_PLACING))
		return;
	lying = names_split(g->world.room_items);
	others = names_split(g->world.monster_items);
	names_append(&others, g->world.user_items);
	if (resolve(g, "get", names_match(&lying, rest, &index) != MATCH_NONE ? &lying : &others, rest, &thing))
	{
		const char *values[4] = {g->player, "get", thing, NULL};

		if (game_do(g, "get", DEED_ACTION, values, is_carried, thing))
			game_settle(g, PHASE_WINNING);
		else if (!g->json && g->world.phase == PHASE_PLAYING)
			look_list("You see:", &lying);
		else
			hint_at_gate(g);
	}
	names_free(&lying);
	names_free(&others);
}

static void
run_kill(Game *g, char *rest)
{
	char	   *typed_target;
	char	   *typed_weapon;
	const char *target;
	const char *weapon = NULL;
	Names		monsters;
	Names		carried;

	if (!game_settle(g, PHASE_PLACING))
		return;
	words_split_with(rest, &typed_target, &typed_weapon);
	monsters = monsters_in_sight(&g->world);
	carried = names_split(g->world.user_items);
	if (resolve(g, "kill", &monsters, typed_target, &target) &&
		(typed_weapon == NULL || resolve(g, "kill", &carried, typed_weapon, &weapon)))
	{
		const char *values[4] = {g->player, "kill", target, weapon};

		if (game_do(g, "kill", DEED_ACTION, values, is_slain, NULL))
			game_settle(g, PHASE_WINNING);
		else if (!g->json && g->world.phase == PHASE_PLAYING)
		{
			look_list("You see:", &monsters);
			look_list("You carry:", &carried);
			look_hint(&g->world);
		}
		else
			hint_at_gate(g);
	}
	names_free(&monsters);
	names_free(&carried);
}

/* A player who acts before the confirmation gets a reminder. */
static void
hint_at_gate(const Game *g)
{
	if (!g->json && g->world.phase == PHASE_UNCONFIRMED)
		print_line(STYLE_DIM, "The gatekeeper has not let you in yet. First: confirm");
}

static void
run_crash(Game *g, char *rest)
{
	int			status;

	(void) rest;
	print_note("running: %s", g->crash_command);
	fflush(NULL);
	status = system(g->crash_command);
	if (status != 0)
		game_refuse(g, "crash", "\"%s\" failed (exit status %d)", g->crash_command,
					WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	else
		game_online(g);
}

/* --- the rest ----------------------------------------------------------------------------------------------------------- */

static void
run_look(Game *g, char *rest)
{
	(void) rest;
	look_around(g);
}

static void
run_inventory(Game *g, char *rest)
{
	(void) rest;
	look_inventory(g);
}

static void
run_status(Game *g, char *rest)
{
	(void) rest;
	look_status(g);
}

static void
run_workflows(Game *g, char *rest)
{
	(void) rest;
	look_workflows(g);
}

static void
run_help(Game *g, char *rest)
{
	(void) rest;
	for (int i = 0; i < NVERBS; i++)
	{
		if (verbs[i].form == NULL || !is_offered(g, &verbs[i]))
			continue;
		if (g->json)
		{
			print_open(stdout);
			fputs("{\"command\": ", stdout);
			print_json_string(stdout, verbs[i].form);
			fputs(", \"help\": ", stdout);
			print_json_string(stdout, verbs[i].help);
			putchar('}');
			print_close(stdout);
		}
		else
			print_line(STYLE_PLAIN, "  %-26s %s", verbs[i].form, verbs[i].help);
	}
	if (!g->json)
		print_line(STYLE_DIM, "Commands and names can be abbreviated: k toad w spear");
}

static void
run_quit(Game *g, char *rest)
{
	(void) rest;
	g->quit = true;
}

/* --- which one is meant -------------------------------------------------------------------------------------------------- */

/* A name that matches nothing is passed on unchanged, and the server refuses it. */
static bool
resolve(Game *g, const char *command, const Names *names, const char *typed, const char **meant)
{
	int			index = 0;
	Match		match = names_match(names, typed, &index);

	if (match == MATCH_SEVERAL)
	{
		char	   *list = names_sentence(names, "");
		char	   *clipped = words_clip(typed);

		game_refuse(g, command, "\"%s\" can mean more than one of %s", clipped, list);
		free(clipped);
		free(list);
		return false;
	}
	*meant = match == MATCH_ONE ? names->name[index] : words_skip_article(typed);
	return true;
}

/* --- what deeds are meant to bring about --------------------------------------------------------------------------------- */

bool
command_lost(const Game *g)
{
	return g->world.res != NULL && g->world.phase == PHASE_DEAD;
}

static bool
has_begun(const World *world, const char *thing)
{
	(void) thing;
	return world->user != NULL || world->status[RUN_USER_PARALLEL] != NULL;
}

static bool
is_confirmed(const World *world, const char *thing)
{
	(void) thing;
	return world->status[RUN_USER_SEQUENTIAL] != NULL;
}

static bool
is_carried(const World *world, const char *thing)
{
	return world_carries(world, thing);
}

static bool
is_slain(const World *world, const char *thing)
{
	(void) thing;
	return world->monster != NULL && !world->monster_alive;
}
