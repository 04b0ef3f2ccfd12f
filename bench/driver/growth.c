/*
 * growth.c
 *		Rows about growth: sleeping instances, finished instances, dead rows, memory.
 *		Each has a short form and, with full=1, a long one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define TABLES_SIZE \
	"SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c " \
	"WHERE relnamespace = 'durable'::regnamespace AND relkind = 'r'"

static double idle_cpu(PGconn *admin, double seconds);
static double capacity(PGconn *conn, PGconn *admin, long n);
static void send_workers_away(PGconn *admin);

/*
 * Instances that sleep for a month: their size on disk, the processor time of the engine
 * while no timer is due, and the latency of other workflows beside them.
 */
void
row_sleepers(void)
{
	long		n = option_long("n", option_long("full", 0) ? 1000000 : 100000);
	PGconn	   *conn;
	PGconn	   *admin;
	PGconn	   *empty;
	double		before;
	double		start;

	db_prepare_database("bench_latency");
	db_prepare_database("bench_sleepers");
	conn = db_open("bench_sleepers", "bench");
	admin = db_open("bench_sleepers", "postgres");
	if (db_number(admin, "SELECT count(*) FROM durable.timer") == 0)
	{
		before = db_number(admin, TABLES_SIZE);
		start = now();
		for (long done = 0; done < n; done += 20000)
			db_run(conn, "SELECT count(durable.start('sleeper', i)) FROM generate_series(1, %ld) i",
				   n - done < 20000 ? n - done : 20000);
		while (db_number(admin, "SELECT count(*) FROM durable.timer") < n)
			wait_seconds(0.2);
		emit("put_to_sleep", "instances/s", n / (now() - start));
		db_run(admin, "VACUUM ANALYZE durable.instance, durable.history, durable.inbox, durable.timer");
		db_run(admin, "CHECKPOINT");	/* what putting them to bed left to be written is not for others */
		emit("bytes", "bytes/instance", (db_number(admin, TABLES_SIZE) - before) / n);
	}
	emit("instances", "instances", db_number(admin, "SELECT count(*) FROM durable.timer"));
	wait_seconds(12);			/* idle workers have left, checkpoints aside nothing goes on */
	emit("idle_cpu", "% of a core", idle_cpu(admin, 20) * 100);

	/* One after the other: how quick commits are varies more than what is measured. */
	empty = db_open("bench_latency", "bench");
	measure_latency(empty, 300, "empty_");
	db_close(empty);
	measure_latency(conn, 300, "beside_");
	db_close(admin);
	db_close(conn);
}

/* Of all of the engine's processes, the launcher included. */
static double
idle_cpu(PGconn *admin, double seconds)
{
	double		before = cpu_seconds(admin, "backend_type LIKE 'durable%'");

	wait_seconds(seconds);
	return (cpu_seconds(admin, "backend_type LIKE 'durable%'") - before) / seconds;
}

static double
capacity(PGconn *conn, PGconn *admin, long n)
{
	return n / run_backlog(conn, admin, "one_activity", n, -1);
}

/*
 * Idle workers stay for a while, and durable.max_workers counts those of all
 * databases: the database that was measured before would leave few to this one.
 */
static void
send_workers_away(PGconn *admin)
{
	db_run(admin, "SELECT durable.pause()");
	while (db_number(admin, "SELECT count(*) FROM durable.workers") > 0)
		wait_seconds(0.01);
}

/* Throughput in a database full of finished instances, beside that in one without. */
void
row_finished(void)
{
	long		wanted = option_long("finished", option_long("full", 0) ? 10000000 : 300000);
	long		n = option_long("n", 200000);
	PGconn	   *conn;
	PGconn	   *admin;
	PGconn	   *empty;
	PGconn	   *empty_admin;
	Sample		full = {0};
	Sample		fresh = {0};
	long		there;

	db_prepare_database("bench_finished");
	conn = db_open("bench_finished", "bench");
	admin = db_open("bench_finished", "postgres");
	there = (long) db_number(admin, "SELECT reltuples FROM pg_class WHERE oid = 'durable.instance'::regclass");
	if (there < wanted)
	{
		for (there = 0; there < wanted; there += 100000)
			run_backlog(conn, admin, "one_activity", 100000, -1);
		db_run(admin, "VACUUM ANALYZE durable.instance, durable.history, durable.inbox");
	}
	emit("instances", "instances", db_number(admin, "SELECT count(*) FROM durable.instance"));

	/* In turns: the machine's speed must not look like an effect. */
	for (int i = 0; i < 3; i++)
	{
		PGconn	   *postgres = db_open("postgres", "postgres");

		send_workers_away(admin);
		db_run(postgres, "DROP DATABASE IF EXISTS bench_empty WITH (FORCE)");
		db_close(postgres);
		db_prepare_database("bench_empty");
		empty = db_open("bench_empty", "bench");
		empty_admin = db_open("bench_empty", "postgres");
		run_backlog(empty, empty_admin, "one_activity", n / 10, -1);
		sample_add(&fresh, capacity(empty, empty_admin, n));
		send_workers_away(empty_admin);
		db_run(admin, "SELECT durable.unpause()");
		db_close(empty);
		db_close(empty_admin);

		run_backlog(conn, admin, "one_activity", n / 10, -1);
		sample_add(&full, capacity(conn, admin, n));
	}
	emit("empty", "workflows/s", sample_at(&fresh, 0.5));
	emit("full", "workflows/s", sample_at(&full, 0.5));
	emit("full_to_empty", "ratio", sample_at(&full, 0.5) / sample_at(&fresh, 0.5));
	db_close(admin);
	db_close(conn);
}

