/*
 * commands.h - what can be typed in "dungeon play".
 */
#ifndef CLIENTS_COMMANDS_H
#define CLIENTS_COMMANDS_H

#include "game.h"

/* Carries out one line; what came of it is printed, and kept in g->failed and g->quit.  Cuts the line up. */
extern void command_run(Game *g, char *line);

/* Continues an existing player's game, or begins one. */
extern void command_join(Game *g, const char *name);

/* What a line that begins like this can begin with: "get ", "look"; for completion. */
extern Names command_beginnings(const Game *g, const char *typed);

/* The verb that the first word of a line stands for; NULL if it is none, or several. */
extern const char *command_verb(const Game *g, const char *typed);

/* Has this game been lost? */
extern bool command_lost(const Game *g);

#endif
