/*
 * terminal.c - "dungeon play" for somebody at a terminal.
 *
 * libedit in its unbuffered mode: when poll says that there are characters it is
 * called once, takes one command, and comes back, so that the narration can arrive
 * meanwhile.  A line that is printed while the prompt stands takes the prompt and
 * what is half typed away, and has them drawn again below (the hooks of
 * print_over).  A finished line is carried out with the terminal in its ordinary
 * state.
 *
 * (Not libedit's imitation of readline's callbacks: rl_callback_read_char of
 * libedit 3.1-20221030 writes into memory it has freed when a line grows beyond
 * 1,020 bytes.)
 *
 * Signals, all through flags that the loop looks at: Ctrl-C clears the line or
 * stops waiting; Ctrl-Z puts the terminal in order first; a change of size is told
 * to libedit; SIGTERM and SIGHUP leave as "quit" does.
 *
 * Owns: libedit, the terminal's modes, the prompt.
 * Called by: play.c.
 * Memory: libedit's; the prompt; one finished line.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <histedit.h>

#include "commands.h"
#include "complete.h"
#include "interrupt.h"
#include "print.h"
#include "programs.h"

#define CONTROL_D	('d' & 037)

static Game *game;
static EditLine *editor;
static bool prompting = false;	/* the prompt stands on the screen, the terminal is libedit's */
static bool finished = false;	/* there is a line to carry out */
static char *finished_line;		/* NULL: end of input */
static char *prompt = NULL;

static volatile sig_atomic_t resized = 0;
static volatile sig_atomic_t stopped = 0;
static volatile sig_atomic_t ended = 0;

static void begin_prompt(void);
static void end_prompt(void);
static char *give_prompt(EditLine *el);
static void compose_prompt(void);
static void hide_prompt(void);
static void show_prompt(void);
static void read_key(void);
static unsigned char complete_here(EditLine *el, int key);
static void carry_out(char *line);
static void watch(void);
static void handle_flags(void);
static void note_signal(int signal_number);
static void restore_at_exit(void);

void
terminal_play(Game *g)
{
	struct sigaction action = {.sa_handler = note_signal};
	History    *past;
	HistEvent	event;

	game = g;
	sigemptyset(&action.sa_mask);
	sigaction(SIGWINCH, &action, NULL);
	sigaction(SIGTSTP, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);

	editor = el_init("dungeon", stdin, stdout, stderr);
	if (editor == NULL)
	{
		print_error("could not take over the terminal");
		g->failed = true;
		return;
	}
	past = history_init();
	history(past, &event, H_SETSIZE, 500);
	history(past, &event, H_SETUNIQUE, 1);
	el_set(editor, EL_SIGNAL, 0);
	el_set(editor, EL_PROMPT, give_prompt);
	el_set(editor, EL_EDITOR, "emacs");
	el_set(editor, EL_HIST, history, past);
	el_set(editor, EL_ADDFN, "dungeon-complete", "complete the line", complete_here);
	el_set(editor, EL_BIND, "^I", "dungeon-complete", NULL);
	el_source(editor, NULL);
	atexit(restore_at_exit);

	if (g->player == NULL)
		print_line(STYLE_PLAIN, "Welcome to the Durable Dungeon. \"new NAME\" begins a game, \"help\" lists what you can say.");
	while (!g->quit && !ended)
	{
		begin_prompt();
		while (!finished && !ended)
			watch();
		end_prompt();
		if (finished)
		{
			finished = false;
			if (finished_line != NULL && finished_line[strspn(finished_line, " \t")] != '\0')
				history(past, &event, H_ENTER, finished_line);
			carry_out(finished_line);
			free(finished_line);
			finished_line = NULL;
		}
	}
	print_over(NULL, NULL);
	el_end(editor);
	editor = NULL;
	history_end(past);
	free(prompt);
	prompt = NULL;
}

static void
begin_prompt(void)
{
	interrupt_forget();
	compose_prompt();
	print_over(hide_prompt, show_prompt);
	/* What has been typed while nobody read it stands there as the terminal's echo, and will be drawn again. */
	fputs("\r\033[K", stdout);
	fflush(stdout);
	el_set(editor, EL_UNBUFFERED, 1);
	prompting = true;
}

static void
end_prompt(void)
{
	if (prompting)
		el_set(editor, EL_UNBUFFERED, 0);
	prompting = false;
	print_over(NULL, NULL);
}

static char *
give_prompt(EditLine *el)
{
	(void) el;
	return prompt;
}

/* Who, and what there is to know before typing. */
static void
compose_prompt(void)
{
	const char *state = "";
	char	   *name;

	if (game->world.res != NULL && game->player != NULL)
	{
		switch (game->world.phase)
		{
			case PHASE_UNCONFIRMED:
				state = " (confirm!)";
				break;
			case PHASE_WON:
				state = " (won)";
				break;
			case PHASE_DEAD:
				state = " (dead)";
				break;
			default:
				break;
		}
	}
	free(prompt);
	name = print_clean(game->player != NULL ? game->player : "dungeon");
	if (asprintf(&prompt, "%s%s> ", name, state) < 0)
		abort();
	free(name);
}

