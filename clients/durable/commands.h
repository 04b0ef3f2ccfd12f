/*
 * commands.h - the subcommands of "durable": how main.c describes and calls them.
 */
#ifndef CLIENTS_COMMANDS_H
#define CLIENTS_COMMANDS_H

#include "client.h"

#define MAX_GIVEN 200

typedef struct CommandOption
{
	const char *name;			/* without the dashes; NULL ends the list */
	char		letter;			/* or 0 */
	const char *argument;		/* its name in the help; NULL: has none */
	const char *help;
} CommandOption;

typedef struct Given
{
	int			option;			/* index in the command's options */
	const char *value;			/* NULL if it has no argument */
} Given;

/* The command line of a subcommand, in the order in which it was typed. */
typedef struct Args
{
	int			n;				/* arguments that are no options */
	char	  **values;
	int			ngiven;
	Given		given[MAX_GIVEN];
} Args;

typedef struct Command
{
	const char *name;
	const char *arguments;		/* for the help */
	const char *summary;		/* one line */
	const char *details;
	int			least;			/* arguments */
	int			most;			/* -1: any number */
	const CommandOption *options;	/* NULL: main.c passes everything on, see serve */
	bool		uses_search_path;
	const char *statement_timeout;	/* NULL: the usual one */
	int			(*run) (Client *c, const Args *args);	/* an exit code */
} Command;

extern const Command command_top;
extern const Command command_list;
extern const Command command_history;
extern const Command command_explain;
extern const Command command_start;
extern const Command command_event;
extern const Command command_wait;
extern const Command command_terminate;
extern const Command command_suspend;
extern const Command command_resume;
extern const Command command_rewind;
extern const Command command_restart;
extern const Command command_purge;
extern const Command command_schedules;
extern const Command command_queues;
extern const Command command_doctor;
extern const Command command_verify;
extern const Command command_worker;

/* clients/serve: reads its own options, those of the connection too. */
extern int	serve_main(int argc, char **argv);

/* The last value that was given for an option, NULL if there is none; was it given at all? */
extern const char *args_value(const Args *args, int option);
extern bool args_has(const Args *args, int option);

/* An integer from least to most, unchanged if the option was not given; false: the error was printed. */
extern bool args_number(const Command *command, const Args *args, int option, long least, long most, long *number);

#endif
