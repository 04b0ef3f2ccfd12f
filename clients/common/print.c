/*
 * print.c - lines on stdout and stderr that cannot harm a terminal.
 *
 * Players choose their names, and what they type comes back in the narration,
 * so every text from the database is hostile: an escape sequence in a name
 * must not clear another player's screen, change its title or answer back into
 * its input.  Neutralising happens here, once, for whole lines and not in the
 * callers: control characters (C0, DEL, C1), bytes that are not UTF-8, line
 * separators and the bidirectional overrides are written out as \xNN or
 * \u{NNNN}.  A newline is a control character too; otherwise a message could
 * imitate the next line.  The programs always speak UTF-8.
 *
 * Owns: stdout and stderr, the colours, the "something stands on this line" hooks.
 * Called by: everything.
 * Memory: nothing is kept; print_clean's result is the caller's.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "exits.h"
#include "print.h"

static const char *program_name = "dungeon";
static bool use_color = false;
static bool is_quiet = false;
static bool can_move = false;
static void (*over_before) (void) = NULL;
static void (*over_after) (void) = NULL;

static void print_styled(Style style, bool begin);
static void print_formatted(FILE *out, const char *format, va_list args) __attribute__((format(gnu_printf, 2, 0)));
static int	decode(const char *text, uint32_t *code);
static bool is_harmful(uint32_t code);

void
print_setup(const char *program, bool color, bool quiet)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	program_name = program;
	is_quiet = quiet;
	can_move = isatty(STDOUT_FILENO) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
	use_color = color && can_move && (no_color == NULL || no_color[0] == '\0');
}

bool
print_can_move(void)
{
	return can_move;
}

void
print_over(void (*before) (void), void (*after) (void))
{
	over_before = before;
	over_after = after;
}

void
print_line(Style style, const char *format, ...)
{
	va_list		args;
	char	   *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);

	print_open(stdout);
	print_styled(style, true);
	print_rest(text, 0, strncmp(text, "* ", 2) == 0 ? 2 : 0);
	print_styled(style, false);
	print_close(stdout);
	free(text);
}

void
print_rest(const char *text, int column, int indent)
{
	struct winsize window;
	char	   *clean;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col < 20)
	{
		print_text(stdout, text);
		return;
	}
	clean = print_clean(text);
	for (const char *word = clean; *word != '\0';)
	{
		size_t		blanks = strspn(word, " ");
		size_t		length = strcspn(word + blanks, " ");
		int			columns = print_columns(word + blanks, length);

		if (column > indent && column + (int) blanks + columns > window.ws_col)
		{
			printf("\n%*s", indent, "");
			column = indent;
		}
		else
		{
			printf("%*s", (int) blanks, "");
			column += (int) blanks;
		}
		fwrite(word + blanks, 1, length, stdout);
		column += columns;
		word += blanks + length;
	}
	free(clean);
}

int
print_columns(const char *text, size_t length)
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

void
print_note(const char *format, ...)
{
	va_list		args;

	if (is_quiet)
		return;
	print_open(stderr);
	va_start(args, format);
	print_formatted(stderr, format, args);
	va_end(args);
	print_close(stderr);
}

void
print_error(const char *format, ...)
{
	va_list		args;

	print_open(stderr);
	fprintf(stderr, "%s: error: ", program_name);
	va_start(args, format);
	print_formatted(stderr, format, args);
	va_end(args);
	print_close(stderr);
}

void
print_hint(const char *format, ...)
{
	va_list		args;

	print_open(stderr);
	fprintf(stderr, "%s: hint: ", program_name);
	va_start(args, format);
	print_formatted(stderr, format, args);
	va_end(args);
	print_close(stderr);
}

void
print_open(FILE *out)
{
	/*
	 * On a shared terminal, the output of the other stream is flushed first, and the current line
	 * is removed first.
	 */
	fflush(out == stdout ? stderr : stdout);
	if (over_before != NULL)
		over_before();
	if (out != stdout)
		fflush(stdout);
}

void
print_piece(FILE *out, Style style, const char *format, ...)
{
	bool		colored = out == stdout && style != STYLE_PLAIN;
	va_list		args;

	if (colored)
		print_styled(style, true);
	va_start(args, format);
	print_formatted(out, format, args);
	va_end(args);
	if (colored)
		print_styled(style, false);
}

static void
print_styled(Style style, bool begin)
{
	fputs(print_code(style, begin), stdout);
}

const char *
print_code(Style style, bool begin)
{
	static const char *const codes[] = {
		[STYLE_PLAIN] = "", [STYLE_DIM] = "\033[2m", [STYLE_NAME] = "\033[1m",
		[STYLE_NARRATION] = "\033[36m", [STYLE_GOOD] = "\033[32m", [STYLE_BAD] = "\033[31m"
	};

	if (!use_color || style == STYLE_PLAIN)
		return "";
	return begin ? codes[style] : "\033[0m";
}

