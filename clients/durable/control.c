/*
 * control.c - event, terminate, suspend, resume, rewind, restart, purge: commands for instances.
 *
 * Each is one function of the engine for one instance.  Several ids are several
 * transactions, and an error for one id does not prevent the others.  The description of a
 * command contains whether its statement may be sent again after a lost connection.  For
 * example, a repeated event would be a second event.
 *
 * Owns, locks: none.
 * Called by: main.c.
 * Memory: one line of standard input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exits.h"
#include "input.h"
#include "print.h"

/* What is done to one instance. */
typedef struct Action
{
	const char *sql;			/* parameters: id, reason */
	const char *done;			/* "resumed" */
	const char *effect;			/* of a statement that must not run twice; NULL: it may */
	const char *done_state;		/* SQLSTATE of a repetition after the first statement was committed */
} Action;

enum
{
	OPT_REASON, OPT_SECOND, OPT_THIRD, OPT_FOURTH
};

static const CommandOption no_options[] = {{0}};

static const CommandOption reason_options[] = {
	[OPT_REASON] = {"reason", 'r', "TEXT", "kept with the instance"},
	{0}
};

static const CommandOption terminate_options[] = {
	[OPT_REASON] = {"reason", 'r', "TEXT", "kept with the instance"},
	[OPT_SECOND] = {"not-children", 0, NULL, "let its sub-orchestrations continue"},
	{0}
};

static const CommandOption rewind_options[] = {
	[OPT_REASON] = {"reason", 'r', "TEXT", "kept with the instance"},
	[OPT_SECOND] = {"all", 0, NULL, "all failed instances, and not those with the given ids"},
	[OPT_THIRD] = {"name", 0, "NAME", "with --all: only of this orchestration"},
	[OPT_FOURTH] = {"since", 0, "WHEN", "with --all: that have ended since a time, or an interval ago"},
	{0}
};

static const CommandOption restart_options[] = {
	{"new-id", 0, NULL, "as a new instance; the old one is kept"},
	{0}
};

static const CommandOption purge_options[] = {
	{"older-than", 0, "INTERVAL", "all that have ended before, and not those with the given ids"},
	{"status", 0, "STATUS", "with --older-than: only Completed, Failed or Terminated"},
	{"name", 0, "NAME", "with --older-than: only of this orchestration"},
	{0}
};

static int	event_main(Client *c, const Args *args);
static int	terminate_main(Client *c, const Args *args);
static int	suspend_main(Client *c, const Args *args);
static int	resume_main(Client *c, const Args *args);
static int	rewind_main(Client *c, const Args *args);
static int	restart_main(Client *c, const Args *args);
static int	purge_main(Client *c, const Args *args);
static int	act(Client *c, const Args *args, const Action *action, const char *reason);
static int	act_on(Client *c, const char *id, const Action *action, const char *reason);
static int	tell_number(Client *c, PGresult *res, const char *done, int code);

const Command command_event = {
	.name = "event", .arguments = "ID NAME [JSON]", .summary = "send an event to an instance",
	.details = "Sends an event. The data is JSON; - reads it from standard input, @FILE from a file.\n",
	.least = 2, .most = 3, .options = no_options, .run = event_main
};

#define IDS "With - as an id, ids are read from standard input, one a line.\n"

const Command command_terminate = {
	.name = "terminate", .arguments = "ID...", .summary = "end instances and their sub-orchestrations",
	.details = "Ends instances at once, and their sub-orchestrations.\n" IDS,
	.least = 1, .most = -1, .options = terminate_options, .run = terminate_main
};

const Command command_suspend = {
	.name = "suspend", .arguments = "ID...", .summary = "suspend instances",
	.details = "Suspends instances; messages for them are kept until they are resumed.\n" IDS,
	.least = 1, .most = -1, .options = reason_options, .run = suspend_main
};

const Command command_resume = {
	.name = "resume", .arguments = "ID...", .summary = "resume suspended instances",
	.details = "Resumes suspended instances.\n" IDS,
	.least = 1, .most = -1, .options = reason_options, .run = resume_main
};

