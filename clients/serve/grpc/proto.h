/*
 * proto.h - messages of Protocol Buffers as tables, and what they are in JSON.
 */
#ifndef CLIENTS_SERVE_GRPC_PROTO_H
#define CLIENTS_SERVE_GRPC_PROTO_H

#include "buffer.h"

typedef enum ProtoType
{
	PROTO_INT32,
	PROTO_BOOL,
	PROTO_STRING,
	PROTO_ENUM,					/* a word in JSON, a number if there is no word for it */
	PROTO_MESSAGE,
	PROTO_TIME,					/* google.protobuf.Timestamp; in JSON a time in UTC with microseconds */
	PROTO_DURATION,				/* google.protobuf.Duration; in JSON a number of seconds */
	PROTO_VALUE,				/* google.protobuf.Value; in JSON what it stands for */
	PROTO_OPAQUE				/* a message that is only kept: its bytes in hexadecimal in JSON */
} ProtoType;

typedef enum ProtoShape
{
	PROTO_PLAIN,				/* zero, false and the empty string are not there, on either side */
	PROTO_EXPLICIT,				/* the same, but JSON always has a value */
	PROTO_WRAPPED,				/* google.protobuf.StringValue and its like: may be empty, or not there */
	PROTO_REPEATED,
	PROTO_MAP,					/* of strings to the type */
	PROTO_INLINE,				/* a message whose members are members of the enclosing object in JSON */
	PROTO_CHOICE				/* the same, one of several, of which member "type" has the name; "*" has all other names */
} ProtoShape;

typedef struct ProtoMessage ProtoMessage;

typedef struct ProtoField
{
	uint32_t	number;
	ProtoType	type;
	ProtoShape	shape;
	const char *name;			/* in JSON */
	const ProtoMessage *message;	/* of PROTO_MESSAGE */
	const char *const *words;	/* of PROTO_ENUM, ends with NULL */
} ProtoField;

struct ProtoMessage
{
	const ProtoField *fields;
	int			nfields;
};

#define PROTO_MOST_FIELDS	32	/* of a message */
#define PROTO_DEEPEST		64	/* messages in messages, arrays in arrays */

/* Both return NULL, or a sentence that describes the error. */
extern const char *proto_to_json(const ProtoMessage *message, const void *data, size_t length, Buffer *json);
extern const char *proto_from_json(const ProtoMessage *message, const char *json, size_t length, Buffer *data);

#endif
