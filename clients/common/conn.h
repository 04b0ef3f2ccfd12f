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
	bool		is_second;		/* another connection of the program reports outages */
} ConnOptions;

typedef struct Conn
{
	PGconn	   *pg;				/* NULL before the first attempt */
	unsigned	generation;		/* counts successful connections; 0 = never connected */
	const char *keywords[16];
	const char *values[16];
	const ConnOptions *options;	/* of conn_configure; must remain valid */
	char	   *private_info;	/* the private cluster's conninfo, if it is used */
	PGnotify  **notified;		/* taken from libpq, see conn_notification; not ordered */
	int			nnotified;
	int			notified_size;
	bool		outage_told;	/* the outage was reported to the user */
	int			backoff;		/* ms */
	int64_t		next_attempt;	/* conn_now() */
} Conn;

/* Decides where to connect to: the options, else the private cluster, else libpq's environment. */
extern void conn_configure(Conn *c, const ConnOptions *options);

/*
 * The first connection. False: it failed, and the error was printed. Waits only for a server that
 * is starting up.
 */
extern bool conn_open(Conn *c);
extern void conn_close(Conn *c);

extern bool conn_alive(const Conn *c);

/*
 * One step of reconnecting: true if the connection is established, else *wait is the time in ms
 * until the next call. The outage is reported to the user once.
 */
extern bool conn_mend(Conn *c, int *wait);

/*
 * Repeats this until the connection is established, until conn_now() reaches deadline (0: never),
 * or until Ctrl-C.
 */
extern bool conn_restore(Conn *c, int64_t deadline);

/*
 * Runs one statement. The result, which the caller clears, is not NULL while connected. After an
 * error the caller checks conn_alive first.
 */
extern PGresult *conn_query(Conn *c, const char *sql, int nparams, const char *const *values);
extern bool conn_ok(const PGresult *res);	/* a successful result, with or without rows */
extern const char *conn_sqlstate(const PGresult *res);	/* "" if there is none */
extern void conn_report(const PGresult *res);	/* prints error, detail and hint */

/*
 * A notification that has arrived, or NULL; the caller frees it with PQfreemem. Notifications may
 * arrive with the result of any statement, which poll does not report. So they are collected, and
 * conn_wait does not wait while there are any.
 */
extern PGnotify *conn_notification(Conn *c);

/*
 * Waits until the server sends data, the events of poll(2) happen on fd (-1: none), timeout ms
 * have passed (-1: no limit), or a signal arrives. True if the events have happened on fd, or its
 * other end was closed.
 */
extern bool conn_wait(const Conn *c, int fd, short events, int timeout);

/* Milliseconds of a monotonic clock. */
extern int64_t conn_now(void);

#endif
