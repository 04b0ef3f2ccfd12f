/*
 * views.c - explain, schedules, queues, doctor, verify: results of engine functions as tables.
 *
 * Owns, locks: none.
 * Called by: main.c.
 * Memory: results only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exits.h"
#include "print.h"
#include "table.h"

#define TIME_TEXT(column) "pg_catalog.to_char(" column ", 'YYYY-MM-DD HH24:MI:SS')"

static const CommandOption no_options[] = {{0}};

static const CommandOption explain_options[] = {
	{"mermaid", 0, NULL, "a sequence diagram in the language of Mermaid"},
	{0}
};

static const CommandOption verify_options[] = {
	{"code", 0, "FUNCTION", "compare this function, given with its argument types, and not the present one"},
	{0}
};

static int	explain_main(Client *c, const Args *args);
static int	schedules_main(Client *c, const Args *args);
static int	queues_main(Client *c, const Args *args);
static int	doctor_main(Client *c, const Args *args);
static int	verify_main(Client *c, const Args *args);
static int	show(Client *c, const char *sql, const char *json_sql, const Column *columns, int ncolumns);
static int	act_on_name(Client *c, const Args *args, const char *const (*actions)[3]);

const Command command_explain = {
	.name = "explain", .arguments = "ID", .summary = "what an instance has done and what it waits for",
	.details = "Explains the state of an instance: its calls, their answers, and the calls for which it\n"
	"waits, with lines of the source.\n",
	.least = 1, .most = 1, .options = explain_options, .run = explain_main
};

const Command command_schedules = {
	.name = "schedules", .arguments = "[pause | unpause | trigger NAME]", .summary = "list schedules, or change one",
	.details = "Lists the schedules, or pauses one, unpauses it, or runs it now.\n",
	.least = 0, .most = 2, .options = no_options, .run = schedules_main
};

const Command command_queues = {
	.name = "queues", .arguments = "[pause | unpause NAME]", .summary = "list queues, or change one",
	.details = "Lists the queues with their limits and what waits in them, or pauses one, or unpauses it.\n",
	.least = 0, .most = 2, .options = no_options, .run = queues_main
};

const Command command_doctor = {
	.name = "doctor", .arguments = "", .summary = "check the engine",
	.details = "Checks the engine of the database. The exit code is 1 if a check finds something.\n"
	"With -q, only the checks that fail.\n",
	.least = 0, .most = 0, .options = no_options, .run = doctor_main
};

const Command command_verify = {
	.name = "verify", .arguments = "NAME", .summary = "compare code with the histories of running instances",
	.details = "Compares the code of an orchestration with the histories of its unfinished instances,\n"
	"and lists those that it would suspend. The exit code is 1 if there are any.\n",
	.least = 1, .most = 1, .options = verify_options, .uses_search_path = true, .statement_timeout = "0", .run = verify_main
};

static int
explain_main(Client *c, const Args *args)
{
	const char *values[] = {args->values[0], c->json ? "json" : args_has(args, 0) ? "mermaid" : "text"};
	int			code = client_open(c);
	PGresult   *res = code == EXIT_OK ?
		client_ask(c, c->json ? "SELECT durable.explain($1, $2)::pg_catalog.jsonb" : "SELECT durable.explain($1, $2)", 2, values, &code) : NULL;

	if (res == NULL)
		return code;
	if (c->json)
		table_print_json(res, 0);
	for (int i = 0; !c->json && i < PQntuples(res); i++)
		print_line(i == 0 && !args_has(args, 0) ? STYLE_NAME : STYLE_PLAIN, "%s", PQgetvalue(res, i, 0));
	PQclear(res);
	return EXIT_OK;
}

static int
schedules_main(Client *c, const Args *args)
{
	static const Column columns[] = {
		{"NAME", COLUMN_LONG}, {"CRON", COLUMN_TEXT}, {"ZONE", COLUMN_TEXT}, {"ORCHESTRATION", COLUMN_LONG}, {"NEXT", COLUMN_TEXT},
		{"LAST", COLUMN_TEXT}, {"OVERLAP", COLUMN_TEXT}, {"MISSED", COLUMN_NUMBER}, {"SKIPPED", COLUMN_NUMBER}
	};
	static const char *const actions[][3] = {
		{"pause", "SELECT durable.pause_schedule($1)", "paused"},
		{"unpause", "SELECT durable.unpause_schedule($1)", "not paused"},
		{"trigger", "SELECT durable.trigger_schedule($1)", NULL},
		{NULL, NULL, NULL}
	};

	if (args->n > 0)
		return act_on_name(c, args, actions);
	return show(c, "SELECT s.name, s.cron, s.timezone, s.orchestration, CASE WHEN s.is_paused THEN 'paused' ELSE " TIME_TEXT("s.next_time")
				" END, " TIME_TEXT("s.last_time") ", s.overlap, s.missed, s.skipped FROM durable.schedules s ORDER BY s.name, s.owner",
				"SELECT pg_catalog.row_to_json(s) FROM durable.schedules s ORDER BY s.name, s.owner", columns, 9);
}

static int
queues_main(Client *c, const Args *args)
{
	static const Column columns[] = {
		{"NAME", COLUMN_LONG}, {"READY", COLUMN_NUMBER}, {"DELAYED", COLUMN_NUMBER}, {"LEASED", COLUMN_NUMBER},
		{"OLDEST", COLUMN_DURATION}, {"LIMIT", COLUMN_TEXT}, {"RATE", COLUMN_TEXT}, {"FOR EACH KEY", COLUMN_TEXT}, {"STATE", COLUMN_TEXT}
	};
	static const char *const actions[][3] = {
		{"pause", "SELECT durable.pause_queue($1)", "paused"},
		{"unpause", "SELECT durable.unpause_queue($1)", "not paused"},
		{NULL, NULL, NULL}
	};

	if (args->n > 0)
		return act_on_name(c, args, actions);
	return show(c, "SELECT q.name, q.ready, q.delayed, q.leased, (extract(epoch FROM pg_catalog.now() - q.oldest) * 1000000)::pg_catalog.int8, "
				"q.concurrency, q.rate || ' in ' || q.per, q.key_concurrency, CASE WHEN q.is_paused THEN 'paused' ELSE '' END "
				"FROM durable.queues q ORDER BY q.name",
				"SELECT pg_catalog.row_to_json(q) FROM durable.queues q ORDER BY q.name", columns, 9);
}

static int
show(Client *c, const char *sql, const char *json_sql, const Column *columns, int ncolumns)
{
	int			code = client_open(c);
	PGresult   *res = code == EXIT_OK ? client_ask(c, c->json ? json_sql : sql, 0, NULL, &code) : NULL;

	if (res == NULL)
		return code;
	if (c->json)
		table_print_json(res, 0);
	else
		table_print(res, columns, ncolumns, c->quiet);
	PQclear(res);
	return EXIT_OK;
}

static int
act_on_name(Client *c, const Args *args, const char *const (*actions)[3])
{
	int			code;
	PGresult   *res;
	const char *const *action = *actions;

	while (action[0] != NULL && strcmp(action[0], args->values[0]) != 0)
		action += 3;
	if (action[0] == NULL || args->n < 2)
	{
		print_error(action[0] == NULL ? "there is no action \"%s\"" : "a name is missing after \"%s\"", args->values[0]);
		return EXIT_USAGE;
	}
	if ((code = client_open(c)) != EXIT_OK)
		return code;
	res = client_do(c, action[1], 1, (const char *const *) &args->values[1], "it was done", &code);
	if (res == NULL)
		return code;
	if (action[2] != NULL)
		print_note("\"%s\" is %s.", args->values[1], action[2]);
	else if (PQgetisnull(res, 0, 0))
	{
		print_error("the run of \"%s\" was skipped", args->values[1]);
		code = EXIT_FAILED;
	}
	else if (c->json)
	{
		print_open(stdout);
		fputs("{\"instance_id\": ", stdout);
		print_json_string(stdout, PQgetvalue(res, 0, 0));
		putchar('}');
		print_close(stdout);
	}
	else
		print_line(STYLE_PLAIN, "%s", PQgetvalue(res, 0, 0));
	PQclear(res);
	return code;
}

static int
doctor_main(Client *c, const Args *args)
{
	int			code = client_open(c);
	PGresult   *res = code == EXIT_OK ?
		client_ask(c, "SELECT d.check_name, d.ok, d.detail, d.hint, pg_catalog.row_to_json(d) FROM durable.doctor() d", 0, NULL, &code) : NULL;

	(void) args;
	if (res == NULL)
		return code;
	if (c->json)
		table_print_json(res, 4);
	for (int i = 0; i < PQntuples(res); i++)
	{
		bool		ok = strcmp(PQgetvalue(res, i, 1), "t") == 0;

		if (!ok)
			code = EXIT_FAILED;
		if (c->json || (ok && c->quiet))
			continue;
		print_open(stdout);
		print_piece(stdout, ok ? STYLE_GOOD : STYLE_BAD, "%-4s", ok ? "ok" : "FAIL");
		print_piece(stdout, STYLE_PLAIN, " %-15s ", PQgetvalue(res, i, 0));
		print_rest(PQgetvalue(res, i, 2), 21, 21);
		print_close(stdout);
		if (!PQgetisnull(res, i, 3))
		{
			print_open(stdout);
			printf("%21s", "");
			print_rest(PQgetvalue(res, i, 3), 21, 21);
			print_close(stdout);
		}
	}
	PQclear(res);
	return code;
}

static int
verify_main(Client *c, const Args *args)
{
	static const Column columns[] = {{"ID", COLUMN_LONG}, {"LINE", COLUMN_NUMBER}, {"PROBLEM", COLUMN_LONG}};
	const char *values[] = {args->values[0], args_value(args, 0)};
	int			code = client_open(c);
	PGresult   *res = code == EXIT_OK ?
		client_ask(c, "SELECT v.instance_id, v.line, v.problem, pg_catalog.row_to_json(v) FROM durable.verify_replay($1, $2::pg_catalog.regprocedure) v",
				   2, values, &code) : NULL;

	if (res == NULL)
		return code;
	if (c->json)
		table_print_json(res, 3);
	else if (PQntuples(res) > 0)
		table_print(res, columns, 3, c->quiet);
	else
		print_note("The code fits the histories of all unfinished instances.");
	code = PQntuples(res) > 0 ? EXIT_FAILED : EXIT_OK;
	PQclear(res);
	return code;
}
