/*
 * throughput.c
 *		Rows that run a backlog and count.
 *
 * The backlog is started in one statement of an open transaction; the clock runs
 * from the COMMIT that makes all of it visible until the last one is seen to be
 * completed.  That is what "N pre-enqueued" means here: workers are there, warm,
 * and have nothing to do until then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Whoever has finished these has finished nearly everything; the count says whether it was everything. */
#define TAIL	64

static void wait_for_tail(PGconn *conn);
static void start_backlog(PGconn *conn, const char *orchestration, long n, int input);
static long newest_key(PGconn *admin);
static long unfinished(PGconn *admin, long newest, long n);

/*
 * Runs n workflows, whose input is their number, or "input" if that is not
 * negative.  Returns the seconds it took.
 */
double
run_backlog(PGconn *conn, PGconn *admin, const char *orchestration, long n, int input)
{
	double		start;
	double		end;
	long		newest = newest_key(admin);

	db_run(conn, "TRUNCATE started");
	db_run(conn, "BEGIN");
	start_backlog(conn, orchestration, n, input);
	start = now();
	db_run(conn, "COMMIT");
	wait_for_tail(conn);
	end = now();
	while (unfinished(admin, newest, n) > 0)
	{
		end = now();
		if (end - start > option_long("timeout", 600))
			die("%ld of %ld workflows are not completed after %.0f s", unfinished(admin, newest, n), n, end - start);
		wait_seconds(0.001);
	}
	return end - start;
}

static void
start_backlog(PGconn *conn, const char *orchestration, long n, int input)
{
	if (input < 0)
		db_run(conn, "INSERT INTO started SELECT i, durable.start('%s', i) FROM generate_series(1, %ld) i",
			   orchestration, n);
	else
		db_run(conn, "INSERT INTO started SELECT i, durable.start('%s', %d) FROM generate_series(1, %ld) i",
			   orchestration, input, n);
}

/* Highest number first: the rest of the list is done or about to be when that returns. */
static void
wait_for_tail(PGconn *conn)
{
	PGresult   *result = PQexec(conn, "SELECT id FROM started ORDER BY n DESC LIMIT 64");

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) > TAIL)
		die("%s", PQerrorMessage(conn));
	for (int i = 0; i < PQntuples(result); i++)
	{
		char	   *status = db_text(conn, "SELECT runtime_status FROM durable.wait('%s', '%ld s')",
									 PQgetvalue(result, i, 0), option_long("timeout", 600));

		if (status == NULL || strcmp(status, "Completed") != 0)
			die("workflow %s is %s", PQgetvalue(result, i, 0), status ? status : "not there");
		free(status);
	}
	PQclear(result);
}

static long
newest_key(PGconn *admin)
{
	return (long) db_number(admin, "SELECT max(key) FROM durable.instance");
}

/*
 * Of the n that were started after the one with the newest key.  Counted by the
 * superuser in the table itself and by its key, so that it takes no longer among
 * many that have finished before.
 */
static long
unfinished(PGconn *admin, long newest, long n)
{
	return n - (long) db_number(admin,
								"SELECT count(*) FROM durable.instance WHERE key > %ld AND status = 'C'", newest);
}

/* One row: warm-up, then the measurement. */
void
row_throughput(const char *orchestration, long usual)
{
	long		n = option_long("n", usual);
	char		database[64];
	PGconn	   *conn;
	PGconn	   *admin;
	double		start;

	snprintf(database, sizeof(database), "bench_%s", orchestration);
	db_prepare_database(database);
	conn = db_open(database, "bench");
	admin = db_open(database, "postgres");

	run_backlog(conn, admin, orchestration, n / 10 + 1, -1);
	start = now();
	emit("throughput", "workflows/s", n / run_backlog(conn, admin, orchestration, n, -1));
	note("%ld workflows, %.1f s with starting them", n, now() - start);
	db_close(admin);
	db_close(conn);
}

void
row_one_activity(void)
{
	row_throughput("one_activity", 40000);
}

void
row_five_activity(void)
{
	row_throughput("five_activity", 40000);
}

void
row_insert_activity(void)
{
	row_throughput("insert_activity", 40000);
}

void
row_own_transaction(void)
{
	row_throughput("own_transaction", 3000);
}

/* A number of workflows that each schedule 1,000 activities and wait for all of them. */
void
row_fan_out(void)
{
	long		n = option_long("n", 20);
	long		width = option_long("width", 1000);
	PGconn	   *conn;
	PGconn	   *admin;

	db_prepare_database("bench_fan_out");
	conn = db_open("bench_fan_out", "bench");
	admin = db_open("bench_fan_out", "postgres");
	run_backlog(conn, admin, "fan_out", 2, (int) width);
	emit("throughput", "activities/s", n * width / run_backlog(conn, admin, "fan_out", n, (int) width));
	db_close(admin);
	db_close(conn);
}

/*
 * One instance with so many steps; what matters is how the cost of a step grows.
 * One that does not end in time is said, and the longer ones are left out.
 */
