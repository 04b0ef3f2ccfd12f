/*
 * proto.c - converts a message of Protocol Buffers to JSON.
 *
 * The message is read once to validate it and to find the place of each field, and once more
 * for each repeated field.  A client can send a long message, so no tree of it is built in
 * memory, and the JSON is written directly.  Fields without a name in the table are skipped.
 * If a field that is not repeated comes twice, the last one counts.
 *
 * Owns: nothing.
 * Called by: the handlers of RPCs.
 * Memory: grows the caller's buffer.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "proto.h"
#include "times.h"
#include "wire.h"

typedef struct Place
{
	bool		is_there;
	WireField	last;
	Cursor		first;			/* of a repeated field: from its first tag to the end of the message */
} Place;

static const char *const malformed = "The message is not valid Protocol Buffers.";
static const char *const too_deep = "The message is nested too deep.";
static const char *const not_text = "A string of the message is not valid UTF-8, or has the character U+0000 in it.";
static const char *const too_large = "The message is too large.";

static const char *put_message(const ProtoMessage *message, Cursor cursor, Buffer *json, int depth);
static const char *put_members(const ProtoMessage *message, Cursor cursor, Buffer *json, int depth, bool *is_first);
static const char *read_places(const ProtoMessage *message, Cursor cursor, Place *places, int *choice);
static void put_name(const char *name, Buffer *json, bool *is_first);
static const char *put_default(const ProtoField *field, Buffer *json);
static const char *put_hex(Cursor bytes, Buffer *json);
static const char *put_repeated(const ProtoField *field, Cursor from, Buffer *json, int depth);
static const char *put_map_entry(const ProtoField *field, Cursor entry, Buffer *json, int depth);
static const char *put_one(const ProtoField *field, const WireField *wire, Buffer *json, int depth);
static const char *put_number(const ProtoField *field, uint64_t value, Buffer *json);
static const char *put_text(Cursor text, Buffer *json);
static const char *put_value(Cursor cursor, Buffer *json, int depth);
static const char *put_struct(Cursor cursor, Buffer *json, int depth);
static const char *put_time(ProtoType type, Cursor cursor, Buffer *json);
static bool is_text(Cursor text);
static bool fits(const ProtoField *field, WireType type);

const char *
proto_to_json(const ProtoMessage *message, const void *data, size_t length, Buffer *json)
{
	Cursor		cursor = {data, (const unsigned char *) data + length};
	const char *problem = put_message(message, cursor, json, 0);

	if (problem == NULL && json->is_full)
		problem = too_large;
	return problem;
}

static const char *
put_message(const ProtoMessage *message, Cursor cursor, Buffer *json, int depth)
{
	bool		is_first = true;
	const char *problem;

	buffer_add_byte(json, '{');
	problem = put_members(message, cursor, json, depth, &is_first);
	buffer_add_byte(json, '}');
	return problem;
}

static const char *
put_members(const ProtoMessage *message, Cursor cursor, Buffer *json, int depth, bool *is_first)
{
	Place		places[PROTO_MOST_FIELDS];
	int			choice;
	const char *problem;

	if (depth > PROTO_DEEPEST)
		return too_deep;
	problem = read_places(message, cursor, places, &choice);
	for (int i = 0; problem == NULL && i < message->nfields; i++)
	{
		const ProtoField *field = &message->fields[i];

		if (json->is_full)
			return too_large;
		if (!places[i].is_there)
		{
			if (field->shape != PROTO_EXPLICIT)
				continue;
			put_name(field->name, json, is_first);
			problem = put_default(field, json);
			continue;
		}
		switch (field->shape)
		{
			case PROTO_CHOICE:
				if (choice != i)
					break;
				put_name("type", json, is_first);
				buffer_add_format(json, "\"%s\"", field->name);
				__attribute__((fallthrough));
			case PROTO_INLINE:
				problem = put_members(field->message, places[i].last.bytes, json, depth + 1, is_first);
				break;
			case PROTO_REPEATED:
			case PROTO_MAP:
				put_name(field->name, json, is_first);
				problem = put_repeated(field, places[i].first, json, depth + 1);
				break;
			default:
				put_name(field->name, json, is_first);
				problem = put_one(field, &places[i].last, json, depth + 1);
		}
	}
	return problem;
}

/* choice: the field of a choice that comes last, -1: there is none. */
static const char *
read_places(const ProtoMessage *message, Cursor cursor, Place *places, int *choice)
{
	*choice = -1;
	for (int i = 0; i < message->nfields; i++)
		places[i].is_there = false;
	while (cursor.at < cursor.end)
	{
		Cursor		tag = cursor;
		WireField	wire;

		if (!wire_field(&cursor, &wire))
			return malformed;
		for (int i = 0; i < message->nfields; i++)
			if (message->fields[i].number == wire.number && fits(&message->fields[i], wire.type))
			{
				if (!places[i].is_there)
					places[i].first = (Cursor) {tag.at, cursor.end};
				places[i].is_there = true;
				places[i].last = wire;
				if (message->fields[i].shape == PROTO_CHOICE)
					*choice = i;
				break;
			}
	}
	for (int i = 0; i < message->nfields; i++)
		if (places[i].is_there)
			places[i].first.end = cursor.end;
	return NULL;
}

