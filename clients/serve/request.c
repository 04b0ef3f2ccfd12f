/*
 * request.c - one HTTP request: from its checks to its reply.
 *
 * Order of the checks: name of the host, origin of the page, key, token (request_check.c).
 * A request that waits for the end of an instance is asked again at growing intervals.
 *
 * Owns: nothing.
 * Called by: libevent.
 * Memory: a Request until its reply is sent or its client is gone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/keyvalq_struct.h>

#include "serve.h"

#define LONGEST_WAIT	230		/* seconds, as in Azure */

typedef struct Request
{
	struct evhttp_request *req; /* NULL: the client is gone */
	double		since;
	char		method[8];
	bool		is_head;
	/* while the end of an instance is waited for */
	char	   *wait_path;
	char	   *wait_query;
	char	   *host;			/* headers as JSON */
	Token		token;
	bool		has_token;
	double		deadline;
	int			interval;		/* ms */
	struct event *timer;
	Answer		first;			/* to be sent if it takes too long */
} Request;

static void answered(const Answer *answer, void *arg);
static bool begin_waiting(Request *request, const Answer *answer);
static void look_again(evutil_socket_t fd, short events, void *arg);
static void waited(const Answer *answer, void *arg);
static void send_answer(Request *request, const Answer *answer);
static void gone(struct evhttp_connection *connection, void *arg);
static void free_request(Request *request);
static char *headers_json(struct evhttp_request *req);
static void json_text(struct evbuffer *out, const char *text);
static char *header_line(const char *lines, const char *name);

void
request_handle(struct evhttp_request *req, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	const char *query = uri != NULL ? evhttp_uri_get_query(uri) : NULL;
	const char *method = request_method(req);
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	const char *authorization = evhttp_find_header(in, "Authorization");
	struct evbuffer *input = evhttp_request_get_input_buffer(req);
	size_t		length = evbuffer_get_length(input);
	const char *type = evhttp_find_header(in, "Content-Type");
	bool		is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	Token		token = {NULL, NULL};
	bool		has_token = false;
	char	   *body = NULL;
	Request    *request;
	Query		ask;

	(void) arg;
	if (path == NULL || path[0] != '/')
	{
		reply_message(req, 400, "The address of the request is not valid.");
		return;
	}
	if (!request_host_is_ours(req))
	{
		reply_message(req, 421, "The request has a host name that is not a name of this server. See the option --host.");
		return;
	}
	if (!request_origin(req))
	{
		reply_message(req, 403, "Pages of that origin may not call this server. See the option --cors.");
		return;
	}
	if (evhttp_request_get_command(req) == EVHTTP_REQ_OPTIONS)
	{
		reply(req, 204, NULL, "", 0);
		return;
	}
	if (strcmp(path, "/healthz") == 0)
	{
		reply(req, 200, "text/plain", "ok\n", 3);
		return;
	}
	if (strcmp(path, "/ready") == 0)
	{
		if (pool_ready())
			reply(req, 200, "text/plain", "ready\n", 6);
		else
			reply_message(req, 503, "There is no connection to the database.");
		return;
	}
	if (is_read && files_serve(req, path))
		return;
	if (options.key != NULL && !request_has_key(req, query))
	{
		reply_message(req, 401, "The request needs the key.");
		return;
	}
	if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0)
	{
		if (!token_verify(authorization + 7, &token))
		{
			reply_message(req, 401, "The token is not valid.");
			return;
		}
		has_token = true;
	}
	else if (options.require_token)
	{
		reply_message(req, 401, "The request needs a token.");
		return;
	}
	if (crash_serve(req, path))
	{
		token_free(&token);
		return;
	}
	if (is_read && strcmp(path, "/events") == 0)
	{
		events_serve(req, has_token ? &token : NULL);
		return;
	}
	if (is_read && strcmp(path, "/metrics") == 0)
	{
		metrics_serve(req, has_token ? &token : NULL);
		token_free(&token);
		return;
	}

	if (length > 0)
	{
		body = must_alloc(length + 1);
		evbuffer_copyout(input, body, length);
		if (strlen(body) != length)
		{
			free(body);
			token_free(&token);
			reply_message(req, 400, "The body of the request is not text.");
			return;
		}
		if (type != NULL && strncasecmp(type, "application/json", 16) == 0 && request_is_too_deep(body))
		{
			free(body);
			token_free(&token);
			reply_message(req, 400, "The JSON of the request is nested too deep.");
			return;
		}
	}

	request = must_alloc(sizeof(Request));
	request->req = req;
	request->since = now_seconds();
	request->is_head = evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
	snprintf(request->method, sizeof(request->method), "%s", method);
	request->token = token;
	request->has_token = has_token;
	request->host = headers_json(req);
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), gone, request);
	ask.method = request->is_head ? "GET" : method;
	ask.path = path;
	ask.query = query;
	ask.body = body;
	ask.headers = request->host;
	ask.token = has_token ? &request->token : NULL;
	ask.is_read = is_read;
	pool_ask(&ask, answered, request);
	free(body);
}

/* --- what the database is told of the headers --------------------------------------------------- */

