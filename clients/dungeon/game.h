/*
 * game.h - one player's game: connection, narration, and deeds that survive a crash.
 */
#ifndef CLIENTS_GAME_H
#define CLIENTS_GAME_H

#include "conn.h"
#include "feed.h"
#include "world.h"

typedef struct Game
{
	Conn	   *conn;
	Dungeon    *dungeon;
	unsigned	dungeon_generation; /* of the connection that dungeon was looked up on */
	Feed	   *feed;
	char	   *player;			/* NULL: nobody yet */
	World		world;			/* the last look; world.res NULL: none */

	bool		json;
	bool		interactive;	/* input is a terminal */
	int			patience;		/* ms to wait for the workflows */
	const char *crash_command;	/* or NULL */

	bool		failed;			/* an action has failed */
	bool		quit;
	int			exit_code;		/* set when the connection or the installation is lost for good */
	long		narrated;		/* number of lines of this player that were handed out */
	const char *expected;		/* a reply that need not be printed if the narration says the same */
	bool		heard;			/* the narration has said it */
} Game;

/* Does the world show the effect of the deed? */
typedef bool (*Goal) (const World *world, const char *thing);

/* False: no connection or no game. The error was printed, and exit_code is set. */
extern bool game_begin(Game *g, Conn *c);
extern void game_end(Game *g);

/*
 * Makes sure that the connection and the feed work, and waits for the server if need be. False:
 * the error was printed, and failed is set.
 */
extern bool game_online(Game *g);

/* Prints narration that has arrived; does not wait. */
extern void game_narrate(Game *g);

/* Changes the player; NULL: no player. */
extern bool game_become(Game *g, const char *player);

/* Refreshes g->world. False: the error was printed. */
extern bool game_look(Game *g);

/*
 * Waits while the game is in a phase that passes by itself (also: while it is in
 * "phase"), handing out narration.  False: it did not end in time.
 */
extern bool game_settle(Game *g, Phase phase);

/* Calls one of the players' functions, prints its answer; true if it did what was asked. */
extern bool game_do(Game *g, const char *command, Deed deed, const char *const *values,
					Goal goal, const char *thing);

/* An answer that the client gives itself. */
extern void game_refuse(Game *g, const char *command, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
