/*
 * h2.c - a connection of a gRPC client: HTTP/2 by nghttp2, over a bufferevent.
 *
 * nghttp2 gets the bytes that are received.  It is asked for bytes to send when the event loop
 * has nothing else to do for the connection, and only for as many as the socket accepts, so
 * data that a slow client has not read stays with the calls.  A connection is freed by an
 * event of its own, never within a callback.
 *
 * A connection is closed if the client does not begin with HTTP/2 within ten seconds, does not
 * answer a PING within twenty seconds, or does not read for a minute.  It is also closed after
 * floods of frames that cost more to answer than to send (new_session sets these limits of
 * nghttp2).
 *
 * Owns: the list of connections.
 * Called by: listen.c, call.c, libevent.
 * Memory: an H2 for each connection; its calls know it, and are told when it goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/bufferevent_ssl.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>

#include "grpc.h"

#define BEGIN_SECONDS		10
#define SILENCE_SECONDS		60		/* then a PING is sent */
#define PING_SECONDS		20
#define STALL_SECONDS		60
#define MAX_STREAMS			1000
#define STREAM_WINDOW		(1024 * 1024)
#define CONNECTION_WINDOW	(16 * 1024 * 1024)
#define MAX_HEADER_LIST		(16 * 1024)
#define MOST_OUTPUT			(256 * 1024)	/* in the bufferevent */
#define MOST_RESETS			1000		/* in a burst; then a hundred each second */
#define RESETS_PER_SECOND	100

struct H2
{
	H2		   *next;
	H2		  **link;
	struct bufferevent *bev;
	nghttp2_session *session;
	struct event *flush;
	char		address[64];
	bool		is_tls;
	bool		has_begun;		/* SETTINGS of the client have come */
	bool		is_dead;		/* to be freed by the event */
	Call	   *calls;
	double		since;
	double		heard;
	double		pinged;			/* 0: no PING is out */
};

static H2  *connections;
static int	nconnections;
static int	nstreams;
static struct event *sweeper;

static bool new_session(H2 *h2);
static void on_read(struct bufferevent *bev, void *arg);
static void on_write(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short events, void *arg);
static bool has_alpn(struct bufferevent *bev);
static void on_flush(evutil_socket_t fd, short events, void *arg);
static void flush_soon(H2 *h2);
static void die(H2 *h2);
static void free_connection(H2 *h2);
static void forget_call(Call *call);
static void sweep(evutil_socket_t fd, short events, void *arg);
static void look_at_stalled(H2 *h2, double now);

static int	on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
static int	on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
					  const uint8_t *value, size_t length, uint8_t flags, void *arg);
static int	on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
static int	on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *arg);
static int	on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *arg);
static int	on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
static ssize_t read_output(nghttp2_session *session, int32_t stream, uint8_t *bytes, size_t size, uint32_t *flags,
						   nghttp2_data_source *source, void *arg);
static void reset(Call *call, uint32_t error);
static int	trailers(Call *call, nghttp2_nv *headers, char *status, char *message, size_t size);
static void percent_encode(const char *text, char *encoded, size_t size);

int
h2_connections(void)
{
	return nconnections;
}

int
h2_streams(void)
{
	return nstreams;
}

int
h2_of_address(const char *address)
{
	int			n = 0;

	for (H2 *h2 = connections; h2 != NULL; h2 = h2->next)
		n += strcmp(h2->address, address) == 0;
	return n;
}

/* --- connections ------------------------------------------------------------------------------------- */

void
h2_accept(struct bufferevent *bev, const char *address, bool is_tls)
{
	H2		   *h2 = must_alloc(sizeof(H2));
	struct timeval often = {1, 0};
	struct timeval patience = {STALL_SECONDS, 0};

	if (sweeper == NULL)
	{
		sweeper = event_new(base, -1, EV_PERSIST, sweep, NULL);
		event_add(sweeper, &often);
	}
	h2->bev = bev;
	h2->is_tls = is_tls;
	h2->since = h2->heard = now_seconds();
	snprintf(h2->address, sizeof(h2->address), "%s", address);
	h2->flush = event_new(base, -1, 0, on_flush, h2);
	h2->next = connections;
	h2->link = &connections;
	if (connections != NULL)
		connections->link = &h2->next;
	connections = h2;
	nconnections++;
	bufferevent_setcb(bev, on_read, on_write, on_event, h2);
	bufferevent_set_timeouts(bev, NULL, &patience);
	if (!new_session(h2))
	{
		die(h2);
		return;
	}
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	flush_soon(h2);
}

