/*
 * list.c - "durable list": instances, the newest first.
 *
 * The pages are those of durable.query, which finds the next one by a cursor.  On a terminal
 * the program shows one page and the cursor of the next.  Otherwise it prints all pages,
 * because a script would not notice that it gets only the first one.
 *
 * Owns, locks: none.
 * Called by: main.c.
 * Memory: one page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "exits.h"
#include "print.h"
#include "table.h"

#define PAGE 1000

enum
{
	OPT_NAME, OPT_STATUS, OPT_PREFIX, OPT_TAG, OPT_SINCE, OPT_UNTIL, OPT_FAILED, OPT_LIVE, OPT_LIMIT, OPT_AFTER, OPT_ALL, OPT_NULL
};

static const CommandOption list_options[] = {
	[OPT_NAME] = {"name", 0, "NAME", "of the orchestration"},
	[OPT_STATUS] = {"status", 0, "STATUS", "Pending, Running, Suspended, Completed, Failed or Terminated; may be repeated"},
	[OPT_PREFIX] = {"prefix", 0, "TEXT", "beginning of the instance id"},
	[OPT_TAG] = {"tag", 0, "KEY=VALUE", "has this tag; may be repeated"},
	[OPT_SINCE] = {"since", 0, "WHEN", "created since a time, or an interval ago (\"1 hour\")"},
	[OPT_UNTIL] = {"until", 0, "WHEN", "created before"},
	[OPT_FAILED] = {"failed", 'f', NULL, "as --status Failed"},
	[OPT_LIVE] = {"live", 'l', NULL, "not ended: Pending, Running and Suspended"},
	[OPT_LIMIT] = {"limit", 'n', "N", "maximum number; default on a terminal: as many as fit"},
	[OPT_AFTER] = {"after", 0, "CURSOR", "the page that begins after this cursor"},
	[OPT_ALL] = {"all", 'a', NULL, "all pages; the default if the output is not a terminal"},
	[OPT_NULL] = {"null", '0', NULL, "ids without escapes, each ended by a zero byte, for xargs -0"},
	{0}
};

static int	list_main(Client *c, const Args *args);
static bool collect_statuses(const Args *args, char **statuses);
static char *collect_tags(const Args *args);
static bool looks_like_json(const char *text);
static void print_page(Client *c, const PGresult *res, bool null);

const Command command_list = {
	.name = "list",
	.arguments = "",
	.summary = "list instances, the newest first",
	.details = "Lists the instances that fit all of the given conditions.\n",
	.options = list_options,
	.run = list_main
};

static const char list_sql[] =
"SELECT q.instance_id, q.runtime_status, q.name, q.waiting_on, "
"pg_catalog.to_char(q.created_time, 'YYYY-MM-DD HH24:MI:SS'), "
"(extract(epoch FROM q.duration) * 1000000)::pg_catalog.int8, q.page_cursor "
"FROM durable.query(name => $1, statuses => $2::pg_catalog.text[], created_from => " CLIENT_WHEN("3") ", created_to => " CLIENT_WHEN("4") ", "
"id_prefix => $5, tags => $6::pg_catalog.jsonb, page_size => $7::pg_catalog.int4, after => $8) q";

static const char json_sql[] =
"SELECT q.instance_id, pg_catalog.row_to_json(q), NULL, NULL, NULL, NULL, q.page_cursor "
"FROM durable.query(name => $1, statuses => $2::pg_catalog.text[], created_from => " CLIENT_WHEN("3") ", created_to => " CLIENT_WHEN("4") ", "
"id_prefix => $5, tags => $6::pg_catalog.jsonb, page_size => $7::pg_catalog.int4, after => $8) q";

static int
list_main(Client *c, const Args *args)
{
	char	   *statuses = NULL;
	char	   *tags;
	char	   *cursor = NULL;
	char		page[32];
	bool		null = args_has(args, OPT_NULL);
	bool		one_page = isatty(STDOUT_FILENO) && !c->json && !c->quiet && !args_has(args, OPT_ALL) && !null;
	long		left = one_page ? 20 : -1;
	bool		more = true;
	int			code;

	if (one_page && table_screen_width() > 0)
		left = table_screen_height() > 10 ? table_screen_height() - 4 : 6;
	if (!args_number(&command_list, args, OPT_LIMIT, 1, 1000000000, &left) || !collect_statuses(args, &statuses))
		return EXIT_USAGE;
	tags = collect_tags(args);
	cursor = args_value(args, OPT_AFTER) != NULL ? strdup(args_value(args, OPT_AFTER)) : NULL;
	if ((code = client_open(c)) != EXIT_OK)
		return code;
	while (more && left != 0)
	{
		long		size = left < 0 || left > PAGE ? PAGE : left;
		const char *values[] = {
			args_value(args, OPT_NAME), statuses, args_value(args, OPT_SINCE), args_value(args, OPT_UNTIL),
			args_value(args, OPT_PREFIX), tags, page, cursor
		};
		PGresult   *res;
		int			rows;

		snprintf(page, sizeof(page), "%ld", size);
		res = client_ask(c, c->json ? json_sql : list_sql, 8, values, &code);
		if (res == NULL)
			break;
		rows = PQntuples(res);
		print_page(c, res, null);
		more = rows == size;
		if (left > 0)
			left -= rows;
		free(cursor);
		cursor = rows > 0 ? strdup(PQgetvalue(res, rows - 1, 6)) : NULL;
		PQclear(res);
	}
	if (code == EXIT_OK && more && cursor != NULL)
		print_note("There may be more: --after %s shows the next page, --all everything.", cursor);
	free(cursor);
	free(statuses);
	free(tags);
	return code;
}

/* As an array; the words are checked by the server. */
static bool
collect_statuses(const Args *args, char **statuses)
{
	size_t		size;
	FILE	   *out = open_memstream(statuses, &size);
	bool		first = true;

	if (out == NULL)
		abort();
	fputc('{', out);
	for (int i = 0; i < args->ngiven; i++)
	{
		const char *status = args->given[i].value;

		if (args->given[i].option == OPT_FAILED)
			status = "Failed";
		else if (args->given[i].option == OPT_LIVE)
			status = "Pending,Running,Suspended";
		else if (args->given[i].option != OPT_STATUS)
			continue;
		if (strpbrk(status, "{}\"\\") != NULL || *status == '\0')
		{
			print_error("there is no status \"%s\"", status);
			fclose(out);
			return false;
		}
		/* They may be written in any case. */
		fputs(first ? "" : ",", out);
		for (const char *s = status; *s != '\0'; s++)
			fputc(s == status || s[-1] == ',' ? (*s >= 'a' && *s <= 'z' ? *s - 32 : *s) : (*s >= 'A' && *s <= 'Z' ? *s + 32 : *s), out);
		first = false;
	}
	fputc('}', out);
	fclose(out);
	if (first)
	{
		free(*statuses);
		*statuses = NULL;
	}
	return true;
}

