/*
 * commands.h - the subcommands of "durable".
 */
#ifndef CLIENTS_COMMANDS_H
#define CLIENTS_COMMANDS_H

/* clients/serve: reads its own options, those of the connection too. */
extern int	serve_main(int argc, char **argv);

#endif
