/*
 * crash.c - /crash, for the demonstration of make play: GET reports whether the route exists, POST runs the command of
 * the option --crash-command, which kills the database server and starts it again.
 *
 * Without the option the route does not exist.  With it the gateway listens only on loopback addresses, and pages of other
 * sites may not call the route, regardless of --cors.  One command runs at a time.
 *
 * Owns: the child process.
 * Called by: request.c.
 * Memory: none.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "serve.h"

static pid_t child;

static bool begin(void);

/* false: there is no such route */
bool
crash_serve(struct evhttp_request *req, const char *path)
{
	if (options.crash_command == NULL || strcmp(path, "/crash") != 0)
		return false;
	if (child > 0 && waitpid(child, NULL, WNOHANG) != 0)
		child = 0;
	switch (evhttp_request_get_command(req))
	{
		case EVHTTP_REQ_GET:
		case EVHTTP_REQ_HEAD:
			reply(req, 204, NULL, "", 0);
			return true;
		case EVHTTP_REQ_POST:
			if (child > 0)
				reply_message(req, 409, "The server is being crashed already.");
			else if (!begin())
				reply_message(req, 500, "The command could not be started.");
			else
				reply(req, 202, NULL, "", 0);
			return true;
		default:
			return false;
	}
}

/* The command gets none of our connections: they have the close-on-exec flag, or are closed here. */
static bool
begin(void)
{
	pid_t		pid = fork();

	if (pid < 0)
	{
		complain("could not run the crash command: %m");
		return false;
	}
	if (pid == 0)
	{
		int			null = open("/dev/null", O_RDWR);
		int			most = (int) sysconf(_SC_OPEN_MAX);

		setsid();
		signal(SIGPIPE, SIG_DFL);
		dup2(null, 0);
		dup2(null, 1);
		for (int fd = 3; fd < most && fd < 65536; fd++)
			close(fd);
		execl("/bin/sh", "sh", "-c", options.crash_command, (char *) NULL);
		_exit(127);
	}
	child = pid;
	return true;
}
