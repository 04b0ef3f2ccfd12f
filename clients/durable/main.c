/*
 * main.c - the program "durable": its command line.
 *
 * Each subcommand has a description (commands.h) in its own file.  It is used to parse the
 * options and to print the help.  Options of all subcommands may be given before or after the
 * command.  "serve" parses its own options, so all of them are passed to it.
 *
 * Owns: the table of subcommands.
 * Called by: the user.
 * Memory: options and arguments point into argv.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exits.h"
#include "print.h"
#include "program.h"

enum
{
	OPT_ROLE = 256, OPT_JSON, OPT_ECHO, OPT_NO_COLOR, OPT_HELP, OPT_VERSION, OPT_COMMAND = 512
};

static const Command command_serve = {
	.name = "serve",
	.summary = "answer HTTP requests; \"durable serve --help\" lists its options"
};

static const Command *const commands[] = {
	&command_top, &command_list, &command_history, &command_explain, &command_start, &command_event, &command_wait,
	&command_terminate, &command_suspend, &command_resume, &command_rewind, &command_restart, &command_purge,
	&command_schedules, &command_queues, &command_doctor, &command_verify, &command_worker, &command_serve
};

#define NCOMMANDS ((int) (sizeof(commands) / sizeof(commands[0])))
#define MAX_OPTIONS 40

static const struct option common_options[] = {
	{"host", required_argument, NULL, 'h'},
	{"port", required_argument, NULL, 'p'},
	{"username", required_argument, NULL, 'U'},
	{"dbname", required_argument, NULL, 'd'},
	{"role", required_argument, NULL, OPT_ROLE},
	{"json", no_argument, NULL, OPT_JSON},
	{"quiet", no_argument, NULL, 'q'},
	{"echo", no_argument, NULL, OPT_ECHO},
	{"no-color", no_argument, NULL, OPT_NO_COLOR},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION}
};

#define NCOMMON ((int) (sizeof(common_options) / sizeof(common_options[0])))

static const char common_help[] =
"Options of every command:\n"
"  -h HOST            server's host or socket directory\n"
"  -p PORT            server's port\n"
"  -U USER            user to connect as\n"
"  -d DATABASE        database name, conninfo string or URI\n"
"      --role ROLE    SET ROLE after connecting; instance ids are unique for each owner\n"
"      --json         one JSON object for each line of output\n"
"  -q, --quiet        only ids and names; no notes\n"
"      --echo         show the SQL statements\n"
"      --no-color     no colours; so does the variable NO_COLOR\n"
"      --help         help for a command, or this\n"
"      --version      the version\n";

static const char general_ending[] =
"\n"
"Without -h, -p, -d and a conninfo string, libpq's variables (PGHOST, PGSERVICE, ...)\n"
"decide; if there are none, the server that \"make play\" has made; if there is none, the\n"
"defaults of libpq.\n"
"\n"
"Exit codes: 0 success, 1 a workflow or an action failed, 2 wrong usage,\n"
"3 the extension is not installed, or its use is not permitted, 4 no connection.\n";

static const Command *find_command(const char *name);
static int	serve(const Client *c, int argc, char **argv);
static bool take_common(Client *c, int option, bool *help);
static bool read_arguments(Client *c, const Command *command, int argc, char **argv, Args *args, bool *help);
static void general_help(FILE *out);
static void command_help(const Command *command);

int
main(int argc, char **argv)
{
	Client		client = {
		.connection = {.environment_first = true, .tell_warnings = true},
		.color = true,
		.patience = 60000
	};
	Args		args = {0};
	const Command *command;
	struct option long_options[NCOMMON + 1] = {{0}};
	bool		help = false;
	char		program[64];
	int			option;
	int			code;

	program_begin("durable");
	memcpy(long_options, common_options, sizeof(common_options));
	while ((option = getopt_long(argc, argv, "+h:p:U:d:q", long_options, NULL)) != -1)
	{
		if (!take_common(&client, option, &help))
			return EXIT_USAGE;
	}
	if (optind < argc && find_command(argv[optind]) == NULL && program_is_conninfo(argv[optind]))
		client.connection.dbname = argv[optind++];
	if (optind == argc)
	{
		general_help(help ? stdout : stderr);
		return help ? EXIT_OK : EXIT_USAGE;
	}
	command = find_command(argv[optind]);
	if (command == NULL)
		return program_usage_error("there is no command \"%s\"", argv[optind]);
	if (command == &command_serve)
	{
		static char help_option[] = "--help";

		if (help)
			argv[--argc] = help_option;
		return serve(&client, argc - optind, argv + optind);
	}
	if (!read_arguments(&client, command, argc - optind, argv + optind, &args, &help))
		return EXIT_USAGE;
	if (help)
	{
		command_help(command);
		return EXIT_OK;
	}
	if (args.n < command->least)
		return program_usage_error("an argument is missing: %s", command->arguments);
	if (command->most >= 0 && args.n > command->most)
		return program_usage_error("too many arguments (first is \"%s\")", args.values[command->most]);

	print_setup("durable", client.color, client.quiet);
	snprintf(program, sizeof(program), "durable %s", command->name);
	client.connection.program = program;
	client.connection.keep_search_path = command->uses_search_path;
	client.connection.statement_timeout = command->statement_timeout;
	code = command->run(&client, &args);
	client_close(&client);
	return code;
}

static const Command *
find_command(const char *name)
{
	for (int i = 0; i < NCOMMANDS; i++)
	{
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

/* Options before the command are moved behind it, where serve reads them. */
static int
serve(const Client *c, int argc, char **argv)
{
	const char *const given[][2] = {
		{"-h", c->connection.host}, {"-p", c->connection.port}, {"-U", c->connection.user},
		{"-d", c->connection.dbname}, {"--role", c->connection.role}
	};
	char	  **all = calloc((size_t) argc + 16, sizeof(char *));
	int			n = 0;

	if (all == NULL)
		abort();
	all[n++] = argv[0];
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
	{
		if (given[i][1] != NULL)
		{
			all[n++] = (char *) given[i][0];
			all[n++] = (char *) given[i][1];
		}
	}
	for (int i = 1; i < argc; i++)
		all[n++] = argv[i];
	/* getopt begins anew. */
	optind = 0;
	return serve_main(n, all);
}

