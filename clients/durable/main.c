/*
 * main.c - the program "durable": finds the subcommand.
 *
 * Owns, locks, memory: none.
 * Called by: the user.
 */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "exits.h"
#include "program.h"

int
main(int argc, char **argv)
{
	program_begin("durable");
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return serve_main(argc - 1, argv + 1);
	fprintf(stderr, "usage: durable serve [OPTION]...\nTry \"durable serve --help\".\n");
	return EXIT_USAGE;
}
