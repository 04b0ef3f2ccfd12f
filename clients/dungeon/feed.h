/*
 * feed.h - the narration, every line once.  How and why: feed.c.
 */
#ifndef CLIENTS_FEED_H
#define CLIENTS_FEED_H

#include "conn.h"

typedef struct FeedLine
{
	int64_t		id;
	int64_t		created;		/* microseconds since 1970 */
	const char *player;			/* may be NULL */
	const char *message;
} FeedLine;

/* Called once for every line; must not use the connection. */
typedef void (*FeedSink) (const FeedLine *line, void *arg);

typedef enum FeedStatus
{
	FEED_OK,
	FEED_LOST,					/* the connection is lost: reconnect, and call again */
	FEED_MISSING,				/* the table does not exist or cannot be read; no error was printed */
	FEED_FAILED					/* another error, which was printed */
} FeedStatus;

typedef struct Feed Feed;

/*
 * start < 0: lines that appear from now on; else all lines with an id greater than start. player
 * NULL: lines of all players.
 */
extern Feed *feed_new(Conn *c, int64_t start, const char *player, FeedSink sink, void *arg);
extern void feed_free(Feed *f);

/* Follow another player from now on. */
extern FeedStatus feed_switch(Feed *f, const char *player);

/* Hands out new lines. The caller calls it after every wait and every reconnect. */
extern FeedStatus feed_follow(Feed *f);

/* The time in ms after which feed_follow must be called again; -1: not before the server sends something. */
extern int	feed_timeout(const Feed *f);

#endif
