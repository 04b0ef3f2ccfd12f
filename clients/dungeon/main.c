/*
 * main.c - the program "dungeon": its command line.
 *
 * Called by: the user.
 * Memory: options point into argv.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exits.h"
#include "print.h"
#include "program.h"
#include "programs.h"

typedef struct Subcommand
{
	const char *name;
	int			(*run) (const Options *options);
	const char *usage;
} Subcommand;

enum LongOption
{
	OPT_HELP = 256,
	OPT_VERSION,
	OPT_JSON,
	OPT_NO_COLOR,
	OPT_PLAYER,
	OPT_SINCE,
	OPT_AUTO,
	OPT_CRASH_COMMAND,
	OPT_WAIT
};

static const char general_usage[] =
"dungeon plays the Durable Dungeon, a game of durable workflows in PostgreSQL.\n"
"\n"
"Usage: dungeon [OPTION]... play [NAME]\n"
"       dungeon [OPTION]... console\n"
"\n"
"  play       play, at a terminal or from a script on standard input\n"
"  console    tell what happens in the dungeon, live\n"
"\n"
"Options of every command:\n"
"  -h HOST            server's host or socket directory\n"
"  -p PORT            server's port\n"
"  -U USER            user to connect as\n"
"  -d DATABASE        database name, conninfo string or URI\n"
"  -q, --quiet        no notes about the connection\n"
"      --json         one JSON object for each line of output\n"
"      --no-color     no colours; so does the variable NO_COLOR\n"
"      --help         help for a command, or this\n"
"      --version      the version\n"
"\n"
"Without -h, -p, -U and -d it connects to the server that \"make play\" has made.\n"
"If there is none, libpq's variables (PGHOST, PGSERVICE, ...) decide.\n"
"\n"
"Exit codes: 0 success, 1 an action failed or the game was lost,\n"
"2 wrong usage, 3 the game is not installed in the database, 4 no connection.\n";

static const char play_usage[] =
"Usage: dungeon [OPTION]... play [NAME]\n"
"\n"
"Plays as NAME, whose game is continued or begun.  Without NAME, the command\n"
"\"new NAME\" begins one.  At a terminal, \"help\" lists the commands, and TAB\n"
"completes them.  From a script, one command a line:\n"
"\n"
"  printf 'new Pat\\nconfirm\\nlook\\n' | dungeon play\n"
"\n"
"  --auto               play a whole game, at most two minutes long\n"
"  --crash-command CMD  what the command \"crash\" runs; --auto uses it once\n"
"  --wait SECONDS       how long a command waits for the workflows before it (10)\n";

static const char console_usage[] =
"Usage: dungeon [OPTION]... console\n"
"\n"
"Tells what happens in the dungeon: time, player, message.  It waits for a server\n"
"that goes away, and neither loses nor repeats a line.\n"
"\n"
"  --player NAME        only this player's lines\n"
"  --since ID|all       first the lines that are there: those after ID, or all\n"
"\n"
"On a terminal a dot appears each half second while nothing happens.\n";

static const Subcommand subcommands[] = {
	{"play", play_main, play_usage},
	{"console", console_main, console_usage},
};

#define NSUBCOMMANDS ((int) (sizeof(subcommands) / sizeof(subcommands[0])))

static const Subcommand *find_subcommand(const char *name);
static bool parse_since(const char *text, int64_t *since);
static bool parse_seconds(const char *text, int *ms);

int
main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"host", required_argument, NULL, 'h'},
		{"port", required_argument, NULL, 'p'},
		{"username", required_argument, NULL, 'U'},
		{"dbname", required_argument, NULL, 'd'},
		{"quiet", no_argument, NULL, 'q'},
		{"json", no_argument, NULL, OPT_JSON},
		{"no-color", no_argument, NULL, OPT_NO_COLOR},
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, OPT_VERSION},
		{"player", required_argument, NULL, OPT_PLAYER},
		{"since", required_argument, NULL, OPT_SINCE},
		{"auto", no_argument, NULL, OPT_AUTO},
		{"crash-command", required_argument, NULL, OPT_CRASH_COMMAND},
		{"wait", required_argument, NULL, OPT_WAIT},
		{NULL, 0, NULL, 0}
	};
	Options		options = {.connection = {.program = "dungeon"}, .color = true, .since = -1, .patience = 10000};
	const Subcommand *command = NULL;
	const char *only_play = NULL;	/* the option that was given and only this command has */
	const char *only_console = NULL;
	bool		help = false;
	int			option;

	program_begin("dungeon");

	while ((option = getopt_long(argc, argv, "h:p:U:d:q", long_options, NULL)) != -1)
	{
		switch (option)
		{
			case 'h':
				options.connection.host = optarg;
				break;
			case 'p':
				options.connection.port = optarg;
				break;
			case 'U':
				options.connection.user = optarg;
				break;
			case 'd':
				options.connection.dbname = optarg;
				break;
			case 'q':
				options.quiet = true;
				break;
			case OPT_JSON:
				options.json = true;
				break;
			case OPT_NO_COLOR:
				options.color = false;
				break;
			case OPT_HELP:
				help = true;
				break;
			case OPT_VERSION:
				puts("dungeon " PROGRAM_VERSION);
				return EXIT_OK;
			case OPT_PLAYER:
				options.player = optarg;
				only_console = "--player";
				break;
			case OPT_SINCE:
				if (!parse_since(optarg, &options.since))
					return program_usage_error("--since takes a line's id or \"all\", not \"%s\"", optarg);
				only_console = "--since";
				break;
			case OPT_AUTO:
				options.automatic = true;
				only_play = "--auto";
				break;
			case OPT_CRASH_COMMAND:
				options.crash_command = optarg;
				only_play = "--crash-command";
				break;
			case OPT_WAIT:
				if (!parse_seconds(optarg, &options.patience))
					return program_usage_error("--wait takes a number of seconds, not \"%s\"", optarg);
				only_play = "--wait";
				break;
			default:
				/* getopt has printed the error. */
				print_hint("\"dungeon --help\" lists the options.");
				return EXIT_USAGE;
		}
	}

	if (optind < argc && find_subcommand(argv[optind]) == NULL && program_is_conninfo(argv[optind]))
		options.connection.dbname = argv[optind++];
	if (optind < argc)
	{
		command = find_subcommand(argv[optind]);
		if (command == NULL)
			return program_usage_error("there is no command \"%s\"", argv[optind]);
		optind++;
	}
	if (help)
	{
		fputs(command != NULL ? command->usage : general_usage, stdout);
		return EXIT_OK;
	}
	if (command == NULL)
	{
		fputs(general_usage, stderr);
		return EXIT_USAGE;
	}
	if (command->run == play_main && optind < argc)
		options.player = argv[optind++];
	if (optind < argc)
		return program_usage_error("too many arguments (first is \"%s\")", argv[optind]);
	if (command->run == play_main && only_console != NULL)
		return program_usage_error("%s is an option of \"console\"", only_console);
	if (command->run == console_main && only_play != NULL)
		return program_usage_error("%s is an option of \"play\"", only_play);

	print_setup("dungeon", options.color, options.quiet);
	return command->run(&options);
}

static const Subcommand *
find_subcommand(const char *name)
{
	for (int i = 0; i < NSUBCOMMANDS; i++)
	{
		if (strcmp(name, subcommands[i].name) == 0)
			return &subcommands[i];
	}
	return NULL;
}

static bool
parse_since(const char *text, int64_t *since)
{
	char	   *end;

	if (strcmp(text, "all") == 0)
	{
		*since = 0;
		return true;
	}
	*since = strtoll(text, &end, 10);
	return end != text && *end == '\0' && *since >= 0;
}

static bool
parse_seconds(const char *text, int *ms)
{
	char	   *end;
	long		seconds = strtol(text, &end, 10);

	if (end == text || *end != '\0' || seconds < 0 || seconds > 3600)
		return false;
	*ms = (int) seconds * 1000;
	return true;
}
