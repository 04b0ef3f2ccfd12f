/*
 * serve_grpc.h - what the rest of durable serve knows of the gRPC listener.  Without nghttp2 there is
 * none: listen_none.c.
 */
#ifndef CLIENTS_SERVE_GRPC_SERVE_GRPC_H
#define CLIENTS_SERVE_GRPC_SERVE_GRPC_H

#include <stdbool.h>

#include <event2/buffer.h>

typedef struct GrpcOptions
{
	const char *address;		/* ADDRESS:PORT; NULL: no gRPC */
	const char *certificate;
	const char *key;
	const char *client_ca;
	const char *hubs;			/* file */
	const char *queue;			/* of the only hub, if there is no such file */
	bool		cleartext;		/* also on other addresses than loopback */
	int			max_message;	/* MB */
	int			drain;			/* seconds */
} GrpcOptions;

extern GrpcOptions grpc_options;

/* --- listen.c --- */
extern bool grpc_configure(void);	/* false: the error was printed */
extern bool grpc_listen(void);
extern const char *grpc_address(void);
extern void grpc_stop(void (*stopped) (void));
extern void grpc_metrics(struct evbuffer *out);
extern bool grpc_is_draining(void);

#endif
