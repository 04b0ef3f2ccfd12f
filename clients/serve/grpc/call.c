/*
 * call.c - a call of gRPC: its headers, the frames of its messages, its status.
 *
 * A request is one message.  All checks that do not need its body are made when its headers
 * have arrived, so that a client without a token cannot send a body.
 * The answer is any number of messages, and a status with a message for users.
 *
 * States of the answer: nothing; headers; messages; finished.  A call that is finished
 * before it has sent anything is one block of headers.
 *
 * Owns: the number of bytes that all requests have in memory, and all answers of a hub that have not been sent.
 * Called by: h2.c, and the handlers of RPCs.
 * Memory: a Call lives as long as its stream, and while it is kept, for example by a job of the pool.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "grpc.h"

#define MAX_HEADERS			(16 * 1024)
#define FRAME_HEADER		5
#define MOST_BUFFERED		((size_t) 4 * (size_t) grpc_options.max_message * 1024 * 1024)
#define SMALL_ANSWER		(64 * 1024)
#define LONGEST_MESSAGE		2000	/* of a status */
#define LONGEST_TIMEOUT		(366.0 * 86400)

static size_t buffered;
static size_t unsent;

static void count_output(Call *call, ptrdiff_t bytes);
static void take_header(char **place, const char *value, size_t length);
static bool parse_timeout(const char *value, size_t length, double *seconds);
static void deadline(evutil_socket_t fd, short events, void *arg);
static void begin(Call *call);
static void stop_reading(Call *call);

Call *
call_new(H2 *connection, int32_t stream)
{
	Call	   *call = must_alloc(sizeof(Call));

	call->connection = connection;
	call->stream = stream;
	call->references = 1;
	call->since = call->sent_at = now_seconds();
	call->input.limit = (size_t) grpc_options.max_message * 1024 * 1024 + FRAME_HEADER;
	call->output = evbuffer_new();
	return call;
}

void
call_keep(Call *call)
{
	call->references++;
}

void
call_release(Call *call)
{
	if (--call->references > 0)
		return;
	stop_reading(call);
	if (call->timer != NULL)
		event_free(call->timer);
	count_output(call, -(ptrdiff_t) call_output(call));
	evbuffer_free(call->output);
	free(call->path);
	free(call->authorization);
	free(call->taskhub);
	free(call->worker);
	free(call->user_agent);
	free(call->message);
	free(call);
}

size_t
call_output(const Call *call)
{
	return evbuffer_get_length(call->output);
}

/* Copies bytes of the answer that are about to be sent, and returns their number. */
int
call_take_output(Call *call, void *bytes, size_t size)
{
	int			n = evbuffer_remove(call->output, bytes, size);

	if (n > 0)
		count_output(call, -n);
	return n;
}

static void
count_output(Call *call, ptrdiff_t bytes)
{
	if (call->hub != NULL)
		call->hub->unsent += (size_t) bytes;
	unsent += (size_t) bytes;
}

size_t
hub_most_unsent(void)
{
	return MOST_BUFFERED;
}

bool
hub_lacks_room(const Hub *hub, size_t size)
{
	return size > SMALL_ANSWER && hub->unsent + size > MOST_BUFFERED;
}

size_t
calls_unsent(void)
{
	return unsent;
}

size_t
calls_buffered(void)
{
	return buffered;
}

/* --- the request ---------------------------------------------------------------------------------- */

void
call_header(Call *call, const char *name, size_t name_length, const char *value, size_t length)
{
#define IS(text) (name_length == sizeof(text) - 1 && memcmp(name, text, sizeof(text) - 1) == 0)
	call->header_bytes += name_length + length + 32;
	if (call->header_bytes > MAX_HEADERS)
		return;
	if (IS(":path"))
		take_header(&call->path, value, length);
	else if (IS(":method"))
		call->is_post = length == 4 && memcmp(value, "POST", 4) == 0;
	else if (IS("content-type"))
		call->is_grpc = length >= 16 && memcmp(value, "application/grpc", 16) == 0 &&
			(length == 16 || value[16] == ';' || (length == 22 && memcmp(value + 16, "+proto", 6) == 0));
	else if (IS("grpc-encoding"))
		call->is_compressed = !(length == 8 && memcmp(value, "identity", 8) == 0);
	else if (IS("grpc-timeout"))
	{
		if (!parse_timeout(value, length, &call->timeout))
			call->timeout = -1;
	}
	else if (IS("authorization"))
		take_header(&call->authorization, value, length);
	else if (IS("taskhub"))
		take_header(&call->taskhub, value, length);
	else if (IS("workerid"))
		take_header(&call->worker, value, length);
	else if (IS("user-agent"))
		take_header(&call->user_agent, value, length);
#undef IS
}

