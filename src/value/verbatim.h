/*
 * verbatim.h
 *		Payloads of external orchestrations: texts that are kept byte for byte.
 *
 * A program outside of the database may send any text, and expects it back unchanged.  The
 * type jsonb would change the order of members and the form of numbers.  So a payload of an
 * external orchestration is stored as a jsonb string that contains the text.  An empty text
 * is the same as none.
 */
#ifndef DURABLE_VERBATIM_H
#define DURABLE_VERBATIM_H

#include "durable.h"

/* Prefix of the handler of an instance whose code runs outside of the database; the queue's name follows. */
#define HANDLER_EXTERNAL	"-external:"

/* The queue in a handler, and a handler for a queue; NULL: the handler is a function. */
extern const char *durable_verbatim_queue(const char *handler);
extern char *durable_verbatim_handler(const char *queue);

/* A text as it is stored, and back; NULL: none. */
extern Jsonb *durable_verbatim_wrap(const char *text);
extern char *durable_verbatim_unwrap(const Jsonb *payload);

/*
 * A value from SQL as such a payload, and such a payload as a value for SQL.  A text that is
 * not JSON becomes a string.
 */
extern Jsonb *durable_verbatim_from_json(const Jsonb *value);
extern Jsonb *durable_verbatim_to_json(const Jsonb *payload);

/* Converts a payload between a sender and a receiver, each of which uses texts or values. */
extern Jsonb *durable_verbatim_convert(const Jsonb *payload, bool is_text, bool wants_text);

#endif							/* DURABLE_VERBATIM_H */
