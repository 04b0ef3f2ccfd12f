/*
 * main.c
 *		The benchmark's driver: measures one row, once, and prints JSON lines.
 *
 *		driver ROW [OPTION=VALUE ...]
 *
 *	conninfo=...	the server (no database, no role)
 *	workloads=...	the file with the workflows
 *	data=...		the server's data directory, for the latency of fsync
 *	round=N			number that goes into the output
 *	full=1			the long form of rows that have one
 *	others			options of one row, see there
 *
 * It runs as the user the server runs as, on the server's machine, because some
 * rows read /proc of the server's processes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

typedef struct Row
{
	const char *name;
	void		(*measure) (void);
}			Row;

static const Row rows[] = {
	{"limits", row_limits},
	{"one_activity", row_one_activity},
	{"five_activity", row_five_activity},
	{"insert_activity", row_insert_activity},
	{"own_transaction", row_own_transaction},
	{"fan_out", row_fan_out},
	{"steps", row_steps},
	{"start_single", row_start_single},
	{"start_batch", row_start_batch},
	{"workers", row_workers},
	{"entity_signals", row_entity_signals},
	{"entity_calls", row_entity_calls},
	{"grpc_turns", row_grpc_turns},
	{"latency_start", row_latency_start},
	{"latency_event", row_latency_event},
	{"latency_beside_load", row_latency_beside_load},
	{"latency_beside_sleepers", row_latency_beside_sleepers},
	{"cost", row_cost},
	{"sleepers", row_sleepers},
	{"finished", row_finished},
	{"open_transaction", row_open_transaction},
	{"worker_memory", row_worker_memory},
};

static int	option_count;
static char **options;
static const char *row_name;

int
main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: driver ROW [OPTION=VALUE ...]");
	row_name = argv[1];
	options = argv + 2;
	option_count = argc - 2;
	for (int i = 0; i < option_count; i++)
		if (strchr(options[i], '=') == NULL)
			die("not an option: %s", options[i]);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, row_name) == 0)
		{
			rows[i].measure();
			return 0;
		}
	die("no row is named \"%s\"", row_name);
}

const char *
option_text(const char *name, const char *otherwise)
{
	size_t		length = strlen(name);

	for (int i = 0; i < option_count; i++)
		if (strncmp(options[i], name, length) == 0 && options[i][length] == '=')
			return options[i] + length + 1;
	return otherwise;
}

long
option_long(const char *name, long otherwise)
{
	const char *text = option_text(name, NULL);
	char	   *end;
	long		value;

	if (text == NULL)
		return otherwise;
	value = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0')
		die("option %s is not a number: %s", name, text);
	return value;
}

void
emit(const char *measure, const char *unit, double value)
{
	printf("{\"row\": \"%s\", \"round\": %ld, \"measure\": \"%s\", \"unit\": \"%s\", \"value\": %.6g}\n",
		   row_name, option_long("round", 1), measure, unit, value);
	fflush(stdout);
}

void
note(const char *format,...)
{
	va_list		arguments;

	fprintf(stderr, "%s: ", row_name ? row_name : "driver");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void
die(const char *format,...)
{
	va_list		arguments;

	fprintf(stderr, "%s: ", row_name ? row_name : "driver");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}
