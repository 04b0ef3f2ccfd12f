/*
 * listen.c - the socket for gRPC: TLS, limits of connections, the end of the program.
 *
 * Cleartext (HTTP/2 with prior knowledge) is for loopback addresses, and for others if the
 * user says so because a proxy is in front.  The certificate is read again upon SIGHUP.
 *
 * The end: no new connections are accepted.  Streams of workers end with status 0, so that the
 * workers connect to another server.  Answers to their work are still accepted, until there is no
 * such work or the time is over.  Then GOAWAY is sent, and the program ends.
 *
 * Owns: the listener, the TLS context, the options.
 * Called by: serve.c, metrics.c.
 * Memory: nothing that grows.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "grpc.h"

#define DRAIN_STEP_MS	50

GrpcOptions grpc_options = {.max_message = 64, .drain = 10};

static struct sockaddr_storage address;
static socklen_t address_length;
static char address_text[80];
static SSL_CTX *tls;
static struct evconnlistener *listener;
static uint64_t refused;
static bool is_draining;
static double drain_until;
static void (*when_stopped) (void);
static bool has_gone_away;

static bool parse_address(void);
static bool is_loopback(void);
static SSL_CTX *load_tls(void);
static int	select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned in_length, void *arg);
static void reload(evutil_socket_t signal, short events, void *arg);
static void accepted(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *peer, int length, void *arg);
static void drain_step(evutil_socket_t fd, short events, void *arg);

bool
grpc_configure(void)
{
	if (grpc_options.address == NULL)
	{
		if (grpc_options.hubs != NULL || grpc_options.certificate != NULL)
		{
			complain("--hubs and --tls-certificate need --grpc");
			return false;
		}
		return true;
	}
	if (!parse_address() || !hubs_configure())
		return false;
	if ((grpc_options.certificate == NULL) != (grpc_options.key == NULL))
	{
		complain("--tls-certificate and --tls-key must be used together");
		return false;
	}
	if (grpc_options.certificate != NULL && (tls = load_tls()) == NULL)
		return false;
	if (!is_loopback() && tls == NULL && !grpc_options.cleartext)
	{
		complain("other hosts can reach address %s: use --tls-certificate, or --cleartext if a proxy is in front", grpc_options.address);
		return false;
	}
	if (!is_loopback() && grpc_options.client_ca == NULL && !hubs_need_tokens())
	{
		complain("other hosts can reach address %s: every hub of --hubs needs a token, or use --tls-client-ca", grpc_options.address);
		return false;
	}
	return true;
}

/* ADDRESS:PORT, [ADDRESS]:PORT; PORT may be 0. */
static bool
parse_address(void)
{
	char		host[256];
	const char *colon = strrchr(grpc_options.address, ':');
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found;
	size_t		length;

	if (colon == NULL || (length = (size_t) (colon - grpc_options.address)) >= sizeof(host) || length == 0)
	{
		complain("--grpc needs ADDRESS:PORT");
		return false;
	}
	memcpy(host, grpc_options.address, length);
	host[length] = '\0';
	if (host[0] == '[' && host[length - 1] == ']')
	{
		host[length - 1] = '\0';
		memmove(host, host + 1, length - 1);
	}
	if (getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, colon + 1, &hints, &found) != 0)
	{
		complain("could not find the address \"%s\"", grpc_options.address);
		return false;
	}
	memcpy(&address, found->ai_addr, found->ai_addrlen);
	address_length = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static bool
is_loopback(void)
{
	if (address.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *) &address)->sin6_addr);
	return (ntohl(((struct sockaddr_in *) &address)->sin_addr.s_addr) >> 24) == 127;
}

