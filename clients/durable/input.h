/*
 * input.h - JSON that is given on the command line.
 */
#ifndef CLIENTS_INPUT_H
#define CLIENTS_INPUT_H

#include "client.h"

/*
 * The argument itself; "-" reads standard input, "@FILE" a file.  NULL: the user has
 * been told.  The caller frees it.
 */
extern char *input_read(const char *argument);

/* After an error: was it because this is no JSON?  Then the user has been told. */
extern bool input_is_bad(Client *c, const PGresult *res, const char *json);

#endif
