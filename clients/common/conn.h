/*
 * conn.h - a connection that comes back.
 */
#ifndef CLIENTS_CONN_H
#define CLIENTS_CONN_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ConnOptions
{
	const char *host;
	const char *port;
	const char *user;
	const char *dbname;			/* a name, a conninfo string or a URI */
	const char *program;		/* the application_name, unless the user has chosen one */
	const char *role;			/* to SET ROLE to, or NULL */
	const char *statement_timeout;	/* NULL: 30s */
	bool		keep_search_path;	/* names that the user gives are looked up in it */
	bool		environment_first;	/* libpq's variables, if there are any, rather than the private cluster */
	bool		tell_warnings;
	bool		is_second;		/* another connection of the program tells about outages */
} ConnOptions;

typedef struct Conn
{
	PGconn	   *pg;				/* NULL before the first attempt */
	unsigned	generation;		/* counts successful connections; 0 = never connected */
	const char *keywords[16];
	const char *values[16];
	const ConnOptions *options;	/* of conn_configure, which have to stay */
	char	   *private_info;	/* the private cluster's conninfo, if that is what we use */
	PGnotify  **notified;		/* taken over from libpq, see conn_notification; in no order */
	int			nnotified;
	int			notified_size;
	bool		outage_told;	/* the user knows that we wait */
	int			backoff;		/* ms */
	int64_t		next_attempt;	/* conn_now() */
} Conn;

/* Decides where to connect to: the options, else the private cluster, else libpq's environment. */
extern void conn_configure(Conn *c, const ConnOptions *options);

/*
 * The first connection.  False: could not connect, the user has been told.
 * Waits only for a server that says that it is starting.
 */
extern bool conn_open(Conn *c);
extern void conn_close(Conn *c);

extern bool conn_alive(const Conn *c);

/*
 * One step towards a connection that works again: true if it is there, else
 * *wait says how many ms to wait before the next call.  Tells the user once.
 */
extern bool conn_mend(Conn *c, int *wait);

/* The same until it works, until conn_now() reaches deadline (0 = never), or until Ctrl-C. */
extern bool conn_restore(Conn *c, int64_t deadline);

/*
 * Runs one statement; never NULL while connected, the caller clears it.  Look
 * at conn_alive before blaming the statement.
 */
extern PGresult *conn_query(Conn *c, const char *sql, int nparams, const char *const *values);
extern bool conn_ok(const PGresult *res);	/* rows, or a command that returns none */
extern const char *conn_sqlstate(const PGresult *res);	/* "" if there is none */
extern void conn_report(const PGresult *res);	/* error, detail and hint to the user */

/*
 * A notification that has arrived, or NULL; the caller frees it with PQfreemem.
 * Every statement may bring some along, which poll then says nothing about, so
 * they are collected, and conn_wait does not wait while there are any.
 */
extern PGnotify *conn_notification(Conn *c);

/*
 * Waits until the server sends something, the events of poll(2) happen on fd (-1:
 * none), timeout ms are over (-1: for ever), or a signal arrives.  True if it was
 * fd; hanging up counts, whatever the events.
 */
extern bool conn_wait(const Conn *c, int fd, short events, int timeout);

/* Milliseconds on a clock that is never set. */
extern int64_t conn_now(void);

#endif