static SSL_CTX *
load_tls(void)
{
	static const unsigned char session[] = "durable serve";
	SSL_CTX    *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL ||
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
		SSL_CTX_use_certificate_chain_file(context, grpc_options.certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(context, grpc_options.key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(context) != 1 ||
		(grpc_options.client_ca != NULL && SSL_CTX_load_verify_locations(context, grpc_options.client_ca, NULL) != 1))
	{
		complain("could not use the certificate or the key of TLS: %s", ERR_reason_error_string(ERR_peek_last_error()));
		ERR_clear_error();
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_session_id_context(context, session, sizeof(session) - 1);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_alpn_select_cb(context, select_alpn, NULL);
	if (grpc_options.client_ca != NULL)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return context;
}

static int
select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned in_length, void *arg)
{
	(void) ssl;
	(void) arg;
	for (unsigned i = 0; i + 2 < in_length; i += in[i] + 1u)
		if (in[i] == 2 && memcmp(in + i + 1, "h2", 2) == 0)
		{
			*out = in + i + 1;
			*out_length = 2;
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Called before the program gives up the rights of root. */
bool
grpc_listen(void)
{
	struct sockaddr_storage bound;
	socklen_t	length = sizeof(bound);
	char		host[64] = "";
	int			port;

	if (grpc_options.address == NULL)
		return true;
	listener = evconnlistener_new_bind(base, accepted, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC, 512,
									   (struct sockaddr *) &address, (int) address_length);
	if (listener == NULL)
	{
		complain("could not listen on %s: %s", grpc_options.address, strerror(errno));
		return false;
	}
	getsockname(evconnlistener_get_fd(listener), (struct sockaddr *) &bound, &length);
	getnameinfo((struct sockaddr *) &bound, length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &bound)->sin6_port : ((struct sockaddr_in *) &bound)->sin_port);
	snprintf(address_text, sizeof(address_text), strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host, port);
	if (tls != NULL)
		event_add(evsignal_new(base, SIGHUP, reload, NULL), NULL);
	return true;
}

/* NULL: there is no gRPC. */
const char *
grpc_address(void)
{
	return address_text[0] != '\0' ? address_text : NULL;
}

static void
reload(evutil_socket_t signal, short events, void *arg)
{
	SSL_CTX    *context = load_tls();

	(void) signal;
	(void) events;
	(void) arg;
	if (context == NULL)
		return;
	SSL_CTX_free(tls);
	tls = context;
}

static void
accepted(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *peer, int length, void *arg)
{
	char		host[64] = "";
	struct bufferevent *bev;
	SSL		   *ssl = NULL;
	int			on = 1;

	(void) from;
	(void) arg;
	/* Otherwise a work item that follows an answer would wait for the client's delayed ACK (40 ms). */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	getnameinfo(peer, (socklen_t) length, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	if (h2_connections() >= options.max_connections || h2_of_address(host) >= options.max_per_address)
	{
		refused++;
		evutil_closesocket(fd);
		return;
	}
	if (tls != NULL)
	{
		ssl = SSL_new(tls);
		bev = ssl != NULL ? bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
	}
	else
		bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
	{
		SSL_free(ssl);
		evutil_closesocket(fd);
		return;
	}
	h2_accept(bev, host, tls != NULL);
}

/* --- the end --------------------------------------------------------------------------------------------- */

bool
grpc_is_draining(void)
{
	return is_draining;
}

void
grpc_stop(void (*stopped) (void))
{
	if (listener == NULL || is_draining)
	{
		stopped();
		return;
	}
	is_draining = true;
	when_stopped = stopped;
	drain_until = now_seconds() + grpc_options.drain;
	evconnlistener_disable(listener);
	work_drain();
	drain_step(-1, 0, event_new(base, -1, 0, drain_step, event_self_cbarg()));
}

static void
drain_step(evutil_socket_t fd, short events, void *arg)
{
	struct timeval soon = {0, DRAIN_STEP_MS * 1000};
	double		now = now_seconds();

	(void) fd;
	(void) events;
	if (!has_gone_away && (work_out() == 0 || now > drain_until))
	{
		has_gone_away = true;
		h2_drain();
		/* Calls that have begun may be completed. */
		if (drain_until > now + 1)
			drain_until = now + 1;
	}
	if (has_gone_away && (h2_streams() == 0 || now > drain_until))
		when_stopped();
	else
		event_add(arg, &soon);
}

void
grpc_metrics(struct evbuffer *out)
{
	if (listener == NULL)
		return;
#define GAUGE(name, help, value) \
	evbuffer_add_printf(out, "# HELP " name " " help "\n# TYPE " name " gauge\n" name " %lld\n", (long long) (value))
	GAUGE("durable_grpc_connections", "Open connections of gRPC clients.", h2_connections());
	GAUGE("durable_grpc_streams", "Calls that are being answered.", h2_streams());
	GAUGE("durable_grpc_waiting_clients", "Clients that wait for an instance.", waits_count());
	GAUGE("durable_grpc_request_bytes", "Bytes of requests in memory.", calls_buffered());
	GAUGE("durable_grpc_answer_bytes", "Bytes of answers that clients have not read yet.", calls_unsent());
	evbuffer_add_printf(out, "# HELP durable_grpc_connections_refused_total Connections of gRPC clients that were refused.\n"
						"# TYPE durable_grpc_connections_refused_total counter\ndurable_grpc_connections_refused_total %llu\n",
						(unsigned long long) refused);
	work_metrics(out);
	evbuffer_add_printf(out, "# HELP durable_grpc_calls_total Calls that have ended, by RPC and status.\n# TYPE durable_grpc_calls_total counter\n");
	for (Rpc *rpc = rpcs; rpc->name != NULL; rpc++)
		for (int status = 0; status < GRPC_STATUSES; status++)
			if (rpc->count[status] > 0)
				evbuffer_add_printf(out, "durable_grpc_calls_total{rpc=\"%s\",status=\"%d\"} %llu\n", rpc->name, status,
									(unsigned long long) rpc->count[status]);
	evbuffer_add_printf(out, "# HELP durable_grpc_call_seconds_total Time from the first byte of a call to its status.\n"
						"# TYPE durable_grpc_call_seconds_total counter\n");
	for (Rpc *rpc = rpcs; rpc->name != NULL; rpc++)
		if (rpc->seconds > 0)
			evbuffer_add_printf(out, "durable_grpc_call_seconds_total{rpc=\"%s\"} %.6f\n", rpc->name, rpc->seconds);
}