void
row_steps(void)
{
	static const long lengths[] = {100, 1000, 5000, 10000};
	long		limit = option_long("timeout", 120);
	PGconn	   *conn;
	double		at_100 = 0;

	db_prepare_database("bench_steps");
	conn = db_open("bench_steps", "bench");
	for (int warm = 0; warm < 2; warm++)
		for (int i = 0; i < (warm ? 4 : 1); i++)
		{
			char		measure[64];
			double		start;
			double		ms;
			int			repeat = warm && lengths[i] == 100 ? 10 : 1;
			char	   *status = NULL;

			start = now();
			for (int j = 0; j < repeat; j++)
			{
				char	   *id = db_text(conn, "SELECT durable.start('steps', %ld)", lengths[i]);

				free(status);
				status = db_text(conn, "SELECT runtime_status FROM durable.wait('%s', '%ld s')", id, limit);
				if (strcmp(status, "Completed") != 0)
					db_run(conn, "SELECT durable.terminate('%s')", id);
				free(id);
			}
			ms = (now() - start) * 1000 / repeat / lengths[i];
			if (!warm)
			{
				free(status);
				continue;
			}
			if (strcmp(status, "Completed") != 0)
			{
				note("%ld steps: %s after %ld s", lengths[i], status, limit);
				free(status);
				break;
			}
			free(status);
			snprintf(measure, sizeof(measure), "step_at_%ld", lengths[i]);
			emit(measure, "ms", ms);
			if (i == 0)
				at_100 = ms;
			else
			{
				snprintf(measure, sizeof(measure), "step_at_%ld_to_100", lengths[i]);
				emit(measure, "ratio", ms / at_100);
			}
		}
	db_close(conn);
}

/*
 * durable.start() commit by commit, from one client, beside single-row inserts by
 * the same client: in turns of a fifth of a second, with the engine paused so
 * that only starting is measured; then once more with workers running what is
 * started, on the same cores.
 */
void
row_start_single(void)
{
	PGconn	   *conn;
	PGconn	   *admin;
	long		starts = 0;
	double		start_time = 0;
	double		commits = 0;
	int			turns = 0;

	db_prepare_database("bench_start_single");
	conn = db_open("bench_start_single", "bench");
	admin = db_open("bench_start_single", "postgres");
	db_prepare(conn, "start", "SELECT durable.start('one_activity', $1::int)");
	db_run(admin, "SELECT durable.pause()");
	wait_seconds(0.5);
	for (double begin = now(); now() - begin < option_long("seconds", 4); turns++)
	{
		double		from = now();

		while (now() - from < 0.2)
		{
			free(db_execute(conn, "start", "1"));
			starts += turns > 0;
		}
		if (turns == 0)
			continue;			/* warm-up */
		start_time += now() - from;
		commits += measure_commits(conn, 0.2);
	}
	emit("single", "starts/s", starts / start_time);
	emit("plain_commits", "1/s", commits / (turns - 1));
	emit("single_to_commit", "ratio", starts / start_time / (commits / (turns - 1)));
	db_run(admin, "SELECT durable.unpause()");

	starts = 0;
	start_time = now();
	while (now() - start_time < 2)
	{
		free(db_execute(conn, "start", "1"));
		starts++;
	}
	emit("single_while_running", "starts/s", starts / (now() - start_time));
	while (db_number(admin, "SELECT count(*) FROM durable.instance WHERE status <> 'C'") > 0)
		wait_seconds(0.05);
	db_close(admin);
	db_close(conn);
}

/* All in one INSERT ... SELECT, with its commit. */
void
row_start_batch(void)
{
	long		n = option_long("n", 100000);
	PGconn	   *conn;
	PGconn	   *admin;

	db_prepare_database("bench_start_batch");
	conn = db_open("bench_start_batch", "bench");
	admin = db_open("bench_start_batch", "postgres");
	for (int warm = 0; warm < 2; warm++)
	{
		double		start;
		long		newest = newest_key(admin);

		db_run(admin, "SELECT durable.pause()");
		db_run(conn, "TRUNCATE started");
		wait_seconds(0.3);
		start = now();
		start_backlog(conn, "one_activity", warm ? n : n / 10, -1);
		if (warm)
			emit("batch", "starts/s", n / (now() - start));
		db_run(admin, "SELECT durable.unpause()");
		while (unfinished(admin, newest, warm ? n : n / 10) > 0)
			wait_seconds(0.05);
	}
	db_close(admin);
	db_close(conn);
}

/* The same backlog with 1, 2, 4 and 8 workers allowed: more than there are processors must not cost. */
void
row_workers(void)
{
	static const int counts[] = {1, 2, 4, 8};
	long		n = option_long("n", 40000);
	PGconn	   *conn;
	PGconn	   *admin;

	db_prepare_database("bench_workers");
	conn = db_open("bench_workers", "bench");
	admin = db_open("bench_workers", "postgres");
	for (int i = 0; i < 4; i++)
	{
		char		text[16];
		char		measure[64];

		snprintf(text, sizeof(text), "%d", counts[i]);
		db_set("durable.max_workers", text);
		run_backlog(conn, admin, "one_activity", n / 4, -1);
		snprintf(measure, sizeof(measure), "with_%d", counts[i]);
		emit(measure, "workflows/s", n / run_backlog(conn, admin, "one_activity", n, -1));
	}
	db_set("durable.max_workers", NULL);
	db_close(admin);
	db_close(conn);
}