/* Takes prompt and input away, all rows of them, and leaves the cursor where they began. */
static void
hide_prompt(void)
{
	struct winsize window;

	if (prompting && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
	{
		const LineInfo *line = el_line(editor);
		int			width = print_columns(prompt, strlen(prompt)) +
			print_columns(line->buffer, line->cursor - line->buffer);

		if (width >= window.ws_col)
			printf("\033[%dA", width / window.ws_col);
	}
	fputs("\r\033[J", stdout);
	fflush(stdout);
}

static void
show_prompt(void)
{
	if (!prompting)
		return;
	/* libedit draws from where it believes the cursor to be, the first column. */
	fputs("\r\033[K", stdout);
	fflush(stdout);
	el_set(editor, EL_REFRESH);
}

/* What is there to read: one keystroke's worth of work. */
static void
read_key(void)
{
	int			waiting = 0;
	int			count = 0;
	const char *line;

	/* Readable, but nothing to read, or nothing that could be asked: the terminal is gone. */
	if (ioctl(STDIN_FILENO, FIONREAD, &waiting) < 0 || waiting == 0)
	{
		finished = true;
		return;
	}
	line = el_gets(editor, &count);
	if (line == NULL || count <= 0)
		return;
	/* The end of input on an empty line comes as the character itself. */
	if (count == 1 && line[0] == CONTROL_D)
		finished = true;
	else if (line[count - 1] == '\n' || line[count - 1] == '\r')
	{
		finished = true;
		finished_line = strndup(line, count - 1);
	}
}

static void
carry_out(char *line)
{
	if (line == NULL)
	{
		putchar('\n');
		game->quit = true;
		return;
	}
	command_run(game, line);
}

/* One wait, and whatever ended it. */
static void
watch(void)
{
	int			timeout = -1;
	bool		typed;
	Phase		phase = game->world.phase;
	long		narrated = game->narrated;

	/* Not game_online, which would wait for the server while somebody types. */
	if (conn_mend(game->conn, &timeout))
	{
		game_narrate(game);
		if (!conn_alive(game->conn))
			return;
		timeout = feed_timeout(game->feed);
	}
	/* The story went on, so the prompt may say something else. */
	if (game->narrated != narrated && game_look(game) && game->world.phase != phase)
	{
		hide_prompt();
		compose_prompt();
		show_prompt();
	}
	typed = conn_wait(game->conn, STDIN_FILENO, POLLIN, timeout);
	handle_flags();
	if (typed)
		read_key();
}

static void
handle_flags(void)
{
	if (interrupt_pending())
	{
		interrupt_forget();
		fputs("^C\n", stdout);
		fflush(stdout);
		end_prompt();
		begin_prompt();
	}
	if (resized)
	{
		resized = 0;
		el_resize(editor);
		show_prompt();
	}
	if (stopped)
	{
		stopped = 0;
		el_set(editor, EL_PREP_TERM, 0);
		putchar('\n');
		fflush(stdout);
		kill(getpid(), SIGSTOP);
		el_set(editor, EL_PREP_TERM, 1);
		show_prompt();
	}
}

static void
note_signal(int signal_number)
{
	if (signal_number == SIGWINCH)
		resized = 1;
	else if (signal_number == SIGTSTP)
		stopped = 1;
	else
		ended = 1;
}

/* TAB: the line becomes what its completions have in common; if that is nothing new, they are listed. */
static unsigned char
complete_here(EditLine *el, int key)
{
	const LineInfo *info = el_line(el);
	char	   *line;
	char	   *shared;
	Names		lines;
	bool		helped = true;

	(void) key;
	if (info->cursor != info->lastchar)
		return CC_ERROR;
	line = strndup(info->buffer, info->lastchar - info->buffer);
	lines = complete_line(game, line);
	shared = complete_shared(&lines);
	if ((lines.n == 1 && strcmp(shared, line) != 0) ||
		(lines.n > 1 && strlen(shared) > strlen(line)))
	{
		int			characters = 0;

		for (const char *c = line; *c != '\0'; c++)
			characters += (*c & 0xc0) != 0x80;
		el_deletestr(el, characters);
		el_insertstr(el, shared);
	}
	else if (lines.n > 1)
	{
		hide_prompt();
		print_over(NULL, NULL);
		for (int i = 0; i < lines.n; i++)
			print_line(STYLE_DIM, "  %s", lines.name[i]);
		print_over(hide_prompt, show_prompt);
		show_prompt();
	}
	else
		helped = false;
	free(line);
	free(shared);
	names_free(&lines);
	return helped ? CC_REFRESH : CC_ERROR;
}

/* print_close leaves by exit() when the terminal is gone. */
static void
restore_at_exit(void)
{
	if (prompting)
		el_set(editor, EL_UNBUFFERED, 0);
}
