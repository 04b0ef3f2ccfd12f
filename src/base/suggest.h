/*
 * suggest.h
 *		"Did you mean": the names that are most like one that does not exist.
 */
#ifndef DURABLE_SUGGEST_H
#define DURABLE_SUGGEST_H

#include "durable.h"
#include "nodes/pg_list.h"

/* The one of these names (char *) that is close enough to what was written, or NULL. */
extern const char *durable_suggest(const char *written, const List *names);

#endif							/* DURABLE_SUGGEST_H */
