/*
 * looks.c - what look, inventory, status and workflows print.
 *
 * Called by: commands.c, complete.c.
 * Memory: nothing is kept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "looks.h"
#include "print.h"

static void print_world_json(const World *world);
static void print_monster(const World *world);
static bool monster_is_here(const World *world);

void
look_around(Game *g)
{
	World	   *w = &g->world;
	char		countdown[COUNTDOWN_SIZE];

	if (!game_settle(g, PHASE_PLACING))
		return;
	if (g->json)
		print_world_json(w);
	else if (w->user == NULL)
		print_line(STYLE_PLAIN, "There is no %s in the dungeon.", g->player);
	else if (!w->user_alive)
		print_line(STYLE_BAD, "You are dead. \"new NAME\" begins another game.");
	else if (w->user_room == NULL && g->interactive && w->confirm_by != 0)
	{
		world_countdown(w, countdown);
		print_line(STYLE_PLAIN, "You stand at the gate. Confirm within %s.", countdown);
	}
	else if (w->user_room == NULL)
		print_line(STYLE_PLAIN, "You stand at the gate. %s",
				   w->phase == PHASE_UNCONFIRMED ? "Confirm, before the time is up." : "Nothing happens.");
	else
	{
		Names		lying = names_split(w->room_items);
		Names		carried = names_split(w->user_items);

		print_line(STYLE_PLAIN, "You are in the %s. %s", w->room, w->room_description != NULL ? w->room_description : "");
		look_list("You see:", &lying);
		if (monster_is_here(w))
			print_monster(w);
		look_list("You carry:", &carried);
		names_free(&lying);
		names_free(&carried);
	}
}

static void
print_world_json(const World *world)
{
	print_open(stdout);
	print_json(stdout, world->json != NULL ? world->json : "null");
	print_close(stdout);
}

static void
print_monster(const World *world)
{
	Names		guarded = names_split(world->monster_items);
	char	   *list = names_sentence(&guarded, "nothing");

	if (world->monster_alive)
		print_line(STYLE_PLAIN, "Here is: %s. It has: %s.", world->monster, list);
	else
		print_line(STYLE_PLAIN, "Here lies, dead: %s.", world->monster);
	free(list);
	names_free(&guarded);
}

void
look_inventory(Game *g)
{
	Names		carried;

	if (!game_look(g))
		return;
	carried = names_split(g->world.user_items);
	if (g->json)
	{
		print_open(stdout);
		putchar('[');
		for (int i = 0; i < carried.n; i++)
		{
			if (i > 0)
				fputs(", ", stdout);
			print_json_string(stdout, carried.name[i]);
		}
		putchar(']');
		print_close(stdout);
	}
	else
		look_list("You carry:", &carried);
	names_free(&carried);
}

void
look_status(Game *g)
{
	static const char *const phases[] = {
		[PHASE_NOBODY] = "nobody of that name has begun a game",
		[PHASE_MAKING] = "the dungeon is being made",
		[PHASE_UNCONFIRMED] = "waiting for you to confirm",
		[PHASE_PLACING] = "the scene is being set",
		[PHASE_PLAYING] = "playing",
		[PHASE_WINNING] = "nearly won",
		[PHASE_WON] = "won",
		[PHASE_DEAD] = "lost"
	};
	World	   *w = &g->world;
	char		countdown[COUNTDOWN_SIZE];

	if (!game_look(g))
		return;
	if (g->json)
	{
		print_world_json(w);
		return;
	}
	if (g->interactive && w->confirm_by != 0)
	{
		world_countdown(w, countdown);
		print_line(STYLE_PLAIN, "%-10s %s, %s left", "Game", phases[w->phase], countdown);
	}
	else
		print_line(STYLE_PLAIN, "%-10s %s", "Game", phases[w->phase]);
	if (w->user != NULL)
	{
		Names		carried = names_split(w->user_items);
		char	   *items = names_sentence(&carried, "nothing");

		print_line(STYLE_PLAIN, "%-10s %s, %s, %s", "Hero", w->user, w->user_alive ? "alive" : "dead",
				   w->user_room != NULL ? w->user_room : "nowhere yet");
		print_line(STYLE_PLAIN, "%-10s %s", "Carries", items);
		free(items);
		names_free(&carried);
	}
	if (w->monster != NULL)
	{
		Names		guarded = names_split(w->monster_items);
		char	   *items = names_sentence(&guarded, "nothing");

		print_line(STYLE_PLAIN, "%-10s %s, %s, %s", "Monster", w->monster, w->monster_alive ? "alive" : "dead",
				   w->monster_room != NULL ? w->monster_room : "nowhere yet");
		print_line(STYLE_PLAIN, "%-10s %s", "Guards", items);
		free(items);
		names_free(&guarded);
	}
}

void
look_workflows(Game *g)
{
	if (!game_look(g))
		return;
	if (!g->json)
		print_line(STYLE_DIM, "%-25s %-10s %-19s %s", "Workflow", "Status", "Started", "Ended");
	for (int i = 0; i < WORKFLOWS; i++)
	{
		const char *status = g->world.status[i];
		const char *created = g->world.created[i];
		const char *ended = g->world.ended[i];

		if (g->json)
		{
			print_open(stdout);
			fputs("{\"workflow\": ", stdout);
			print_json_string(stdout, workflow_names[i]);
			fputs(", \"status\": ", stdout);
			print_json_string(stdout, status);
			fputs(", \"created\": ", stdout);
			print_json_string(stdout, created);
			fputs(", \"ended\": ", stdout);
			print_json_string(stdout, ended);
			putchar('}');
			print_close(stdout);
		}
		else if (status != NULL)
			print_line(STYLE_PLAIN, "%-25s %-10s %-19.19s %.19s", workflow_names[i], status,
					   created != NULL ? created : "?", ended != NULL ? ended : "-");
		else
			print_line(STYLE_DIM, "%-25s not started", workflow_names[i]);
	}
}

void
look_list(const char *prefix, const Names *names)
{
	char	   *list = names_sentence(names, "nothing");

	print_line(STYLE_PLAIN, "%s %s.", prefix, list);
	free(list);
}

void
look_hint(const World *world)
{
	Names		lying = names_split(world->room_items);
	bool		armed = world->weapon != NULL && world_carries(world, world->weapon);
	bool		weapon_lies = false;
	bool		treasure_lies = false;

	for (int i = 0; i < lying.n; i++)
	{
		weapon_lies = weapon_lies || (world->weapon != NULL && strcmp(lying.name[i], world->weapon) == 0);
		treasure_lies = treasure_lies || (world->treasure != NULL && strcmp(lying.name[i], world->treasure) == 0);
	}
	if (monster_is_here(world) && world->monster_alive && armed)
		print_line(STYLE_DIM, "To fight: kill %s with %s", world->monster, world->weapon);
	else if (monster_is_here(world) && world->monster_alive && weapon_lies)
		print_line(STYLE_DIM, "First pick up a weapon: get %s", world->weapon);
	else if (treasure_lies && !world->monster_alive)
		print_line(STYLE_DIM, "The monster is dead. To win: get %s", world->treasure);
	names_free(&lying);
}

Names
monsters_in_sight(const World *world)
{
	Names		monsters = {0, NULL};

	if (monster_is_here(world))
		names_add(&monsters, world->monster);
	return monsters;
}

static bool
monster_is_here(const World *world)
{
	return world->monster != NULL && world->user_room != NULL && world->monster_room != NULL &&
		strcmp(world->user_room, world->monster_room) == 0;
}
