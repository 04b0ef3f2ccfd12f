/*
 * programs.h - what the subcommands of "dungeon" are given, and where they begin.
 */
#ifndef CLIENTS_PROGRAMS_H
#define CLIENTS_PROGRAMS_H

#include "conn.h"
#include "game.h"

typedef struct Options
{
	ConnOptions connection;
	bool		json;
	bool		quiet;
	bool		color;
	const char *player;			/* play NAME, console --player */
	bool		automatic;		/* --auto */
	const char *crash_command;
	int			patience;		/* --wait, ms */
	int64_t		since;			/* console --since; -1: from now on */
} Options;

/* Each returns an exit code. */
extern int	console_main(const Options *options);
extern int	play_main(const Options *options);

/* The ways to play; the result is in g. */
extern void terminal_play(Game *g);
extern void auto_play(Game *g);

#endif
