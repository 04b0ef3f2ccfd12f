/*
 * db.c
 *		Connections and statements; an error ends the driver.
 *
 * Each row has a database of its own, so that the dead tuples of one row do not slow down
 * another.  The workflows belong to an ordinary role, as on a production server.  The
 * superuser's connection is for settings and for counting.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define MAX_STATEMENT	65536

static PGresult *run(PGconn *conn, const char *sql);
static char *read_file(const char *path);
static void ignore_notice(void *arg, const char *message);

PGconn *
db_open(const char *database, const char *role)
{
	char		conninfo[1024];
	PGconn	   *conn;

	snprintf(conninfo, sizeof(conninfo), "%s dbname=%s user=%s application_name=bench",
			 option_text("conninfo", ""), database, role);
	conn = PQconnectdb(conninfo);
	if (PQstatus(conn) != CONNECTION_OK)
		die("could not connect: %s", PQerrorMessage(conn));
	PQsetNoticeProcessor(conn, ignore_notice, NULL);
	return conn;
}

bool
db_exists(const char *database)
{
	PGconn	   *conn = db_open("postgres", "postgres");
	bool		exists = db_number(conn, "SELECT count(*) FROM pg_database WHERE datname = '%s'", database) > 0;

	PQfinish(conn);
	return exists;
}

/* A database with the extension and the workflows; nothing is done if it is there. */
void
db_prepare_database(const char *database)
{
	const char *roles[] = {"bench", "bench_other"};
	PGconn	   *conn;
	char	   *workloads;

	if (db_exists(database))
		return;

	conn = db_open("postgres", "postgres");
	for (int i = 0; i < 2; i++)
		if (db_number(conn, "SELECT count(*) FROM pg_roles WHERE rolname = '%s'", roles[i]) == 0)
			db_run(conn, "CREATE ROLE %s LOGIN", roles[i]);
	db_run(conn, "CREATE DATABASE %s OWNER bench", database);
	PQfinish(conn);

	conn = db_open(database, "postgres");
	db_run(conn, "CREATE EXTENSION durable");
	for (int i = 0; i < 2; i++)
		db_run(conn, "SELECT durable.grant_usage('%s')", roles[i]);
	PQfinish(conn);

	conn = db_open(database, "bench");
	workloads = read_file(option_text("workloads", "workloads.sql"));
	PQclear(run(conn, workloads));
	db_run(conn, "GRANT USAGE ON SCHEMA public TO PUBLIC");
	db_run(conn, "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC");
	free(workloads);
	PQfinish(conn);
}

void
db_close(PGconn *conn)
{
	PQfinish(conn);
}

void
db_run(PGconn *conn, const char *format,...)
{
	char		sql[MAX_STATEMENT];
	va_list		arguments;

	va_start(arguments, format);
	vsnprintf(sql, sizeof(sql), format, arguments);
	va_end(arguments);
	PQclear(run(conn, sql));
}

/* The first column of the first row; NULL, or no row, is 0. */
double
db_number(PGconn *conn, const char *format,...)
{
	char		sql[MAX_STATEMENT];
	va_list		arguments;
	PGresult   *result;
	double		number = 0;

	va_start(arguments, format);
	vsnprintf(sql, sizeof(sql), format, arguments);
	va_end(arguments);
	result = run(conn, sql);
	if (PQntuples(result) > 0)
		number = atof(PQgetvalue(result, 0, 0));
	PQclear(result);
	return number;
}

/* The same as text, to be freed; NULL when there is no row. */
char *
db_text(PGconn *conn, const char *format,...)
{
	char		sql[MAX_STATEMENT];
	va_list		arguments;
	PGresult   *result;
	char	   *text = NULL;

	va_start(arguments, format);
	vsnprintf(sql, sizeof(sql), format, arguments);
	va_end(arguments);
	result = run(conn, sql);
	if (PQntuples(result) > 0)
		text = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}

void
db_prepare(PGconn *conn, const char *name, const char *sql)
{
	PGresult   *result = PQprepare(conn, name, sql, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die("could not prepare \"%s\": %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

/* A prepared statement with one parameter, or none (NULL).  Its first value, to be freed, or NULL. */
char *
db_execute(PGconn *conn, const char *name, const char *parameter)
{
	const char *parameters[1] = {parameter};
	PGresult   *result = PQexecPrepared(conn, name, parameter ? 1 : 0, parameters, NULL, NULL, 0);
	char	   *value = NULL;

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		die("statement %s: %s", name, PQerrorMessage(conn));
	if (PQntuples(result) > 0)
		value = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return value;
}

/* A setting of the whole server, at once; NULL puts it back. */
void
db_set(const char *name, const char *value)
{
	PGconn	   *conn = db_open("postgres", "postgres");

	if (value)
		db_run(conn, "ALTER SYSTEM SET %s = '%s'", name, value);
	else
		db_run(conn, "ALTER SYSTEM RESET %s", name);
	db_run(conn, "SELECT pg_reload_conf()");
	PQfinish(conn);
	wait_seconds(0.5);
}

static PGresult *
run(PGconn *conn, const char *sql)
{
	PGresult   *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s\nin: %.500s", PQerrorMessage(conn), sql);
	return result;
}

static char *
read_file(const char *path)
{
	FILE	   *file = fopen(path, "r");
	char	   *text;
	long		size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
		die("could not read \"%s\"", path);
	rewind(file);
	text = malloc(size + 1);
	if (text == NULL || fread(text, 1, size, file) != (size_t) size)
		die("could not read \"%s\"", path);
	text[size] = '\0';
	fclose(file);
	return text;
}

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}
