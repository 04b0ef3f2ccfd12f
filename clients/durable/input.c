/*
 * input.c - reads JSON from the command line.
 *
 * Owns, locks: none.
 * Called by: start.c, control.c.
 * Memory: the caller's.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "print.h"

char *
input_read(const char *argument)
{
	FILE	   *file = stdin;
	char	   *text = NULL;
	size_t		size = 0;
	size_t		length;
	FILE	   *out;
	char		buffer[65536];
	size_t		got;

	if (strcmp(argument, "-") != 0 && argument[0] != '@')
		return strdup(argument);
	if (argument[0] == '@')
	{
		file = fopen(argument + 1, "r");
		if (file == NULL)
		{
			print_error("could not open file \"%s\": %s", argument + 1, strerror(errno));
			return NULL;
		}
	}
	out = open_memstream(&text, &size);
	if (out == NULL)
		abort();
	while ((got = fread(buffer, 1, sizeof(buffer), file)) > 0)
		fwrite(buffer, 1, got, out);
	if (ferror(file))
	{
		print_error("could not read the input: %s", strerror(errno));
		fclose(out);
		free(text);
		return NULL;
	}
	if (file != stdin)
		fclose(file);
	fclose(out);
	length = strlen(text);
	if (length != size)
	{
		print_error("the input contains a zero byte");
		free(text);
		return NULL;
	}
	return text;
}

bool
input_is_bad(Client *c, const PGresult *res, const char *json)
{
	PGresult   *check;
	bool		bad;

	if (json == NULL || strncmp(conn_sqlstate(res), "22", 2) != 0)
		return false;
	check = conn_query(&c->conn, "SELECT $1::pg_catalog.jsonb", 1, &json);
	bad = conn_alive(&c->conn) && !conn_ok(check);
	if (bad)
	{
		print_error("the input is not valid JSON");
		print_hint("%s", PQresultErrorField(check, PG_DIAG_MESSAGE_DETAIL) != NULL ?
				   PQresultErrorField(check, PG_DIAG_MESSAGE_DETAIL) : PQresultErrorField(check, PG_DIAG_MESSAGE_PRIMARY));
		print_hint("A text is written in double quotes: '\"text\"'");
	}
	PQclear(check);
	return bad;
}
