/*
 * grpc.h - the gRPC listener of durable serve.  What each part does: its .c file.
 *
 *	listen.c	sockets, TLS, drain
 *	h2.c		a connection: HTTP/2
 *	call.c		a call: headers, frames of messages, status
 *	hub.c		task hubs and their tokens
 *	rpc.c		the table of RPCs, and those that are one statement
 *	starts.c	StartInstance
 *	waits.c		clients that wait for an instance
 *	work*.c		workers
 *	proto*.c, wire.c, messages.c	Protocol Buffers
 */
#ifndef CLIENTS_SERVE_GRPC_H
#define CLIENTS_SERVE_GRPC_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "../serve.h"
#include "messages.h"
#include "serve_grpc.h"

typedef enum GrpcStatus
{
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
	GRPC_STATUSES = 17
} GrpcStatus;

typedef struct H2 H2;			/* a connection */
typedef struct Call Call;
typedef struct Hub Hub;

/* --- rpc.c --- */
typedef struct Rpc
{
	const char *name;			/* without the service */
	const ProtoMessage *request;
	const ProtoMessage *answer;
	void		(*begin) (Call *call, const Buffer *json);
	bool		is_read;		/* its statement may be sent again */
	bool		is_stream;		/* many answers */
	uint64_t	count[GRPC_STATUSES];
	double		seconds;
} Rpc;

extern Rpc rpcs[];				/* ends with a NULL name */
extern Rpc *rpc_find(const char *path);
extern GrpcStatus rpc_status(const char *sqlstate);
extern void rpc_refuse_large(Call *call);	/* see hub_lacks_room */
extern void rpc_fail(Call *call, const Outcome *outcome);
extern bool rpc_send(Call *call, const ProtoMessage *message, const char *json, size_t length);
extern const Statement rpc_statement;	/* the RPC's name, the queue, the request as JSON -> answers as JSON */

/* --- hub.c --- */
struct Hub
{
	Hub		   *next;
	char	   *name;
	char	   *role;			/* NULL: that of the connection */
	char	   *queue;
	void	   *tokens;			/* from the file; NULL: every client may use the hub */
	struct HubWork *work;		/* of work.c; NULL: it has had no worker yet */
	struct HubWaits *waits;		/* of waits.c */
	struct HubStarts *starts;	/* of starts.c */
	size_t		unsent;			/* bytes of answers that its clients have not been sent yet */
};

extern bool hubs_configure(void);	/* false: the error was printed */
extern Hub *hub_find(const char *name, const char *authorization, const char **problem);
extern Hub *hub_next(Hub *hub);	/* of NULL: the first */
extern bool hubs_need_tokens(void);

/* --- call.c --- */
struct Call
{
	H2		   *connection;		/* NULL: the client is gone */
	Call	   *next;			/* of the connection */
	Call	  **link;
	int32_t		stream;
	int			references;
	Rpc		   *rpc;
	Hub		   *hub;
	char	   *path;
	char	   *authorization;
	char	   *taskhub;
	char	   *worker;
	char	   *user_agent;
	size_t		header_bytes;
	bool		is_post;
	bool		is_grpc;
	bool		is_compressed;
	bool		is_rejected;	/* the rest of the request is ignored */
	bool		has_begun;		/* the request is complete */
	bool		has_headers;	/* of the answer */
	bool		is_finished;	/* the status is known */
	bool		is_cut_off;		/* the connection was lost, and not only this call has ended */
	bool		is_deferred;	/* HTTP/2 waits for more of the answer */
	GrpcStatus	status;
	char	   *message;
	Buffer		input;
	struct evbuffer *output;
	double		since;
	double		sent_at;		/* the last time that something of the answer was sent */
	struct event *timer;		/* the client's deadline */
	double		timeout;		/* 0: there is none */
	void	   *state;			/* of the RPC */
	void		(*gone) (Call *call);	/* called when the client is gone or the deadline has passed */
};

extern Call *call_new(H2 *connection, int32_t stream);
extern void call_keep(Call *call);
extern void call_release(Call *call);
extern void call_header(Call *call, const char *name, size_t name_length, const char *value, size_t length);
extern void call_headers_done(Call *call);
extern void call_data(Call *call, const uint8_t *data, size_t length);
extern void call_input_end(Call *call);
extern void call_closed(Call *call);
extern void call_send(Call *call, const void *message, size_t length);
extern void call_finish(Call *call, GrpcStatus status, const char *format,...) __attribute__((format(printf, 3, 4)));
extern size_t call_output(const Call *call);	/* bytes that wait to be sent */
extern int	call_take_output(Call *call, void *bytes, size_t size);
extern size_t calls_buffered(void);	/* bytes of requests of all calls */
extern size_t calls_unsent(void);	/* bytes of answers of all calls that wait to be sent */
extern size_t hub_most_unsent(void);	/* bytes of answers of a hub that may wait to be sent */
extern bool hub_lacks_room(const Hub *hub, size_t size);	/* for an answer of that size; there is always room for small ones */

/* --- h2.c --- */
extern void h2_accept(struct bufferevent *bev, const char *address, bool is_tls);
extern void h2_begin_answer(Call *call);
extern void h2_resume(Call *call);
extern void h2_drain(void);		/* GOAWAY on all connections */
extern int	h2_connections(void);
extern int	h2_of_address(const char *address);
extern int	h2_streams(void);

/* --- listen.c: serve_grpc.h --- */

/* --- starts.c --- */
extern void starts_begin(Call *call, const Buffer *json);

/* --- waits.c --- */
extern void waits_begin_start(Call *call, const Buffer *json);
extern void waits_begin_completion(Call *call, const Buffer *json);
extern void waits_hint(Hub *hub, const char *instance_id, bool may_end);	/* it may have started, or ended, soon */
extern int	waits_count(void);

/* --- work.c --- */
extern void work_begin(Call *call, const Buffer *json);
extern void work_complete_turn(Call *call, const Buffer *json);
extern void work_complete_task(Call *call, const Buffer *json);
extern void work_complete_batch(Call *call, const Buffer *json);
extern void work_abandon(Call *call, const Buffer *json);
extern const char *work_turn_out(Hub *hub, const char *instance_id);
extern void work_drain(void);
extern void work_metrics(struct evbuffer *out);
extern int	work_out(void);

#endif
