/*
 * serve.c - durable serve: its options, its listening socket, and the event loop.
 *
 * One process, one thread, one event loop.  A request is checked (guard.c, request_check.c), handed
 * to a connection of the pool (pool.c), and the answer of durable.http is sent.  The gateway
 * knows no routes but its own: /events, /metrics, /healthz, /ready and the files of web/.
 *
 * It does not serve with the privileges of a superuser (pool.c checks that), nor as root, nor
 * on an address that other machines can reach without a key or tokens.
 *
 * Owns: the options, the event base.
 * Called by: main.c.
 * Memory: the options' texts are those of the command line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/listener.h>

#include "grpc/serve_grpc.h"
#include "serve.h"

#define EXIT_USAGE		2
#define EXIT_CONNECTION	4

#define MAX_HEADERS		(16 * 1024)
#define MAX_BODY		(1024 * 1024)
#define IDLE_SECONDS	60
#define PORTS_TRIED		20

Options		options = {.port = 7071, .pool = 4, .max_connections = 4096, .max_per_address = 1024, .max_events = 2500};
struct event_base *base;

static const char help[] =
"durable serve answers HTTP requests with durable.http of a database.\n"
"\n"
"usage: durable serve [OPTION]...\n"
"\n"
"Connecting to PostgreSQL:\n"
"  -h HOST, -p PORT, -U USER, -d DATABASE   as psql; DATABASE may be a conninfo string or a URI\n"
"  --pool N             connections for requests (default 4)\n"
"Listening:\n"
"  --listen ADDRESS     address to listen on (default 127.0.0.1); others than loopback need --key or tokens\n"
"  --port PORT          port (default 7071, or the next that is free)\n"
"  --host NAME          a name by which clients may call this server, besides localhost and the address\n"
"  --proxy              trust X-Forwarded-Proto, which a proxy in front sets\n"
"gRPC, for programs with a Durable Task SDK (see docs/grpc.md):\n"
"  --grpc ADDRESS:PORT  listen for gRPC; others than loopback need TLS, and hubs with tokens\n"
"  --hubs FILE          task hubs: lines \"hub NAME ROLE QUEUE\" and \"token NAME SHA256\" (default: one hub, of --role)\n"
"  --queue QUEUE        queue of the hub, without --hubs (default \"default\")\n"
"  --tls-certificate FILE, --tls-key FILE   PEM; read again upon SIGHUP\n"
"  --tls-client-ca FILE clients need a certificate of this authority\n"
"  --cleartext          no TLS on other addresses than loopback, because a proxy is in front\n"
"  --max-message MB     largest message (default 64)\n"
"  --drain SECONDS      how long a stop waits for what workers have (default 10)\n"
"Access:\n"
"  --role ROLE          role of requests without a token (default: that of the connection)\n"
"  --key KEY            requests need ?code=KEY or the header x-functions-key\n"
"  --secret-file FILE   HS256: verify tokens with the secret in FILE; the claim \"role\" is the role\n"
"  --public-key FILE    RS256: verify tokens with the PEM public key in FILE\n"
"  --audience TEXT      what the claim \"aud\" of tokens has to contain\n"
"  --require-token      no requests without a token\n"
"  --cors ORIGIN        an origin whose pages may call this server, may be repeated; '*' opens everything\n"
"                       but the management API to all pages\n"
"Other:\n"
"  --www DIR            serve the files of DIR instead of the built-in ones\n"
"  --crash-command CMD  for demonstrations: POST /crash runs CMD; only on loopback\n"
"  --user NAME          user to become when started by root (default nobody)\n"
"  --max-connections N, --max-per-address N, --max-events N   limits (4096, 1024, 2500)\n";

enum
{
	OPT_POOL = 256, OPT_LISTEN, OPT_PORT, OPT_HOST, OPT_PROXY, OPT_ROLE, OPT_KEY, OPT_SECRET, OPT_PUBLIC_KEY, OPT_AUDIENCE,
	OPT_REQUIRE_TOKEN, OPT_CORS, OPT_WWW, OPT_CRASH_COMMAND, OPT_USER, OPT_MAX_CONNECTIONS, OPT_MAX_PER_ADDRESS, OPT_MAX_EVENTS, OPT_GRPC, OPT_HUBS, OPT_QUEUE, OPT_TLS_CERTIFICATE,
	OPT_TLS_KEY, OPT_TLS_CLIENT_CA, OPT_CLEARTEXT, OPT_MAX_MESSAGE, OPT_DRAIN, OPT_HELP
};

static const struct option long_options[] = {
	{"host", required_argument, NULL, OPT_HOST},
	{"username", required_argument, NULL, 'U'},
	{"dbname", required_argument, NULL, 'd'},
	{"pool", required_argument, NULL, OPT_POOL},
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"port", required_argument, NULL, OPT_PORT},
	{"proxy", no_argument, NULL, OPT_PROXY},
	{"role", required_argument, NULL, OPT_ROLE},
	{"key", required_argument, NULL, OPT_KEY},
	{"secret-file", required_argument, NULL, OPT_SECRET},
	{"public-key", required_argument, NULL, OPT_PUBLIC_KEY},
	{"audience", required_argument, NULL, OPT_AUDIENCE},
	{"require-token", no_argument, NULL, OPT_REQUIRE_TOKEN},
	{"cors", required_argument, NULL, OPT_CORS},
	{"www", required_argument, NULL, OPT_WWW},
	{"crash-command", required_argument, NULL, OPT_CRASH_COMMAND},
	{"user", required_argument, NULL, OPT_USER},
	{"max-connections", required_argument, NULL, OPT_MAX_CONNECTIONS},
	{"max-per-address", required_argument, NULL, OPT_MAX_PER_ADDRESS},
	{"max-events", required_argument, NULL, OPT_MAX_EVENTS},
	{"grpc", required_argument, NULL, OPT_GRPC},
	{"hubs", required_argument, NULL, OPT_HUBS},
	{"queue", required_argument, NULL, OPT_QUEUE},
	{"tls-certificate", required_argument, NULL, OPT_TLS_CERTIFICATE},
	{"tls-key", required_argument, NULL, OPT_TLS_KEY},
	{"tls-client-ca", required_argument, NULL, OPT_TLS_CLIENT_CA},
	{"cleartext", no_argument, NULL, OPT_CLEARTEXT},
	{"max-message", required_argument, NULL, OPT_MAX_MESSAGE},
	{"drain", required_argument, NULL, OPT_DRAIN},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0}
};

static void read_options(int argc, char **argv);
static int	number(const char *option, const char *value, int least, int most);
static void add(List *list, const char *value);
static void connection_option(const char *keyword, const char *value);
static struct evhttp *listen_somewhere(struct evhttp_bound_socket **socket);
static bool is_loopback(const char *address);
static void drop_root(void);
static void stop(evutil_socket_t signal, short events, void *arg);
static void stopped(void);
static void check_first_connection(evutil_socket_t fd, short events, void *arg);

static int	exit_code;

int
serve_main(int argc, char **argv)
{
	struct evhttp *http;
	struct evhttp_bound_socket *socket;
	struct timeval soon = {0, 50000};

	read_options(argc, argv);
	if (!token_configure() || !grpc_configure())
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	if (base == NULL)
	{
		complain("could not create an event loop");
		return EXIT_CONNECTION;
	}
	http = listen_somewhere(&socket);
	if (http == NULL || !grpc_listen())
		return EXIT_CONNECTION;
	drop_root();

	evhttp_set_max_headers_size(http, MAX_HEADERS);
	evhttp_set_max_body_size(http, MAX_BODY);
	evhttp_set_timeout(http, IDLE_SECONDS);
	evhttp_set_default_content_type(http, NULL);
	evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
							   EVHTTP_REQ_PATCH | EVHTTP_REQ_OPTIONS);
	evhttp_set_gencb(http, request_handle, NULL);
	guard_install(http, socket);
	files_start();
	events_start();
	pool_start();

	event_add(evsignal_new(base, SIGTERM, stop, NULL), NULL);
	event_add(evsignal_new(base, SIGINT, stop, NULL), NULL);
	event_add(event_new(base, -1, EV_PERSIST, check_first_connection, http), &soon);
	event_base_dispatch(base);
	return pool_first_problem() > 0 ? pool_first_problem() : exit_code;
}

/*
 * The address is printed when the first request can be answered. An error of the first connection
 * ends the program.
 */