static bool
take_common(Client *c, int option, bool *help)
{
	switch (option)
	{
		case 'h':
			c->connection.host = optarg;
			return true;
		case 'p':
			c->connection.port = optarg;
			return true;
		case 'U':
			c->connection.user = optarg;
			return true;
		case 'd':
			c->connection.dbname = optarg;
			return true;
		case OPT_ROLE:
			c->connection.role = optarg;
			return true;
		case 'q':
			c->quiet = true;
			return true;
		case OPT_JSON:
			c->json = true;
			return true;
		case OPT_ECHO:
			c->echo = true;
			return true;
		case OPT_NO_COLOR:
			c->color = false;
			return true;
		case OPT_HELP:
			*help = true;
			return true;
		case OPT_VERSION:
			puts("durable " PROGRAM_VERSION);
			exit(EXIT_OK);
		default:
			/* getopt has printed the error. */
			print_hint("\"durable --help\" and \"durable COMMAND --help\" list the options.");
			return false;
	}
}

/* The options of the command, and those of all commands, in any order; what is left are arguments. */
static bool
read_arguments(Client *c, const Command *command, int argc, char **argv, Args *args, bool *help)
{
	struct option long_options[NCOMMON + MAX_OPTIONS + 1] = {{0}};
	char		letters[MAX_OPTIONS * 2 + 16] = "h:p:U:d:q";
	int			n = NCOMMON;
	int			option;

	memcpy(long_options, common_options, sizeof(common_options));
	for (int i = 0; command->options[i].name != NULL; i++)
	{
		const CommandOption *o = &command->options[i];

		long_options[n++] = (struct option) {o->name, o->argument != NULL, NULL, OPT_COMMAND + i};
		if (o->letter != 0)
			snprintf(letters + strlen(letters), 3, "%c%s", o->letter, o->argument != NULL ? ":" : "");
	}
	optind = 0;
	while ((option = getopt_long(argc, argv, letters, long_options, NULL)) != -1)
	{
		for (int i = 0; command->options[i].name != NULL; i++)
		{
			if (command->options[i].letter != 0 && option == command->options[i].letter)
				option = OPT_COMMAND + i;
		}
		if (option < OPT_COMMAND)
		{
			if (!take_common(c, option, help))
				return false;
			continue;
		}
		if (args->ngiven == MAX_GIVEN)
		{
			print_error("there are too many options");
			return false;
		}
		args->given[args->ngiven++] = (Given) {option - OPT_COMMAND, optarg};
	}
	args->n = argc - optind;
	args->values = argv + optind;
	return true;
}

static void
general_help(FILE *out)
{
	fputs("durable operates the durable workflows of a PostgreSQL database.\n"
		  "\n"
		  "Usage: durable [OPTION]... [CONNINFO] COMMAND [ARGUMENT]...\n"
		  "\n", out);
	for (int i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n", out);
	fputs(common_help, out);
	fputs(general_ending, out);
}

static void
command_help(const Command *command)
{
	printf("Usage: durable [OPTION]... %s%s%s\n\n", command->name, command->arguments[0] != '\0' ? " " : "",
		   command->arguments);
	fputs(command->details, stdout);
	if (command->options[0].name != NULL)
		printf("\nOptions of %s:\n", command->name);
	for (const CommandOption *o = command->options; o->name != NULL; o++)
	{
		char		left[64];

		if (o->letter != 0)
			snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name, o->argument != NULL ? " " : "",
					 o->argument != NULL ? o->argument : "");
		else
			snprintf(left, sizeof(left), "    --%s%s%s", o->name, o->argument != NULL ? " " : "",
					 o->argument != NULL ? o->argument : "");
		printf("  %-24s %s\n", left, o->help);
	}
	printf("\n%s", common_help);
}

const char *
args_value(const Args *args, int option)
{
	const char *value = NULL;

	for (int i = 0; i < args->ngiven; i++)
	{
		if (args->given[i].option == option)
			value = args->given[i].value;
	}
	return value;
}

bool
args_has(const Args *args, int option)
{
	for (int i = 0; i < args->ngiven; i++)
	{
		if (args->given[i].option == option)
			return true;
	}
	return false;
}

bool
args_number(const Command *command, const Args *args, int option, long least, long most, long *number)
{
	const char *text = args_value(args, option);
	char	   *end;
	long		n;

	if (text == NULL)
		return true;
	n = strtol(text, &end, 10);
	if (end == text || *end != '\0' || n < least || n > most)
	{
		print_error("--%s takes a number from %ld to %ld, not \"%s\"", command->options[option].name, least, most, text);
		return false;
	}
	*number = n;
	return true;
}