static void
put_name(const char *name, Buffer *json, bool *is_first)
{
	buffer_add_format(json, *is_first ? "\"%s\":" : ",\"%s\":", name);
	*is_first = false;
}

static const char *
put_default(const ProtoField *field, Buffer *json)
{
	if (field->type == PROTO_STRING)
		buffer_add_text(json, "\"\"");
	else
		return put_number(field, 0, json);
	return NULL;
}

static bool
fits(const ProtoField *field, WireType type)
{
	bool		is_number = (field->type == PROTO_INT32 || field->type == PROTO_BOOL || field->type == PROTO_ENUM) &&
		field->shape != PROTO_WRAPPED && field->shape != PROTO_MAP;

	return type == WIRE_BYTES ? !is_number || field->shape == PROTO_REPEATED : is_number && type == WIRE_VARINT;
}

static const char *
put_repeated(const ProtoField *field, Cursor from, Buffer *json, int depth)
{
	bool		is_first = true;
	WireField	wire;
	const char *problem = NULL;

	buffer_add_byte(json, field->shape == PROTO_MAP ? '{' : '[');
	while (problem == NULL && from.at < from.end)
	{
		if (!wire_field(&from, &wire))
			return malformed;
		if (wire.number != field->number || !fits(field, wire.type))
			continue;
		if (field->shape == PROTO_REPEATED && wire.type == WIRE_BYTES &&
			(field->type == PROTO_INT32 || field->type == PROTO_BOOL || field->type == PROTO_ENUM))
		{
			/* packed */
			while (problem == NULL && wire.bytes.at < wire.bytes.end)
			{
				if (!wire_varint(&wire.bytes, &wire.value))
					return malformed;
				if (!is_first)
					buffer_add_byte(json, ',');
				is_first = false;
				problem = put_number(field, wire.value, json);
			}
			continue;
		}
		if (!is_first)
			buffer_add_byte(json, ',');
		is_first = false;
		problem = field->shape == PROTO_MAP ? put_map_entry(field, wire.bytes, json, depth) : put_one(field, &wire, json, depth);
		if (json->is_full)
			return too_large;
	}
	buffer_add_byte(json, field->shape == PROTO_MAP ? '}' : ']');
	return problem;
}

static const char *
put_map_entry(const ProtoField *field, Cursor entry, Buffer *json, int depth)
{
	ProtoField	value_field = *field;
	Cursor		key = {entry.at, entry.at};
	WireField	value = {2, WIRE_BYTES, 0, {entry.at, entry.at}};
	WireField	wire;
	const char *problem;

	value_field.shape = PROTO_PLAIN;
	while (entry.at < entry.end)
	{
		if (!wire_field(&entry, &wire))
			return malformed;
		if (wire.type == WIRE_BYTES && wire.number == 1)
			key = wire.bytes;
		else if (wire.type == WIRE_BYTES && wire.number == 2)
			value = wire;
	}
	problem = put_text(key, json);
	if (problem != NULL)
		return problem;
	buffer_add_byte(json, ':');
	return put_one(&value_field, &value, json, depth);
}

static const char *
put_one(const ProtoField *field, const WireField *wire, Buffer *json, int depth)
{
	WireField	wrapped = {1, field->type == PROTO_STRING ? WIRE_BYTES : WIRE_VARINT, 0, {wire->bytes.at, wire->bytes.at}};
	Cursor		cursor = wire->bytes;

	if (field->shape == PROTO_WRAPPED)
	{
		ProtoField	plain = *field;
		WireField	inner;

		plain.shape = PROTO_PLAIN;
		while (cursor.at < cursor.end)
		{
			if (!wire_field(&cursor, &inner))
				return malformed;
			if (inner.number == 1 && inner.type == wrapped.type)
				wrapped = inner;
		}
		return put_one(&plain, &wrapped, json, depth);
	}
	switch (field->type)
	{
		case PROTO_STRING:
			return put_text(wire->bytes, json);
		case PROTO_MESSAGE:
			return put_message(field->message, wire->bytes, json, depth);
		case PROTO_TIME:
		case PROTO_DURATION:
			return put_time(field->type, wire->bytes, json);
		case PROTO_VALUE:
			return put_value(wire->bytes, json, depth);
		case PROTO_OPAQUE:
			return put_hex(wire->bytes, json);
		default:
			return put_number(field, wire->value, json);
	}
}

