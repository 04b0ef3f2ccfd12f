/*
 * terminal.c - "dungeon play" for somebody at a terminal.
 *
 * libedit's callback interface: characters are handed to it when poll says that
 * there are some, so that the narration can arrive meanwhile.  A line that is
 * printed while the prompt stands takes the prompt and what is half typed away,
 * and has them drawn again below (the hooks of print_over).  A finished line only
 * leaves the callback; it is carried out with the terminal in its ordinary state.
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
#include <unistd.h>
#include <wchar.h>

#include <editline/readline.h>

#include "commands.h"
#include "complete.h"
#include "interrupt.h"
#include "print.h"
#include "programs.h"

static Game *game;
static bool prompting = false;	/* the prompt stands on the screen */
static bool finished = false;	/* there is a line to carry out */
static char *finished_line;		/* NULL: end of input */
static char *prompt = NULL;

static volatile sig_atomic_t resized = 0;
static volatile sig_atomic_t stopped = 0;
static volatile sig_atomic_t ended = 0;

static void begin_prompt(void);
static void end_prompt(void);
static void compose_prompt(void);
static void hide_prompt(void);
static void show_prompt(void);
static int	columns_of(const char *text, size_t length);
static void finish_line(char *line);
static int	complete_here(int count, int key);
static void replace_line(const char *line);
static void carry_out(char *line);
static void watch(void);
static void handle_flags(void);
static void note_signal(int signal_number);
static void restore_at_exit(void);

void
terminal_play(Game *g)
{
	struct sigaction action = {.sa_handler = note_signal};

	game = g;
	sigemptyset(&action.sa_mask);
	sigaction(SIGWINCH, &action, NULL);
	sigaction(SIGTSTP, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);

	rl_readline_name = "dungeon";
	rl_catch_signals = 0;
	rl_initialize();
	using_history();
	rl_add_defun("dungeon-complete", complete_here, '\t');
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
			carry_out(finished_line);
			free(finished_line);
			finished_line = NULL;
		}
	}
	print_over(NULL, NULL);
	free(prompt);
	prompt = NULL;
}

static void
begin_prompt(void)
{
	interrupt_forget();
	compose_prompt();
	print_over(hide_prompt, show_prompt);
	rl_callback_handler_install(prompt, finish_line);
	prompting = true;
}

static void
end_prompt(void)
{
	rl_callback_handler_remove();
	prompting = false;
	print_over(NULL, NULL);
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
	int			rows;
	int			columns;
	int			width = 0;

	rl_get_screen_size(&rows, &columns);
	if (prompting && columns > 0)
	{
		width = columns_of(prompt, strlen(prompt)) + columns_of(rl_line_buffer, rl_point);
		if (width >= columns)
			printf("\033[%dA", width / columns);
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
	rl_forced_update_display();
}

static int
columns_of(const char *text, size_t length)
{
	mbstate_t	state = {0};
	int			columns = 0;

	while (length > 0)
	{
		wchar_t		character;
		size_t		used = mbrtowc(&character, text, length, &state);

		if (used == 0 || used > length)
			break;
		columns += wcwidth(character) > 0 ? wcwidth(character) : 0;
		text += used;
		length -= used;
	}
	return columns;
}

/* Called by libedit, which must be left before anything is done. */
static void
finish_line(char *line)
{
	finished = true;
	finished_line = line;
	rl_callback_handler_remove();
	prompting = false;
	print_over(NULL, NULL);
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
	if (line[strspn(line, " \t")] == '\0')
		return;
	add_history(line);
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
		compose_prompt();
		hide_prompt();
		rl_set_prompt(prompt);
		show_prompt();
	}
	typed = conn_wait(game->conn, STDIN_FILENO, POLLIN, timeout);
	handle_flags();
	if (typed && !finished)
		rl_callback_read_char();
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
		rl_resize_terminal();
		show_prompt();
	}
	if (stopped)
	{
		stopped = 0;
		rl_deprep_terminal();
		putchar('\n');
		fflush(stdout);
		raise(SIGSTOP);
		rl_prep_terminal(1);
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
static int
complete_here(int count, int key)
{
	Names		lines;
	char	   *shared;

	(void) count;
	(void) key;
	if (rl_point != rl_end)
	{
		rl_ding();
		return 0;
	}
	lines = complete_line(game, rl_line_buffer);
	shared = complete_shared(&lines);
	if ((lines.n == 1 && strcmp(shared, rl_line_buffer) != 0) ||
		(lines.n > 1 && strlen(shared) > strlen(rl_line_buffer)))
	{
		replace_line(shared);
	}
	else if (lines.n > 1)
	{
		for (int i = 0; i < lines.n; i++)
			print_line(STYLE_DIM, "  %s", lines.name[i]);
	}
	else
		rl_ding();
	free(shared);
	names_free(&lines);
	return 0;
}

/*
 * libedit can replace the line, but leaves the cursor where it was, at the end of
 * the old one; and it can insert at the cursor.  So as many characters as there
 * were are replaced, and the others inserted.
 */
static void
replace_line(const char *line)
{
	size_t		old = 0;
	size_t		kept = 0;
	char	   *beginning;

	for (const char *c = rl_line_buffer; *c != '\0'; c++)
		old += (*c & 0xc0) != 0x80;
	while (line[kept] != '\0' && old > 0)
	{
		kept++;
		if ((line[kept] & 0xc0) != 0x80)
			old--;
	}
	beginning = strndup(line, kept);

	hide_prompt();
	if (beginning[0] != '\0')
		rl_replace_line(beginning, 0);
	if (line[kept] != '\0')
		rl_insert_text(line + kept);
	show_prompt();
	free(beginning);
}

/* print_close leaves by exit() when the terminal is gone. */
static void
restore_at_exit(void)
{
	if (prompting)
		rl_callback_handler_remove();
}
