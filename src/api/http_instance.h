/*
 * http_instance.h
 *		Answers the HTTP request for one instance without PL/pgSQL, because it is frequent.
 */
#ifndef DURABLE_HTTP_INSTANCE_H
#define DURABLE_HTTP_INSTANCE_H

#include "durable.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* The parts of a request that are used.  Texts may be NULL. */
typedef struct HttpRequest
{
	const char *method;
	const char *path;
	const char *query;
	const Jsonb *headers;
}			HttpRequest;

/*
 * Appends the response to GET instances/ID in the form of durable.http_message, and returns
 * true.  False: it is a different request, or its response is an error.  Then nothing was
 * appended, and durable.http() answers it.  The caller has checked the privileges.
 */
extern bool durable_http_instance(const HttpRequest *request, StringInfo message);

#endif							/* DURABLE_HTTP_INSTANCE_H */
