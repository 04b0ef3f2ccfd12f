/*
 * cost.c
 *		The cost of a workflow in units that vary less than time: bytes of log, rows
 *		written, commits, and processor time of the engine's processes.
 *
 * It is measured from start() to completed, so it includes the start.  The tables' statistics
 * are reported by each process when it is idle, a second late, and by the client
 * when it is told to; they are read when they have stopped growing.  Instructions are not counted here: hardware counters
 * are missing on shared machines, and callgrind slows everything fifty times
 * (docs/performance.md tells how).
 */
#include <stdio.h>

#include "bench.h"

typedef struct Counters
{
	double		wal;
	double		rows;
	double		commits;
	double		cpu;
}			Counters;

static void measure_cost(const char *orchestration, long n);
static Counters read_counters(PGconn *conn, PGconn *admin);
static double rows_written(PGconn *admin);

void
row_cost(void)
{
	long		n = option_long("n", 20000);

	measure_cost("one_activity", n);
	measure_cost("five_activity", n);
}

static void
measure_cost(const char *orchestration, long n)
{
	char		measure[64];
	PGconn	   *conn;
	PGconn	   *admin;
	Counters	before;
	Counters	after;

	db_prepare_database("bench_cost");
	conn = db_open("bench_cost", "bench");
	admin = db_open("bench_cost", "postgres");
	run_backlog(conn, admin, orchestration, n / 10 + 1, -1);
	before = read_counters(conn, admin);
	run_backlog(conn, admin, orchestration, n, -1);
	after = read_counters(conn, admin);

	snprintf(measure, sizeof(measure), "%s_wal", orchestration);
	emit(measure, "bytes/workflow", (after.wal - before.wal) / n);
	snprintf(measure, sizeof(measure), "%s_rows", orchestration);
	emit(measure, "rows/workflow", (after.rows - before.rows) / n);
	snprintf(measure, sizeof(measure), "%s_commits", orchestration);
	emit(measure, "commits/workflow", (after.commits - before.commits) / n);
	snprintf(measure, sizeof(measure), "%s_cpu", orchestration);
	emit(measure, "us/workflow", (after.cpu - before.cpu) * 1e6 / n);
	db_close(admin);
	db_close(conn);
}

static Counters
read_counters(PGconn *conn, PGconn *admin)
{
	Counters	counters;
	double		rows;

	/* First what others may still add to: the log, and the processors' time. */
	counters.wal = db_number(admin, "SELECT pg_current_wal_insert_lsn() - '0/0'");
	counters.cpu = cpu_seconds(admin, "backend_type LIKE 'durable%'");
	db_run(conn, "SELECT pg_stat_force_next_flush()");
	rows = rows_written(admin);
	for (double quiet_since = now(); now() - quiet_since < 2.5;)
	{
		wait_seconds(0.25);
		counters.rows = rows_written(admin);
		if (counters.rows > rows)
		{
			rows = counters.rows;
			quiet_since = now();
		}
	}
	counters.commits = db_number(admin, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()");
	return counters;
}

/* Inserted, updated and deleted, in the engine's tables. */
static double
rows_written(PGconn *admin)
{
	return db_number(admin,
					 "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = 'durable'");
}
