/*
 * client.c - connecting, statements that survive a crash of the server, errors and exit codes.
 *
 * If the connection is lost, a statement may have been committed or not.  So the caller
 * specifies for each statement whether it may be repeated.  A statement that changes data is
 * repeated only if the repetition has no effect.
 *
 * Owns: the Conn of the program.
 * Called by: the subcommands.
 * Memory: results are the caller's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "exits.h"
#include "print.h"

static void quote(FILE *out, const char *value);

int
client_open(Client *c)
{
	conn_configure(&c->conn, &c->connection);
	c->is_open = true;
	if (!conn_open(&c->conn))
		return EXIT_CONNECTION;
	if (c->connection.role != NULL)
		client_echo(c, "SET ROLE $1", 1, &c->connection.role);
	return EXIT_OK;
}

void
client_close(Client *c)
{
	if (c->is_open)
		conn_close(&c->conn);
	free(c->echoed);
}

PGresult *
client_try(Client *c, const char *sql, int n, const char *const *values, bool *repeated)
{
	client_echo(c, sql, n, values);
	for (;;)
	{
		PGresult   *res;

		if (!conn_alive(&c->conn) &&
			!conn_restore(&c->conn, c->patience > 0 ? conn_now() + c->patience : 0))
			return NULL;
		res = conn_query(&c->conn, sql, n, values);
		if (conn_alive(&c->conn))
			return res;
		PQclear(res);
		if (repeated != NULL)
			*repeated = true;
	}
}

PGresult *
client_ask(Client *c, const char *sql, int n, const char *const *values, int *code)
{
	PGresult   *res = client_try(c, sql, n, values, NULL);

	if (res == NULL)
		*code = EXIT_CONNECTION;
	else if (!conn_ok(res))
	{
		*code = client_report(c, res);
		PQclear(res);
		res = NULL;
	}
	return res;
}

PGresult *
client_do(Client *c, const char *sql, int n, const char *const *values, const char *effect, int *code)
{
	PGresult   *res;

	client_echo(c, sql, n, values);
	if (!conn_alive(&c->conn) &&
		!conn_restore(&c->conn, c->patience > 0 ? conn_now() + c->patience : 0))
	{
		*code = EXIT_CONNECTION;
		return NULL;
	}
	res = conn_query(&c->conn, sql, n, values);
	if (!conn_alive(&c->conn))
	{
		print_error("the connection was lost, and it is not known whether %s", effect);
		*code = EXIT_CONNECTION;
		PQclear(res);
		return NULL;
	}
	if (!conn_ok(res))
	{
		*code = client_report(c, res);
		PQclear(res);
		return NULL;
	}
	return res;
}

int
client_report(Client *c, const PGresult *res)
{
	const char *sqlstate = conn_sqlstate(res);
	const char *hint;
	PGresult   *setup;

	/* An object does not exist, or a privilege is missing: the extension may not be installed. */
	if (strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "42P01") == 0 ||
		strcmp(sqlstate, "42704") == 0 || strcmp(sqlstate, "42501") == 0)
	{
		setup = conn_query(&c->conn, "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'durable'), "
						   "(SELECT pg_catalog.has_function_privilege(oid, 'EXECUTE') FROM pg_catalog.pg_proc "
						   "WHERE pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'durable') "
						   "AND proname = 'status'), current_user, pg_catalog.current_database()", 0, NULL);
		if (conn_ok(setup) && strcmp(PQgetvalue(setup, 0, 0), "f") == 0)
		{
			print_error("extension \"durable\" is not installed in database \"%s\"", PQgetvalue(setup, 0, 3));
			print_hint("CREATE EXTENSION durable;");
			PQclear(setup);
			return EXIT_SETUP;
		}
		if (conn_ok(setup) && strcmp(sqlstate, "42501") == 0 && strcmp(PQgetvalue(setup, 0, 1), "f") == 0)
		{
			conn_report(res);
			print_hint("SELECT durable.grant_usage('%s');", PQgetvalue(setup, 0, 2));
			PQclear(setup);
			return EXIT_SETUP;
		}
		PQclear(setup);
	}
	conn_report(res);
	hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);
	if (strcmp(sqlstate, "42P08") == 0 && hint != NULL && strstr(hint, "SET ROLE") != NULL)
		print_hint("The option --role does that.");
	return EXIT_FAILED;
}

void
client_echo(Client *c, const char *sql, int n, const char *const *values)
{
	char	   *text = NULL;
	size_t		size;
	FILE	   *out;

	if (!c->echo)
		return;
	out = open_memstream(&text, &size);
	if (out == NULL)
		abort();
	for (const char *s = sql; *s != '\0'; s++)
	{
		char	   *end;
		long		number = s[0] == '$' ? strtol(s + 1, &end, 10) : 0;

		if (number < 1 || number > n)
		{
			fputc(*s, out);
			continue;
		}
		quote(out, values[number - 1]);
		s = end - 1;
	}
	fputc(';', out);
	fclose(out);
	/* A statement that is repeated periodically is shown once. */
	if (c->echoed == NULL || strcmp(c->echoed, text) != 0)
	{
		print_open(stderr);
		print_text(stderr, text);
		print_close(stderr);
	}
	free(c->echoed);
	c->echoed = text;
}

/* A literal without control characters. */
static void
quote(FILE *out, const char *value)
{
	bool		escape = false;

	if (value == NULL)
	{
		fputs("NULL", out);
		return;
	}
	for (const char *s = value; *s != '\0'; s++)
		escape = escape || (unsigned char) *s < 0x20 || *s == '\\' || *s == 0x7f;
	fputs(escape ? "E'" : "'", out);
	for (const char *s = value; *s != '\0'; s++)
	{
		if ((unsigned char) *s < 0x20 || *s == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char) *s);
		else if (*s == '\\' || *s == '\'')
			fprintf(out, "%c%c", *s, *s);
		else
			fputc(*s, out);
	}
	fputc('\'', out);
}
