/*
 * input.h - JSON that is given on the command line.
 */
#ifndef CLIENTS_INPUT_H
#define CLIENTS_INPUT_H

#include "client.h"

/*
 * Returns the argument itself, standard input for "-", or a file for "@FILE"; the caller frees it.
 * NULL: the error was printed.
 */
extern char *input_read(const char *argument);

/* Was this error caused by invalid JSON? Then a message was printed. */
extern bool input_is_bad(Client *c, const PGresult *res, const char *json);

#endif
