/*
 * reply.c - sends a reply, with the headers that every reply has.
 *
 * Owns: nothing.
 * Called by: request.c, crash.c, events.c, files.c, metrics.c.
 * Memory: none that outlives a call.
 */
#include <stdio.h>
#include <string.h>

#include "serve.h"

static const char *reason(int status);

void
reply_message(struct evhttp_request *req, int status, const char *message)
{
	char		body[256];

	snprintf(body, sizeof(body), "{\"Message\":\"%s\"}", message);
	metrics_count(request_method(req), status, 0);
	reply(req, status, "application/json", body, strlen(body));
}

/* With the headers that every reply has.  type NULL: it is among the headers already. */
void
reply(struct evhttp_request *req, int status, const char *type, const char *body, size_t length)
{
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	struct evbuffer *buffer = evbuffer_new();
	char		number[32];

	if (type != NULL)
		evhttp_add_header(out, "Content-Type", type);
	if (evhttp_find_header(out, "Cache-Control") == NULL)
		evhttp_add_header(out, "Cache-Control", "no-store");
	evhttp_add_header(out, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(out, "Referrer-Policy", "no-referrer");
	if (evhttp_find_header(out, "Content-Security-Policy") == NULL)
		evhttp_add_header(out, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
	if (status == 401)
		evhttp_add_header(out, "WWW-Authenticate", "Bearer");
	snprintf(number, sizeof(number), "%zu", length);
	if (status != 204 && status != 304)
		evhttp_add_header(out, "Content-Length", number);
	if (evhttp_request_get_command(req) != EVHTTP_REQ_HEAD && length > 0)
		evbuffer_add(buffer, body, length);
	evhttp_send_reply(req, status, reason(status), buffer);
	evbuffer_free(buffer);
}

static const char *
reason(int status)
{
	static const struct
	{
		int			status;
		const char *text;
	}			texts[] = {
		{200, "OK"}, {202, "Accepted"}, {204, "No Content"}, {304, "Not Modified"}, {400, "Bad Request"}, {401, "Unauthorized"},
		{403, "Forbidden"}, {404, "Not Found"}, {409, "Conflict"}, {410, "Gone"}, {412, "Precondition Failed"},
		{413, "Content Too Large"}, {415, "Unsupported Media Type"}, {421, "Misdirected Request"}, {429, "Too Many Requests"},
		{500, "Internal Server Error"}, {503, "Service Unavailable"}
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Status";
}
