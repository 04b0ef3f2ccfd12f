/*
 * grpc.c
 *		The row about "durable serve --grpc": turns of a worker that costs next to
 *		nothing (grpc_client.c).
 *
 * The instances are started before the worker connects; the clock runs from then on
 * until the last orchestration is completed.
 *
 *	durable=...		the program that is the gateway
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "grpc_client.h"

#define DATABASE	"bench_grpc_turns"

typedef struct Gateway
{
	pid_t		pid;
	int			port;
}			Gateway;

static Gateway start_gateway(void);
static void stop_gateway(Gateway *gateway);
static void measure(Gateway *gateway, PGconn *admin, const char *name, const char *activity, int activities, long n);
static void measure_latency_of(Gateway *gateway, const char *prefix, const char *name, const char *activity, int activities);
static void measure_idle(Gateway *gateway, PGconn *admin);
static double commits(PGconn *admin);
static void emit_part(const char *name, const char *part, const char *unit, double value);

void
row_grpc_turns(void)
{
	long		n = option_long("n", 10000);
	Gateway		gateway;
	PGconn	   *admin;

	db_prepare_database(DATABASE);
	admin = db_open(DATABASE, "postgres");
	db_run(admin, "SELECT durable.grant_http('bench'), durable.register_orchestration('InSql', 'one_activity(int)')");
	gateway = start_gateway();
	measure(&gateway, admin, NULL, "bump", 2, n / 10 + 1);
	measure(&gateway, admin, "no_activity", "bump", 0, n);
	measure(&gateway, admin, "sql", "bump", 2, n / 2);
	measure(&gateway, admin, "remote", "remote", 2, n / 2);
	measure_latency_of(&gateway, "engine", "InSql", "bump", 0);
	measure_latency_of(&gateway, "sql", "Load", "bump", 1);
	measure_latency_of(&gateway, "remote", "Load", "remote", 1);
	measure_idle(&gateway, admin);
	stop_gateway(&gateway);
	db_close(admin);
}

/* name: prefix of the measures; NULL to warm up. */
static void
measure(Gateway *gateway, PGconn *admin, const char *name, const char *activity, int activities, long n)
{
	GrpcClient *client = grpc_open(gateway->port);
	GrpcCounts	counts;
	long		newest = (long) db_number(admin, "SELECT max(key) FROM durable.instance");
	double		timeout = option_long("timeout", 300);
	double		start = now();
	double		seconds;
	double		server;
	double		gateway_cpu;
	double		client_cpu;
	double		ncommits;

	grpc_start(client, "Load", n);
	seconds = now() - start;
	if (name != NULL && activities == 0)
		emit("starts", "starts/s", n / seconds);
	grpc_close(client);

	client = grpc_open(gateway->port);
	ncommits = commits(admin);
	server = cpu_seconds(admin, "true");
	gateway_cpu = cpu_seconds_of(gateway->pid);
	client_cpu = cpu_seconds_of(getpid());
	start = now();
	grpc_take_work(client, activity, activities, &counts);
	grpc_work(client, n, timeout);
	/* The last answers are applied after they were acknowledged. */
	while (db_number(admin, "SELECT count(*) FROM durable.instance WHERE key > %ld AND status = 'C'", newest) < n)
	{
		if (now() - start > timeout)
			die("some orchestrations are not completed");
		wait_seconds(0.001);
	}
	seconds = now() - start;
	grpc_close(client);
	if (name == NULL)
		return;
	emit_part(name, "turns", "turns/s", counts.turns / seconds);
	if (activities > 0)
		emit_part(name, "workflows", "workflows/s", n / seconds);
	emit_part(name, "server_cpu", "us/turn", (cpu_seconds(admin, "true") - server) * 1e6 / counts.turns);
	emit_part(name, "gateway_cpu", "us/turn", (cpu_seconds_of(gateway->pid) - gateway_cpu) * 1e6 / counts.turns);
	emit_part(name, "client_cpu", "us/turn", (cpu_seconds_of(getpid()) - client_cpu) * 1e6 / counts.turns);
	emit_part(name, "commits", "commits/turn", (commits(admin) - ncommits) / counts.turns);
}

/*
 * From the call of StartInstance to the answer of WaitForInstanceCompletion, one orchestration at a time, beside
 * plain commits.
 */
