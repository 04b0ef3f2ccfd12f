/*
 * grpc_codec.c - random messages for the codec of the gRPC listener: grpc_codec SECONDS SEED
 *
 * Built with AddressSanitizer by test/t/275_grpc_fuzz.pl.  Messages of all tables are made by a
 * grammar of fields, changed at random, and read.  What is accepted must be JSON that the
 * writer takes; what it writes must be read again, and must then give the same JSON.
 *
 * Owns, locks: none.
 * Memory: what one round needs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../clients/serve/grpc/json.h"
#include "../../clients/serve/grpc/messages.h"
#include "../../clients/serve/grpc/wire.h"

#define LIMIT	(1024 * 1024)

static const ProtoMessage *const both_ways[] = {
	&message_instance, &message_instances, &message_history_chunk, &message_work_item, &message_entity, &message_entities,
	&message_ids, &message_purged, &message_cleaned, &message_instance_id, &message_unterminated, &message_health
};
static const ProtoMessage *const requests[] = {
	&message_create_instance, &message_query, &message_list_ids, &message_purge, &message_get_work_items, &message_orchestrator_response,
	&message_activity_response, &message_entity_result, &message_terminate, &message_signal_entity, &message_query_entities,
	&message_get_instance, &message_raise_event, &message_with_reason, &message_restart, &message_stream_history, &message_skip_terminations,
	&message_abandon, &message_get_entity, &message_clean_entities, &message_health_check, &message_empty
};

#define LENGTH(array)	(sizeof(array) / sizeof((array)[0]))

static uint64_t state;

static uint32_t
any(uint32_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t) (state >> 33) % below;
}

static void
put_text(Buffer *out, uint32_t number)
{
	static const char *const texts[] = {"", "a", "\"", "\\", "\xc3\xa4", "\xf0\x9f\x98\x80", "\x01\x1f", "{\"$text\": 1}", "\xff", "a b\n\t", "\xed\xa0\x80"};
	char		text[64];
	int			n = 0;

	for (uint32_t i = any(4); i > 0; i--)
		n += snprintf(text + n, sizeof(text) - (size_t) n, "%s", texts[any(20) != 0 ? any(8) : any(LENGTH(texts))]);
	wire_put_bytes(out, number, text, (size_t) n);
}

static void
put_value(Buffer *out, int depth)
{
	size_t		at;

	switch (any(depth > 8 ? 3 : 5))
	{
		case 0:
			put_text(out, 3);
			break;
		case 1:
			wire_put_tag(out, 4, WIRE_VARINT);
			wire_put_varint(out, any(2));
			break;
		case 2:
			break;
		case 3:
			at = wire_begin(out, 6);
			for (uint32_t i = any(3); i > 0; i--)
			{
				size_t		element = wire_begin(out, 1);

				put_value(out, depth + 1);
				wire_end(out, element);
			}
			wire_end(out, at);
			break;
		default:
			at = wire_begin(out, 5);
			for (uint32_t i = any(3); i > 0; i--)
			{
				size_t		entry = wire_begin(out, 1);
				size_t		value;

				put_text(out, 1);
				value = wire_begin(out, 2);
				put_value(out, depth + 1);
				wire_end(out, value);
				wire_end(out, entry);
			}
			wire_end(out, at);
	}
}

static void
put_message(const ProtoMessage *message, Buffer *out, int depth)
{
	for (uint32_t n = any(depth > 12 ? 1 : 8); n > 0 && message->nfields > 0; n--)
	{
		const ProtoField *field = &message->fields[any((uint32_t) message->nfields)];
		size_t		at = 0;
		size_t		entry = 0;
		uint32_t	number = field->number;

		if (field->shape == PROTO_WRAPPED)
		{
			at = wire_begin(out, number);
			number = 1;
		}
		else if (field->shape == PROTO_MAP)
		{
			entry = wire_begin(out, number);
			put_text(out, 1);
			number = 2;
		}
		switch (field->type)
		{
			case PROTO_INT32:
			case PROTO_BOOL:
			case PROTO_ENUM:
				wire_put_tag(out, number, WIRE_VARINT);
				wire_put_varint(out, field->type == PROTO_BOOL ? any(2) : field->type == PROTO_ENUM ? any(10) :
								(uint64_t) (int64_t) (int32_t) (any(2) ? any(100) : any(UINT32_MAX)));
				break;
			case PROTO_STRING:
			case PROTO_OPAQUE:
				put_text(out, number);
				break;
			default:
				at = at != 0 ? at : wire_begin(out, number);
				if (field->type == PROTO_MESSAGE)
					put_message(field->message, out, depth + 1);
				else if (field->type == PROTO_VALUE)
					put_value(out, 0);
				else
				{
					wire_put_tag(out, 1, WIRE_VARINT);
					wire_put_varint(out, any(2000000000));
					wire_put_tag(out, 2, WIRE_VARINT);
					wire_put_varint(out, any(1000000) * 1000);
				}
		}
		if (at != 0)
			wire_end(out, at);
		if (entry != 0)
			wire_end(out, entry);
	}
}

static void
change(Buffer *data)
{
	for (uint32_t n = any(4); n > 0 && data->length > 0; n--)
	{
		size_t		at = any((uint32_t) data->length);

		switch (any(3))
		{
			case 0:
				data->data[at] = (char) any(256);
				break;
			case 1:
				data->data[at] ^= (char) (1 << any(8));
				break;
			default:
				data->length = at;
		}
	}
}

static void
fail(const char *what, const Buffer *json)
{
	fprintf(stderr, "%s: %.*s\n", what, (int) json->length, json->data);
	exit(1);
}

int
main(int argc, char **argv)
{
	time_t		until = time(NULL) + (argc > 1 ? atoi(argv[1]) : 10);
	unsigned long rounds = 0;
	unsigned long accepted = 0;
	unsigned long same = 0;

	state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t) time(NULL);
	while (time(NULL) < until)
	{
		bool		is_answer = any(2) == 0;
		const ProtoMessage *message = is_answer ? both_ways[any(LENGTH(both_ways))] : requests[any(LENGTH(requests))];
		bool		is_changed = any(3) != 0;
		Buffer		data = {.limit = LIMIT};
		Buffer		json = {.limit = LIMIT};
		Buffer		again = {.limit = LIMIT};
		Buffer		json2 = {.limit = LIMIT};
		char	   *copy;

		rounds++;
		put_message(message, &data, 0);
		if (is_changed)
			change(&data);
		/* A copy of exactly its length, so that a read behind it is seen. */
		copy = malloc(data.length > 0 ? data.length : 1);
		memcpy(copy, data.data != NULL ? data.data : "", data.length);
		if (proto_to_json(message, copy, data.length, &json) == NULL)
		{
			JsonSpan	span = {json.data, json.length};
			JsonSpan	value;

			accepted++;
			json_member(span, "no member has this name", &value);
			if (is_answer)
			{
				if (proto_from_json(message, json.data, json.length, &again) != NULL)
				{
					/* The reader lets pass what no answer has: numbers of unknown words. */
					if (!is_changed)
						fail("what was read cannot be written", &json);
				}
				else if (proto_to_json(message, again.data, again.length, &json2) != NULL)
					fail("what was written cannot be read", &json);
				else if (json.length == json2.length && memcmp(json.data, json2.data, json.length) == 0)
					same++;
			}
			/* JSON that is broken. */
			if (json.length > 0)
			{
				Buffer		broken = {.limit = LIMIT};
				char	   *exact;

				change(&json);
				exact = malloc(json.length > 0 ? json.length : 1);
				memcpy(exact, json.data, json.length);
				proto_from_json(message, exact, json.length, &broken);
				span = (JsonSpan) {exact, json.length};
				free(json_member_text(span, "instance_id"));
				while (json_element(&span, &value))
					free(json_text(value));
				free(exact);
				buffer_free(&broken);
			}
		}
		free(copy);
		buffer_free(&data);
		buffer_free(&json);
		buffer_free(&again);
		buffer_free(&json2);
	}
	printf("%lu rounds, %lu accepted, %lu the same again\n", rounds, accepted, same);
	return accepted > rounds / 10 && same > 0 ? 0 : 1;
}