static void
take_header(char **place, const char *value, size_t length)
{
	free(*place);
	*place = must_alloc(length + 1);
	memcpy(*place, value, length);
}

/* 1 to 8 digits and a unit. */
static bool
parse_timeout(const char *value, size_t length, double *seconds)
{
	static const char units[] = "HMSmun";
	static const double factors[] = {3600, 60, 1, 1e-3, 1e-6, 1e-9};
	const char *unit;
	double		number = 0;

	if (length < 2 || length > 9 || value[length - 1] == '\0' || (unit = strchr(units, value[length - 1])) == NULL)
		return false;
	for (size_t i = 0; i + 1 < length; i++)
	{
		if (value[i] < '0' || value[i] > '9')
			return false;
		number = number * 10 + (value[i] - '0');
	}
	*seconds = number * factors[unit - units];
	/* A deadline of now has passed when the request has been read. */
	if (*seconds < 1e-6)
		*seconds = 1e-6;
	if (*seconds > LONGEST_TIMEOUT)
		*seconds = LONGEST_TIMEOUT;
	return true;
}

void
call_headers_done(Call *call)
{
	const char *problem = NULL;

	if (call->path != NULL)
		call->rpc = rpc_find(call->path);
	if (call->header_bytes > MAX_HEADERS)
		call_finish(call, GRPC_RESOURCE_EXHAUSTED, "The headers of the request are larger than %d bytes.", MAX_HEADERS);
	else if (!call->is_post || !call->is_grpc)
		call_finish(call, GRPC_INVALID_ARGUMENT, "This port speaks gRPC: requests are POST with the content type application/grpc.");
	else if (call->rpc == NULL)
		call_finish(call, GRPC_UNIMPLEMENTED, "There is no RPC \"%.200s\".", call->path != NULL ? call->path : "");
	else if (call->timeout < 0)
		call_finish(call, GRPC_INVALID_ARGUMENT, "The header grpc-timeout is not valid.");
	else if (grpc_is_draining() && call->rpc->is_stream)
		call_finish(call, GRPC_UNAVAILABLE, "The server is being stopped.");
	else
	{
		/* The health check needs no hub, because it discloses nothing of one. */
		if (call->rpc->begin != NULL)
			call->hub = hub_find(call->taskhub, call->authorization, &problem);
		if (problem != NULL)
			call_finish(call, call->hub == NULL ? GRPC_UNAUTHENTICATED : GRPC_UNAVAILABLE, "%s", problem);
		else if (call->timeout > 0)
		{
			struct timeval limit = {(time_t) call->timeout, (suseconds_t) ((call->timeout - (double) (time_t) call->timeout) * 1e6)};

			call->timer = event_new(base, -1, 0, deadline, call);
			event_add(call->timer, &limit);
		}
	}
}

void
call_data(Call *call, const uint8_t *data, size_t length)
{
	if (call->is_rejected || call->is_finished)
		return;
	if (call->input.length >= FRAME_HEADER &&
		call->input.length - FRAME_HEADER + length >
		(((size_t) (uint8_t) call->input.data[1] << 24) | ((size_t) (uint8_t) call->input.data[2] << 16) |
		 ((size_t) (uint8_t) call->input.data[3] << 8) | (size_t) (uint8_t) call->input.data[4]))
	{
		call_finish(call, GRPC_INVALID_ARGUMENT, "The request has more than one message.");
		return;
	}
	if (buffered + length > MOST_BUFFERED)
	{
		call_finish(call, GRPC_RESOURCE_EXHAUSTED, "There are too many large requests at the moment.");
		return;
	}
	buffer_add(&call->input, data, length);
	if (call->input.is_full)
		call_finish(call, GRPC_RESOURCE_EXHAUSTED, "The message is larger than %d MB.", grpc_options.max_message);
	else
		buffered += length;
}

