/*
 * interrupt.c - Ctrl-C cancels what is under way instead of ending the program.
 *
 * The handler sets a flag, which every waiting loop looks at (poll returns with
 * EINTR), and cancels the query that is running, if any, so that a statement
 * that waits for somebody else's lock comes back.  PQcancel is the one function
 * of libpq that may be called from a signal handler.
 *
 * Owns: the disposition of SIGINT, the flag, the cancel handle.
 * Called by: play.c and terminal.c; conn.c tells it about queries.
 * Memory: one PGcancel at a time.  The handler may run between any two
 * instructions here, so the pointer is taken away before it is freed.
 */
#include <errno.h>
#include <signal.h>

#include "interrupt.h"

static volatile sig_atomic_t caught = 0;
static volatile sig_atomic_t catching = 0;
static PGcancel *volatile running = NULL;

static void handle(int signal_number);

void
interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = handle};

	/* No SA_RESTART, so that poll and read return. */
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	catching = 1;
}

void
interrupt_cancels(PGconn *pg)
{
	PGcancel   *old = running;

	if (!catching)
		return;
	running = NULL;
	if (old != NULL)
		PQfreeCancel(old);
	if (pg != NULL)
		running = PQgetCancel(pg);
}

bool
interrupt_pending(void)
{
	return caught != 0;
}

void
interrupt_forget(void)
{
	caught = 0;
}

static void
handle(int signal_number)
{
	int			save_errno = errno;
	char		message[256];

	(void) signal_number;
	caught = 1;
	if (running != NULL)
		(void) PQcancel(running, message, sizeof(message));
	errno = save_errno;
}
