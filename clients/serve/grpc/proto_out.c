/*
 * proto_out.c - converts JSON to a message of Protocol Buffers.
 *
 * The database has written the JSON, so it is well formed, but it is checked all the same.
 * Members that the table of the message does not have, and members that are null, are skipped.
 *
 * Owns: nothing.
 * Called by: rpc.c, work_send.c.
 * Memory: grows the caller's buffer; a buffer for one string at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "proto.h"
#include "times.h"
#include "wire.h"

static void read_message(JsonReader *reader, const ProtoMessage *message);
static void read_again(JsonReader *reader, const ProtoField *field, const char *begin_at);
static const ProtoField *find_choice(const ProtoMessage *message, const char *name);
static void read_hex(JsonReader *reader, uint32_t number);
static void read_field(JsonReader *reader, const ProtoField *field);
static void read_one(JsonReader *reader, const ProtoField *field, uint32_t number, bool is_plain);
static void read_map(JsonReader *reader, const ProtoField *field);
static void read_value(JsonReader *reader);
static void put_seconds(JsonReader *reader, uint32_t number, int64_t seconds, int32_t nanoseconds);

const char *
proto_from_json(const ProtoMessage *message, const char *json, size_t length, Buffer *data)
{
	JsonReader		reader = {json, json + length, 0, {.limit = SIZE_MAX / 4}, data, false};

	read_message(&reader, message);
	if (json_next(&reader) != '\0')
		reader.failed = true;
	buffer_free(&reader.text);
	if (reader.failed || reader.text.is_full)
		return "The database has answered with JSON that is not of the expected form.";
	return data->is_full ? "The answer is too large." : NULL;
}

static void
read_message(JsonReader *reader, const ProtoMessage *message)
{
	bool		is_first = true;
	const char *begin_at;
	const ProtoField *choice = NULL;

	json_next(reader);
	begin_at = reader->at;
	if (!json_begin(reader, '{'))
		return;
	while (json_more(reader, '}', &is_first))
	{
		const ProtoField *field = NULL;
		bool		is_type;

		if (!json_read_text(reader) || !json_accept(reader, ':'))
			return;
		is_type = strcmp(buffer_text(&reader->text), "type") == 0;
		for (int i = 0; i < message->nfields && field == NULL; i++)
			if (message->fields[i].shape < PROTO_INLINE && strcmp(message->fields[i].name, buffer_text(&reader->text)) == 0)
				field = &message->fields[i];
		if (field == NULL)
		{
			json_skip(reader);
			if (is_type && !reader->failed)
				choice = find_choice(message, buffer_text(&reader->text));
		}
		else if (!json_accept_word(reader, "null"))
			read_field(reader, field);
	}
	for (int i = 0; i < message->nfields && !reader->failed; i++)
		if (message->fields[i].shape == PROTO_INLINE || choice == &message->fields[i])
			read_again(reader, &message->fields[i], begin_at);
}

/* The same object, as another message within the one that is being written. */
static void
read_again(JsonReader *reader, const ProtoField *field, const char *begin_at)
{
	const char *end_at = reader->at;
	size_t		before = reader->out->length;
	size_t		at = wire_begin(reader->out, field->number);

	reader->at = begin_at;
	read_message(reader, field->message);
	reader->at = end_at;
	if (field->shape == PROTO_INLINE && reader->out->length == at)
		reader->out->length = before;
	else
		wire_end(reader->out, at);
}

static const ProtoField *
find_choice(const ProtoMessage *message, const char *name)
{
	const ProtoField *other = NULL;

	for (int i = 0; i < message->nfields; i++)
		if (message->fields[i].shape == PROTO_CHOICE)
		{
			if (strcmp(message->fields[i].name, name) == 0)
				return &message->fields[i];
			if (strcmp(message->fields[i].name, "*") == 0)
				other = &message->fields[i];
		}
	return other;
}

static void
read_field(JsonReader *reader, const ProtoField *field)
{
	bool		is_first = true;
	size_t		at;

	if (field->shape == PROTO_REPEATED && field->type != PROTO_MESSAGE && field->type != PROTO_STRING && field->type != PROTO_VALUE)
	{
		reader->failed = true;	/* no message that is sent has repeated numbers */
		return;
	}
	switch (field->shape)
	{
		case PROTO_REPEATED:
			if (!json_begin(reader, '['))
				return;
			while (json_more(reader, ']', &is_first))
				read_one(reader, field, field->number, false);
			return;
		case PROTO_MAP:
			read_map(reader, field);
			return;
		case PROTO_WRAPPED:
			at = wire_begin(reader->out, field->number);
			read_one(reader, field, 1, true);
			wire_end(reader->out, at);
			return;
		default:
			read_one(reader, field, field->number, true);
	}
}