const Command command_rewind = {
	.name = "rewind", .arguments = "ID... | --all", .summary = "continue failed instances from their failures",
	.details = "Continues failed instances: failed parts run again, completed ones do not.\n" IDS,
	.least = 0, .most = -1, .options = rewind_options, .run = rewind_main
};

const Command command_restart = {
	.name = "restart", .arguments = "ID...", .summary = "start the orchestrations of ended instances again",
	.details = "Starts orchestrations again with the same input and tags, and prints the instance ids.\n" IDS,
	.least = 1, .most = -1, .options = restart_options, .run = restart_main
};

const Command command_purge = {
	.name = "purge", .arguments = "ID... | --older-than INTERVAL", .summary = "delete instances that have ended",
	.details = "Deletes ended instances and their histories.\n" IDS,
	.least = 0, .most = -1, .options = purge_options, .statement_timeout = "0", .run = purge_main
};

static int
event_main(Client *c, const Args *args)
{
	char	   *data = NULL;
	int			code;
	PGresult   *res;

	if (args->n > 2 && (data = input_read(args->values[2])) == NULL)
		return EXIT_USAGE;
	if ((code = client_open(c)) == EXIT_OK)
	{
		const char *values[] = {args->values[0], args->values[1], data};

		/* Invalid JSON is reported before anything is sent. */
		if (data != NULL)
		{
			res = client_try(c, "SELECT $1::pg_catalog.jsonb", 1, (const char *const *) &data, NULL);
			if (res != NULL && !conn_ok(res) && input_is_bad(c, res, data))
			{
				PQclear(res);
				free(data);
				return EXIT_USAGE;
			}
			PQclear(res);
		}
		res = client_do(c, "SELECT durable.raise_event($1, $2, $3::pg_catalog.jsonb)", 3, values, "the event was sent", &code);
		if (res != NULL && !c->json)
			print_note("Sent event \"%s\" to instance \"%s\".", args->values[1], args->values[0]);
		PQclear(res);
	}
	free(data);
	return code;
}

static int
terminate_main(Client *c, const Args *args)
{
	static const Action all = {
		"SELECT durable.terminate($1, $2)", "terminated", NULL, "WF004"
	};
	static const Action one = {
		"SELECT durable.terminate($1, $2, recursive => false)", "terminated", NULL, "WF004"
	};

	return act(c, args, args_has(args, OPT_SECOND) ? &one : &all, args_value(args, OPT_REASON));
}

static int
suspend_main(Client *c, const Args *args)
{
	static const Action action = {"SELECT durable.suspend($1, $2)", "suspended", NULL, NULL};

	return act(c, args, &action, args_value(args, OPT_REASON));
}

static int
resume_main(Client *c, const Args *args)
{
	static const Action action = {"SELECT durable.resume($1, $2)", "resumed", NULL, NULL};

	return act(c, args, &action, args_value(args, OPT_REASON));
}

static int
rewind_main(Client *c, const Args *args)
{
	static const Action action = {"SELECT durable.rewind($1, $2)", "rewound", "the instance was rewound", NULL};
	const char *values[] = {args_value(args, OPT_THIRD), args_value(args, OPT_FOURTH), args_value(args, OPT_REASON)};
	PGresult   *res;
	int			code;

	if (args_has(args, OPT_SECOND) ? args->n > 0 : args->n == 0 || values[0] != NULL || values[1] != NULL)
	{
		print_error("\"durable rewind\" takes either ids, or --all with --name and --since");
		return EXIT_USAGE;
	}
	if (!args_has(args, OPT_SECOND))
		return act(c, args, &action, values[2]);
	if ((code = client_open(c)) != EXIT_OK)
		return code;
	res = client_do(c, "SELECT durable.rewind_all($1, " CLIENT_WHEN("2") ", $3)", 3, values, "the instances were rewound", &code);
	return tell_number(c, res, "rewound", code);
}

