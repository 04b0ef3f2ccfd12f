/*
 * top.h - what the parts of "durable top" share: top.c has the data and the keys,
 * top_draw.c the pictures, top_history.c the history of an instance.
 */
#ifndef CLIENTS_TOP_H
#define CLIENTS_TOP_H

#include "client.h"
#include "print.h"

#define HEAD_LINES	4

/* Columns of the rows. */
enum
{
	TOP_ID, TOP_STATUS, TOP_NAME, TOP_WAITING, TOP_DUE, TOP_DURATION, TOP_COMPUTE, TOP_JSON
};

typedef enum Order
{
	ORDER_NEWEST, ORDER_DURATION, ORDER_DUE, ORDER_COMPUTE, ORDER_NAME, ORDERS
} Order;

typedef struct Top
{
	Client	   *c;
	const char *statuses;		/* array literal; NULL: all */
	char	   *filter;			/* id prefix or name; NULL: none */
	Order		order;
	bool		is_paused;
	PGresult   *counts;
	PGresult   *rows;
	int		   *sorted;			/* rows in the order of the screen */
	int			selected;
	int			first;			/* row at the top of the screen */
	char	   *selected_id;
	char	   *message;		/* at the bottom, until the next key */
	bool		is_away;		/* no server */
	int64_t		next;			/* refresh, conn_now() */
	double		turns;			/* in a second */
	int64_t		turns_before;
	int64_t		turns_at;
	bool		quit;

	/* the history of an instance; NULL: the list is shown */
	char	   *history_of;
	char	  **lines;
	Style	   *styles;
	int			nlines;
	int			line;			/* the first that is shown */
	char	   *seen;
} Top;

/* top.c: NULL if it fails, which is told at the bottom of the screen. */
extern PGresult *top_ask(Top *t, const char *sql, int n, const char *const *values);

/* top_draw.c */
extern void top_draw(Top *t);
extern void top_help(Top *t);

/* top_history.c */
extern void top_open_history(Top *t);
extern void top_close_history(Top *t);
extern void top_refresh_history(Top *t);
extern void top_history_key(Top *t, int key);

#endif
