/*
 * wire.h - the encoding of Protocol Buffers: numbers of variable length, tags, fields.
 */
#ifndef CLIENTS_SERVE_GRPC_WIRE_H
#define CLIENTS_SERVE_GRPC_WIRE_H

#include "buffer.h"

typedef struct Cursor
{
	const unsigned char *at;
	const unsigned char *end;
} Cursor;

typedef enum WireType
{
	WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_GROUP = 3, WIRE_GROUP_END = 4, WIRE_FIXED32 = 5
} WireType;

typedef struct WireField
{
	uint32_t	number;
	WireType	type;
	uint64_t	value;			/* of a number */
	Cursor		bytes;			/* of WIRE_BYTES */
} WireField;

extern bool wire_varint(Cursor *cursor, uint64_t *value);
extern bool wire_field(Cursor *cursor, WireField *field);	/* false: malformed; the cursor is not at its end */
extern void wire_put_varint(Buffer *out, uint64_t value);
extern void wire_put_tag(Buffer *out, uint32_t number, WireType type);
extern void wire_put_bytes(Buffer *out, uint32_t number, const void *data, size_t length);
extern size_t wire_begin(Buffer *out, uint32_t number);	/* of a message within a message */
extern void wire_end(Buffer *out, size_t begin);

#endif