/* is_plain: zero, false and the empty string need not be written. */
static void
read_one(JsonReader *reader, const ProtoField *field, uint32_t number, bool is_plain)
{
	size_t		at;
	double		value = 0;
	int64_t		seconds;
	int32_t		nanoseconds;

	switch (field->type)
	{
		case PROTO_BOOL:
			if (json_accept_word(reader, "true"))
				value = 1;
			else if (!json_accept_word(reader, "false"))
				reader->failed = true;
			break;
		case PROTO_INT32:
			json_read_number(reader, &value);
			break;
		case PROTO_ENUM:
			if (json_next(reader) != '"')
				json_read_number(reader, &value);
			else if (json_read_text(reader))
			{
				const char *word = buffer_text(&reader->text);
				int			n = 0;

				while (field->words[n] != NULL && strcmp(field->words[n], word) != 0)
					n++;
				if (field->words[n] == NULL)
					reader->failed = true;
				value = n;
			}
			break;
		case PROTO_STRING:
			if (json_read_text(reader) && (!is_plain || reader->text.length > 0))
				wire_put_bytes(reader->out, number, reader->text.data, reader->text.length);
			return;
		case PROTO_MESSAGE:
			at = wire_begin(reader->out, number);
			read_message(reader, field->message);
			wire_end(reader->out, at);
			return;
		case PROTO_TIME:
			if (!json_read_text(reader))
				return;
			if (times_parse(buffer_text(&reader->text), reader->text.length, &seconds, &nanoseconds))
				put_seconds(reader, number, seconds, nanoseconds);
			else
				reader->failed = true;
			return;
		case PROTO_DURATION:
			if (!json_read_number(reader, &value))
				return;
			seconds = (int64_t) value;
			put_seconds(reader, number, seconds, (int32_t) ((value - (double) seconds) * 1e9));
			return;
		case PROTO_OPAQUE:
			read_hex(reader, number);
			return;
		case PROTO_VALUE:
			at = wire_begin(reader->out, number);
			read_value(reader);
			wire_end(reader->out, at);
			return;
	}
	if (value < -2147483648.0 || value > 2147483647.0)
		reader->failed = true;
	else if (!is_plain || value != 0)
	{
		wire_put_tag(reader->out, number, WIRE_VARINT);
		wire_put_varint(reader->out, (uint64_t) (int64_t) value);
	}
}

static void
read_hex(JsonReader *reader, uint32_t number)
{
	size_t		n = 0;

	if (!json_read_text(reader))
		return;
	for (size_t i = 0; i + 1 < reader->text.length; i += 2)
	{
		int			high = json_hex_digit(reader->text.data[i]);
		int			low = json_hex_digit(reader->text.data[i + 1]);

		if (high < 0 || low < 0)
		{
			reader->failed = true;
			return;
		}
		reader->text.data[n++] = (char) (high * 16 + low);
	}
	wire_put_bytes(reader->out, number, reader->text.data, n);
}

static void
read_map(JsonReader *reader, const ProtoField *field)
{
	bool		is_first = true;

	if (!json_begin(reader, '{'))
		return;
	while (json_more(reader, '}', &is_first))
	{
		size_t		at = wire_begin(reader->out, field->number);

		if (!json_read_text(reader) || !json_accept(reader, ':'))
			return;
		wire_put_bytes(reader->out, 1, reader->text.data, reader->text.length);
		if (!json_accept_word(reader, "null"))
			read_one(reader, field, 2, false);
		wire_end(reader->out, at);
	}
}

static void
read_value(JsonReader *reader)
{
	static const ProtoField fields = {1, PROTO_VALUE, PROTO_MAP, "fields", NULL, NULL};
	static const ProtoField values = {1, PROTO_VALUE, PROTO_REPEATED, "values", NULL, NULL};
	Buffer	   *out = reader->out;
	double		number;
	uint64_t	bits;
	size_t		at;

	switch (json_next(reader))
	{
		case '{':
		case '[':
			at = wire_begin(out, json_next(reader) == '{' ? 5 : 6);
			read_field(reader, json_next(reader) == '{' ? &fields : &values);
			wire_end(out, at);
			return;
		case '"':
			if (json_read_text(reader))
				wire_put_bytes(out, 3, reader->text.data, reader->text.length);
			return;
		case 't':
		case 'f':
			wire_put_tag(out, 4, WIRE_VARINT);
			if (json_accept_word(reader, "true"))
				wire_put_varint(out, 1);
			else
			{
				wire_put_varint(out, 0);
				if (!json_accept_word(reader, "false"))
					reader->failed = true;
			}
			return;
		case 'n':
			wire_put_tag(out, 1, WIRE_VARINT);
			wire_put_varint(out, 0);
			if (!json_accept_word(reader, "null"))
				reader->failed = true;
			return;
		default:
			if (!json_read_number(reader, &number))
				return;
			memcpy(&bits, &number, sizeof(bits));
			wire_put_tag(out, 2, WIRE_FIXED64);
			for (int i = 0; i < 8; i++)
				buffer_add_byte(out, (char) (bits >> (8 * i)));
	}
}

static void
put_seconds(JsonReader *reader, uint32_t number, int64_t seconds, int32_t nanoseconds)
{
	size_t		at = wire_begin(reader->out, number);

	if (seconds != 0)
	{
		wire_put_tag(reader->out, 1, WIRE_VARINT);
		wire_put_varint(reader->out, (uint64_t) seconds);
	}
	if (nanoseconds != 0)
	{
		wire_put_tag(reader->out, 2, WIRE_VARINT);
		wire_put_varint(reader->out, (uint64_t) (int64_t) nanoseconds);
	}
	wire_end(reader->out, at);
}
