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

/* EXIT_OK, or the user has been told. */
extern int	client_open(Client *c);
extern void client_close(Client *c);

/*
 * Runs a statement that may be repeated: if the connection is lost it waits for
 * the server and sends it again, and *repeated (if not NULL) says so.  The result
 * may be an error; NULL: there is no server, the user has been told.
 */
extern PGresult *client_try(Client *c, const char *sql, int n, const char *const *values, bool *repeated);

/* The same for a statement that must succeed: if it fails, the user has been told, *code is set, and the result is NULL. */
extern PGresult *client_ask(Client *c, const char *sql, int n, const char *const *values, int *code);

/*
 * Runs a statement that must not run twice.  NULL: as above, or the connection was
 * lost and "effect" ("the event was sent") may or may not be so; the user has been told.
 */
extern PGresult *client_do(Client *c, const char *sql, int n, const char *const *values, const char *effect, int *code);

/* Tells the user about an error; the exit code for it. */
extern int	client_report(Client *c, const PGresult *res);

/* --echo: shows a statement, with its values in it, so that it can be pasted into psql. */
extern void client_echo(Client *c, const char *sql, int n, const char *const *values);

#endif
