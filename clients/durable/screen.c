/*
 * screen.c - a full screen of a terminal: plain ANSI sequences, no curses.
 *
 * The alternate screen is used, so that the previous contents are restored at the end.
 * The terminal does not send signals meanwhile, and Ctrl-C is read as a key.
 *
 * Owns: the modes of the terminal, SIGWINCH, SIGTERM and SIGHUP while a screen is shown.
 * Called by: top.c.
 * Memory: the bytes of keys that have been read and not yet taken.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "print.h"
#include "screen.h"

#define ESCAPE_TIMEOUT 30		/* ms in which the rest of a sequence has to follow */

static struct termios modes;
static bool is_shown = false;
static volatile sig_atomic_t resized = 0;
static volatile sig_atomic_t ended = 0;

static void handle(int signal_number);
static int	read_byte(int timeout);
static int	read_sequence(void);

bool
screen_is_possible(void)
{
	return isatty(STDIN_FILENO) && print_can_move();
}

void
screen_begin(void)
{
	struct sigaction action = {.sa_handler = handle};
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &modes) != 0)
		return;
	/* No SA_RESTART, so that poll returns. */
	sigemptyset(&action.sa_mask);
	sigaction(SIGWINCH, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	raw = modes;
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG | IEXTEN);
	raw.c_iflag &= (tcflag_t) ~(ICRNL | IXON);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	is_shown = true;
	atexit(screen_end);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	fputs("\033[?1049h\033[?25l", stdout);
	fflush(stdout);
}

void
screen_end(void)
{
	if (!is_shown)
		return;
	is_shown = false;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &modes);
}

static void
handle(int signal_number)
{
	if (signal_number == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

int
screen_width(void)
{
	struct winsize window;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
}

int
screen_height(void)
{
	struct winsize window;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 ? window.ws_row : 24;
}

void
screen_show(const char *lines)
{
	int			left = screen_height();

	/* One write, and nothing is cleared before it is drawn again, so that nothing flickers. */
	fputs("\033[H", stdout);
	while (*lines != '\0' && left > 0)
	{
		size_t		length = strcspn(lines, "\n");

		fwrite(lines, 1, length, stdout);
		fputs(--left > 0 && lines[length] != '\0' ? "\033[K\r\n" : "\033[K", stdout);
		lines += length;
		lines += *lines == '\n' ? 1 : 0;
	}
	fputs("\033[J", stdout);
	if (fflush(stdout) != 0)
		ended = 1;
}

int
screen_key(int timeout)
{
	int			byte;

	if (resized)
	{
		resized = 0;
		return KEY_RESIZED;
	}
	byte = read_byte(timeout);
	if (ended)
		return KEY_GONE;
	if (byte == '\n')
		return KEY_ENTER;
	if (byte == 8)
		return KEY_BACKSPACE;
	return byte == KEY_ESCAPE ? read_sequence() : byte;
}

static int
read_byte(int timeout)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char byte;
	ssize_t		n;

	if (poll(&input, 1, timeout) <= 0)
		return KEY_NONE;
	n = read(STDIN_FILENO, &byte, 1);
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		ended = 1;
	return n == 1 ? byte : KEY_NONE;
}

/* What follows an escape: the keys that move; others are dropped whole. */
static int
read_sequence(void)
{
	char		sequence[16] = "";
	int			n = 0;
	int			byte = read_byte(ESCAPE_TIMEOUT);
	static const struct
	{
		const char *sequence;
		int			key;
	}			keys[] = {
		{"[A", KEY_UP}, {"[B", KEY_DOWN}, {"OA", KEY_UP}, {"OB", KEY_DOWN}, {"[5~", KEY_PAGE_UP}, {"[6~", KEY_PAGE_DOWN},
		{"[H", KEY_HOME}, {"[F", KEY_END}, {"OH", KEY_HOME}, {"OF", KEY_END}, {"[1~", KEY_HOME}, {"[4~", KEY_END}
	};

	if (byte == KEY_NONE)
		return KEY_ESCAPE;
	if (byte != '[' && byte != 'O')
		return KEY_NONE;
	sequence[n++] = (char) byte;
	while (n < 15 && (byte = read_byte(ESCAPE_TIMEOUT)) != KEY_NONE)
	{
		sequence[n++] = (char) byte;
		if (byte >= 0x40)
			break;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
	{
		if (strcmp(sequence, keys[i].sequence) == 0)
			return keys[i].key;
	}
	return KEY_NONE;
}
