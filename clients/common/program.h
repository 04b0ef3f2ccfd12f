/*
 * program.h - what every program does before it looks at its command line.
 */
#ifndef CLIENTS_PROGRAM_H
#define CLIENTS_PROGRAM_H

#include <stdbool.h>

#define PROGRAM_VERSION "0.2.0"

/* Standard descriptors, locale, signals, and the name for messages. */
extern void program_begin(const char *name);

/* Can the user's terminal show more than ASCII? */
extern bool program_draws_unicode(void);

/* A conninfo string or a URI, which may stand before the command? */
extern bool program_is_conninfo(const char *argument);

/* A message with one argument, and the hint to use --help; EXIT_USAGE. */
extern int	program_usage_error(const char *format, const char *argument) __attribute__((format(printf, 1, 0)));

#endif