/*
 * Somebody leaves a transaction open, with a snapshot and a transaction id, so
 * that nothing dead can be cleaned up, while 500 workflows a second go on.  What
 * could be run at most is measured before, at the end of it, and after it.
 * at_once: workflows that are run before that as fast as they can be, 1,800,000 for
 * the remains of an hour without the hour (seconds=3600 is the hour itself).
 */
void
row_open_transaction(void)
{
	double		seconds = option_long("seconds", option_long("full", 0) ? 300 : 30);
	long		n = option_long("n", 20000);
	long		at_once = option_long("at_once", 0);
	PGconn	   *conn;
	PGconn	   *admin;
	PGconn	   *sleeper;
	Sample		before = {0};
	Sample		during = {0};
	double		start;
	double		recovered;
	long		sent = 0;

	db_prepare_database("bench_open_transaction");
	conn = db_open("bench_open_transaction", "bench");
	admin = db_open("bench_open_transaction", "postgres");
	sleeper = db_open("bench_open_transaction", "bench");
	for (int i = 0; i < 4; i++)
	{
		double		rate = capacity(conn, admin, n);

		if (i > 0)
			sample_add(&before, rate);
	}
	emit("before", "workflows/s", sample_at(&before, 0.5));

	db_run(sleeper, "BEGIN ISOLATION LEVEL REPEATABLE READ");
	db_run(sleeper, "INSERT INTO plain VALUES (1)");
	for (long done = 0; done < at_once; done += 100000)
		run_backlog(conn, admin, "one_activity", at_once - done < 100000 ? at_once - done : 100000, -1);
	start = now();
	while (now() - start < seconds)
	{
		/* 50 every tenth of a second, one commit each time. */
		db_run(conn, "SELECT count(durable.start('one_activity', i)) FROM generate_series(1, 50) i");
		sent += 50;
		if (start + sent / 500.0 > now())
			wait_seconds(start + sent / 500.0 - now());
	}
	emit("load", "workflows/s", sent / (now() - start));
	for (int i = 0; i < 3; i++)
		sample_add(&during, capacity(conn, admin, n));
	emit("during", "workflows/s", sample_at(&during, 0.5));
	emit("during_to_before", "ratio", sample_at(&during, 0.5) / sample_at(&before, 0.5));

	db_run(sleeper, "ROLLBACK");
	start = now();
	recovered = -1;
	while (now() - start < 120)
	{
		if (capacity(conn, admin, n) >= 0.9 * sample_at(&before, 0.5))
		{
			recovered = now() - start;
			break;
		}
		wait_seconds(2);
	}
	if (recovered < 0)
		note("throughput had not come back to 90 %% after two minutes");
	else
		emit("recovered_after", "s", recovered);
	db_close(sleeper);
	db_close(admin);
	db_close(conn);
}

/* One worker, which is not replaced, runs and runs; what it keeps for itself must not grow. */
void
row_worker_memory(void)
{
	long		turns = option_long("turns", option_long("full", 0) ? 1000000 : 200000);
	long		chunk = 20000;
	PGconn	   *conn;
	PGconn	   *admin;
	double		first;
	double		last;
	double		counted;
	int			pid;

	db_prepare_database("bench_worker_memory");
	conn = db_open("bench_worker_memory", "bench");
	admin = db_open("bench_worker_memory", "postgres");
	db_set("durable.max_workers", "1");
	db_set("durable.worker_max_units", "2000000000");
	db_set("durable.worker_idle_timeout", "600s");
	run_backlog(conn, admin, "one_activity", chunk, -1);
	pid = (int) db_number(admin, "SELECT pid FROM durable.workers");
	first = anonymous_kb(pid);
	while ((counted = db_number(admin, "SELECT turns FROM durable.workers WHERE pid = %d", pid)) < turns)
	{
		if (counted == 0)
			die("the worker was replaced");
		run_backlog(conn, admin, "one_activity", chunk, -1);
	}
	last = anonymous_kb(pid);
	emit("turns", "turns", counted);
	emit("memory_first", "kB", first);
	emit("memory_last", "kB", last);
	emit("growth", "bytes/turn", (last - first) * 1024 / counted);
	db_set("durable.max_workers", NULL);
	db_set("durable.worker_max_units", NULL);
	db_set("durable.worker_idle_timeout", NULL);
	db_close(admin);
	db_close(conn);
}
