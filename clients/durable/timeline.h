/*
 * timeline.h - the history of an instance as lines, one for each durable call.
 */
#ifndef CLIENTS_TIMELINE_H
#define CLIENTS_TIMELINE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "print.h"

typedef struct Timeline Timeline;
typedef void (*TimelineSink) (Style style, const char *line, void *arg);

/* Parameters: instance id, the last seq that is known (-1: none).  Its result goes to timeline_add. */
extern const char timeline_sql[];

/* The instance's status for timeline_head; parameter: instance id. */
extern const char timeline_status_sql[];

/* width: of the terminal, lines are cut there; 0: nothing is cut. */
extern Timeline *timeline_new(int width, TimelineSink sink, void *arg);
extern void timeline_free(Timeline *t);

/* The line above, from the result of timeline_status_sql; also sets where the time begins. */
extern void timeline_head(Timeline *t, const PGresult *status);

/* Draws events that came since the last call. */
extern void timeline_add(Timeline *t, const PGresult *events);

/* Number of the last event that was drawn, -1 if there is none, as a parameter for timeline_sql. */
extern const char *timeline_last(const Timeline *t);

/* Columns of timeline_status_sql. */
enum
{
	STATUS_NAME, STATUS_ID, STATUS_STATUS, STATUS_CREATED, STATUS_DURATION, STATUS_COMPUTE, STATUS_TURNS, STATUS_EXECUTION,
	STATUS_WAITING, STATUS_UPDATED, STATUS_NOW, STATUS_OUTPUT, STATUS_FAILURE
};

#endif
