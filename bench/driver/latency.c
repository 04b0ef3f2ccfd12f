/*
 * latency.c
 *		Rows about the time for which a client waits for one workflow.
 *
 * One client runs one workflow at a time, with pauses of a few milliseconds in which all
 * processes go to sleep.  Each time is measured together with that of two single-row commits
 * on the same connection, which are the minimum: one to start, one to complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static void measure_two_commits(PGconn *conn, Sample *commits, bool counts);
static void emit_beside_commits(const char *prefix, Sample *workflow, Sample *commits);
static void emit_percentiles(const char *prefix, Sample *sample);
static void check_completed(const char *status);

void
row_latency_start(void)
{
	PGconn	   *conn;

	db_prepare_database("bench_latency");
	conn = db_open("bench_latency", "bench");
	measure_latency(conn, option_long("n", 500), "");
	db_close(conn);
}

/* start() to completed as durable.wait sees it; the names of the measures begin with prefix. */
void
measure_latency(PGconn *conn, long n, const char *prefix)
{
	Sample		workflow = {0};
	Sample		commits = {0};

	db_prepare(conn, "start", "SELECT durable.start('one_activity', $1::int)");
	db_prepare(conn, "wait", "SELECT runtime_status FROM durable.wait($1)");
	db_prepare(conn, "plain", "INSERT INTO plain VALUES ($1)");
	for (long i = -20; i < n; i++)	/* the first ones are warm-up */
	{
		double		start = now();
		char	   *id = db_execute(conn, "start", "1");
		char	   *status = db_execute(conn, "wait", id);

		if (i >= 0)
			sample_add(&workflow, (now() - start) * 1000);
		check_completed(status);
		free(status);
		free(id);
		measure_two_commits(conn, &commits, i >= 0);
	}
	emit_beside_commits(prefix, &workflow, &commits);
	db_run(conn, "DEALLOCATE ALL");
}

/* raise_event() to completed, of instances that have been waiting for the event. */
void
row_latency_event(void)
{
	long		n = option_long("n", 300);
	Sample		workflow = {0};
	Sample		commits = {0};
	PGconn	   *conn;
	PGresult   *ids;

	db_prepare_database("bench_latency");
	conn = db_open("bench_latency", "bench");
	db_run(conn, "TRUNCATE started");
	db_run(conn, "INSERT INTO started SELECT i, durable.start('wait_for_event', i) FROM generate_series(1, %ld) i", n + 20);
	while (db_number(conn, "SELECT count(*) FROM durable.waiting WHERE kind = 'event' AND name = 'public.wait_for_event'") < n + 20)
		wait_seconds(0.05);

	db_prepare(conn, "raise", "SELECT durable.raise_event($1, 'go', 1)");
	db_prepare(conn, "wait", "SELECT runtime_status FROM durable.wait($1)");
	db_prepare(conn, "plain", "INSERT INTO plain VALUES ($1)");
	ids = PQexec(conn, "SELECT id FROM started");
	if (PQresultStatus(ids) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(conn));
	for (int i = 0; i < PQntuples(ids); i++)
	{
		const char *id = PQgetvalue(ids, i, 0);
		double		start = now();
		char	   *status;

		free(db_execute(conn, "raise", id));
		status = db_execute(conn, "wait", id);
		if (i >= 20)
			sample_add(&workflow, (now() - start) * 1000);
		check_completed(status);
		free(status);
		measure_two_commits(conn, &commits, i >= 20);
	}
	PQclear(ids);
	emit_beside_commits("", &workflow, &commits);
	db_close(conn);
}

/* Everybody is asleep before and after. */
static void
measure_two_commits(PGconn *conn, Sample *commits, bool counts)
{
	double		start;

	wait_seconds(0.003);
	start = now();
	free(db_execute(conn, "plain", "1"));
	free(db_execute(conn, "plain", "1"));
	if (counts)
		sample_add(commits, (now() - start) * 1000);
	wait_seconds(0.001);
}

/* Both samples are gone afterwards. */
static void
emit_beside_commits(const char *prefix, Sample *workflow, Sample *commits)
{
	char		measure[64];

	emit_percentiles(prefix, workflow);
	snprintf(measure, sizeof(measure), "%stwo_commits_p50", prefix);
	emit(measure, "ms", sample_at(commits, 0.5));
	snprintf(measure, sizeof(measure), "%stwo_commits_p99", prefix);
	emit(measure, "ms", sample_at(commits, 0.99));
	snprintf(measure, sizeof(measure), "%sto_two_commits", prefix);
	emit(measure, "ratio", sample_at(workflow, 0.5) / sample_at(commits, 0.5));
	sample_free(workflow);
	sample_free(commits);
}

/* The same beside another owner whose backlog keeps all workers busy. */
void
row_latency_beside_load(void)
{
	long		n = option_long("n", 300);
	PGconn	   *conn;
	PGconn	   *other;
	PGconn	   *admin;
	long		backlog;

	db_prepare_database("bench_beside_load");
	conn = db_open("bench_beside_load", "bench");
	other = db_open("bench_beside_load", "bench_other");
	admin = db_open("bench_beside_load", "postgres");

	/* As much as could possibly be run while we measure. */
	db_run(other, "SELECT count(durable.start('five_activity', i)) FROM generate_series(1, %ld) i",
		   option_long("backlog", 200000));
	wait_seconds(1);
	measure_latency(conn, n, "");
	backlog = (long) db_number(admin, "SELECT count(*) FROM durable.instance WHERE status <> 'C'");
	if (backlog == 0)
		note("the other owner's backlog ended too soon: part of this was measured without load");
	emit("backlog_left", "workflows", backlog);
	db_close(other);
	db_close(conn);
	db_run(admin, "SELECT durable.pause()");
	db_close(admin);

	/* The rest of the backlog is nobody's business. */
	admin = db_open("postgres", "postgres");
	db_run(admin, "DROP DATABASE bench_beside_load WITH (FORCE)");
	db_close(admin);
}

/*
 * The same beside sleeping instances, as peers are measured.  The row "sleepers"
 * measures more of them, and what they take.
 */
void
row_latency_beside_sleepers(void)
{
	long		n = option_long("sleepers", 100000);
	PGconn	   *conn;
	PGconn	   *admin;

	db_prepare_database("bench_beside_sleepers");
	conn = db_open("bench_beside_sleepers", "bench");
	admin = db_open("bench_beside_sleepers", "postgres");
	if (db_number(admin, "SELECT count(*) FROM durable.instance") < n)
		for (long done = 0; done < n; done += 20000)
			db_run(conn, "SELECT count(durable.start('sleeper', i)) FROM generate_series(1, %ld) i",
				   n - done < 20000 ? n - done : 20000);
	while (db_number(admin, "SELECT count(*) FROM durable.instance WHERE status = 'P'") > 0)
		wait_seconds(0.2);
	db_run(admin, "VACUUM ANALYZE");
	measure_latency(conn, option_long("n", 300), "beside_");
	db_close(admin);
	db_close(conn);
}

static void
emit_percentiles(const char *prefix, Sample *sample)
{
	static const struct
	{
		const char *name;
		double		fraction;
	}			points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};

	for (int i = 0; i < 3; i++)
	{
		char		measure[64];

		snprintf(measure, sizeof(measure), "%s%s", prefix, points[i].name);
		emit(measure, "ms", sample_at(sample, points[i].fraction));
	}
}

static void
check_completed(const char *status)
{
	if (status == NULL || strcmp(status, "Completed") != 0)
		die("a workflow is %s", status ? status : "not there");
}
