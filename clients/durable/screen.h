/*
 * screen.h - a full screen of a terminal.
 */
#ifndef CLIENTS_SCREEN_H
#define CLIENTS_SCREEN_H

#include <stdbool.h>

enum
{
	KEY_NONE = 0, KEY_CTRL_C = 3, KEY_ENTER = 13, KEY_ESCAPE = 27, KEY_BACKSPACE = 127,
	KEY_UP = 256, KEY_DOWN, KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_HOME, KEY_END, KEY_RESIZED, KEY_GONE
};

/* Are input and output a terminal that can do it? */
extern bool screen_is_possible(void);

extern void screen_begin(void);
extern void screen_end(void);
extern int	screen_width(void);
extern int	screen_height(void);

/* Shows lines that are separated by newlines, from the top; what is below them is cleared. */
extern void screen_show(const char *lines);

/* The next key: a byte, or one of the above.  KEY_NONE after that many ms; KEY_GONE: the terminal, or a signal to end. */
extern int	screen_key(int timeout);

#endif
