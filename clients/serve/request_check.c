/*
 * request_check.c - checks of a request before the database sees it.
 *
 * Everything that a page of another site could do with a visitor's browser is refused
 * before it can change something: names of the host that are not this server's (DNS
 * rebinding), and origins that are not allowed.  There are no cookies.
 *
 * Owns: nothing.
 * Called by: request.c (all); reply.c (the method).
 * Memory: none.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <event2/keyvalq_struct.h>

#include "serve.h"

#define DEEPEST_JSON	64

static bool in_list(const List *list, const char *value);
static bool is_management(const char *path);

bool
request_host_is_ours(struct evhttp_request *req)
{
	const char *host = evhttp_find_header(evhttp_request_get_input_headers(req), "Host");
	char		name[256];
	const char *port;
	size_t		n;

	if (host == NULL)
		return false;
	port = host[0] == '[' ? strchr(host, ']') : host;
	port = port != NULL ? strchr(port, ':') : NULL;
	n = port != NULL ? (size_t) (port - host) : strlen(host);
	if (n == 0 || n >= sizeof(name))
		return false;
	if (port != NULL && (port[1] == '\0' || port[1 + strspn(port + 1, "0123456789")] != '\0'))
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	if (strcasecmp(name, "localhost") == 0 || strcmp(name, "127.0.0.1") == 0 || strcmp(name, "[::1]") == 0)
		return true;
	if (options.listen != NULL && strcmp(name, options.listen) == 0)
		return true;
	return in_list(&options.hosts, name);
}

static bool
in_list(const List *list, const char *value)
{
	for (int i = 0; i < list->n; i++)
		if (strcasecmp(list->values[i], value) == 0)
			return true;
	return false;
}

/* Paths for which the origin '*' in --cors does not apply. */
static bool
is_management(const char *path)
{
	return strncasecmp(path, "/runtime/", 9) == 0 || strncasecmp(path, "/api/v1/", 8) == 0 || strcmp(path, "/metrics") == 0 || strcmp(path, "/crash") == 0;
}

bool
request_origin(struct evhttp_request *req)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	const char *origin = evhttp_find_header(in, "Origin");
	const char *host = evhttp_find_header(in, "Host");
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	const char *site = evhttp_find_header(in, "Sec-Fetch-Site");
	enum evhttp_cmd_type command = evhttp_request_get_command(req);
	bool		is_read = command == EVHTTP_REQ_GET || command == EVHTTP_REQ_HEAD;
	bool		is_listed,
				is_open;

	if (origin == NULL)
		return is_read || site == NULL || strcmp(site, "cross-site") != 0;
	if (strncmp(origin, "http://", 7) == 0 && strcasecmp(origin + 7, host) == 0)
		return true;
	if (strncmp(origin, "https://", 8) == 0 && options.proxy && strcasecmp(origin + 8, host) == 0)
		return true;
	is_listed = strcmp(origin, "*") != 0 && in_list(&options.cors, origin);
	is_open = in_list(&options.cors, "*") && !is_management(path);
	evhttp_add_header(out, "Vary", "Origin");
	if (!is_listed && !is_open)
		return is_read;
	evhttp_add_header(out, "Access-Control-Allow-Origin", is_listed ? origin : "*");
	evhttp_add_header(out, "Access-Control-Expose-Headers", "Location, Retry-After, x-ms-continuation-token");
	if (command == EVHTTP_REQ_OPTIONS)
	{
		evhttp_add_header(out, "Access-Control-Allow-Methods", "GET, POST, DELETE");
		evhttp_add_header(out, "Access-Control-Allow-Headers",
						  "Authorization, Content-Type, Last-Event-ID, x-functions-key, x-ms-continuation-token");
		evhttp_add_header(out, "Access-Control-Max-Age", "600");
	}
	return true;
}

bool
request_has_key(struct evhttp_request *req, const char *query)
{
	struct evkeyvalq parameters;
	bool		right;

	if (secret_equal(options.key, evhttp_find_header(evhttp_request_get_input_headers(req), "x-functions-key")))
		return true;
	if (query == NULL || evhttp_parse_query_str(query, &parameters) != 0)
		return false;
	right = secret_equal(options.key, evhttp_find_header(&parameters, "code"));
	evhttp_clear_headers(&parameters);
	return right;
}

bool
request_is_too_deep(const char *body)
{
	int			depth = 0;
	bool		in_text = false;

	for (; *body != '\0'; body++)
	{
		if (in_text)
		{
			if (*body == '\\' && body[1] != '\0')
				body++;
			else if (*body == '"')
				in_text = false;
		}
		else if (*body == '"')
			in_text = true;
		else if ((*body == '[' || *body == '{') && ++depth > DEEPEST_JSON)
			return true;
		else if (*body == ']' || *body == '}')
			depth--;
	}
	return false;
}

const char *
request_method(struct evhttp_request *req)
{
	switch (evhttp_request_get_command(req))
	{
		case EVHTTP_REQ_GET:
			return "GET";
		case EVHTTP_REQ_HEAD:
			return "HEAD";
		case EVHTTP_REQ_POST:
			return "POST";
		case EVHTTP_REQ_PUT:
			return "PUT";
		case EVHTTP_REQ_DELETE:
			return "DELETE";
		case EVHTTP_REQ_PATCH:
			return "PATCH";
		case EVHTTP_REQ_OPTIONS:
			return "OPTIONS";
		default:
			return "OTHER";
	}
}
