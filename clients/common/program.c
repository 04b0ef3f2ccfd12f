/*
 * program.c - what every program does before it looks at its command line.
 *
 * Owns: the locale, the dispositions of signals that all programs ignore.
 * Called by: the main functions.
 * Locks, memory: none.
 */
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "print.h"
#include "program.h"

static const char *program = "";
static bool draws_unicode = false;

static void hold_standard_descriptors(void);

void
program_begin(const char *name)
{
	program = name;
	hold_standard_descriptors();
	/* Texts are UTF-8 whatever the locale is; in the C locale libedit would take them for bytes. */
	setlocale(LC_ALL, "");
	draws_unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_IGN);
	print_setup(name, true, false);
}

/* A closed descriptor ("2>&-") would be reused by the connection, and output would be sent to the server. */
static void
hold_standard_descriptors(void)
{
	int			fd;

	do
	{
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

bool
program_draws_unicode(void)
{
	return draws_unicode;
}

bool
program_is_conninfo(const char *argument)
{
	return strncmp(argument, "postgresql://", 13) == 0 || strncmp(argument, "postgres://", 11) == 0 ||
		strchr(argument, '=') != NULL;
}

int
program_usage_error(const char *format, const char *argument)
{
	char	   *message;

	if (asprintf(&message, format, argument) < 0)
		abort();
	print_error("%s", message);
	print_hint("\"%s --help\" shows the usage.", program);
	free(message);
	return EXIT_USAGE;
}
