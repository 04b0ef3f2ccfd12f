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
 * While the gatekeeper waits, the prompt counts the seconds.  Its digits are
 * written over in place, so that nothing else on the screen moves; a terminal that
 * cannot move its cursor (TERM=dumb) sees the time of each new prompt, and the
 * lines of the story below what is half typed.
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
#include "exits.h"
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
static int	drawn_width = 0;	/* of the window that prompt and line were drawn in; 0 = not known */

static volatile sig_atomic_t resized = 0;
static volatile sig_atomic_t stopped = 0;
static volatile sig_atomic_t ended = 0;

static void begin_prompt(void);
static void name_next_step(void);
static void end_prompt(void);
static char *give_prompt(EditLine *el);
static char *compose_prompt(void);
static void renew_prompt(void);
static int	tick(void);
static int	rows_above(int width);
static int	window_width(void);
static void take_away(int rows);
static void hide_prompt(void);
static void show_prompt(void);
static void erase_row(void);
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
	if (!ended && g->player != NULL && g->world.res != NULL && g->exit_code == EXIT_OK &&
		g->world.phase != PHASE_NOBODY && g->world.phase != PHASE_WON && g->world.phase != PHASE_DEAD)
		print_line(STYLE_DIM, "The game goes on without you; \"play %s\" is the way back.", g->player);
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
	if (game->player != NULL && game->world.res == NULL && conn_alive(game->conn))
		game_look(game);
	name_next_step();
	free(prompt);
	prompt = compose_prompt();
	print_over(hide_prompt, show_prompt);
	/*
	 * Input that was typed meanwhile was echoed by the terminal. It is erased, because libedit
	 * draws it again.
	 */
	erase_row();
	drawn_width = window_width();
	el_set(editor, EL_UNBUFFERED, 1);
	prompting = true;
}

