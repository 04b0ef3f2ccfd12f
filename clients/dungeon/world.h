/*
 * world.h - the game as the players' functions show it.
 */
#ifndef CLIENTS_WORLD_H
#define CLIENTS_WORLD_H

#include "conn.h"
#include "words.h"

/* Where the players' functions are, and the statements that call them. */
typedef struct Dungeon Dungeon;

/*
 * Returns NULL if the game is not installed or the query failed. Then the error was printed, and
 * *exit_code is set.
 */
extern Dungeon *dungeon_find(Conn *c, int *exit_code);
extern void dungeon_free(Dungeon *d);

/* The five workflows of a game, in the order in which they begin. */
typedef enum Workflow
{
	RUN_USER_PARALLEL,
	USER_MONITOR,
	USER_CONFIRMATION,
	RUN_USER_SEQUENTIAL,
	GAME_MONITOR,
	WORKFLOWS
} Workflow;

extern const char *const workflow_names[WORKFLOWS];

typedef enum Phase
{
	PHASE_NOBODY,				/* no such player */
	PHASE_MAKING,				/* transient: the game is being created */
	PHASE_UNCONFIRMED,			/* the player has to confirm */
	PHASE_PLACING,				/* transient: the items are being placed */
	PHASE_PLAYING,
	PHASE_WINNING,				/* transient: the monster is dead and the treasure taken, the victory not yet recorded */
	PHASE_WON,
	PHASE_DEAD
} Phase;

/* One look at the game.  The texts live as long as the look; absent ones are NULL. */
typedef struct World
{
	PGresult   *res;
	const char *user;
	bool		user_alive;
	const char *user_room;
	const char *user_items;		/* comma-separated, like the other ..._items */
	const char *monster;
	bool		monster_alive;
	const char *monster_room;
	const char *monster_items;
	const char *room;
	const char *room_description;
	const char *room_items;
	const char *weapon;			/* the first thing in the game that is no treasure */
	const char *treasure;
	const char *json;			/* all of it */
	const char *status[WORKFLOWS];
	const char *created[WORKFLOWS];
	const char *ended[WORKFLOWS];	/* NULL: not yet */
	Phase		phase;
	int64_t		confirm_by;		/* conn_now() at which the confirmation expires; 0: none is expected */
} World;

/* The remaining time as "1:42", rounded up, so that 0:00 means that it has expired. */
#define COUNTDOWN_SIZE	32
extern void world_countdown(const World *world, char *text);

/* False: the connection was lost, or an error was printed. */
extern bool world_look(Conn *c, const Dungeon *d, const char *player, World *world);
extern void world_free(World *world);
extern bool workflow_runs(const World *world, Workflow workflow);	/* or will within a moment */

/* Does the phase end by itself within a moment? */
extern bool phase_passes(Phase phase);

/* Does the player carry this? */
extern bool world_carries(const World *world, const char *item);

/* The actions of a player. Each is one statement that returns one row: ok, http_status, message. */
typedef enum Deed
{
	DEED_NEW_USER,				/* name */
	DEED_CONFIRM,				/* name */
	DEED_ACTION,				/* name, action, target, weapon */
	DEEDS
} Deed;

extern PGresult *world_do(Conn *c, const Dungeon *d, Deed deed, const char *const *values);

#endif