static const char *
put_number(const ProtoField *field, uint64_t value, Buffer *json)
{
	int32_t		number = (int32_t) (uint32_t) value;

	if (field->type == PROTO_BOOL)
	{
		buffer_add_text(json, value != 0 ? "true" : "false");
		return NULL;
	}
	if (field->type == PROTO_ENUM && number >= 0)
	{
		int			n = 0;

		while (field->words[n] != NULL && n < number)
			n++;
		if (field->words[n] != NULL)
		{
			buffer_add_format(json, "\"%s\"", field->words[n]);
			return NULL;
		}
	}
	buffer_add_format(json, "%d", (int) number);
	return NULL;
}

static const char *
put_text(Cursor text, Buffer *json)
{
	if (!is_text(text))
		return not_text;
	json_add_text(json, (const char *) text.at, (size_t) (text.end - text.at));
	return NULL;
}

/* UTF-8 as PostgreSQL understands it, and without the character that its texts cannot have. */
static bool
is_text(Cursor text)
{
	const unsigned char *at = text.at;

	while (at < text.end)
	{
		int			more;

		if (*at == 0)
			return false;
		if (*at < 0x80)
		{
			at++;
			continue;
		}
		more = *at >= 0xc2 && *at <= 0xdf ? 1 : (*at & 0xf0) == 0xe0 ? 2 : *at >= 0xf0 && *at <= 0xf4 ? 3 : 0;
		if (more == 0 || text.end - at <= more)
			return false;
		for (int i = 1; i <= more; i++)
			if ((at[i] & 0xc0) != 0x80)
				return false;
		if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
			(*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
			return false;
		at += more + 1;
	}
	return true;
}

static const char *
put_hex(Cursor bytes, Buffer *json)
{
	buffer_add_byte(json, '"');
	for (; bytes.at < bytes.end; bytes.at++)
		buffer_add_format(json, "%02x", *bytes.at);
	buffer_add_byte(json, '"');
	return NULL;
}

/* --- types of Google's own ------------------------------------------------------------------- */

static const char *
put_time(ProtoType type, Cursor cursor, Buffer *json)
{
	int64_t		seconds = 0;
	int64_t		nanoseconds = 0;
	WireField	wire;
	char		text[TIMES_LENGTH];

	while (cursor.at < cursor.end)
	{
		if (!wire_field(&cursor, &wire))
			return malformed;
		if (wire.type == WIRE_VARINT && wire.number == 1)
			seconds = (int64_t) wire.value;
		else if (wire.type == WIRE_VARINT && wire.number == 2)
			nanoseconds = (int32_t) (uint32_t) wire.value;
	}
	if (type == PROTO_DURATION)
	{
		if (seconds < -315576000000 || seconds > 315576000000 || nanoseconds <= -1000000000 || nanoseconds >= 1000000000)
			return "A duration of the message is out of range.";
		buffer_add_format(json, "%.9f", (double) seconds + (double) nanoseconds / 1e9);
		return NULL;
	}
	if (nanoseconds < 0 || nanoseconds >= 1000000000 || !times_print(seconds, (nanoseconds + 999) / 1000, text))
		return "A time of the message is out of range.";
	buffer_add_format(json, "\"%s\"", text);
	return NULL;
}

static const char *
put_value(Cursor cursor, Buffer *json, int depth)
{
	WireField	kind = {0};
	WireField	wire;
	double		number;
	const char *problem = NULL;
	bool		is_first = true;

	if (depth > PROTO_DEEPEST)
		return too_deep;
	while (cursor.at < cursor.end)
	{
		if (!wire_field(&cursor, &wire))
			return malformed;
		if ((wire.number == 2 && wire.type == WIRE_FIXED64) || (wire.number == 4 && wire.type == WIRE_VARINT) ||
			((wire.number == 3 || wire.number == 5 || wire.number == 6) && wire.type == WIRE_BYTES))
			kind = wire;
	}
	switch (kind.number)
	{
		case 2:
			memcpy(&number, &kind.value, sizeof(number));
			if (isfinite(number))
				buffer_add_format(json, "%.17g", number);
			else
				buffer_add_text(json, "null");
			return NULL;
		case 3:
			return put_text(kind.bytes, json);
		case 4:
			buffer_add_text(json, kind.value != 0 ? "true" : "false");
			return NULL;
		case 5:
			return put_struct(kind.bytes, json, depth + 1);
		case 6:
			buffer_add_byte(json, '[');
			while (problem == NULL && kind.bytes.at < kind.bytes.end)
			{
				if (!wire_field(&kind.bytes, &wire))
					return malformed;
				if (wire.number != 1 || wire.type != WIRE_BYTES)
					continue;
				if (!is_first)
					buffer_add_byte(json, ',');
				is_first = false;
				problem = put_value(wire.bytes, json, depth + 1);
				if (json->is_full)
					return too_large;
			}
			buffer_add_byte(json, ']');
			return problem;
		default:
			buffer_add_text(json, "null");
			return NULL;
	}
}

static const char *
put_struct(Cursor cursor, Buffer *json, int depth)
{
	static const ProtoField fields = {1, PROTO_VALUE, PROTO_MAP, "fields", NULL, NULL};

	return put_repeated(&fields, cursor, json, depth);
}
