/*
 * exits.h - what the exit codes of the programs mean.
 */
#ifndef CLIENTS_EXITS_H
#define CLIENTS_EXITS_H

#define EXIT_OK			0
#define EXIT_FAILED		1		/* an action was refused, a game was lost, a workflow failed */
#define EXIT_USAGE		2
#define EXIT_SETUP		3		/* the server does not have the extension */
#define EXIT_CONNECTION 4

#endif