static bool
new_session(H2 *h2)
{
	static nghttp2_session_callbacks *callbacks;
	static nghttp2_option *option;
	nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST}
	};

	if (callbacks == NULL)
	{
		if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
			return false;
		nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
		nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
		nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
		nghttp2_option_set_max_outbound_ack(option, 100);
		nghttp2_option_set_max_settings(option, 32);
		nghttp2_option_set_stream_reset_rate_limit(option, MOST_RESETS, RESETS_PER_SECOND);
		nghttp2_option_set_max_continuations(option, 8);
		nghttp2_option_set_max_send_header_block_length(option, 64 * 1024);
		nghttp2_option_set_no_closed_streams(option, 1);
	}
	return nghttp2_session_server_new2(&h2->session, callbacks, h2, option) == 0 &&
		nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, sizeof(settings) / sizeof(settings[0])) == 0 &&
		nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) == 0;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	H2		   *h2 = arg;
	struct evbuffer *input = bufferevent_get_input(bev);

	h2->heard = now_seconds();
	while (!h2->is_dead && evbuffer_get_length(input) > 0)
	{
		size_t		length = evbuffer_get_contiguous_space(input);
		ssize_t		taken = nghttp2_session_mem_recv(h2->session, evbuffer_pullup(input, (ev_ssize_t) length), length);

		if (taken < 0)
		{
			/* If there is a reason that the client can be told, GOAWAY has it. */
			nghttp2_session_terminate_session(h2->session, taken == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
			on_write(bev, h2);
			die(h2);
			return;
		}
		evbuffer_drain(input, (size_t) taken);
	}
	flush_soon(h2);
}

/* The amount that the socket is likely to accept. */
static void
on_write(struct bufferevent *bev, void *arg)
{
	H2		   *h2 = arg;
	struct evbuffer *output = bufferevent_get_output(bev);

	while (!h2->is_dead && evbuffer_get_length(output) < MOST_OUTPUT)
	{
		const uint8_t *bytes;
		ssize_t		length = nghttp2_session_mem_send(h2->session, &bytes);

		if (length < 0)
		{
			die(h2);
			return;
		}
		if (length == 0)
			break;
		evbuffer_add(output, bytes, (size_t) length);
	}
	if (h2->is_dead)
		return;
	/* Nothing is read from a client that does not read its answers. */
	if (evbuffer_get_length(output) >= MOST_OUTPUT)
		bufferevent_disable(bev, EV_READ);
	else
		bufferevent_enable(bev, EV_READ);
	if (evbuffer_get_length(output) == 0 && !nghttp2_session_want_read(h2->session) && !nghttp2_session_want_write(h2->session))
		die(h2);
}

static void
on_event(struct bufferevent *bev, short events, void *arg)
{
	H2		   *h2 = arg;

	if (events & BEV_EVENT_CONNECTED)
	{
		if (!has_alpn(bev))
			die(h2);
		return;
	}
	if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		die(h2);
}

static bool
has_alpn(struct bufferevent *bev)
{
	SSL		   *ssl = bufferevent_openssl_get_ssl(bev);
	const unsigned char *name = NULL;
	unsigned	length = 0;

	if (ssl == NULL)
		return true;
	SSL_get0_alpn_selected(ssl, &name, &length);
	return length == 2 && memcmp(name, "h2", 2) == 0;
}

static void
on_flush(evutil_socket_t fd, short events, void *arg)
{
	H2		   *h2 = arg;

	(void) fd;
	(void) events;
	if (!h2->is_dead)
		on_write(h2->bev, h2);
	if (h2->is_dead)
		free_connection(h2);
}

static void
flush_soon(H2 *h2)
{
	event_active(h2->flush, 0, 0);
}

static void
die(H2 *h2)
{
	h2->is_dead = true;
	flush_soon(h2);
}

static void
free_connection(H2 *h2)
{
	while (h2->calls != NULL)
	{
		h2->calls->is_cut_off = true;
		forget_call(h2->calls);
	}
	nghttp2_session_del(h2->session);
	bufferevent_free(h2->bev);
	event_free(h2->flush);
	*h2->link = h2->next;
	if (h2->next != NULL)
		h2->next->link = h2->link;
	nconnections--;
	free(h2);
}

/* Its stream has ended. */
static void
forget_call(Call *call)
{
	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
	nstreams--;
	call_closed(call);
}

/* --- time -------------------------------------------------------------------------------------------- */

static void
sweep(evutil_socket_t fd, short events, void *arg)
{
	double		now = now_seconds();

	(void) fd;
	(void) events;
	(void) arg;
	for (H2 *h2 = connections; h2 != NULL; h2 = h2->next)
	{
		if (h2->is_dead)
			continue;
		if (!h2->has_begun)
		{
			if (now - h2->since > BEGIN_SECONDS)
				die(h2);
			continue;
		}
		if (h2->pinged > 0 && h2->heard >= h2->pinged)
			h2->pinged = 0;
		if (h2->pinged > 0 && now - h2->pinged > PING_SECONDS)
		{
			die(h2);
			continue;
		}
		if (h2->pinged == 0 && now - h2->heard > SILENCE_SECONDS)
		{
			h2->pinged = now;
			nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL);
			flush_soon(h2);
		}
		look_at_stalled(h2, now);
	}
}

