/*
 * wait.h - waiting for the end of an instance.
 */
#ifndef CLIENTS_WAIT_H
#define CLIENTS_WAIT_H

#include "client.h"

/*
 * Waits until the instance has ended, or conn_now() reaches deadline (0: never), and
 * prints how.  With its output only, for a command that has started it; else a line
 * with id and status.  Returns the exit code.
 */
extern int	wait_for_end(Client *c, const char *id, int64_t deadline, bool output_only);

#endif
