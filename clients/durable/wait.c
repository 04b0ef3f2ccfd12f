/*
 * wait.c - "durable wait": waits for the end of instances.
 *
 * The server waits, and answers at the commit that ends the instance.  It holds no snapshot
 * (durable.wait_for).  Each wait is limited, so that the program notices a broken connection.
 * If the connection is lost, the wait continues after the next connection.
 *
 * Owns, locks: none.
 * Called by: main.c, start.c.
 * Memory: results only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exits.h"
#include "print.h"
#include "table.h"
#include "wait.h"

#define PIECE 20000				/* ms */

enum
{
	OPT_TIMEOUT, OPT_ANY
};

static const CommandOption wait_options[] = {
	[OPT_TIMEOUT] = {"timeout", 't', "SECONDS", "maximum time in seconds (exit code 1)"},
	[OPT_ANY] = {"any", 0, NULL, "until one of them has ended, and not all"},
	{0}
};

static int	wait_main(Client *c, const Args *args);
static int	wait_for_any(Client *c, const Args *args, int64_t deadline);
static bool has_ended(const char *status);
static bool tell_end(Client *c, const char *id, bool output_only, int *code);
static const char *piece(int64_t deadline, char *buffer);

const Command command_wait = {
	.name = "wait",
	.arguments = "ID...",
	.summary = "wait for the end of instances",
	.details = "Waits until all of the instances have ended, and prints how. The exit code is 0 if\n"
	"all have completed, and 1 if one has failed, was terminated, or does not exist.\n",
	.least = 1,
	.most = -1,
	.options = wait_options,
	.statement_timeout = "0",
	.run = wait_main
};

static int
wait_main(Client *c, const Args *args)
{
	long		seconds = 0;
	int64_t		deadline;
	int			code;

	if (!args_number(&command_wait, args, OPT_TIMEOUT, 0, 1000000000, &seconds))
		return EXIT_USAGE;
	deadline = args_has(args, OPT_TIMEOUT) ? conn_now() + (seconds > 0 ? seconds * 1000 : 1) : 0;
	code = client_open(c);
	c->patience = 0;
	if (code != EXIT_OK)
		return code;
	if (args_has(args, OPT_ANY))
		return wait_for_any(c, args, deadline);
	for (int i = 0; i < args->n; i++)
	{
		int			result = wait_for_end(c, args->values[i], deadline, false);

		if (result > code)
			code = result;
	}
	return code;
}

int
wait_for_end(Client *c, const char *id, int64_t deadline, bool output_only)
{
	for (;;)
	{
		char		buffer[32];
		const char *values[] = {id, piece(deadline, buffer)};
		int			code;
		PGresult   *res = client_ask(c, "CALL durable.wait_for($1, $2::pg_catalog.interval)", 2, values, &code);
		const char *status;

		if (res == NULL)
			return code;
		status = PQgetvalue(res, 0, 0);
		if (has_ended(status))
		{
			PQclear(res);
			if (tell_end(c, id, output_only, &code))
				return code;
			continue;
		}
		if (deadline != 0 && conn_now() >= deadline)
		{
			print_error("instance \"%s\" has not ended: it is %s", id, status);
			PQclear(res);
			return EXIT_FAILED;
		}
		PQclear(res);
	}
}

static int
wait_for_any(Client *c, const Args *args, int64_t deadline)
{
	char	   *ids = NULL;
	size_t		size;
	FILE	   *out = open_memstream(&ids, &size);
	int			code;

	/* As a JSON array, which needs no quoting of our own. */
	if (out == NULL)
		abort();
	fputc('[', out);
	for (int i = 0; i < args->n; i++)
	{
		fputs(i > 0 ? ", " : "", out);
		print_json_string(out, args->values[i]);
	}
	fputc(']', out);
	fclose(out);
	for (;;)
	{
		char		buffer[32];
		const char *values[] = {ids, piece(deadline, buffer)};
		PGresult   *res = client_ask(c, "SELECT w.instance_id FROM durable.wait_any(ARRAY(SELECT pg_catalog.jsonb_array_elements_text("
									 "$1::pg_catalog.jsonb)), $2::pg_catalog.interval) w", 2, values, &code);

		if (res == NULL)
			break;
		if (!PQgetisnull(res, 0, 0))
		{
			bool		told = tell_end(c, PQgetvalue(res, 0, 0), false, &code);

			PQclear(res);
			if (told)
				break;
			continue;
		}
		PQclear(res);
		if (deadline != 0 && conn_now() >= deadline)
		{
			print_error("none of the instances has ended");
			code = EXIT_FAILED;
			break;
		}
	}
	free(ids);
	return code;
}

static bool
has_ended(const char *status)
{
	return strcmp(status, "Completed") == 0 || strcmp(status, "Failed") == 0 || strcmp(status, "Terminated") == 0;
}

/* Returns false if the instance has been rewound since its end was seen. */
static bool
tell_end(Client *c, const char *id, bool output_only, int *code)
{
	PGresult   *res = client_ask(c, "SELECT s.runtime_status, s.output, s.failure ->> 'message', s.failure ->> 'reason', "
								 "s.failure ->> 'sqlstate', pg_catalog.row_to_json(s) FROM durable.status($1) s", 1, &id, code);
	const char *status;

	if (res == NULL)
		return true;
	status = PQgetvalue(res, 0, 0);
	if (!has_ended(status))
	{
		PQclear(res);
		return false;
	}
	*code = strcmp(status, "Completed") == 0 ? EXIT_OK : EXIT_FAILED;
	if (c->json)
		table_print_json(res, 5);
	else if (output_only && *code == EXIT_OK)
	{
		print_open(stdout);
		print_json(stdout, PQgetvalue(res, 0, 1));
		print_close(stdout);
	}
	else if (output_only)
		print_error("instance \"%s\" is %s: %s%s%s", id, status, PQgetvalue(res, 0, 4), PQgetisnull(res, 0, 4) ? "" : " ",
					PQgetisnull(res, 0, 2) ? PQgetvalue(res, 0, 3) : PQgetvalue(res, 0, 2));
	else if (!c->quiet)
	{
		print_open(stdout);
		print_text(stdout, id);
		fputs("  ", stdout);
		print_piece(stdout, table_status_style(status), "%s", status);
		fputs("  ", stdout);
		if (*code == EXIT_OK)
			print_json(stdout, PQgetvalue(res, 0, 1));
		else
			print_piece(stdout, STYLE_PLAIN, "%s%s%s", PQgetvalue(res, 0, 4), PQgetisnull(res, 0, 4) ? "" : " ",
						PQgetisnull(res, 0, 2) ? PQgetvalue(res, 0, 3) : PQgetvalue(res, 0, 2));
		print_close(stdout);
	}
	PQclear(res);
	return true;
}

/* How long to wait in the next statement. */
static const char *
piece(int64_t deadline, char *buffer)
{
	int64_t		ms = deadline == 0 ? PIECE : deadline - conn_now();

	snprintf(buffer, 32, "%d ms", (int) (ms < 0 ? 0 : ms > PIECE ? PIECE : ms));
	return buffer;
}
