/*
 * complete.h - what a half-typed line can become.
 */
#ifndef CLIENTS_COMPLETE_H
#define CLIENTS_COMPLETE_H

#include "game.h"

/*
 * Whole lines that the line can go on as; the caller frees them.  Looks at the
 * world if there is a connection.
 */
extern Names complete_line(Game *g, const char *line);

/* The beginning that all of them share; the caller frees it. */
extern char *complete_shared(const Names *lines);

#endif
