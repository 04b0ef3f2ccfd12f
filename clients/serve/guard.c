/*
 * guard.c - checks the bytes of each connection before evhttp reads them.
 *
 * evhttp accepts a bare LF as the end of a line, joins folded lines, and uses the first of
 * several lengths.  A proxy in front of the gateway may read such a request in another way,
 * which allows request smuggling.  So this file refuses ambiguous requests: those with a bare
 * LF or CR, zero bytes, folded lines, more than one Content-Length, or any Transfer-Encoding
 * (no client of the gateway needs one in a request).
 *
 * It also limits the time to 10 s for a request line and headers and 30 s for a body, even if
 * bytes arrive slowly meanwhile, and limits the numbers of connections, in total and of one
 * address.
 *
 * Owns: the list of connections, with a reference to each bufferevent.
 * Called by: libevent.
 * Memory: a Guard for each connection, freed by the sweep after evhttp has let go.
 */
#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/listener.h>

#include "serve.h"

#define HEADER_SECONDS	10
#define BODY_SECONDS	30
#define LONGEST_LINE	8192
#define LONGEST_BODY	(1024 * 1024)

typedef struct Guard
{
	struct Guard *next;
	struct bufferevent *bev;
	bool		in_body;
	bool		in_headers;		/* the request line has been seen */
	bool		has_length;
	bool		may_have_body;	/* of other methods evhttp reads none, and takes it for the next request */
	bool		bad;
	const char *status;			/* of the refusal */
	bool		known_address;
	unsigned char address[16];
	uint64_t	body_left;
	double		since;			/* when what is being read has begun; 0: nothing is */
	size_t		nline;
	char		line[64];		/* the beginning of the line, enough for the headers that count */
	char		last;
} Guard;

static Guard *guards;
static int	nguards;
static uint64_t refused;
static struct evconnlistener *listener;
static bool listening = true;

static struct bufferevent *new_connection(struct event_base *event_base, void *arg);
static void look(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg);
static bool read_byte(Guard *guard, char c);
static bool end_of_line(Guard *guard);
static void refuse(Guard *guard, const char *status);
static bool too_many(Guard *guard);
static void sweep(evutil_socket_t fd, short events, void *arg);

void
guard_install(struct evhttp *http, struct evhttp_bound_socket *socket)
{
	struct timeval often = {0, 100000};

	listener = evhttp_bound_socket_get_listener(socket);
	evhttp_set_bevcb(http, new_connection, NULL);
	event_add(event_new(base, -1, EV_PERSIST, sweep, NULL), &often);
}

int
guard_connections(void)
{
	return nguards;
}

uint64_t
guard_refused(void)
{
	return refused;
}

static struct bufferevent *
new_connection(struct event_base *event_base, void *arg)
{
	struct bufferevent *bev = bufferevent_socket_new(event_base, -1, BEV_OPT_CLOSE_ON_FREE);
	Guard	   *guard;

	(void) arg;
	if (bev == NULL)
		return NULL;
	guard = must_alloc(sizeof(Guard));
	guard->bev = bev;
	guard->since = now_seconds();
	guard->status = "400 Bad Request";
	bufferevent_incref(bev);
	evbuffer_add_cb(bufferevent_get_input(bev), look, guard);
	guard->next = guards;
	guards = guard;
	if (++nguards >= options.max_connections && listening)
	{
		evconnlistener_disable(listener);
		listening = false;
	}
	return bev;
}

/* What was added lies at the end of the buffer. */
static void
look(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
	Guard	   *guard = arg;
	size_t		left = info->n_added;
	struct evbuffer_ptr at;
	struct evbuffer_iovec pieces[16];
	int			npieces;

	if (left == 0)
		return;
	if (guard->bad)
	{
		evbuffer_drain(buffer, evbuffer_get_length(buffer));
		return;
	}
	if (!guard->known_address && too_many(guard))
	{
		refuse(guard, "503 Service Unavailable");
		return;
	}
	if (guard->since == 0)
		guard->since = now_seconds();
	while (left > 0)
	{
		if (evbuffer_ptr_set(buffer, &at, evbuffer_get_length(buffer) - left, EVBUFFER_PTR_SET) != 0)
			return;
		npieces = evbuffer_peek(buffer, (ssize_t) left, &at, pieces, 16);
		for (int i = 0; i < npieces && i < 16 && left > 0; i++)
		{
			const char *bytes = pieces[i].iov_base;
			size_t		n = pieces[i].iov_len < left ? pieces[i].iov_len : left;

			left -= n;
			while (n > 0)
			{
				if (guard->in_body)
				{
					size_t		skip = guard->body_left < n ? (size_t) guard->body_left : n;

					guard->body_left -= skip;
					bytes += skip;
					n -= skip;
					if (guard->body_left == 0)
					{
						guard->in_body = false;
						guard->since = n > 0 || left > 0 ? now_seconds() : 0;
					}
					continue;
				}
				if (!read_byte(guard, *bytes))
				{
					refuse(guard, guard->status);
					return;
				}
				bytes++;
				n--;
			}
		}
		if (npieces <= 0)
			return;
	}
}

