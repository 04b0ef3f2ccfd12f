/*
 * commands.h - what can be typed in "dungeon play".
 */
#ifndef CLIENTS_COMMANDS_H
#define CLIENTS_COMMANDS_H

#include "game.h"

/* Carries out one line, prints the result, and sets g->failed and g->quit. The line is modified. */
extern void command_run(Game *g, char *line);

/* Continues an existing player's game, or begins one. */
extern void command_join(Game *g, const char *name);

/* The beginnings that complete this line, such as "get " and "look". */
extern Names command_beginnings(const Game *g, const char *typed);

/* The verb of a line, by its first word, which may be abbreviated; NULL if there is none, or several. */
extern const char *command_verb(const Game *g, const char *typed);

/* Has this game been lost? */
extern bool command_lost(const Game *g);

#endif
