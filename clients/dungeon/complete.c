/*
 * complete.c - completes verbs, then the names of things that are really there.
 *
 * "get ma" becomes "get Rusty Mace": what is typed may be any part of a name that
 * the command itself would understand, so a completion replaces the line instead
 * of adding to it.
 *
 * Called by: terminal.c.
 * Memory: the lists are the caller's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "complete.h"
#include "looks.h"

static void complete_get(Names *lines, const World *world, const char *typed);
static void complete_kill(Names *lines, const World *world, char *typed);
static void add_lines(Names *lines, const char *before, const char *typed, const Names *names, const char *after);

Names
complete_line(Game *g, const char *line)
{
	Names		lines = {0, NULL};
	char	   *copy = strdup(line);
	char	   *rest;
	char	   *word = words_first(copy, &rest);
	const char *verb = command_verb(g, word);
	size_t		length = strlen(line);

	if (rest[0] == '\0' && (length == 0 || line[length - 1] != ' '))
		lines = command_beginnings(g, word);
	else if (verb != NULL && g->player != NULL && conn_alive(g->conn))
	{
		World		world;
		bool		get = strcmp(verb, "get") == 0 || strcmp(verb, "take") == 0;
		bool		kill = strcmp(verb, "kill") == 0;

		if ((get || kill) && world_look(g->conn, g->dungeon, g->player, &world))
		{
			if (get)
				complete_get(&lines, &world, rest);
			else
				complete_kill(&lines, &world, rest);
			world_free(&world);
		}
	}
	free(copy);
	return lines;
}

static void
complete_get(Names *lines, const World *world, const char *typed)
{
	Names		lying = names_split(world->room_items);

	add_lines(lines, "get ", typed, &lying, "");
	names_free(&lying);
}

static void
complete_kill(Names *lines, const World *world, char *typed)
{
	Names		monsters = monsters_in_sight(world);
	Names		carried = names_split(world->user_items);
	char	   *target;
	char	   *weapon;
	int			index;

	if (words_split_with(typed, &target, &weapon))
	{
		char	   *before;

		if (asprintf(&before, "kill %s with ",
					 names_match(&monsters, target, &index) == MATCH_ONE ? monsters.name[index] : target) < 0)
			abort();
		add_lines(lines, before, weapon, &carried, "");
		free(before);
	}
	else
		add_lines(lines, "kill ", target, &monsters, " with ");
	names_free(&monsters);
	names_free(&carried);
}

/* Adds a line for every name that what was typed can mean. */
static void
add_lines(Names *lines, const char *before, const char *typed, const Names *names, const char *after)
{
	for (int i = 0; i < names->n; i++)
	{
		Names		one = {1, &names->name[i]};
		int			index;
		char	   *line;

		if (typed[0] != '\0' && names_match(&one, typed, &index) == MATCH_NONE)
			continue;
		if (asprintf(&line, "%s%s%s", before, names->name[i], after) < 0)
			abort();
		names_add(lines, line);
		free(line);
	}
}

char *
complete_shared(const Names *lines)
{
	char	   *shared = strdup(lines->n > 0 ? lines->name[0] : "");

	for (int i = 1; i < lines->n; i++)
	{
		size_t		same = 0;

		while (shared[same] != '\0' && shared[same] == lines->name[i][same])
			same++;
		shared[same] = '\0';
	}
	return shared;
}