static char *
headers_json(struct evhttp_request *req)
{
	static const char *const names[] = {"host", "content-type", "x-ms-continuation-token", "x-forwarded-proto"};
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	struct evbuffer *out = evbuffer_new();
	char	   *json;
	size_t		n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		const char *value = evhttp_find_header(in, names[i]);

		if (value == NULL || (i == 3 && !options.proxy))
			continue;
		evbuffer_add_printf(out, "%s\"%s\":", evbuffer_get_length(out) == 0 ? "{" : ",", names[i]);
		json_text(out, value);
	}
	evbuffer_add(out, evbuffer_get_length(out) == 0 ? "{}" : "}", evbuffer_get_length(out) == 0 ? 2 : 1);
	n = evbuffer_get_length(out);
	json = must_alloc(n + 1);
	evbuffer_remove(out, json, n);
	evbuffer_free(out);
	return json;
}

/* These headers must be ASCII. */
static void
json_text(struct evbuffer *out, const char *text)
{
	evbuffer_add(out, "\"", 1);
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c == '"' || c == '\\')
			evbuffer_add_printf(out, "\\%c", c);
		else
			evbuffer_add_printf(out, "%c", c < 0x20 || c > 0x7e ? '?' : c);
	}
	evbuffer_add(out, "\"", 1);
}

/* --- replies ------------------------------------------------------------------------------------ */

static void
answered(const Answer *answer, void *arg)
{
	Request    *request = arg;

	if (request->req == NULL)
	{
		free_request(request);
		return;
	}
	if (begin_waiting(request, answer))
		return;
	send_answer(request, answer);
	free_request(request);
}

static bool
begin_waiting(Request *request, const Answer *answer)
{
	char	   *path = header_line(answer->headers, "Durable-Wait-Path");
	char	   *seconds = header_line(answer->headers, "Durable-Wait-Seconds");
	double		wait = seconds != NULL ? atof(seconds) : 0;
	char	   *question;

	free(seconds);
	if (path == NULL || wait <= 0)
	{
		free(path);
		return false;
	}
	question = strchr(path, '?');
	if (question != NULL)
	{
		*question = '\0';
		request->wait_query = must_copy(question + 1);
	}
	request->wait_path = path;
	request->deadline = now_seconds() + (wait < LONGEST_WAIT ? wait : LONGEST_WAIT);
	request->interval = 20;
	request->first.status = answer->status;
	request->first.headers = must_copy(answer->headers);
	request->first.body = must_copy(answer->body);
	request->first.body_length = answer->body_length;
	request->timer = event_new(base, -1, 0, look_again, request);
	look_again(-1, 0, request);
	return true;
}

static void
look_again(evutil_socket_t fd, short events, void *arg)
{
	Request    *request = arg;
	Query		ask = {"GET", request->wait_path, request->wait_query, NULL, request->host, NULL, true};

	(void) fd;
	(void) events;
	if (request->req == NULL)
	{
		free_request(request);
		return;
	}
	ask.token = request->has_token ? &request->token : NULL;
	pool_ask(&ask, waited, request);
}

static void
waited(const Answer *answer, void *arg)
{
	Request    *request = arg;
	struct timeval wait;

	if (request->req != NULL && answer->status != 202 && answer->status != 503)
		send_answer(request, answer);
	else if (request->req != NULL && now_seconds() >= request->deadline)
		send_answer(request, &request->first);
	else if (request->req != NULL)
	{
		wait.tv_sec = request->interval / 1000;
		wait.tv_usec = request->interval % 1000 * 1000;
		if (request->interval < 1000)
			request->interval = request->interval * 2 < 1000 ? request->interval * 2 : 1000;
		event_add(request->timer, &wait);
		return;
	}
	free_request(request);
}

static void
send_answer(Request *request, const Answer *answer)
{
	struct evhttp_request *req = request->req;
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	const char *line = answer->headers;

	while (line != NULL && *line != '\0')
	{
		const char *end = strchr(line, '\n');
		size_t		n = end != NULL ? (size_t) (end - line) : strlen(line);
		char	   *copy = must_alloc(n + 1);
		char	   *value;

		memcpy(copy, line, n);
		value = strstr(copy, ": ");
		if (value != NULL && strncasecmp(copy, "Durable-", 8) != 0 && strncasecmp(copy, "Access-Control-", 15) != 0 &&
			strcasecmp(copy, "Content-Length") != 0)
		{
			*value = '\0';
			evhttp_add_header(out, copy, value + 2);	/* refuses line ends */
		}
		free(copy);
		line = end != NULL ? end + 1 : NULL;
	}
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
	metrics_count(request->method, answer->status, now_seconds() - request->since);
	reply(req, answer->status, NULL, answer->body, answer->body_length);
}

/* The value of a header among lines, or NULL; the caller frees it. */
static char *
header_line(const char *lines, const char *name)
{
	size_t		n = strlen(name);

	while (lines != NULL && *lines != '\0')
	{
		const char *end = strchr(lines, '\n');

		if (strncmp(lines, name, n) == 0 && lines[n] == ':' && lines[n + 1] == ' ')
		{
			char	   *value = must_copy(lines + n + 2);

			if (end != NULL)
				value[end - lines - n - 2] = '\0';
			return value;
		}
		lines = end != NULL ? end + 1 : NULL;
	}
	return NULL;
}

static void
gone(struct evhttp_connection *connection, void *arg)
{
	Request    *request = arg;

	(void) connection;
	request->req = NULL;
}

static void
free_request(Request *request)
{
	if (request->timer != NULL)
		event_free(request->timer);
	if (request->has_token)
		token_free(&request->token);
	free(request->wait_path);
	free(request->wait_query);
	free(request->host);
	free((char *) request->first.headers);
	free((char *) request->first.body);
	free(request);
}