static int
restart_main(Client *c, const Args *args)
{
	static const Action in_place = {"SELECT durable.restart($1)", NULL, "the instance was restarted", NULL};
	static const Action as_new = {"SELECT durable.restart($1, new_instance_id => true)", NULL, "an instance was started", NULL};

	return act(c, args, args_has(args, 0) ? &as_new : &in_place, NULL);
}

static int
purge_main(Client *c, const Args *args)
{
	static const Action action = {"SELECT durable.purge($1)", "purged", NULL, "WF003"};
	const char *values[] = {args_value(args, 0), args_value(args, 1), args_value(args, 2)};
	PGresult   *res;
	int			code;

	if (values[0] != NULL ? args->n > 0 : args->n == 0 || values[1] != NULL || values[2] != NULL)
	{
		print_error("\"durable purge\" takes either ids, or --older-than with --status and --name");
		return EXIT_USAGE;
	}
	if (values[0] == NULL)
		return act(c, args, &action, NULL);
	if ((code = client_open(c)) != EXIT_OK)
		return code;
	/* A repetition purges the instances that the first statement has not. */
	res = client_ask(c, "SELECT durable.purge_history($1::pg_catalog.interval, pg_catalog.string_to_array($2, ','), $3)", 3, values, &code);
	return tell_number(c, res, "purged", code);
}

static int
act(Client *c, const Args *args, const Action *action, const char *reason)
{
	int			code = client_open(c);
	int			worst = code;

	for (int i = 0; i < args->n && code != EXIT_CONNECTION && code != EXIT_SETUP; i++)
	{
		if (strcmp(args->values[i], "-") != 0)
			code = act_on(c, args->values[i], action, reason);
		else
		{
			char	   *line = NULL;
			size_t		size = 0;
			ssize_t		length;

			while (code != EXIT_CONNECTION && code != EXIT_SETUP && (length = getline(&line, &size, stdin)) > 0)
			{
				if (line[length - 1] == '\n')
					line[length - 1] = '\0';
				if (*line != '\0')
					code = act_on(c, line, action, reason);
				worst = code > worst ? code : worst;
			}
			free(line);
		}
		worst = code > worst ? code : worst;
	}
	return worst;
}

static int
act_on(Client *c, const char *id, const Action *action, const char *reason)
{
	const char *values[] = {id, reason};
	int			n = strstr(action->sql, "$2") != NULL ? 2 : 1;
	bool		repeated = false;
	int			code = EXIT_OK;
	PGresult   *res;

	if (action->effect != NULL)
		res = client_do(c, action->sql, n, values, action->effect, &code);
	else
	{
		res = client_try(c, action->sql, n, values, &repeated);
		if (res == NULL)
			code = EXIT_CONNECTION;
		else if (!conn_ok(res) &&
				 !(repeated && action->done_state != NULL && strcmp(conn_sqlstate(res), action->done_state) == 0))
			code = client_report(c, res);
	}
	if (code == EXIT_OK && action->done == NULL)
	{
		print_open(stdout);
		if (c->json)
		{
			fputs("{\"instance_id\": ", stdout);
			print_json_string(stdout, PQgetvalue(res, 0, 0));
			putchar('}');
		}
		else
			print_text(stdout, PQgetvalue(res, 0, 0));
		print_close(stdout);
	}
	else if (code == EXIT_OK)
		print_note("Instance \"%s\": %s.", id, action->done);
	PQclear(res);
	return code;
}

static int
tell_number(Client *c, PGresult *res, const char *done, int code)
{
	if (res == NULL)
		return code;
	if (c->json)
		print_line(STYLE_PLAIN, "{\"instances\": %s}", PQgetvalue(res, 0, 0));
	else if (c->quiet)
		print_line(STYLE_PLAIN, "%s", PQgetvalue(res, 0, 0));
	else
		print_line(STYLE_PLAIN, "Instances that were %s: %s", done, PQgetvalue(res, 0, 0));
	PQclear(res);
	return EXIT_OK;
}
