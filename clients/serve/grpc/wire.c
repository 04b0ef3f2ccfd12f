/*
 * wire.c - the encoding of Protocol Buffers: numbers of variable length, tags, fields.
 *
 * Every read is within the cursor.  Groups, which proto3 does not have, are malformed.
 *
 * Owns: nothing.
 * Called by: proto.c, proto_out.c.
 * Memory: a field points into what is read.
 */
#include <string.h>

#include "wire.h"

#define GREATEST_NUMBER		536870911	/* of a field */

bool
wire_varint(Cursor *cursor, uint64_t *value)
{
	uint64_t	result = 0;

	for (int shift = 0; shift < 70 && cursor->at < cursor->end; shift += 7)
	{
		unsigned char byte = *cursor->at++;

		/* The tenth byte has one bit. */
		if (shift == 63 && byte > 1)
			return false;
		result |= (uint64_t) (byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
		{
			*value = result;
			return true;
		}
	}
	return false;
}

bool
wire_field(Cursor *cursor, WireField *field)
{
	uint64_t	tag;
	uint64_t	length;

	if (!wire_varint(cursor, &tag) || (tag >> 3) == 0 || (tag >> 3) > GREATEST_NUMBER)
		return false;
	field->number = (uint32_t) (tag >> 3);
	field->type = (WireType) (tag & 7);
	field->value = 0;
	field->bytes.at = field->bytes.end = cursor->at;
	switch (field->type)
	{
		case WIRE_VARINT:
			return wire_varint(cursor, &field->value);
		case WIRE_FIXED64:
		case WIRE_FIXED32:
			{
				int			size = field->type == WIRE_FIXED64 ? 8 : 4;

				if (cursor->end - cursor->at < size)
					return false;
				for (int i = size - 1; i >= 0; i--)
					field->value = (field->value << 8) | cursor->at[i];
				cursor->at += size;
				return true;
			}
		case WIRE_BYTES:
			if (!wire_varint(cursor, &length) || length > (uint64_t) (cursor->end - cursor->at))
				return false;
			field->bytes.at = cursor->at;
			field->bytes.end = cursor->at + length;
			cursor->at += length;
			return true;
		default:
			return false;
	}
}

void
wire_put_varint(Buffer *out, uint64_t value)
{
	char		bytes[10];
	size_t		n = 0;

	do
	{
		bytes[n] = (char) (value & 0x7f);
		value >>= 7;
		if (value != 0)
			bytes[n] = (char) (bytes[n] | 0x80);
		n++;
	} while (value != 0);
	buffer_add(out, bytes, n);
}

void
wire_put_tag(Buffer *out, uint32_t number, WireType type)
{
	wire_put_varint(out, ((uint64_t) number << 3) | type);
}

void
wire_put_bytes(Buffer *out, uint32_t number, const void *data, size_t length)
{
	wire_put_tag(out, number, WIRE_BYTES);
	wire_put_varint(out, length);
	buffer_add(out, data, length);
}

/* One byte is left for the length; wire_end makes room for more if that is needed. */
size_t
wire_begin(Buffer *out, uint32_t number)
{
	wire_put_tag(out, number, WIRE_BYTES);
	buffer_add_byte(out, 0);
	return out->length;
}

void
wire_end(Buffer *out, size_t begin)
{
	size_t		length = out->length - begin;
	int			more = 0;

	if (out->is_full)
		return;
	for (size_t rest = length >> 7; rest != 0; rest >>= 7)
		more++;
	if (more > 0)
	{
		buffer_add(out, "\0\0\0\0\0\0\0\0\0", (size_t) more);
		if (out->is_full)
			return;
		memmove(out->data + begin + more, out->data + begin, length);
	}
	for (int i = 0; i <= more; i++)
	{
		out->data[begin - 1 + (size_t) i] = (char) ((length & 0x7f) | (i < more ? 0x80 : 0));
		length >>= 7;
	}
}
