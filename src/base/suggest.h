/*
 * suggest.h
 *		The existing name that is most similar to a misspelled one, for hints.
 */
#ifndef DURABLE_SUGGEST_H
#define DURABLE_SUGGEST_H

#include "durable.h"
#include "nodes/pg_list.h"

/* The most similar of these names (List of char *), or NULL if none is similar enough. */
extern const char *durable_suggest(const char *written, const List *names);

#endif							/* DURABLE_SUGGEST_H */
