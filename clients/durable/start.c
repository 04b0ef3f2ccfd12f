/*
 * start.c - "durable start": starts an orchestration.
 *
 * Without --id the program generates the id, and not the server, so that a start whose answer
 * was lost can be sent again.  If the first start was committed, the instance exists, and the
 * second start returns its id.
 *
 * Owns, locks: none.
 * Called by: main.c.
 * Memory: the input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "commands.h"
#include "exits.h"
#include "input.h"
#include "print.h"
#include "wait.h"

enum
{
	OPT_ID, OPT_AT, OPT_WAIT, OPT_TIMEOUT, OPT_TAGS, OPT_VERSION_OF, OPT_CONFLICT
};

static const CommandOption start_options[] = {
	[OPT_ID] = {"id", 'i', "ID", "instance id; by default a new one is generated"},
	[OPT_AT] = {"at", 0, "TIME", "not before this time"},
	[OPT_WAIT] = {"wait", 'w', NULL, "wait for the end, and print the output instead of the id"},
	[OPT_TIMEOUT] = {"timeout", 't', "SECONDS", "with --wait: maximum time in seconds (exit code 1)"},
	[OPT_TAGS] = {"tags", 0, "JSON", "an object of tags"},
	[OPT_VERSION_OF] = {"code-version", 0, "VERSION", "version of the orchestration"},
	[OPT_CONFLICT] = {"on-conflict", 0, "ACTION", "if an instance has the id: error, return or replace_finished"},
	{0}
};

static int	start_main(Client *c, const Args *args);
static char *make_id(void);

const Command command_start = {
	.name = "start",
	.arguments = "NAME [JSON]",
	.summary = "start an orchestration",
	.details = "Starts an orchestration and prints the id of its instance. The input is JSON; - reads it\n"
	"from standard input, @FILE from a file.\n"
	"\n"
	"  durable start transfer '{\"from\": 1, \"to\": 2, \"amount\": 10}' --wait\n",
	.least = 1,
	.most = 2,
	.options = start_options,
	.uses_search_path = true,
	.run = start_main
};

static int
start_main(Client *c, const Args *args)
{
	const char *given = args_value(args, OPT_ID);
	const char *conflict = args_value(args, OPT_CONFLICT);
	char	   *id = given != NULL ? strdup(given) : make_id();
	char	   *input = NULL;
	long		seconds = 0;
	bool		repeated = false;
	PGresult   *res;
	int			code;

	if (!args_number(&command_start, args, OPT_TIMEOUT, 0, 1000000000, &seconds))
		return EXIT_USAGE;
	if (args->n > 1 && (input = input_read(args->values[1])) == NULL)
		return EXIT_USAGE;
	if (conflict == NULL)
		conflict = given != NULL ? "error" : "return";

	if ((code = client_open(c)) == EXIT_OK)
	{
		const char *values[] = {
			args->values[0], input, id, args_value(args, OPT_AT), args_value(args, OPT_VERSION_OF), args_value(args, OPT_TAGS), conflict
		};

		res = client_try(c, "SELECT durable.start($1, $2::pg_catalog.jsonb, $3, $4::pg_catalog.timestamptz, $5, $6::pg_catalog.jsonb, $7)",
						 7, values, &repeated);
		if (res == NULL)
			code = EXIT_CONNECTION;
		else if (conn_ok(res))
		{
			if (!args_has(args, OPT_WAIT))
			{
				print_open(stdout);
				if (c->json)
				{
					fputs("{\"instance_id\": ", stdout);
					print_json_string(stdout, id);
					putchar('}');
				}
				else
					print_text(stdout, id);
				print_close(stdout);
			}
			else
			{
				print_note("Started instance %s.", id);
				c->patience = 0;
				code = wait_for_end(c, id, args_has(args, OPT_TIMEOUT) ? conn_now() + seconds * 1000 + 1 : 0, true);
			}
		}
		else if (input_is_bad(c, res, input) || input_is_bad(c, res, args_value(args, OPT_TAGS)))
			code = EXIT_USAGE;
		else
		{
			code = client_report(c, res);
			if (repeated && strcmp(conn_sqlstate(res), "WF002") == 0)
				print_hint("The connection was lost, so this may be the instance that this command has started.");
		}
		PQclear(res);
	}
	free(input);
	free(id);
	return code;
}

/* 128 random bits, in the form of the ids that the engine makes. */
static char *
make_id(void)
{
	unsigned char bytes[16];
	char	   *id = malloc(33);

	if (id == NULL || getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (int i = 0; i < 16; i++)
		snprintf(id + i * 2, 3, "%02x", bytes[i]);
	return id;
}
