/*
 * metrics.c - GET /metrics, in the text format of Prometheus: the gateway's own numbers, and those
 * that the database gives for GET /api/v1/metrics, if the role of the request may see them.
 *
 * Owns: the counters.
 * Called by: request.c.
 * Memory: counters; a Scrape until the database has answered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grpc/serve_grpc.h"
#include "serve.h"

#define NMETHODS 8

static const char *const methods[NMETHODS] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "OTHER"};
static const double limits[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};

#define NLIMITS ((int) (sizeof(limits) / sizeof(limits[0])))

static uint64_t requests[NMETHODS][6];	/* by the first digit of the status */
static uint64_t buckets[NLIMITS + 1];
static double total_seconds;

typedef struct Scrape
{
	struct evhttp_request *req;
	bool		has_token;
} Scrape;

static void answered(const Answer *answer, void *arg);
static void gone(struct evhttp_connection *connection, void *arg);

void
metrics_count(const char *method, int status, double seconds)
{
	int			m = 0,
				b = 0;

	while (m < NMETHODS - 1 && strcmp(methods[m], method) != 0)
		m++;
	requests[m][status / 100 % 6]++;
	while (b < NLIMITS && seconds > limits[b])
		b++;
	buckets[b]++;
	total_seconds += seconds;
}

void
metrics_serve(struct evhttp_request *req, const Token *token)
{
	Scrape	   *scrape = must_alloc(sizeof(Scrape));
	Query		q = {"GET", "/api/v1/metrics", NULL, NULL, "{}", token, true};

	scrape->req = req;
	scrape->has_token = token != NULL;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req), gone, scrape);
	pool_ask(&q, answered, scrape);
}

static void
gone(struct evhttp_connection *connection, void *arg)
{
	(void) connection;
	((Scrape *) arg)->req = NULL;
}

static void
answered(const Answer *answer, void *arg)
{
	Scrape	   *scrape = arg;
	struct evbuffer *out;
	uint64_t	sum = 0;

	if (scrape->req == NULL)
	{
		free(scrape);
		return;
	}
	/* The database has refused the token, or its role.  A role that may see nothing of the instances gets the gateway's numbers. */
	if (scrape->has_token && (answer->status == 401 || (answer->status == 403 && strstr(answer->body, "\"SqlState\"") == NULL)))
	{
		evhttp_connection_set_closecb(evhttp_request_get_connection(scrape->req), NULL, NULL);
		reply(scrape->req, answer->status, "application/json", answer->body, answer->body_length);
		free(scrape);
		return;
	}
	out = evbuffer_new();
	evbuffer_add_printf(out, "# HELP durable_gateway_requests_total Requests that were answered.\n"
						"# TYPE durable_gateway_requests_total counter\n");
	for (int m = 0; m < NMETHODS; m++)
		for (int s = 1; s < 6; s++)
			if (requests[m][s] > 0)
				evbuffer_add_printf(out, "durable_gateway_requests_total{method=\"%s\",code=\"%dxx\"} %llu\n", methods[m], s,
									(unsigned long long) requests[m][s]);
	evbuffer_add_printf(out, "# HELP durable_gateway_request_duration_seconds Time until a request was answered.\n"
						"# TYPE durable_gateway_request_duration_seconds histogram\n");
	for (int b = 0; b <= NLIMITS; b++)
	{
		sum += buckets[b];
		if (b < NLIMITS)
			evbuffer_add_printf(out, "durable_gateway_request_duration_seconds_bucket{le=\"%g\"} %llu\n", limits[b], (unsigned long long) sum);
		else
			evbuffer_add_printf(out, "durable_gateway_request_duration_seconds_bucket{le=\"+Inf\"} %llu\n", (unsigned long long) sum);
	}
	evbuffer_add_printf(out, "durable_gateway_request_duration_seconds_sum %.6f\ndurable_gateway_request_duration_seconds_count %llu\n",
						total_seconds, (unsigned long long) sum);
#define GAUGE(name, help, value) \
	evbuffer_add_printf(out, "# HELP " name " " help "\n# TYPE " name " gauge\n" name " %d\n", value)
#define COUNTER(name, help, value) \
	evbuffer_add_printf(out, "# HELP " name " " help "\n# TYPE " name " counter\n" name " %llu\n", (unsigned long long) (value))
	GAUGE("durable_gateway_connections", "Open connections of clients.", guard_connections());
	GAUGE("durable_gateway_event_clients", "Clients of /events.", events_clients());
	GAUGE("durable_gateway_pool_connections", "Connections to the database that serve requests.", options.pool);
	GAUGE("durable_gateway_pool_busy", "Connections to the database in use.", pool_busy());
	GAUGE("durable_gateway_queue_length", "Requests that wait for a connection.", pool_queued());
	GAUGE("durable_gateway_database_up", "Whether the database answers.", answer->status < 500 && pool_ready());
	COUNTER("durable_gateway_events_sent_total", "Events that were sent to clients.", events_sent());
	COUNTER("durable_gateway_event_clients_dropped_total", "Clients of /events that were too slow.", events_dropped());
	COUNTER("durable_gateway_connections_refused_total", "Connections that were refused.", guard_refused());
	grpc_metrics(out);
	if (answer->status == 200)
		evbuffer_add(out, answer->body, answer->body_length);
	evhttp_connection_set_closecb(evhttp_request_get_connection(scrape->req), NULL, NULL);
	reply(scrape->req, 200, "text/plain; version=0.0.4; charset=utf-8", (const char *) evbuffer_pullup(out, -1), evbuffer_get_length(out));
	evbuffer_free(out);
	free(scrape);
}
