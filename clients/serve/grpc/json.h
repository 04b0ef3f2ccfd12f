/*
 * json.h - reads JSON, one token after the other.
 */
#ifndef CLIENTS_SERVE_GRPC_JSON_H
#define CLIENTS_SERVE_GRPC_JSON_H

#include "buffer.h"

#define JSON_DEEPEST	256

typedef struct JsonReader
{
	const char *at;
	const char *end;
	int			depth;
	Buffer		text;			/* the string that was read last */
	Buffer	   *out;			/* for proto_out.c */
	bool		failed;			/* and nothing more is read */
} JsonReader;

extern char json_next(JsonReader *reader);	/* the next character that is no blank, '\0' at the end */
extern bool json_accept(JsonReader *reader, char c);
extern bool json_accept_word(JsonReader *reader, const char *word);
extern bool json_begin(JsonReader *reader, char c);	/* of an object or array */
extern bool json_more(JsonReader *reader, char end, bool *is_first);	/* is there another member or element? */
extern bool json_read_text(JsonReader *reader);
extern bool json_read_number(JsonReader *reader, double *number);
extern void json_skip(JsonReader *reader);
extern int	json_hex_digit(char c);

/* Writes a string. */
extern void json_add_text(Buffer *json, const char *text, size_t length);

/* A value within JSON. */
typedef struct JsonSpan
{
	const char *at;
	size_t		length;
} JsonSpan;

extern bool json_member(JsonSpan object, const char *name, JsonSpan *value);	/* false: it has none, or null */
extern bool json_element(JsonSpan *array, JsonSpan *element);	/* takes the next one from the array */
extern char *json_text(JsonSpan value);	/* NULL: it is no string; to be freed */
extern char *json_member_text(JsonSpan object, const char *name);
extern int	json_member_integer(JsonSpan object, const char *name);	/* 0: it has none */
extern bool json_member_true(JsonSpan object, const char *name);

#endif
