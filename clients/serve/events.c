/*
 * events.c - GET /events: server-sent events of the mounted functions, to any number of clients.
 *
 * A notification on the channel of a mount announces new events.  The gateway then calls the
 * mount's function, once for all clients, for the events after an id.  The contents of the
 * notification are not used, because every role can send one.
 *
 * Ids are assigned before their transactions commit, so event 7 may appear after event 8.
 * Events are requested from a mark on below which no event can appear any more, and events
 * that have been seen are left out.  An answer begins with the xmin and xmax of its snapshot
 * and the greatest id M.  A transaction that has an id up to M and is not visible was running
 * then, with an xid below that xmax.  When a later answer has xmin >= that xmax, M is the new
 * mark.
 *
 * A client can continue from each "id:" that it gets, because no event up to it is missing.
 * After a reconnection it may get events again whose order differs from that of their ids; it
 * recognizes them by the id inside the data.  A client that does not read is disconnected, and
 * continues by its id.
 *
 * A client that continues from an id gets new events also while its own answer is on its way.
 * That answer may come from an older snapshot, and events are sent only once to all clients.
 *
 * Owns: the clients, the marks.
 * Called by: request.c, pool.c.
 * Memory: a Client until its connection ends; the lines of one answer at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>

#include "serve.h"

#define PING_SECONDS	15
#define LONGEST_OUTPUT	(256 * 1024)
#define MOST_SEEN		4096
#define MAX_MOUNTS		32
#define PAGE			1000	/* events that a function returns at most */

typedef struct Client
{
	struct Client *next;
	struct evhttp_request *req;
	char	   *key;			/* percent-encoded; NULL: all */
	int			mount;
	bool		live;			/* what was there before has been sent */
	bool		asking;			/* an answer for it is on its way */
	bool		gone;
	int64_t		after;			/* where to continue */
} Client;

typedef struct Mount
{
	char	   *prefix;
	char	   *channel;
	bool		asking,
				ask_again,
				has_mark;
	int64_t		mark;
	int64_t		next_mark;		/* M of the comment above, if next_xmax is not 0 */
	uint64_t	next_xmax;
	int64_t		seen[MOST_SEEN];	/* ids above the mark, in no order */
	int			nseen;
} Mount;

/* A request with a token, until the database has said whether its role may see the events. */
typedef struct Admission
{
	struct evhttp_request *req; /* NULL: the client is gone */
	int			mount;
	Token		token;
} Admission;

static Client *clients;
static int	nclients;
static uint64_t sent,
			dropped;
static Mount *mounts[MAX_MOUNTS];
static int	nmounts;
static struct event *settle;

static void ask(int mount);
static void answered(const Answer *answer, void *arg);
static int	mount_of(struct evhttp_request *req);
static void begin(struct evhttp_request *req, int mount);
static void admitted(const Answer *answer, void *arg);
static void not_admitted(struct evhttp_connection *connection, void *arg);
static void ask_for_client(Client *client);
static void client_answered(const Answer *answer, void *arg);
static void send_event(Client *client, int64_t id, const char *data, size_t length);
static void gone(struct evhttp_connection *connection, void *arg);
static void remove_client(Client *client);
static void ping(evutil_socket_t fd, short events, void *arg);
static void settle_down(evutil_socket_t fd, short events, void *arg);

void
events_start(void)
{
	struct timeval often = {PING_SECONDS, 0};

	event_add(event_new(base, -1, EV_PERSIST, ping, NULL), &often);
	settle = event_new(base, -1, 0, settle_down, NULL);
}

int
events_clients(void)
{
	return nclients;
}

uint64_t
events_sent(void)
{
	return sent;
}

uint64_t
events_dropped(void)
{
	return dropped;
}

/* --- mounts ----------------------------------------------------------------------------------- */

void
pool_listening(PGresult *rows)
{
	for (int i = 0; i < PQntuples(rows); i++)
	{
		const char *prefix = PQgetvalue(rows, i, 0);
		int			m = 0;

		while (m < nmounts && strcmp(mounts[m]->prefix, prefix) != 0)
			m++;
		if (m == MAX_MOUNTS)
			return;
		if (m == nmounts)
		{
			mounts[nmounts++] = must_alloc(sizeof(Mount));
			mounts[m]->prefix = must_copy(prefix);
		}
		free(mounts[m]->channel);
		mounts[m]->channel = must_copy(PQgetvalue(rows, i, 1));
	}
}