void
call_input_end(Call *call)
{
	size_t		length = 0;

	if (call->is_rejected || call->is_finished)
		return;
	if (call->input.length >= FRAME_HEADER)
		for (int i = 1; i < FRAME_HEADER; i++)
			length = (length << 8) | (uint8_t) call->input.data[i];
	if (call->input.length < FRAME_HEADER || call->input.length - FRAME_HEADER != length)
		call_finish(call, GRPC_INVALID_ARGUMENT, "The message of the request is not complete.");
	else if (call->input.data[0] != 0)
		call_finish(call, GRPC_UNIMPLEMENTED, "Compressed messages are not supported. Use grpc-encoding identity.");
	else
		begin(call);
}

static void
begin(Call *call)
{
	Buffer		json = {.limit = (size_t) grpc_options.max_message * 1024 * 1024 * 2 + 65536};
	const char *problem;

	call->has_begun = true;
	problem = proto_to_json(call->rpc->request, call->input.data + FRAME_HEADER, call->input.length - FRAME_HEADER, &json);
	stop_reading(call);
	if (problem != NULL)
		call_finish(call, GRPC_INVALID_ARGUMENT, "%s", problem);
	else if (call->rpc->begin != NULL)
	{
		buffer_text(&json);
		call->rpc->begin(call, &json);
	}
	else
	{
		static const char serving[] = {8, 1};

		call_send(call, serving, pool_ready() && !grpc_is_draining() ? sizeof(serving) : 0);
		call_finish(call, GRPC_OK, "%s", "");
	}
	buffer_free(&json);
}

static void
stop_reading(Call *call)
{
	buffered -= call->input.length;
	buffer_free(&call->input);
	call->is_rejected = true;
}

static void
deadline(evutil_socket_t fd, short events, void *arg)
{
	Call	   *call = arg;

	(void) fd;
	(void) events;
	call_keep(call);
	if (call->gone != NULL)
		call->gone(call);
	call->gone = NULL;
	call_finish(call, GRPC_DEADLINE_EXCEEDED, "The deadline of the request has passed.");
	call_release(call);
}

/* The stream has ended, on either side. */
void
call_closed(Call *call)
{
	call->connection = NULL;
	if (call->timer != NULL)
		event_del(call->timer);
	if (call->rpc != NULL && !call->is_finished)
		call->rpc->count[GRPC_CANCELLED]++;
	if (call->gone != NULL)
		call->gone(call);
	call->gone = NULL;
	call_release(call);
}

/* --- the answer ------------------------------------------------------------------------------------ */

void
call_send(Call *call, const void *message, size_t length)
{
	uint8_t		header[FRAME_HEADER] = {0, (uint8_t) (length >> 24), (uint8_t) (length >> 16), (uint8_t) (length >> 8), (uint8_t) length};

	if (call->connection == NULL || call->is_finished)
		return;
	if (evbuffer_get_length(call->output) == 0)
		call->sent_at = now_seconds();
	evbuffer_add(call->output, header, sizeof(header));
	evbuffer_add(call->output, message, length);
	count_output(call, (ptrdiff_t) (sizeof(header) + length));
	if (!call->has_headers)
	{
		call->has_headers = true;
		h2_begin_answer(call);
	}
	else
		h2_resume(call);
}

void
call_finish(Call *call, GrpcStatus status, const char *format,...)
{
	char		text[LONGEST_MESSAGE];
	va_list		args;

	if (call->is_finished)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	call->is_finished = true;
	call->status = status;
	call->message = must_copy(text);
	call->gone = NULL;
	stop_reading(call);
	if (call->timer != NULL)
		event_del(call->timer);
	if (call->rpc != NULL)
	{
		call->rpc->count[status]++;
		call->rpc->seconds += now_seconds() - call->since;
	}
	if (call->connection == NULL)
		return;
	if (evbuffer_get_length(call->output) == 0)
		call->sent_at = now_seconds();
	if (call->has_headers)
		h2_resume(call);
	else
		h2_begin_answer(call);
}