/*
 * Ends the line. SIGPIPE is ignored, so a closed pipe ("| head") is noticed here. The program ends
 * without a message.
 */
void
print_close(FILE *out)
{
	fputc('\n', out);
	if (fflush(out) != 0 && out == stdout)
		exit(EXIT_FAILED);
	if (over_after != NULL)
		over_after();
}

static void
print_formatted(FILE *out, const char *format, va_list args)
{
	char	   *text;

	if (vasprintf(&text, format, args) < 0)
		abort();
	print_text(out, text);
	free(text);
}

void
print_text(FILE *out, const char *text)
{
	while (*text != '\0')
	{
		uint32_t	code;
		int			length = decode(text, &code);

		if (length == 0)
		{
			fprintf(out, "\\x%02x", (unsigned char) *text);
			length = 1;
		}
		else if (!is_harmful(code))
			fwrite(text, 1, length, out);
		else if (code == '\n')
			fputs("\\n", out);
		else if (code == '\t')
			fputs("\\t", out);
		else if (code < 0x80)
			fprintf(out, "\\x%02x", code);
		else
			fprintf(out, "\\u{%04x}", code);
		text += length;
	}
}

char *
print_clean(const char *text)
{
	char	   *clean = NULL;
	size_t		size;
	FILE	   *out = open_memstream(&clean, &size);

	if (out == NULL)
		abort();
	print_text(out, text);
	fclose(out);
	return clean;
}

void
print_json_string(FILE *out, const char *text)
{
	if (text == NULL)
	{
		fputs("null", out);
		return;
	}
	fputc('"', out);
	while (*text != '\0')
	{
		uint32_t	code;
		int			length = decode(text, &code);

		if (length == 0)
		{
			fputs("\\ufffd", out);
			length = 1;
		}
		else if (code == '"' || code == '\\')
			fprintf(out, "\\%c", (char) code);
		else if (is_harmful(code))
			fprintf(out, "\\u%04x", code);
		else
			fwrite(text, 1, length, out);
		text += length;
	}
	fputc('"', out);
}

/*
 * The server's JSON has its own control characters escaped already; what else
 * is harmful can only stand inside a string, where \uNNNN means the same.
 * (No harmful code is beyond U+FFFF.)
 */
void
print_json(FILE *out, const char *json)
{
	while (*json != '\0')
	{
		uint32_t	code;
		int			length = decode(json, &code);

		if (length == 0)
		{
			fputs("\\ufffd", out);
			length = 1;
		}
		else if (is_harmful(code))
			fprintf(out, "\\u%04x", code);
		else
			fwrite(json, 1, length, out);
		json += length;
	}
}

const char *
print_clock(int64_t us)
{
	static char buffer[32];
	time_t		seconds = us / 1000000;
	struct tm	parts;

	localtime_r(&seconds, &parts);
	strftime(buffer, sizeof(buffer), "%H:%M:%S", &parts);
	return buffer;
}

const char *
print_iso(int64_t us)
{
	static char buffer[64];
	char		day[32];
	time_t		seconds = us / 1000000;
	struct tm	parts;

	gmtime_r(&seconds, &parts);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(buffer, sizeof(buffer), "%s.%06dZ", day, (int) (us % 1000000));
	return buffer;
}

/* One UTF-8 character: its length in bytes, or 0 if these bytes are none. */
static int
decode(const char *text, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *) text;
	int			length;
	uint32_t	smallest;

	if (s[0] < 0x80)
	{
		*code = s[0];
		return 1;
	}
	else if ((s[0] & 0xe0) == 0xc0)
	{
		*code = s[0] & 0x1f;
		length = 2;
		smallest = 0x80;
	}
	else if ((s[0] & 0xf0) == 0xe0)
	{
		*code = s[0] & 0x0f;
		length = 3;
		smallest = 0x800;
	}
	else if ((s[0] & 0xf8) == 0xf0)
	{
		*code = s[0] & 0x07;
		length = 4;
		smallest = 0x10000;
	}
	else
		return 0;

	/* The terminating zero is no continuation byte, so this cannot run past it. */
	for (int i = 1; i < length; i++)
	{
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	if (*code < smallest || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return length;
}

static bool
is_harmful(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ||
		code == 0x061c || code == 0x200e || code == 0x200f ||	/* direction marks */
		(code >= 0x2028 && code <= 0x202e) ||	/* separators, embeddings, overrides */
		(code >= 0x2066 && code <= 0x2069) ||	/* isolates */
		code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb);
}
