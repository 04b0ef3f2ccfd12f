/*
 * entities.c
 *		Rows about entities: signals, calls of orchestrations, critical sections.
 *
 * As in throughput.c, all messages are sent in one transaction.  The time is measured from
 * its COMMIT until all work is done.
 */
#include "bench.h"

/* So many different entities. */
#define ENTITIES	10000

static double signals(PGconn *conn, PGconn *admin, long n, long entities);
static void commits_a_call(PGconn *conn, PGconn *admin, long n);

void
row_entity_signals(void)
{
	long		n = option_long("n", 100000);
	PGconn	   *conn;
	PGconn	   *admin;

	db_prepare_database("bench_entity_signals");
	conn = db_open("bench_entity_signals", "bench");
	admin = db_open("bench_entity_signals", "postgres");
	(void) signals(conn, admin, n / 10, ENTITIES);
	emit("to_one", "signals/s", n / signals(conn, admin, n, 1));
	emit("to_many", "signals/s", n / signals(conn, admin, n, ENTITIES));
	if (db_number(admin, "SELECT sum(state::int) FROM durable.entities") != n / 10 + 2 * n)
		die("signals were lost, or applied twice");
	db_close(admin);
	db_close(conn);
}

static double
signals(PGconn *conn, PGconn *admin, long n, long entities)
{
	double		start;

	db_run(conn, "BEGIN");
	db_run(conn, "SELECT count(durable.signal_entity('counter', (i %% %ld)::text, 'add', 1)) FROM generate_series(1, %ld) i",
		   entities, n);
	start = now();
	db_run(conn, "COMMIT");
	while (db_number(admin, "SELECT count(*) FROM (SELECT FROM durable.inbox LIMIT 1) m") > 0)
	{
		if (now() - start > option_long("timeout", 600))
			die("signals are left after %.0f s", now() - start);
		wait_seconds(0.001);
	}
	return now() - start;
}

void
row_entity_calls(void)
{
	long		n = option_long("n", 20000);
	PGconn	   *conn;
	PGconn	   *admin;

	db_prepare_database("bench_entity_calls");
	conn = db_open("bench_entity_calls", "bench");
	admin = db_open("bench_entity_calls", "postgres");
	(void) run_backlog(conn, admin, "five_calls", n / 10 + 1, -1);
	(void) run_backlog(conn, admin, "two_entity_section", n / 10 + 1, -1);
	emit("calls", "calls/s", 5 * n / run_backlog(conn, admin, "five_calls", n, -1));
	emit("sections", "sections/s", n / run_backlog(conn, admin, "two_entity_section", n, -1));
	commits_a_call(conn, admin, n / 10);
	db_close(admin);
	db_close(conn);
}

/* Of the whole database, with those of the client: a call needs none of its own. */
static void
commits_a_call(PGconn *conn, PGconn *admin, long n)
{
	static const char commits[] = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
	double		before;

	wait_seconds(1.5);			/* the counters are reported late */
	before = db_number(admin, commits);
	(void) run_backlog(conn, admin, "five_calls", n, -1);
	wait_seconds(1.5);
	emit("commits_a_call", "commits", (db_number(admin, commits) - before) / (5 * n));
}