static void
measure_latency_of(Gateway *gateway, const char *prefix, const char *name, const char *activity, int activities)
{
	GrpcClient *client = grpc_open(gateway->port);
	PGconn	   *conn = db_open(DATABASE, "bench");
	GrpcCounts	counts;
	Sample		round_trips = {0};
	Sample		plain = {0};
	double		timeout = option_long("timeout", 300);

	db_prepare(conn, "plain", "INSERT INTO plain VALUES ($1)");
	grpc_take_work(client, activity, activities, &counts);
	for (long i = -20; i < option_long("latency_n", 200); i++)
	{
		double		took = grpc_round_trip(client, name, timeout);
		double		start;

		wait_seconds(0.003);
		start = now();
		free(db_execute(conn, "plain", "1"));
		if (i >= 0)
		{
			sample_add(&round_trips, took * 1000);
			sample_add(&plain, (now() - start) * 1000);
		}
	}
	emit_part(prefix, "p50", "ms", sample_at(&round_trips, 0.5));
	emit_part(prefix, "p99", "ms", sample_at(&round_trips, 0.99));
	emit_part(prefix, "commit_p50", "ms", sample_at(&plain, 0.5));
	emit_part(prefix, "to_commit", "ratio", sample_at(&round_trips, 0.5) / sample_at(&plain, 0.5));
	sample_free(&round_trips);
	sample_free(&plain);
	db_close(conn);
	grpc_close(client);
}

/* What a hundred workers cost that have nothing to do: the gateway, and its sessions. */
static void
measure_idle(Gateway *gateway, PGconn *admin)
{
	GrpcClient *clients[100];
	GrpcCounts	counts;
	double		seconds = 10;
	double		cpu;
	double		sessions;

	for (int i = 0; i < 100; i++)
	{
		clients[i] = grpc_open(gateway->port);
		grpc_take_work(clients[i], "bump", 0, &counts);
	}
	wait_seconds(2);
	cpu = cpu_seconds_of(gateway->pid);
	sessions = cpu_seconds(admin, "usename = 'bench' AND backend_type = 'client backend'");
	wait_seconds(seconds);
	emit("idle_gateway_cpu", "%", (cpu_seconds_of(gateway->pid) - cpu) * 100 / seconds);
	emit("idle_sessions_cpu", "%", (cpu_seconds(admin, "usename = 'bench' AND backend_type = 'client backend'") - sessions) * 100 / seconds);
	for (int i = 0; i < 100; i++)
		grpc_close(clients[i]);
}

/* Processes that are idle report theirs within a second. */
static double
commits(PGconn *admin)
{
	wait_seconds(1.5);
	return db_number(admin, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()");
}

static void
emit_part(const char *name, const char *part, const char *unit, double value)
{
	char		text[64];

	snprintf(text, sizeof(text), "%s_%s", name, part);
	emit(text, unit, value);
}

/* The gateway says on its standard output which port it has got. */
static Gateway
start_gateway(void)
{
	Gateway		gateway;
	int			ends[2];
	char		conninfo[1024];
	char		line[256];
	FILE	   *output;

	snprintf(conninfo, sizeof(conninfo), "%s dbname=%s user=bench", option_text("conninfo", ""), DATABASE);
	if (pipe(ends) < 0 || (gateway.pid = fork()) < 0)
		die("could not start the gateway");
	if (gateway.pid == 0)
	{
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		prctl(PR_SET_PDEATHSIG, SIGTERM);	/* if the driver dies */
		execl(option_text("durable", "durable"), "durable", "serve", "-d", conninfo, "--role", "bench", "--port", "0",
			  "--grpc", "127.0.0.1:0", (char *) NULL);
		die("could not execute %s", option_text("durable", "durable"));
	}
	close(ends[1]);
	output = fdopen(ends[0], "r");
	gateway.port = 0;
	while (gateway.port == 0 && fgets(line, sizeof(line), output) != NULL)
		if (strncmp(line, "grpc://", 7) == 0 && strrchr(line, ':') != NULL)
			gateway.port = atoi(strrchr(line, ':') + 1);
	if (gateway.port == 0)
		die("the gateway has not started");
	return gateway;
}

static void
stop_gateway(Gateway *gateway)
{
	kill(gateway->pid, SIGTERM);
	waitpid(gateway->pid, NULL, 0);
}
