/*
 * world.h - the game as the players' functions show it.
 */
#ifndef CLIENTS_WORLD_H
#define CLIENTS_WORLD_H

#include "conn.h"
#include "words.h"

/* Where the players' functions are, and the statements that call them. */
typedef struct Dungeon Dungeon;

/* Returns NULL if the game is not installed, or could not be asked: then the user has been told, *exit_code is set. */
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
	PHASE_MAKING,				/* on its way: the universe is being made */
	PHASE_UNCONFIRMED,			/* somebody has to confirm */
	PHASE_PLACING,				/* on its way: everything is put in its place */
	PHASE_PLAYING,
	PHASE_WINNING,				/* on its way: monster dead, treasure taken, not yet declared */
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
	int64_t		confirm_by;		/* on the clock of conn_now, when the gatekeeper stops waiting; 0 = he does not wait */
} World;

/* "1:42" until then; rounded up, so that it is over when it says 0:00. */
#define COUNTDOWN_SIZE	32
extern void world_countdown(const World *world, char *text);

/* False: connection lost, or an error that the user has been told of. */
extern bool world_look(Conn *c, const Dungeon *d, const char *player, World *world);
extern void world_free(World *world);
extern bool workflow_runs(const World *world, Workflow workflow);	/* or will, in a moment */

/* What is it doing that will be over in a moment? */
extern bool phase_passes(Phase phase);

/* Does the player carry this? */
extern bool world_carries(const World *world, const char *item);

/* What a player can do.  Each is one statement that returns one row: ok, http_status, message. */
typedef enum Deed
{
	DEED_NEW_USER,				/* name */
	DEED_CONFIRM,				/* name */
	DEED_ACTION,				/* name, action, target, weapon */
	DEEDS
} Deed;

extern PGresult *world_do(Conn *c, const Dungeon *d, Deed deed, const char *const *values);

#endif
