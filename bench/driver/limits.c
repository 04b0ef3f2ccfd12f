/*
 * limits.c
 *		What the machine and PostgreSQL can do at all, measured in the same round
 *		as what is compared with it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define BLOCK		8192
#define FILE_BLOCKS	2048			/* 16 MB, as a WAL segment */

static void fsync_latency(void);
static void bulk_insert(PGconn *conn);
static void function_calls(PGconn *conn);

void
row_limits(void)
{
	PGconn	   *conn;
	double		commits;

	db_prepare_database("bench_limits");
	conn = db_open("bench_limits", "bench");
	fsync_latency();
	commits = measure_commits(conn, 2);
	emit("commits", "1/s", commits);
	bulk_insert(conn);
	function_calls(conn);
	db_close(conn);
}

/* Commits a second of one client that inserts a row in each; reaches what fsync allows, and no more. */
double
measure_commits(PGconn *conn, double seconds)
{
	double		start = now();
	long		n = 0;

	db_prepare(conn, "limit_commit", "INSERT INTO plain VALUES ($1)");
	while (now() - start < seconds)
	{
		free(db_execute(conn, "limit_commit", "1"));
		n++;
	}
	seconds = now() - start;
	db_run(conn, "DEALLOCATE limit_commit");
	return n / seconds;
}

/* As the server writes its log: block after block into a file that has its size already. */
static void
fsync_latency(void)
{
	const char *data = option_text("data", NULL);
	char		path[1024];
	char		block[BLOCK];
	Sample		sample = {0};
	double		start;
	int			file;

	if (data == NULL)
		return;
	snprintf(path, sizeof(path), "%s/bench_fsync", data);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0)
		die("could not create \"%s\"", path);
	memset(block, 1, sizeof(block));
	for (int i = 0; i < FILE_BLOCKS; i++)
		if (write(file, block, BLOCK) != BLOCK)
			die("could not write \"%s\"", path);
	if (fsync(file) != 0)
		die("could not fsync \"%s\"", path);

	start = now();
	for (int i = 0; now() - start < 1; i++)
	{
		double		before = now();

		if (pwrite(file, block, BLOCK, (off_t) (i % FILE_BLOCKS) * BLOCK) != BLOCK || fdatasync(file) != 0)
			die("could not write \"%s\"", path);
		sample_add(&sample, (now() - before) * 1e6);
	}
	close(file);
	unlink(path);
	emit("fsync_p50", "us", sample_at(&sample, 0.5));
	emit("fsync_p99", "us", sample_at(&sample, 0.99));
	sample_free(&sample);
}

/* Rows as instances have them when they are started, with the same two indexes, in one statement. */
static void
bulk_insert(PGconn *conn)
{
	long		n = option_long("bulk_rows", 100000);
	double		start;

	db_run(conn, "TRUNCATE comparable");
	start = now();
	db_run(conn,
		   "INSERT INTO comparable (instance_id, owner, status, name, handler, created_at, updated_at, input) "
		   "SELECT lpad(i::text, 36, '0'), 10, 'P', 'public.one_activity', 'public.one_activity(integer)', "
		   "clock_timestamp(), clock_timestamp(), to_jsonb(i) FROM generate_series(1, %ld) i", n);
	emit("bulk_rows", "rows/s", n / (now() - start));
}

static void
function_calls(PGconn *conn)
{
	long		n = option_long("calls", 500000);
	double		start;

	db_number(conn, "SELECT count(bump(i)) FROM generate_series(1, 1000) i");
	start = now();
	db_number(conn, "SELECT count(bump(i)) FROM generate_series(1, %ld) i", n);
	emit("function_calls", "calls/s", n / (now() - start));
}