/* NULL: the listener has just started, and the existing events are not known yet. */
void
pool_notified(const char *channel)
{
	for (int m = 0; m < nmounts; m++)
		if (channel == NULL || strcmp(mounts[m]->channel, channel) == 0)
			ask(m);
}

static void
ask_mount(int mount, int64_t after, AnswerHandler handler, void *arg)
{
	char		path[300],
				query[40];
	Query		q = {"GET", path, query, NULL, "{}", NULL, true};

	snprintf(path, sizeof(path), "%s/events", mounts[mount]->prefix);
	snprintf(query, sizeof(query), "after=%lld", (long long) after);
	pool_ask(&q, handler, arg);
}

static void
ask(int mount)
{
	Mount	   *m = mounts[mount];

	if (m->asking)
	{
		m->ask_again = true;
		return;
	}
	m->asking = true;
	/* The first answer yields the present position: no event has the greatest possible id. */
	ask_mount(mount, m->has_mark ? m->mark : 999999999999999999LL, answered, (void *) (intptr_t) mount);
}

static bool
was_seen(const Mount *m, int64_t id)
{
	for (int i = 0; i < m->nseen; i++)
		if (m->seen[i] == id)
			return true;
	return false;
}

/* The greatest id up to which no event is known to be missing. */
static int64_t
safe_id(const Mount *m, int64_t id)
{
	int64_t		safe = m->mark;

	while (safe < id && was_seen(m, safe + 1))
		safe++;
	return safe;
}

/* One line of an answer; false at the end. */
static bool
next_line(const char **text, int64_t *id, const char **key, size_t *key_length, const char **data, size_t *length)
{
	const char *end;
	char	   *after_id;

	if (**text == '\0' || (end = strchr(*text, '\n')) == NULL)
		return false;
	*id = strtoll(*text, &after_id, 10);
	if (*after_id != ' ' || after_id > end)
		return false;
	*key = after_id + 1;
	*data = memchr(*key, ' ', (size_t) (end - *key));
	if (*data == NULL)
		return false;
	*key_length = (size_t) (*data - *key);
	(*data)++;
	*length = (size_t) (end - *data);
	*text = end + 1;
	return true;
}

static bool
is_for(const Client *client, const char *key, size_t length)
{
	return client->key == NULL || (strlen(client->key) == length && memcmp(client->key, key, length) == 0);
}

static void
answered(const Answer *answer, void *arg)
{
	int			mount = (int) (intptr_t) arg;
	Mount	   *m = mounts[mount];
	unsigned long long xmin,
				xmax;
	long long	greatest;
	const char *text = answer->body,
			   *key,
			   *data;
	size_t		key_length,
				length;
	int64_t		id;
	int			n = 0;
	struct timeval soon = {2, 0};

	m->asking = false;
	if (answer->status == 200 && sscanf(text, "# %llu %llu %lld", &xmin, &xmax, &greatest) == 3 && (text = strchr(text, '\n')) != NULL)
	{
		text++;
		if (!m->has_mark)
		{
			/* Events with smaller ids that are not committed yet come later. */
			m->has_mark = true;
			m->mark = greatest > 200 ? greatest - 200 : 0;
			m->ask_again = true;
			for (id = m->mark + 1; id <= greatest && m->nseen < MOST_SEEN; id++)
				m->seen[m->nseen++] = id;
		}
		while (next_line(&text, &id, &key, &key_length, &data, &length))
		{
			n++;
			if (was_seen(m, id))
				continue;
			if (m->nseen == MOST_SEEN)
			{
				/* A transaction is open for a very long time. */
				m->mark = m->seen[MOST_SEEN - 1];
				m->nseen = 0;
			}
			m->seen[m->nseen++] = id;
			for (Client *client = clients, *next; client != NULL; client = next)
			{
				next = client->next;
				if (!client->gone && client->mount == mount && is_for(client, key, key_length))
					send_event(client, id, data, length);
			}
		}
		if (n >= PAGE)
			m->ask_again = true;
		if (m->next_xmax != 0 && xmin >= m->next_xmax && n < PAGE)
		{
			int			kept = 0;

			m->mark = m->next_mark;
			for (int i = 0; i < m->nseen; i++)
				if (m->seen[i] > m->mark)
					m->seen[kept++] = m->seen[i];
			m->nseen = kept;
			m->next_xmax = 0;
		}
		if (m->next_xmax == 0 && greatest > m->mark)
		{
			m->next_mark = greatest;
			m->next_xmax = xmax;
		}
	}
	if (m->ask_again)
	{
		m->ask_again = false;
		ask(mount);
	}
	else if (m->nseen > 0 && !event_pending(settle, EV_TIMEOUT, NULL))
		event_add(settle, &soon);
}

