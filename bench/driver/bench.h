/*
 * bench.h
 *		What the files of the benchmark's driver share.
 *
 * A row is one line of the table of figures: a function that prepares, measures
 * and emits one or more measures.  The driver runs one row once; scripts/bench calls
 * it for each row and round, so that everything that is compared has been
 * measured within minutes.
 */
#ifndef BENCH_H
#define BENCH_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list of numbers of which medians and percentiles are wanted. */
typedef struct Sample
{
	double	   *values;
	int			n;
	int			size;
}			Sample;

/* main.c */
extern long option_long(const char *name, long otherwise);
extern const char *option_text(const char *name, const char *otherwise);
extern void emit(const char *measure, const char *unit, double value);
extern void note(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void die(const char *format,...) __attribute__((format(printf, 1, 2), noreturn));

/* db.c */
extern PGconn *db_open(const char *database, const char *role);
extern void db_prepare_database(const char *database);
extern bool db_exists(const char *database);
extern void db_close(PGconn *conn);
extern void db_run(PGconn *conn, const char *format,...) __attribute__((format(printf, 2, 3)));
extern double db_number(PGconn *conn, const char *format,...) __attribute__((format(printf, 2, 3)));
extern char *db_text(PGconn *conn, const char *format,...) __attribute__((format(printf, 2, 3)));
extern void db_prepare(PGconn *conn, const char *name, const char *sql);
extern char *db_execute(PGconn *conn, const char *name, const char *parameter);
extern void db_set(const char *name, const char *value);

/* time.c */
extern double now(void);
extern void wait_seconds(double seconds);
extern void sample_add(Sample *sample, double value);
extern double sample_at(Sample *sample, double fraction);
extern void sample_free(Sample *sample);
extern double cpu_seconds(PGconn *conn, const char *condition);
extern double cpu_seconds_of(int pid);
extern double anonymous_kb(int pid);

/* limits.c */
extern double measure_commits(PGconn *conn, double seconds);
extern void row_limits(void);

/* throughput.c */
extern double run_backlog(PGconn *conn, PGconn *admin, const char *orchestration, long n, int input);
extern void row_throughput(const char *orchestration, long usual);
extern void row_one_activity(void);
extern void row_five_activity(void);
extern void row_insert_activity(void);
extern void row_own_transaction(void);
extern void row_fan_out(void);
extern void row_steps(void);
extern void row_start_single(void);
extern void row_start_batch(void);
extern void row_workers(void);

/* entities.c */
extern void row_entity_signals(void);
extern void row_entity_calls(void);

/* grpc.c */
extern void row_grpc_turns(void);

/* latency.c */
extern void measure_latency(PGconn *conn, long n, const char *prefix);
extern void row_latency_start(void);
extern void row_latency_event(void);
extern void row_latency_beside_load(void);
extern void row_latency_beside_sleepers(void);

/* cost.c */
extern void row_cost(void);

/* growth.c */
extern void row_sleepers(void);
extern void row_finished(void);
extern void row_open_transaction(void);
extern void row_worker_memory(void);

#endif