/* As an object: a value that is JSON stands for itself, anything else for a string. */
static char *
collect_tags(const Args *args)
{
	char	   *tags = NULL;
	size_t		size;
	FILE	   *out;
	bool		first = true;

	if (!args_has(args, OPT_TAG))
		return NULL;
	out = open_memstream(&tags, &size);
	if (out == NULL)
		abort();
	fputc('{', out);
	for (int i = 0; i < args->ngiven; i++)
	{
		const char *tag = args->given[i].value;
		const char *equals;
		char	   *key;

		if (args->given[i].option != OPT_TAG)
			continue;
		equals = strchr(tag, '=');
		key = equals != NULL ? strndup(tag, (size_t) (equals - tag)) : strdup(tag);
		fputs(first ? "" : ", ", out);
		print_json_string(out, key);
		fputs(": ", out);
		if (equals != NULL && looks_like_json(equals + 1))
			fputs(equals + 1, out);
		else
			print_json_string(out, equals != NULL ? equals + 1 : "");
		free(key);
		first = false;
	}
	fputc('}', out);
	fclose(out);
	return tags;
}

static bool
looks_like_json(const char *text)
{
	char	   *end;

	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0 || strcmp(text, "null") == 0 ||
		strchr("{[\"", text[0]) != NULL)
		return text[0] != '\0';
	if (strspn(text, "-+.eE0123456789") != strlen(text) || text[strspn(text, "-")] < '0' || text[strspn(text, "-")] > '9')
		return false;
	/* JSON has no numbers that begin with a needless zero. */
	strtod(text, &end);
	return *end == '\0' && !(text[strspn(text, "-")] == '0' && strchr("0123456789", text[strspn(text, "-") + 1]) != NULL &&
							 text[strspn(text, "-") + 1] != '\0');
}

static void
print_page(Client *c, const PGresult *res, bool null)
{
	static const Column columns[] = {
		{"ID", COLUMN_LONG}, {"STATUS", COLUMN_STATUS}, {"NAME", COLUMN_LONG}, {"WAITS FOR", COLUMN_LONG},
		{"CREATED", COLUMN_TEXT}, {"DURATION", COLUMN_DURATION}
	};

	if (null)
	{
		for (int i = 0; i < PQntuples(res); i++)
			fwrite(PQgetvalue(res, i, 0), 1, (size_t) PQgetlength(res, i, 0) + 1, stdout);
		if (fflush(stdout) != 0)
			exit(EXIT_FAILED);
	}
	else if (c->json)
		table_print_json(res, 1);
	else
		table_print(res, columns, 6, c->quiet);
}