/* Of the calls of a connection; what is sent but does not leave is the bufferevent's time limit. */
static void
look_at_stalled(H2 *h2, double now)
{
	for (Call *call = h2->calls; call != NULL; call = call->next)
		if ((call_output(call) > 0 && now - call->sent_at > STALL_SECONDS) ||
			(!call->has_begun && !call->is_finished && now - call->since > STALL_SECONDS))
			reset(call, NGHTTP2_ENHANCE_YOUR_CALM);
}

void
h2_drain(void)
{
	for (H2 *h2 = connections; h2 != NULL; h2 = h2->next)
		if (!h2->is_dead)
		{
			nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR, NULL, 0);
			flush_soon(h2);
		}
}

/* --- what nghttp2 tells -------------------------------------------------------------------------------- */

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	H2		   *h2 = arg;
	Call	   *call;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = call_new(h2, frame->hd.stream_id);
	call->next = h2->calls;
	call->link = &h2->calls;
	if (h2->calls != NULL)
		h2->calls->link = &call->next;
	h2->calls = call;
	nstreams++;
	nghttp2_session_set_stream_user_data(session, call->stream, call);
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
		  const uint8_t *value, size_t length, uint8_t flags, void *arg)
{
	Call	   *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void) flags;
	(void) arg;
	if (call != NULL && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		call_header(call, (const char *) name, name_length, (const char *) value, length);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	H2		   *h2 = arg;
	Call	   *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_SETTINGS)
		h2->has_begun = true;
	if (call == NULL)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		call_headers_done(call);
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		call_input_end(call);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *arg)
{
	Call	   *call = nghttp2_session_get_stream_user_data(session, stream);

	(void) flags;
	(void) arg;
	if (call != NULL)
		call_data(call, data, length);
	return 0;
}

static int
on_close(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
	Call	   *call = nghttp2_session_get_stream_user_data(session, stream);

	(void) error;
	(void) arg;
	if (call == NULL)
		return 0;
	nghttp2_session_set_stream_user_data(session, stream, NULL);
	forget_call(call);
	return 0;
}

/* The answer is complete; if the request is not, the rest of it is not wanted. */
static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	(void) arg;
	if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
		nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

/* --- answers -------------------------------------------------------------------------------------------- */

#define HEADER(name, value) {(uint8_t *) (name), (uint8_t *) (value), strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE}

/* With the status, if it is known and there is no message to be sent before it. */
void
h2_begin_answer(Call *call)
{
	char		status[12];
	char		message[6100];
	nghttp2_nv	headers[6] = {HEADER(":status", "200"), HEADER("content-type", "application/grpc"),
	HEADER("grpc-accept-encoding", "identity")};
	nghttp2_data_provider provider = {{.ptr = call}, read_output};
	int			n = 3;

	if (call->is_finished && call_output(call) == 0)
	{
		n += trailers(call, headers + n, status, message, sizeof(message));
		nghttp2_submit_response(call->connection->session, call->stream, headers, (size_t) n, NULL);
	}
	else
		nghttp2_submit_response(call->connection->session, call->stream, headers, 2, &provider);
	flush_soon(call->connection);
}

void
h2_resume(Call *call)
{
	if (call->is_deferred)
	{
		call->is_deferred = false;
		nghttp2_session_resume_data(call->connection->session, call->stream);
	}
	flush_soon(call->connection);
}

static void
reset(Call *call, uint32_t error)
{
	nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream, error);
	flush_soon(call->connection);
}

static ssize_t
read_output(nghttp2_session *session, int32_t stream, uint8_t *bytes, size_t size, uint32_t *flags,
			nghttp2_data_source *source, void *arg)
{
	Call	   *call = source->ptr;
	int			length = call_take_output(call, bytes, size);
	char		status[12];
	char		message[6100];
	nghttp2_nv	headers[2];

	(void) arg;
	if (length > 0)
		call->sent_at = now_seconds();
	if (call_output(call) == 0 && call->is_finished)
	{
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, stream, headers, (size_t) trailers(call, headers, status, message, sizeof(message)));
	}
	else if (length <= 0)
	{
		call->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return length > 0 ? length : 0;
}

static int
trailers(Call *call, nghttp2_nv *headers, char *status, char *message, size_t size)
{
	snprintf(status, 12, "%d", (int) call->status);
	headers[0] = (nghttp2_nv) HEADER("grpc-status", status);
	if (call->message == NULL || call->message[0] == '\0')
		return 1;
	percent_encode(call->message, message, size);
	headers[1] = (nghttp2_nv) HEADER("grpc-message", message);
	return 2;
}

static void
percent_encode(const char *text, char *encoded, size_t size)
{
	size_t		n = 0;

	for (; *text != '\0' && n + 4 < size; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c < 0x20 || c > 0x7e || c == '%')
			n += (size_t) sprintf(encoded + n, "%%%02X", c);
		else
			encoded[n++] = (char) c;
	}
	encoded[n] = '\0';
}
