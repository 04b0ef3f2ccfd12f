/*
 * listen_none.c - replaces the gRPC listener if the program is built without nghttp2.
 *
 * Owns, locks, memory: none.
 * Called by: serve.c, metrics.c.
 */
#include "serve_grpc.h"
#include "../serve.h"

GrpcOptions grpc_options;

bool
grpc_configure(void)
{
	if (grpc_options.address == NULL)
		return true;
	complain("this program was built without gRPC\nInstall libnghttp2-dev, and build it again.");
	return false;
}

bool
grpc_listen(void)
{
	return true;
}

const char *
grpc_address(void)
{
	return NULL;
}

void
grpc_stop(void (*stopped) (void))
{
	stopped();
}

void
grpc_metrics(struct evbuffer *out)
{
	(void) out;
}

bool
grpc_is_draining(void)
{
	return false;
}
