/*
 * grpc_client.c
 *		The load client for "durable serve --grpc": one connection, no threads.
 *
 * Messages are read and written by hand, because the processors of the machine are
 * those of the server.  The numbers of fields are in clients/serve/grpc/messages.c.  An
 * orchestration calls one activity after the other and then completes.  The number of answers
 * in its history shows its progress.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "grpc_client.h"

#if __has_include(<nghttp2/nghttp2.h>)

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVICE		"/TaskHubSidecarService/"
#define MOST_CALLS	500			/* that are out while instances are started */
#define WINDOW		(16 * 1024 * 1024)

typedef struct Bytes
{
	uint8_t    *data;
	size_t		length;
	size_t		room;
} Bytes;

typedef enum CallKind
{
	CALL_START,
	CALL_TURN,
	CALL_LAST_TURN,
	CALL_TASK,
	CALL_WAIT,					/* until an orchestration is completed */
	CALL_STREAM					/* of work items */
} CallKind;

typedef struct Call
{
	CallKind	kind;
	Bytes		out;
	size_t		sent;
	Bytes		in;				/* of a stream: what has come of the next messages */
	bool		ok;
} Call;

struct GrpcClient
{
	int			fd;
	nghttp2_session *session;
	const char *activity;
	int			activities;
	GrpcCounts *counts;
	long		out;			/* calls without the stream */
	long		started;
	long		waited;			/* calls that waited for an orchestration */
	const uint8_t *unsent;
	size_t		unsent_length;
};

/* A field of a message, as it was read. */
typedef struct Field
{
	uint32_t	number;
	uint64_t	value;
	const uint8_t *data;
	size_t		length;
} Field;

static void turn(GrpcClient *client, const Field *request, const Field *token);
static void task(GrpcClient *client, const Field *request, const Field *token);
static void pump(GrpcClient *client, int timeout_ms);

/* --- messages --------------------------------------------------------------- */

