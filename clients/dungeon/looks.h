/*
 * looks.h - telling a player what is there.
 */
#ifndef CLIENTS_LOOKS_H
#define CLIENTS_LOOKS_H

#include "game.h"

/* Each takes a fresh look and prints it, as text or JSON. */
extern void look_around(Game *g);
extern void look_inventory(Game *g);
extern void look_status(Game *g);
extern void look_workflows(Game *g);

/* "You see: A and B." */
extern void look_list(const char *prefix, const Names *names);

/* Prints a hint about the next step, such as "First pick up a weapon: get Rusty Spoon", if there is one. */
extern void look_hint(const World *world);

/* The monster's name if it is where the player is, dead or alive. */
extern Names monsters_in_sight(const World *world);

#endif