static void
check_first_connection(evutil_socket_t fd, short events, void *arg)
{
	static bool told = false;
	int			problem = pool_first_problem();

	(void) fd;
	(void) events;
	(void) arg;
	if (told || problem < 0)
		return;
	told = true;
	if (problem > 0)
	{
		exit_code = problem;
		event_base_loopbreak(base);
		return;
	}
	if (options.listen != NULL && strchr(options.listen, ':') != NULL)
		printf("http://[%s]:%d/\n", options.listen, options.port);
	else
		printf("http://%s:%d/\n", options.listen == NULL ? "localhost" : options.listen, options.port);
	if (grpc_address() != NULL)
		printf("grpc://%s\n", grpc_address());
	fflush(stdout);
}

static void
stop(evutil_socket_t signal, short events, void *arg)
{
	(void) signal;
	(void) events;
	(void) arg;
	grpc_stop(stopped);
}

static void
stopped(void)
{
	event_base_loopbreak(base);
}

/* --- options ------------------------------------------------------------------------------ */

static void
read_options(int argc, char **argv)
{
	int			c;
	bool		port_given = false;

	while ((c = getopt_long(argc, argv, "h:p:U:d:", long_options, NULL)) != -1)
		switch (c)
		{
			case 'h':
				connection_option("host", optarg);
				break;
			case 'p':
				connection_option("port", optarg);
				break;
			case 'U':
				connection_option("user", optarg);
				break;
			case 'd':
				connection_option("dbname", optarg);
				break;
			case OPT_POOL:
				options.pool = number("pool", optarg, 1, 64);
				break;
			case OPT_LISTEN:
				options.listen = optarg;
				break;
			case OPT_PORT:
				options.port = number("port", optarg, 0, 65535);
				port_given = true;
				break;
			case OPT_HOST:
				add(&options.hosts, optarg);
				break;
			case OPT_PROXY:
				options.proxy = true;
				break;
			case OPT_ROLE:
				options.role = optarg;
				break;
			case OPT_KEY:
				options.key = optarg;
				break;
			case OPT_SECRET:
				options.secret_file = optarg;
				break;
			case OPT_PUBLIC_KEY:
				options.public_key_file = optarg;
				break;
			case OPT_AUDIENCE:
				options.audience = optarg;
				break;
			case OPT_REQUIRE_TOKEN:
				options.require_token = true;
				break;
			case OPT_CORS:
				add(&options.cors, optarg);
				break;
			case OPT_WWW:
				options.www = optarg;
				break;
			case OPT_CRASH_COMMAND:
				options.crash_command = optarg;
				break;
			case OPT_USER:
				options.user = optarg;
				break;
			case OPT_MAX_CONNECTIONS:
				options.max_connections = number("max-connections", optarg, 1, 1000000);
				break;
			case OPT_MAX_PER_ADDRESS:
				options.max_per_address = number("max-per-address", optarg, 1, 1000000);
				break;
			case OPT_MAX_EVENTS:
				options.max_events = number("max-events", optarg, 0, 1000000);
				break;
			case OPT_GRPC:
				grpc_options.address = optarg;
				break;
			case OPT_HUBS:
				grpc_options.hubs = optarg;
				break;
			case OPT_QUEUE:
				grpc_options.queue = optarg;
				break;
			case OPT_TLS_CERTIFICATE:
				grpc_options.certificate = optarg;
				break;
			case OPT_TLS_KEY:
				grpc_options.key = optarg;
				break;
			case OPT_TLS_CLIENT_CA:
				grpc_options.client_ca = optarg;
				break;
			case OPT_CLEARTEXT:
				grpc_options.cleartext = true;
				break;
			case OPT_MAX_MESSAGE:
				grpc_options.max_message = number("max-message", optarg, 1, 1000);
				break;
			case OPT_DRAIN:
				grpc_options.drain = number("drain", optarg, 0, 3600);
				break;
			case OPT_HELP:
				fputs(help, stdout);
				exit(0);
			default:
				exit(EXIT_USAGE);
		}
	options.next_port = !port_given;
	if (optind < argc)
	{
		complain("too many arguments (first is \"%s\")", argv[optind]);
		exit(EXIT_USAGE);
	}
	if (options.key != NULL && strlen(options.key) < 16)
	{
		complain("the key has to have at least 16 characters");
		exit(EXIT_USAGE);
	}
	if (options.require_token && options.secret_file == NULL && options.public_key_file == NULL)
	{
		complain("--require-token needs --secret-file or --public-key");
		exit(EXIT_USAGE);
	}
	if (options.listen != NULL && !is_loopback(options.listen) && options.key == NULL && !options.require_token)
	{
		complain("other hosts can reach address %s: use --key or --require-token", options.listen);
		exit(EXIT_USAGE);
	}
	if (options.crash_command != NULL && options.listen != NULL && !is_loopback(options.listen))
	{
		complain("--crash-command is for loopback addresses only");
		exit(EXIT_USAGE);
	}
	connection_option("fallback_application_name", "durable serve");
}

