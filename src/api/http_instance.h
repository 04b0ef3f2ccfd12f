/*
 * http_instance.h
 *		The request that reads one instance, without PL/pgSQL.
 */
#ifndef DURABLE_HTTP_INSTANCE_H
#define DURABLE_HTTP_INSTANCE_H

#include "durable.h"
#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* The part of a request that decides about its response.  Texts may be NULL. */
typedef struct HttpRequest
{
	const char *method;
	const char *path;
	const char *query;
	const Jsonb *headers;
}			HttpRequest;

/*
 * Appends the response to GET instances/ID in the form of durable.http_message, and
 * returns true.  False: it is another request, or one that is answered by an error;
 * then durable.http answers it, and nothing has been appended.  The caller has checked
 * the privileges.
 */
extern bool durable_http_instance(const HttpRequest *request, StringInfo message);

#endif							/* DURABLE_HTTP_INSTANCE_H */
