/*
 * time.c
 *		Time, samples, and what /proc says of the server's processes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static int	compare(const void *a, const void *b);

double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

void
wait_seconds(double seconds)
{
	struct timespec time = {(time_t) seconds, (long) ((seconds - (time_t) seconds) * 1e9)};

	while (nanosleep(&time, &time) != 0)
		;
}

void
sample_add(Sample *sample, double value)
{
	if (sample->n == sample->size)
	{
		sample->size = sample->size ? sample->size * 2 : 1024;
		sample->values = realloc(sample->values, sample->size * sizeof(double));
		if (sample->values == NULL)
			die("out of memory");
	}
	sample->values[sample->n++] = value;
}

/* 0.5 is the median; the value that so much of the sample does not exceed. */
double
sample_at(Sample *sample, double fraction)
{
	int			i;

	if (sample->n == 0)
		die("nothing was measured");
	qsort(sample->values, sample->n, sizeof(double), compare);
	i = (int) (fraction * sample->n);
	return sample->values[i < sample->n ? i : sample->n - 1];
}

void
sample_free(Sample *sample)
{
	free(sample->values);
	*sample = (Sample) {0};
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/* CPU time so far of the server's processes for which the condition on pg_stat_activity holds. */
double
cpu_seconds(PGconn *conn, const char *condition)
{
	PGresult   *result;
	char		sql[512];
	double		seconds = 0;

	snprintf(sql, sizeof(sql), "SELECT pid FROM pg_stat_activity WHERE %s", condition);
	result = PQexec(conn, sql);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s", PQerrorMessage(conn));
	for (int i = 0; i < PQntuples(result); i++)
		seconds += cpu_seconds_of(atoi(PQgetvalue(result, i, 0)));
	PQclear(result);
	return seconds;
}

/* Of one process; 0 if it has ended. */
double
cpu_seconds_of(int pid)
{
	char		path[64];
	char		line[1024];
	FILE	   *file;
	char	   *rest;
	unsigned long user = 0,
				system = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	/* The name, in parentheses, may contain spaces; user and system time are fields 14 and 15. */
	if (fgets(line, sizeof(line), file) && (rest = strrchr(line, ')')) != NULL)
		(void) sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
	fclose(file);
	return (double) (user + system) / sysconf(_SC_CLK_TCK);
}

/* Memory of a process that is its own: not the shared buffers it has touched. */
double
anonymous_kb(int pid)
{
	char		path[64];
	char		line[256];
	FILE	   *file;
	long		kb = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	if (file == NULL)
		die("process %d has ended", pid);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %ld kB", &kb) == 1)
			break;
	fclose(file);
	if (kb < 0)
		die("/proc does not tell the memory of process %d", pid);
	return kb;
}
