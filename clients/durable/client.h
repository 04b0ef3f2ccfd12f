/*
 * client.h - what a subcommand works with: the connection, and how to print.
 */
#ifndef CLIENTS_CLIENT_H
#define CLIENTS_CLIENT_H

#include "conn.h"

typedef struct Client
{
	ConnOptions connection;
	Conn		conn;
	bool		is_open;
	bool		json;
	bool		quiet;
	bool		echo;
	bool		color;
	int			patience;		/* ms to wait for a server that has gone away; 0: for ever */
	char	   *echoed;			/* the statement that was shown last */
} Client;

/* The SQL for a parameter that is a time, or an interval before now. */
#define CLIENT_WHEN(n) \
	"CASE WHEN $" n " ~ '^[0-9]{4}-|^(now|today|yesterday|tomorrow|epoch)' THEN $" n "::pg_catalog.timestamptz " \
	"ELSE pg_catalog.now() - $" n "::pg_catalog.interval END"

/* Returns EXIT_OK, or another exit code after printing the error. */
extern int	client_open(Client *c);
extern void client_close(Client *c);

/*
 * Runs a statement that may be repeated: if the connection is lost, it waits for the server, sends
 * the statement again, and sets *repeated (if not NULL). The result may be an error; NULL: there
 * is no server, and the error was printed.
 */
extern PGresult *client_try(Client *c, const char *sql, int n, const char *const *values, bool *repeated);

/*
 * The same for a statement that must succeed: if it fails, the error is printed, *code is set, and
 * the result is NULL.
 */
extern PGresult *client_ask(Client *c, const char *sql, int n, const char *const *values, int *code);

/*
 * Runs a statement that must not run twice. NULL: as above, or the connection was lost and it is
 * not known whether the effect ("the event was sent") has happened; the error was printed.
 */
extern PGresult *client_do(Client *c, const char *sql, int n, const char *const *values, const char *effect, int *code);

/* Prints an error, and returns its exit code. */
extern int	client_report(Client *c, const PGresult *res);

/* --echo: shows a statement, with its values in it, so that it can be pasted into psql. */
extern void client_echo(Client *c, const char *sql, int n, const char *const *values);

#endif