static void
put(Bytes *bytes, const void *data, size_t length)
{
	if (bytes->length + length > bytes->room)
	{
		bytes->room = 2 * bytes->room + length + 64;
		bytes->data = realloc(bytes->data, bytes->room);
		if (bytes->data == NULL)
			die("out of memory");
	}
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

static void
put_varint(Bytes *bytes, uint64_t value)
{
	uint8_t		byte;

	for (; value >= 0x80; value >>= 7)
	{
		byte = value | 0x80;
		put(bytes, &byte, 1);
	}
	byte = value;
	put(bytes, &byte, 1);
}

static void
put_number(Bytes *bytes, uint32_t number, uint64_t value)
{
	put_varint(bytes, number << 3);
	put_varint(bytes, value);
}

static void
put_bytes(Bytes *bytes, uint32_t number, const void *data, size_t length)
{
	put_varint(bytes, number << 3 | 2);
	put_varint(bytes, length);
	put(bytes, data, length);
}

static void
put_text(Bytes *bytes, uint32_t number, const char *text)
{
	put_bytes(bytes, number, text, strlen(text));
}

/* Appends a message to another one, and frees it. */
static void
put_message(Bytes *bytes, uint32_t number, Bytes *message)
{
	put_bytes(bytes, number, message->data, message->length);
	free(message->data);
	memset(message, 0, sizeof(*message));
}

/* A google.protobuf.StringValue. */
static void
put_wrapped(Bytes *bytes, uint32_t number, const char *text)
{
	Bytes		value = {0};

	put_text(&value, 1, text);
	put_message(bytes, number, &value);
}

static uint64_t
get_varint(const uint8_t **at, const uint8_t *end)
{
	uint64_t	value = 0;

	for (int shift = 0; *at < end && shift < 64; shift += 7)
	{
		uint8_t		byte = *(*at)++;

		value |= (uint64_t) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	die("the gateway has sent a malformed number");
}

/* The next field at *at; false at the end. */
static bool
get_field(const uint8_t **at, const uint8_t *end, Field *field)
{
	uint64_t	tag;

	if (*at >= end)
		return false;
	tag = get_varint(at, end);
	memset(field, 0, sizeof(*field));
	field->number = tag >> 3;
	switch (tag & 7)
	{
		case 0:
			field->value = get_varint(at, end);
			return true;
		case 1:
			field->length = 8;
			break;
		case 2:
			field->length = get_varint(at, end);
			break;
		case 5:
			field->length = 4;
			break;
		default:
			die("the gateway has sent a malformed field");
	}
	if (field->length > (size_t) (end - *at))
		die("the gateway has sent a field that is too long");
	field->data = *at;
	*at += field->length;
	return true;
}

/* --- HTTP/2 ------------------------------------------------------------------ */

static ssize_t
read_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t room, uint32_t *flags,
		  nghttp2_data_source *source, void *arg)
{
	Call	   *call = source->ptr;
	size_t		length = call->out.length - call->sent;

	(void) session, (void) stream, (void) arg;
	if (length > room)
		length = room;
	memcpy(buffer, call->out.data + call->sent, length);
	call->sent += length;
	if (call->sent == call->out.length)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return length;
}

/* Takes the message, which must have five bytes of room at its beginning. */
static void
submit(GrpcClient *client, CallKind kind, const char *path, Bytes *message)
{
#define HEADER(name, value) {(uint8_t *) name, (uint8_t *) value, sizeof(name) - 1, strlen(value), NGHTTP2_NV_FLAG_NONE}
	nghttp2_nv	headers[] = {
		HEADER(":method", "POST"), HEADER(":scheme", "http"), HEADER(":path", path), HEADER(":authority", "localhost"),
		HEADER("content-type", "application/grpc"), HEADER("te", "trailers")
	};
	Call	   *call = calloc(1, sizeof(Call));
	nghttp2_data_provider body = {.source.ptr = call, .read_callback = read_body};
	uint32_t	length = htonl(message->length - 5);

	if (call == NULL)
		die("out of memory");
	message->data[0] = 0;
	memcpy(message->data + 1, &length, 4);
	call->kind = kind;
	call->out = *message;
	if (nghttp2_submit_request(client->session, NULL, headers, sizeof(headers) / sizeof(headers[0]), &body, call) < 0)
		die("could not send a request");
	if (kind != CALL_STREAM)
		client->out++;
}

static int
header_came(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
			const uint8_t *value, size_t value_length, uint8_t flags, void *arg)
{
	Call	   *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void) flags, (void) arg;
	if (call != NULL && name_length == 11 && memcmp(name, "grpc-status", 11) == 0)
		call->ok = value_length == 1 && *value == '0';
	else if (call != NULL && name_length == 12 && memcmp(name, "grpc-message", 12) == 0)
		note("%.*s", (int) value_length, (const char *) value);
	return 0;
}

/* What comes on the stream of work items is done at once. */
static int
data_came(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *arg)
{
	GrpcClient *client = arg;
	Call	   *call = nghttp2_session_get_stream_user_data(session, stream);
	size_t		done = 0;

	(void) flags;
	if (call == NULL || call->kind != CALL_STREAM)
		return 0;
	put(&call->in, data, length);
	while (call->in.length - done >= 5)
	{
		const uint8_t *at = call->in.data + done + 5;
		const uint8_t *end;
		Field		field;
		Field		request = {0};
		Field		token = {0};
		uint32_t	size;

		memcpy(&size, at - 4, 4);
		size = ntohl(size);
		if (call->in.length - done - 5 < size)
			break;
		end = at + size;
		while (get_field(&at, end, &field))
		{
			if (field.number == 1 || field.number == 2)
				request = field;
			else if (field.number == 10)
				token = field;
		}
		if (request.number == 1)
			turn(client, &request, &token);
		else if (request.number == 2)
			task(client, &request, &token);
		done += 5 + size;
	}
	memmove(call->in.data, call->in.data + done, call->in.length - done);
	call->in.length -= done;
	return 0;
}

