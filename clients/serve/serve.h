/*
 * serve.h - durable serve, the HTTP gateway.  What each part does: its .c file.
 */
#ifndef CLIENTS_SERVE_H
#define CLIENTS_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <libpq-fe.h>

typedef struct List
{
	const char *values[32];
	int			n;
} List;

typedef struct Options
{
	const char *keywords[8];	/* for PQconnectStartParams */
	const char *values[8];
	const char *listen;			/* address, a path of a Unix socket, NULL: loopback */
	int			port;
	bool		next_port;		/* take the next one if it is in use */
	int			pool;
	const char *role;			/* of requests without a token; NULL: the connection's */
	bool		require_token;
	bool		proxy;			/* X-Forwarded-Proto comes from our own proxy */
	const char *key;
	const char *www;
	const char *crash_command;	/* of make play; NULL: none */
	const char *user;			/* to become, when started by root */
	List		hosts;
	List		cors;
	const char *secret_file;
	const char *public_key_file;
	const char *audience;
	int			max_connections;
	int			max_per_address;
	int			max_events;
} Options;

extern Options options;
extern struct event_base *base;

/* --- token.c --- */
typedef struct Token
{
	char	   *header;			/* JSON, verified, not read */
	char	   *claims;
} Token;

extern bool token_configure(void);	/* false: the error was printed */
extern const char *token_algorithm(void);
extern bool token_verify(const char *bearer, Token *token);
extern void token_free(Token *token);
extern bool secret_equal(const char *a, const char *b);

/* --- pool.c, pool_jobs.c --- */
#define STATEMENT_MOST			32
#define STATEMENT_MOST_VALUES	10

typedef struct Statement
{
	const char *name;			/* of the prepared statement */
	const char *sql;
	int			nvalues;
} Statement;

typedef struct Outcome
{
	PGresult   *rows;			/* NULL: it has failed */
	const char *sqlstate;
	const char *message;
	const char *hint;			/* NULL: there is none */
	const char *detail;			/* the same */
} Outcome;

/* What the pool says itself; the first is the only one after which the statement may have been executed. */
#define POOL_LOST			"08006"
#define POOL_NOT_CONNECTED	"08001"
#define POOL_FULL			"53300"

typedef void (*OutcomeHandler) (const Outcome *outcome, void *arg);

typedef struct Access
{
	const Token *token;			/* names the role; NULL: role does */
	const char *role;			/* NULL: that of the connection */
	bool		is_read;		/* may be sent again */
} Access;

extern void pool_start(void);
extern bool pool_ready(void);
extern int	pool_busy(void);
extern int	pool_queued(void);
extern int	pool_first_problem(void);	/* exit code, 0: there is a connection, -1: not known yet */
extern void pool_run(const Statement *statement, const char *const *values, const Access *access, OutcomeHandler handler, void *arg);
extern void pool_notified(const char *channel);	/* called by pool.c, is in events.c */
extern void pool_listening(PGresult *mounts);	/* the same: prefix, channel */

/* --- pool_http.c --- */
typedef struct Answer
{
	int			status;			/* of HTTP */
	const char *headers;		/* lines */
	const char *body;
	size_t		body_length;
} Answer;

typedef void (*AnswerHandler) (const Answer *answer, void *arg);

typedef struct Query
{
	const char *method;
	const char *path;
	const char *query;
	const char *body;
	const char *headers;		/* JSON */
	const Token *token;			/* NULL: options.role */
	bool		is_read;		/* may be sent again */
} Query;

extern void pool_ask(const Query *query, AnswerHandler handler, void *arg);

/* --- guard.c --- */
extern void guard_install(struct evhttp *http, struct evhttp_bound_socket *socket);
extern int	guard_connections(void);
extern uint64_t guard_refused(void);

/* --- request.c --- */
extern void request_handle(struct evhttp_request *req, void *arg);

/* --- request_check.c --- */
extern const char *request_method(struct evhttp_request *req);	/* its name */
extern bool request_host_is_ours(struct evhttp_request *req);
extern bool request_origin(struct evhttp_request *req);	/* adds CORS headers; false: refused */
extern bool request_has_key(struct evhttp_request *req, const char *query);
extern bool request_is_too_deep(const char *body);	/* JSON that is nested deeper than PostgreSQL should read */

/* --- reply.c --- */
extern void reply(struct evhttp_request *req, int status, const char *type, const char *body, size_t length);
extern void reply_message(struct evhttp_request *req, int status, const char *message);

/* --- events.c --- */
extern void events_start(void);
extern void events_serve(struct evhttp_request *req, Token *token);	/* takes the token; NULL: there is none */
extern int	events_clients(void);
extern uint64_t events_sent(void);
extern uint64_t events_dropped(void);

/* --- files.c --- */
typedef struct EmbeddedFile
{
	const char *path;
	const unsigned char *data;
	size_t		length;
} EmbeddedFile;

extern const EmbeddedFile embedded_files[];	/* ends with a NULL path; generated from web/ */
extern void files_start(void);
extern bool files_serve(struct evhttp_request *req, const char *path);	/* false: there is none */

/* --- crash.c --- */
extern bool crash_serve(struct evhttp_request *req, const char *path);	/* false: there is no such route */

/* --- metrics.c --- */
extern void metrics_count(const char *method, int status, double seconds);
extern void metrics_serve(struct evhttp_request *req, const Token *token);

extern double now_seconds(void);
extern void *must_alloc(size_t size);
extern char *must_copy(const char *text);
extern void complain(const char *format,...) __attribute__((format(printf, 1, 2)));

extern int	serve_main(int argc, char **argv);

#endif
