/*
 * print.h - everything the programs write goes through here.
 */
#ifndef CLIENTS_PRINT_H
#define CLIENTS_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum Style
{
	STYLE_PLAIN,
	STYLE_DIM,
	STYLE_NAME,
	STYLE_NARRATION,
	STYLE_GOOD,
	STYLE_BAD
} Style;

/* color: unless the user has disabled it; quiet: notes are not printed, errors are. */
extern void print_setup(const char *program, bool color, bool quiet);

/*
 * Whole lines.  The formatted text is neutralised as one string (see
 * print_text), so a "\n" in it comes out as the two characters.
 */
extern void print_line(Style style, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern void print_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void print_hint(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The sequence that begins or ends a style on the terminal, "" if it shows no styles; for programs
 * that draw a screen.
 */
extern const char *print_code(Style style, bool begin);

/* A line in pieces: open, any number of pieces, close (which flushes). */
extern void print_open(FILE *out);
extern void print_piece(FILE *out, Style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
extern void print_close(FILE *out);

/*
 * On stdout, the rest of a line of which the given number of columns is written:
 * to a terminal, broken between words, and indented where it goes on.
 */
extern void print_rest(const char *text, int column, int indent);

/* Writes a text with its control characters escaped, without a newline. */
extern void print_text(FILE *out, const char *text);

/* Returns the escaped text, which the caller frees. */
extern char *print_clean(const char *text);

/* The number of terminal columns that these bytes take. */
extern int	print_columns(const char *text, size_t length);

/* A JSON string literal (null for NULL), and JSON that the server made, both harmless for a terminal too. */
extern void print_json_string(FILE *out, const char *text);
extern void print_json(FILE *out, const char *json);

/* A console line's time of day, and as an ISO 8601 time stamp; microseconds since 1970. */
extern const char *print_clock(int64_t us);
extern const char *print_iso(int64_t us);

/* Can the cursor of the terminal be moved? False if the output is not a terminal. */
extern bool print_can_move(void);

/*
 * The current line of the terminal has a prompt or a row of dots: "before" removes it, "after"
 * draws it again. Both may be NULL.
 */
extern void print_over(void (*before) (void), void (*after) (void));

#endif