/* Advances the marks when there are no notifications. */
static void
settle_down(evutil_socket_t fd, short events, void *arg)
{
	(void) fd;
	(void) events;
	(void) arg;
	for (int m = 0; m < nmounts; m++)
		if (mounts[m]->nseen > 0)
			ask(m);
}

/* --- clients ---------------------------------------------------------------------------------- */

void
events_serve(struct evhttp_request *req, Token *token)
{
	int			mount = mount_of(req);
	Admission  *admission;
	char		path[300];
	Query		q = {"GET", path, "after=999999999999999999", NULL, "{}", NULL, true};

	if (mount >= nmounts || nclients >= options.max_events || evhttp_request_get_command(req) == EVHTTP_REQ_HEAD)
	{
		if (token != NULL)
			token_free(token);
		if (mount >= nmounts)
			reply_message(req, 404, "There are no events.");
		else
			reply_message(req, 503, "There are too many listeners.");
		return;
	}
	if (token == NULL)
	{
		begin(req, mount);
		return;
	}
	/* Events are fetched once for all clients, so the database is asked whether the role of this token may see them. */
	admission = must_alloc(sizeof(Admission));
	admission->req = req;
	admission->mount = mount;
	admission->token = *token;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), not_admitted, admission);
	snprintf(path, sizeof(path), "%s/events", mounts[mount]->prefix);
	q.token = &admission->token;
	pool_ask(&q, admitted, admission);
}

static void
admitted(const Answer *answer, void *arg)
{
	Admission  *admission = arg;
	struct evhttp_request *req = admission->req;
	int			mount = admission->mount;

	token_free(&admission->token);
	free(admission);
	if (req == NULL)
		return;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	if (answer->status == 200)
		begin(req, mount);
	else
		reply(req, answer->status, "application/json", answer->body, answer->body_length);
}

static void
not_admitted(struct evhttp_connection *connection, void *arg)
{
	(void) connection;
	((Admission *) arg)->req = NULL;
}

/* nmounts: there is none of that name. */
static int
mount_of(struct evhttp_request *req)
{
	struct evkeyvalq parameters;
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
	const char *value;
	int			mount = 0;

	TAILQ_INIT(&parameters);
	if (query != NULL)
		evhttp_parse_query_str(query, &parameters);
	value = evhttp_find_header(&parameters, "mount");
	if (value != NULL)
		while (mount < nmounts && strcasecmp(mounts[mount]->prefix, value) != 0)
			mount++;
	evhttp_clear_headers(&parameters);
	return mount;
}