static int
stream_closed(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
	GrpcClient *client = arg;
	Call	   *call = nghttp2_session_get_stream_user_data(session, stream);

	if (call == NULL)
		return 0;
	if (call->kind == CALL_STREAM)
		die("the gateway has ended the stream of work (error %u)", error);
	if (!call->ok)
		die("a call has failed (error %u)", error);
	client->out--;
	switch (call->kind)
	{
		case CALL_START:
			client->started++;
			break;
		case CALL_LAST_TURN:
			client->counts->completed++;
			client->counts->turns++;
			break;
		case CALL_TURN:
			client->counts->turns++;
			break;
		case CALL_WAIT:
			client->waited++;
			break;
		default:
			client->counts->tasks++;
	}
	free(call->out.data);
	free(call->in.data);
	free(call);
	return 0;
}

/* --- work ------------------------------------------------------------------------ */

static const Bytes frame_head = {(uint8_t *) "\0\0\0\0\0", 5, 5};

static void
turn(GrpcClient *client, const Field *request, const Field *token)
{
	const uint8_t *at = request->data;
	Field		field;
	Field		instance = {0};
	Bytes		message = {0};
	Bytes		action = {0};
	Bytes		what = {0};
	char		number[16];
	int			answers = 0;

	while (get_field(&at, request->data + request->length, &field))
	{
		const uint8_t *in = field.data;
		Field		part;

		if (field.number == 1)
			instance = field;
		if (field.number != 3 && field.number != 4)
			continue;
		while (get_field(&in, field.data + field.length, &part))
			answers += part.number == 7;
	}

	snprintf(number, sizeof(number), "%d", answers);
	put_number(&action, 1, answers + 1);
	if (answers < client->activities)
	{
		put_text(&what, 1, client->activity);
		put_wrapped(&what, 3, number);
		put_message(&action, 2, &what);
	}
	else
	{
		put_number(&what, 1, 1);
		put_wrapped(&what, 2, number);
		put_message(&action, 6, &what);
	}
	put(&message, frame_head.data, 5);
	put_bytes(&message, 1, instance.data, instance.length);
	put_message(&message, 2, &action);
	put_bytes(&message, 4, token->data, token->length);
	submit(client, answers < client->activities ? CALL_TURN : CALL_LAST_TURN, SERVICE "CompleteOrchestratorTask", &message);
}

static void
task(GrpcClient *client, const Field *request, const Field *token)
{
	const uint8_t *at = request->data;
	Field		field;
	Bytes		message = {0};

	put(&message, frame_head.data, 5);
	while (get_field(&at, request->data + request->length, &field))
	{
		if (field.number == 4)
		{
			const uint8_t *in = field.data;
			Field		part;

			while (get_field(&in, field.data + field.length, &part))
				if (part.number == 1)
					put_bytes(&message, 1, part.data, part.length);
		}
		else if (field.number == 5)
			put_number(&message, 2, field.value);
	}
	put_wrapped(&message, 3, "1");
	put_bytes(&message, 5, token->data, token->length);
	submit(client, CALL_TASK, SERVICE "CompleteActivityTask", &message);
}

/* Sends what is to be sent, and takes what has come until then. */
static void
pump(GrpcClient *client, int timeout_ms)
{
	static uint8_t buffer[256 * 1024];
	struct pollfd poll_for = {.fd = client->fd, .events = POLLIN};
	ssize_t		n;

	for (;;)
	{
		if (client->unsent_length == 0)
		{
			n = nghttp2_session_mem_send(client->session, &client->unsent);
			if (n < 0)
				die("HTTP/2: %s", nghttp2_strerror(n));
			client->unsent_length = n;
		}
		if (client->unsent_length == 0)
			break;
		n = send(client->fd, client->unsent, client->unsent_length, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			die("could not send to the gateway: %s", strerror(errno));
		if (n < 0)
		{
			poll_for.events |= POLLOUT;
			break;
		}
		client->unsent += n;
		client->unsent_length -= n;
	}
	if (poll(&poll_for, 1, timeout_ms) <= 0 || !(poll_for.revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	n = recv(client->fd, buffer, sizeof(buffer), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		die("the gateway has closed the connection");
	if (n > 0 && (n = nghttp2_session_mem_recv(client->session, buffer, n)) < 0)
		die("HTTP/2: %s", nghttp2_strerror(n));
}

/* --- for the rows --------------------------------------------------------------------- */

GrpcClient *
grpc_open(int port)
{
	GrpcClient *client = calloc(1, sizeof(GrpcClient));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW}};
	nghttp2_session_callbacks *callbacks;
	int			one = 1;

	if (client == NULL || nghttp2_session_callbacks_new(&callbacks) != 0)
		die("out of memory");
	client->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
		die("could not connect to the gateway: %s", strerror(errno));
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(client->fd, F_SETFL, O_NONBLOCK);

	nghttp2_session_callbacks_set_on_header_callback(callbacks, header_came);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, data_came);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, stream_closed);
	nghttp2_session_client_new(&client->session, callbacks, client);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, settings, 1);
	nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0, WINDOW);
	return client;
}