/* False if the header can be read in two ways. */
static bool
read_byte(Guard *guard, char c)
{
	char		before = guard->last;

	guard->last = c;
	if (c == '\0' || (before == '\r' && c != '\n') || (c == '\n' && before != '\r'))
		return false;
	if (c == '\r')
		return true;
	if (c == '\n')
		return end_of_line(guard);
	if (guard->in_headers && guard->nline == 0 && (c == ' ' || c == '\t'))
		return false;
	if (guard->nline < sizeof(guard->line) - 1)
		guard->line[guard->nline] = c;
	return ++guard->nline <= LONGEST_LINE;
}

static bool
end_of_line(Guard *guard)
{
	size_t		n = guard->nline < sizeof(guard->line) ? guard->nline : sizeof(guard->line) - 1;
	char	   *value;

	guard->line[n] = '\0';
	guard->nline = 0;
	if (n == 0)
	{
		if (!guard->in_headers)
			return true;		/* an empty line before a request */
		guard->in_headers = false;
		guard->in_body = guard->body_left > 0;
		guard->has_length = false;
		guard->since = guard->in_body ? now_seconds() : 0;
		return true;
	}
	if (!guard->in_headers)
	{
		guard->in_headers = true;
		guard->may_have_body = strncmp(guard->line, "POST ", 5) == 0 ||
			strncmp(guard->line, "PUT ", 4) == 0 || strncmp(guard->line, "PATCH ", 6) == 0;
		return true;
	}
	value = strchr(guard->line, ':');
	if (value == NULL)
		return n == sizeof(guard->line) - 1;
	if (value == guard->line || value[-1] == ' ' || value[-1] == '\t')
		return false;
	*value++ = '\0';
	if (strcasecmp(guard->line, "Transfer-Encoding") == 0)
		return false;
	if (strcasecmp(guard->line, "Content-Length") == 0)
	{
		char	   *end;

		value += strspn(value, " \t");
		if (guard->has_length || !isdigit((unsigned char) *value) || n == sizeof(guard->line) - 1)
			return false;
		guard->has_length = true;
		guard->body_left = strtoull(value, &end, 10);
		if (end[strspn(end, " \t")] != '\0')
			return false;
		if (guard->body_left > 0 && !guard->may_have_body)
			return false;
		if (guard->body_left > LONGEST_BODY)
			guard->status = "413 Content Too Large";
		return guard->body_left <= LONGEST_BODY;
	}
	return true;
}

/* evhttp sees the end of the connection and cleans up. */
static void
refuse(Guard *guard, const char *status)
{
	static const char rest[] = "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
	evutil_socket_t fd = bufferevent_getfd(guard->bev);
	struct evbuffer *input = bufferevent_get_input(guard->bev);

	guard->bad = true;
	refused++;
	evbuffer_drain(input, evbuffer_get_length(input));
	if (fd < 0)
		return;
	if (send(fd, "HTTP/1.1 ", 9, MSG_NOSIGNAL) < 0 || send(fd, status, strlen(status), MSG_NOSIGNAL) < 0 ||
		send(fd, rest, sizeof(rest) - 1, MSG_NOSIGNAL) < 0)
		complain("could not send a refusal");
	shutdown(fd, SHUT_RDWR);
}

static bool
too_many(Guard *guard)
{
	struct sockaddr_storage peer;
	socklen_t	length = sizeof(peer);
	int			same = 0;

	guard->known_address = true;
	if (getpeername(bufferevent_getfd(guard->bev), (struct sockaddr *) &peer, &length) != 0)
		return false;
	if (peer.ss_family == AF_INET)
		memcpy(guard->address, &((struct sockaddr_in *) &peer)->sin_addr, 4);
	else if (peer.ss_family == AF_INET6)
		memcpy(guard->address, &((struct sockaddr_in6 *) &peer)->sin6_addr, 16);
	if (nguards <= options.max_per_address)
		return false;
	for (Guard *other = guards; other != NULL; other = other->next)
		if (other->known_address && memcmp(other->address, guard->address, sizeof(guard->address)) == 0)
			same++;
	return same > options.max_per_address;
}

/* evhttp has let go of a connection when its callbacks are gone. */
static void
sweep(evutil_socket_t fd, short events, void *arg)
{
	Guard	  **link = &guards;
	double		now = now_seconds();

	(void) fd;
	(void) events;
	(void) arg;
	while (*link != NULL)
	{
		Guard	   *guard = *link;
		bufferevent_data_cb read_cb,
					write_cb;
		bufferevent_event_cb event_cb;
		void	   *cb_arg;

		bufferevent_getcb(guard->bev, &read_cb, &write_cb, &event_cb, &cb_arg);
		if (read_cb == NULL && write_cb == NULL && event_cb == NULL && cb_arg == NULL)
		{
			*link = guard->next;
			evbuffer_remove_cb(bufferevent_get_input(guard->bev), look, guard);
			bufferevent_decref(guard->bev);
			free(guard);
			nguards--;
			continue;
		}
		if (!guard->bad && guard->since != 0 && now - guard->since > (guard->in_body ? BODY_SECONDS : HEADER_SECONDS))
			refuse(guard, "408 Request Timeout");
		link = &guard->next;
	}
	if (!listening && nguards < options.max_connections)
	{
		evconnlistener_enable(listener);
		listening = true;
	}
}