static void
begin(struct evhttp_request *req, int mount)
{
	struct evkeyvalq parameters;
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
	const char *last = evhttp_find_header(evhttp_request_get_input_headers(req), "Last-Event-ID");
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	struct evbuffer *buffer;
	struct timeval patience = {30, 0};
	const char *value;
	Client	   *client;

	TAILQ_INIT(&parameters);
	if (query != NULL)
		evhttp_parse_query_str(query, &parameters);
	client = must_alloc(sizeof(Client));
	client->req = req;
	client->mount = mount;
	value = evhttp_find_header(&parameters, "player");
	if (value == NULL)
		value = evhttp_find_header(&parameters, "key");
	if (value != NULL)
	{
		/* As durable.url_encode does it. */
		client->key = must_alloc(strlen(value) * 3 + 1);
		for (char *to = client->key; *value != '\0'; value++)
			if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-", *value) != NULL)
				*to++ = *value;
			else
				to += sprintf(to, "%%%02X", (unsigned char) *value);
	}
	if (last == NULL)
		last = evhttp_find_header(&parameters, "after");
	client->live = last == NULL;
	client->after = last != NULL ? strtoll(last, NULL, 10) : 0;
	if (client->after < 0)
		client->after = 0;
	evhttp_clear_headers(&parameters);
	client->next = clients;
	clients = client;
	nclients++;

	evhttp_add_header(out, "Content-Type", "text/event-stream");
	evhttp_add_header(out, "Cache-Control", "no-store");
	evhttp_add_header(out, "X-Accel-Buffering", "no");
	evhttp_add_header(out, "X-Content-Type-Options", "nosniff");
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), gone, client);
	evhttp_send_reply_start(req, 200, "OK");
	bufferevent_set_timeouts(evhttp_connection_get_bufferevent(evhttp_request_get_connection(req)), NULL, &patience);
	buffer = evbuffer_new();
	evbuffer_add_printf(buffer, "retry: 1000\n\n");
	evhttp_send_reply_chunk(req, buffer);
	evbuffer_free(buffer);
	if (!client->live)
		ask_for_client(client);
}

static void
ask_for_client(Client *client)
{
	client->asking = true;
	ask_mount(client->mount, client->after, client_answered, client);
}

/* Sends the events that existed before the client connected. */
static void
client_answered(const Answer *answer, void *arg)
{
	Client	   *client = arg;
	const char *text = answer->body,
			   *key,
			   *data;
	size_t		key_length,
				length;
	int64_t		id;
	int			n = 0;

	/* It is freed at the end: while it is asking, gone() leaves that to us. */
	if (!client->gone && answer->status == 200 && (text = strchr(text, '\n')) != NULL)
	{
		text++;
		while (!client->gone && next_line(&text, &id, &key, &key_length, &data, &length))
		{
			n++;
			client->after = id;
			if (is_for(client, key, key_length))
				send_event(client, id, data, length);
		}
	}
	client->asking = false;
	if (client->gone)
		remove_client(client);
	else if (n >= PAGE)
		ask_for_client(client);
	else if (answer->status != 200)
		evhttp_connection_free(evhttp_request_get_connection(client->req));		/* calls gone() */
	else
	{
		/* Events of this answer that the feed saw meanwhile, or has not seen yet, are sent twice. */
		client->live = true;
		ask(client->mount);
	}
}

static void
send_event(Client *client, int64_t id, const char *data, size_t length)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(client->req);
	struct evbuffer *buffer;
	int64_t		safe = id;

	if (evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(connection))) > LONGEST_OUTPUT)
	{
		dropped++;
		evhttp_connection_free(connection);
		return;
	}
	if (id > mounts[client->mount]->mark)
		safe = safe_id(mounts[client->mount], id);
	/* It has not got all events before this one yet. */
	if (!client->live && safe > client->after)
		safe = client->after;
	buffer = evbuffer_new();
	evbuffer_add_printf(buffer, "id: %lld\nevent: console\ndata: ", (long long) safe);
	evbuffer_add(buffer, data, length);
	evbuffer_add(buffer, "\n\n", 2);
	evhttp_send_reply_chunk(client->req, buffer);
	evbuffer_free(buffer);
	sent++;
}

static void
gone(struct evhttp_connection *connection, void *arg)
{
	Client	   *client = arg;

	(void) connection;
	client->gone = true;
	if (!client->asking)
		remove_client(client);
}

static void
remove_client(Client *client)
{
	Client	  **link = &clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	nclients--;
	free(client->key);
	free(client);
}

static void
ping(evutil_socket_t fd, short events, void *arg)
{
	(void) fd;
	(void) events;
	(void) arg;
	for (Client *client = clients, *next; client != NULL; client = next)
	{
		struct evbuffer *buffer;

		next = client->next;
		if (client->gone)
			continue;
		buffer = evbuffer_new();
		evbuffer_add(buffer, ": ping\n\n", 8);
		evhttp_send_reply_chunk(client->req, buffer);
		evbuffer_free(buffer);
	}
}