/* Says what comes after the end of a game, when this player has come to it. */
static void
name_next_step(void)
{
	static char *player = NULL;
	static Phase before = PHASE_NOBODY;
	Phase		now = game->world.res != NULL ? game->world.phase : before;
	bool		same = player != NULL && game->player != NULL && strcmp(player, game->player) == 0;

	if (same && now != before && before != PHASE_DEAD && before != PHASE_WON && (now == PHASE_DEAD || now == PHASE_WON))
		print_line(STYLE_DIM, "%s \"new NAME\" begins another game, \"quit\" leaves.",
				   now == PHASE_WON ? "You have won." : "You are dead.");
	if (!same)
	{
		free(player);
		player = game->player != NULL ? strdup(game->player) : NULL;
	}
	before = now;
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

/* Prints the player, and what a user has to know before the first command. */
static char *
compose_prompt(void)
{
	char		state[COUNTDOWN_SIZE + 16] = "";
	char		countdown[COUNTDOWN_SIZE];
	char	   *name;
	char	   *composed;

	if (game->world.res != NULL && game->player != NULL)
	{
		switch (game->world.phase)
		{
			case PHASE_UNCONFIRMED:
				if (game->world.confirm_by != 0)
				{
					world_countdown(&game->world, countdown);
					snprintf(state, sizeof(state), " (confirm! %s)", countdown);
				}
				else
					strcpy(state, " (confirm!)");
				break;
			case PHASE_WON:
				strcpy(state, " (won)");
				break;
			case PHASE_DEAD:
				strcpy(state, " (dead)");
				break;
			default:
				break;
		}
	}
	name = print_clean(game->player != NULL ? game->player : "dungeon");
	if (asprintf(&composed, "%s%s> ", name, state) < 0)
		abort();
	free(name);
	return composed;
}

/*
 * The prompt changes while it is displayed. If its width is the same, it is written over the old
 * one, and the input is not drawn again.
 */
static void
renew_prompt(void)
{
	char	   *before = prompt;
	char	   *now = compose_prompt();
	struct winsize window;
	int			rows;

	if (strcmp(before, now) == 0 || !print_can_move())
	{
		free(now);
		return;
	}
	rows = rows_above(window_width());
	if (print_columns(before, strlen(before)) == print_columns(now, strlen(now)) &&
		(rows == 0 || (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && rows < window.ws_row)))
	{
		prompt = now;
		fputs("\0337\r", stdout);
		if (rows > 0)
			printf("\033[%dA", rows);
		fputs(prompt, stdout);
		fputs("\0338", stdout);
		fflush(stdout);
	}
	else
	{
		hide_prompt();
		prompt = now;
		show_prompt();
	}
	free(before);
}

/* The seconds that are left move on; returns the ms until they do so again, -1 if nothing is to be counted. */
static int
tick(void)
{
	int64_t		left;

	if (game->player == NULL || game->world.res == NULL || game->world.phase != PHASE_UNCONFIRMED)
		return -1;
	/* The time began a moment after the last look. */
	if (game->world.confirm_by == 0)
	{
		if (conn_alive(game->conn) && game_look(game))
		{
			/* The game may have ended without another line of narration. */
			name_next_step();
			renew_prompt();
		}
		return 1000;
	}
	renew_prompt();
	left = game->world.confirm_by - conn_now();
	return left > 0 ? (int) ((left - 1) % 1000) + 1 : -1;
}

/* The rows of prompt and input above the one that the cursor is in, in a window of this width. */
static int
rows_above(int width)
{
	const LineInfo *line;

	if (!prompting || width == 0)
		return 0;
	line = el_line(editor);
	return (print_columns(prompt, strlen(prompt)) +
			print_columns(line->buffer, line->cursor - line->buffer)) / width;
}

static int
window_width(void)
{
	struct winsize window;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
}

/* Takes prompt and input away, all rows of them, and leaves the cursor where they began. */
static void
hide_prompt(void)
{
	take_away(rows_above(window_width()));
}

static void
take_away(int rows)
{
	if (!print_can_move())
		fputs(prompting ? "\n" : "", stdout);
	else
	{
		if (rows > 0)
			printf("\033[%dA", rows);
		fputs("\r\033[J", stdout);
	}
	fflush(stdout);
}

static void
show_prompt(void)
{
	if (!prompting)
		return;
	/* libedit draws from where it believes the cursor to be, the first column. */
	erase_row();
	drawn_width = window_width();
	el_set(editor, EL_REFRESH);
}

static void
erase_row(void)
{
	fputs(print_can_move() ? "\r\033[K" : "\r", stdout);
	fflush(stdout);
}

/* Handles the input of one keystroke. */
static void
read_key(void)
{
	int			waiting = 0;
	int			count = 0;
	const char *line;

	/* Readable without data, or an error: the terminal was closed. */
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
	int			next_tick;
	bool		typed;
	long		narrated = game->narrated;

	/* Not game_online, which would wait for the server during input. */
	if (conn_mend(game->conn, &timeout))
	{
		game_narrate(game);
		if (!conn_alive(game->conn))
			return;
		timeout = feed_timeout(game->feed);
	}
	/* After new narration the prompt may change. */
	if (game->narrated != narrated && game_look(game))
	{
		name_next_step();
		renew_prompt();
	}
	next_tick = tick();
	if (next_tick >= 0 && (timeout < 0 || timeout > next_tick))
		timeout = next_tick;
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
		const LineInfo *line = el_line(editor);
		bool		empty = line->lastchar == line->buffer;

		interrupt_forget();
		/* Below the last row of what was typed, wherever the cursor was in it. */
		if (line->cursor != line->lastchar)
		{
			hide_prompt();
			el_cursor(editor, (int) (line->lastchar - line->cursor));
			show_prompt();
		}
		fputs("^C\n", stdout);
		fflush(stdout);
		end_prompt();
		if (empty)
			print_line(STYLE_DIM, "\"quit\" or Ctrl-D leaves.");
		begin_prompt();
	}
	if (resized)
	{
		int			now = rows_above(window_width());
		int			before = rows_above(drawn_width);

		resized = 0;
		/*
		 * Some terminals rewrap lines and some do not. The smaller number of rows is erased, so
		 * that no other output is lost.
		 */
		take_away(now < before ? now : before);
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

/* print_close calls exit() if the terminal was closed. */
static void
restore_at_exit(void)
{
	if (prompting)
		el_set(editor, EL_UNBUFFERED, 0);
}