/* Starts n instances, each with a call of its own, and returns when all are started. */
void
grpc_start(GrpcClient *client, const char *name, long n)
{
	long		sent = 0;

	client->started = 0;
	while (client->started < n)
	{
		for (; sent < n && client->out < MOST_CALLS; sent++)
		{
			Bytes		message = {0};

			put(&message, frame_head.data, 5);
			put_text(&message, 2, name);
			put_wrapped(&message, 4, "0");
			submit(client, CALL_START, SERVICE "StartInstance", &message);
		}
		pump(client, 1000);
	}
}

/* Takes work from now on.  Each orchestration calls the activity so many times. */
void
grpc_take_work(GrpcClient *client, const char *activity, int activities, GrpcCounts *counts)
{
	Bytes		message = {0};

	memset(counts, 0, sizeof(*counts));
	client->activity = activity;
	client->activities = activities;
	client->counts = counts;
	put(&message, frame_head.data, 5);
	put_number(&message, 1, 1000);
	put_number(&message, 2, 1000);
	submit(client, CALL_STREAM, SERVICE "GetWorkItems", &message);
	pump(client, 0);
}

/* Does what there is to do until n orchestrations are completed. */
void
grpc_work(GrpcClient *client, long n, double timeout)
{
	double		end = now() + timeout;

	while (client->counts->completed < n)
	{
		pump(client, 1000);
		if (now() > end)
			die("%ld of %ld orchestrations are completed after %.0f s", client->counts->completed, n, timeout);
	}
}

/* Starts an instance, and does what there is to do until a call that waits for it returns; in seconds. */
double
grpc_round_trip(GrpcClient *client, const char *name, double timeout)
{
	static long id;
	double		start = now();
	long		started = client->started;
	long		waited = client->waited;
	char		instance[32];
	Bytes		message = {0};
	Bytes		wait = {0};

	snprintf(instance, sizeof(instance), "round trip %ld", ++id);
	put(&message, frame_head.data, 5);
	put_text(&message, 1, instance);
	put_text(&message, 2, name);
	put_wrapped(&message, 4, "0");
	submit(client, CALL_START, SERVICE "StartInstance", &message);
	while (client->started == started)
		pump(client, 1000);
	put(&wait, frame_head.data, 5);
	put_text(&wait, 1, instance);
	submit(client, CALL_WAIT, SERVICE "WaitForInstanceCompletion", &wait);
	while (client->waited == waited)
	{
		pump(client, 1000);
		if (now() - start > timeout)
			die("orchestration \"%s\" is not completed after %.0f s", name, timeout);
	}
	return now() - start;
}

/* The stream of work ends with the connection. */
void
grpc_close(GrpcClient *client)
{
	close(client->fd);
	nghttp2_session_del(client->session);
	free(client);
}

#else							/* no nghttp2 */

GrpcClient *
grpc_open(int port)
{
	(void) port;
	die("the driver was built without nghttp2");
}

void
grpc_start(GrpcClient *client, const char *name, long n)
{
	(void) client, (void) name, (void) n;
}

void
grpc_take_work(GrpcClient *client, const char *activity, int activities, GrpcCounts *counts)
{
	(void) client, (void) activity, (void) activities, (void) counts;
}

void
grpc_work(GrpcClient *client, long n, double timeout)
{
	(void) client, (void) n, (void) timeout;
}

double
grpc_round_trip(GrpcClient *client, const char *name, double timeout)
{
	(void) client, (void) name, (void) timeout;
	return 0;
}

void
grpc_close(GrpcClient *client)
{
	(void) client;
}

#endif