static int
number(const char *option, const char *value, int least, int most)
{
	char	   *end;
	long		n = strtol(value, &end, 10);

	if (*value == '\0' || *end != '\0' || n < least || n > most)
	{
		complain("--%s needs a number from %d to %d", option, least, most);
		exit(EXIT_USAGE);
	}
	return (int) n;
}

static void
add(List *list, const char *value)
{
	if (list->n == (int) (sizeof(list->values) / sizeof(list->values[0])))
	{
		complain("an option is repeated too often");
		exit(EXIT_USAGE);
	}
	list->values[list->n++] = value;
}

static void
connection_option(const char *keyword, const char *value)
{
	int			n = 0;

	while (options.keywords[n] != NULL && strcmp(options.keywords[n], keyword) != 0)
		n++;
	options.keywords[n] = keyword;
	options.values[n] = value;
}

/* --- listening ---------------------------------------------------------------------------- */

static struct evhttp *
listen_somewhere(struct evhttp_bound_socket **socket)
{
	const char *address = options.listen != NULL ? options.listen : "127.0.0.1";
	struct evhttp *http = evhttp_new(base);
	int			tried = 0;

	do
	{
		*socket = evhttp_bind_socket_with_handle(http, address, (uint16_t) options.port);
		if (*socket != NULL)
		{
			struct sockaddr_storage bound;
			socklen_t	length = sizeof(bound);

			if (getsockname(evhttp_bound_socket_get_fd(*socket), (struct sockaddr *) &bound, &length) == 0)
				options.port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &bound)->sin6_port
									 : ((struct sockaddr_in *) &bound)->sin_port);
			return http;
		}
	} while (errno == EADDRINUSE && options.next_port && ++tried < PORTS_TRIED && options.port++ < 65535);
	complain("could not listen on %s, port %d: %s", address, options.port, strerror(errno));
	evhttp_free(http);
	return NULL;
}

static bool
is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	if (inet_pton(AF_INET6, address, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcmp(address, "localhost") == 0;
}

static void
drop_root(void)
{
	const char *name = options.user != NULL ? options.user : "nobody";
	struct passwd *user;

	if (geteuid() != 0)
		return;
	user = getpwnam(name);
	if (user == NULL || user->pw_uid == 0)
	{
		complain("cannot become user \"%s\"", name);
		exit(EXIT_USAGE);
	}
	if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0 || setuid(0) == 0)
	{
		complain("could not become user \"%s\": %s", name, strerror(errno));
		exit(EXIT_USAGE);
	}
}

/* --- for all ------------------------------------------------------------------------------- */

double
now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void *
must_alloc(size_t size)
{
	void	   *memory = calloc(1, size);

	if (memory == NULL)
	{
		complain("out of memory");
		exit(1);
	}
	return memory;
}

char *
must_copy(const char *text)
{
	char	   *copy;

	if (text == NULL)
		return NULL;
	copy = must_alloc(strlen(text) + 1);
	strcpy(copy, text);
	return copy;
}

void
complain(const char *format,...)
{
	va_list		args;

	fputs("durable serve: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
