/*
 * json.c - reads JSON, one token after the other, or one value of a whole.
 *
 * Owns: nothing.
 * Called by: proto_out.c, and the handlers of RPCs.
 * Memory: a reader has a buffer for one string at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "json.h"

static int	hex4(JsonReader *reader);
static void put_utf8(Buffer *text, uint32_t c);

bool
json_read_text(JsonReader *reader)
{
	const char *from;
	int			c;

	reader->text.length = 0;
	if (!json_accept(reader, '"'))
		return false;
	for (from = reader->at; reader->at < reader->end && *reader->at != '"';)
	{
		if (*reader->at != '\\')
		{
			reader->at++;
			continue;
		}
		buffer_add(&reader->text, from, (size_t) (reader->at - from));
		if (++reader->at == reader->end)
			break;
		c = *reader->at++;
		if (c == 'u')
		{
			uint32_t	code = (uint32_t) hex4(reader);

			if (code >= 0xd800 && code <= 0xdbff && reader->end - reader->at >= 6 && reader->at[0] == '\\' && reader->at[1] == 'u')
			{
				reader->at += 2;
				code = 0x10000 + ((code - 0xd800) << 10) + (((uint32_t) hex4(reader) - 0xdc00) & 0x3ff);
			}
			put_utf8(&reader->text, code);
		}
		else
			buffer_add_byte(&reader->text, (char) (c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c));
		from = reader->at;
	}
	buffer_add(&reader->text, from, (size_t) (reader->at - from));
	return json_accept(reader, '"');
}

int
json_hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
hex4(JsonReader *reader)
{
	int			code = 0;

	for (int i = 0; i < 4; i++)
	{
		char		c = reader->at < reader->end ? *reader->at++ : '\0';
		int			digit = json_hex_digit(c);

		if (digit < 0)
		{
			reader->failed = true;
			return 0;
		}
		code = code * 16 + digit;
	}
	return code;
}

static void
put_utf8(Buffer *text, uint32_t c)
{
	if (c < 0x80)
		buffer_add_byte(text, (char) c);
	else if (c < 0x800)
	{
		buffer_add_byte(text, (char) (0xc0 | (c >> 6)));
		buffer_add_byte(text, (char) (0x80 | (c & 0x3f)));
	}
	else if (c < 0x10000)
	{
		buffer_add_byte(text, (char) (0xe0 | (c >> 12)));
		buffer_add_byte(text, (char) (0x80 | ((c >> 6) & 0x3f)));
		buffer_add_byte(text, (char) (0x80 | (c & 0x3f)));
	}
	else
	{
		buffer_add_byte(text, (char) (0xf0 | ((c >> 18) & 7)));
		buffer_add_byte(text, (char) (0x80 | ((c >> 12) & 0x3f)));
		buffer_add_byte(text, (char) (0x80 | ((c >> 6) & 0x3f)));
		buffer_add_byte(text, (char) (0x80 | (c & 0x3f)));
	}
}

bool
json_read_number(JsonReader *reader, double *number)
{
	char		text[400];
	size_t		n = 0;
	char	   *end;

	json_next(reader);
	while (reader->at < reader->end && n < sizeof(text) - 1 && strchr("+-.0123456789eE", *reader->at) != NULL && *reader->at != '\0')
		text[n++] = *reader->at++;
	text[n] = '\0';
	*number = strtod(text, &end);
	if (n == 0 || *end != '\0')
		reader->failed = true;
	return !reader->failed;
}

/* The next character that is no blank, '\0' at the end and after a failure. */
char
json_next(JsonReader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
		reader->at++;
	return reader->at < reader->end && !reader->failed ? *reader->at : '\0';
}

bool
json_accept(JsonReader *reader, char c)
{
	if (json_next(reader) == c && c != '\0')
		reader->at++;
	else
		reader->failed = true;
	return !reader->failed;
}

bool
json_accept_word(JsonReader *reader, const char *word)
{
	size_t		length = strlen(word);

	json_next(reader);
	if (reader->failed || (size_t) (reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
		return false;
	reader->at += length;
	return true;
}

bool
json_begin(JsonReader *reader, char c)
{
	if (++reader->depth > JSON_DEEPEST)
		reader->failed = true;
	return json_accept(reader, c);
}

/* Whether there is another member or element; the comma, or the end, has been read. */
bool
json_more(JsonReader *reader, char end, bool *is_first)
{
	if (reader->failed)
		return false;
	if (json_next(reader) == end)
	{
		reader->at++;
		reader->depth--;
		return false;
	}
	if (!*is_first && !json_accept(reader, ','))
		return false;
	*is_first = false;
	return true;
}

void
json_skip(JsonReader *reader)
{
	bool		is_first = true;
	double		number;

	switch (json_next(reader))
	{
		case '{':
			json_begin(reader, '{');
			while (json_more(reader, '}', &is_first))
			{
				if (!json_read_text(reader) || !json_accept(reader, ':'))
					return;
				json_skip(reader);
			}
			return;
		case '[':
			json_begin(reader, '[');
			while (json_more(reader, ']', &is_first))
				json_skip(reader);
			return;
		case '"':
			json_read_text(reader);
			return;
		case 't':
		case 'f':
		case 'n':
			if (!json_accept_word(reader, "true") && !json_accept_word(reader, "false") && !json_accept_word(reader, "null"))
				reader->failed = true;
			return;
		default:
			json_read_number(reader, &number);
	}
}

/* --- values --------------------------------------------------------------------------------------------- */

bool
json_member(JsonSpan object, const char *name, JsonSpan *value)
{
	JsonReader	reader = {object.at, object.at + object.length, 0, {.limit = SIZE_MAX / 4}, NULL, false};
	bool		is_first = true;
	bool		found = false;

	if (json_begin(&reader, '{'))
		while (!found && json_more(&reader, '}', &is_first))
		{
			bool		is_it = json_read_text(&reader) && strcmp(buffer_text(&reader.text), name) == 0;

			if (!json_accept(&reader, ':'))
				break;
			json_next(&reader);
			value->at = reader.at;
			json_skip(&reader);
			value->length = (size_t) (reader.at - value->at);
			found = is_it && !reader.failed && value->at[0] != 'n';
		}
	buffer_free(&reader.text);
	return found;
}

bool
json_element(JsonSpan *array, JsonSpan *element)
{
	JsonReader	reader = {array->at, array->at + array->length, 0, {.limit = SIZE_MAX / 4}, NULL, false};

	/* The array begins with '[', and what is left of it with ','. */
	if (json_next(&reader) != '[' && json_next(&reader) != ',')
		return false;
	reader.at++;
	if (json_next(&reader) == ']' || json_next(&reader) == '\0')
		return false;
	element->at = reader.at;
	json_skip(&reader);
	buffer_free(&reader.text);
	element->length = (size_t) (reader.at - element->at);
	json_next(&reader);
	array->length -= (size_t) (reader.at - array->at);
	array->at = reader.at;
	return !reader.failed;
}

char *
json_text(JsonSpan value)
{
	JsonReader	reader = {value.at, value.at + value.length, 0, {.limit = SIZE_MAX / 4}, NULL, false};

	if (json_next(&reader) != '"' || !json_read_text(&reader))
	{
		buffer_free(&reader.text);
		return NULL;
	}
	buffer_text(&reader.text);
	return reader.text.data;
}

char *
json_member_text(JsonSpan object, const char *name)
{
	JsonSpan	value;

	return json_member(object, name, &value) ? json_text(value) : NULL;
}

int
json_member_integer(JsonSpan object, const char *name)
{
	JsonSpan	value;

	return json_member(object, name, &value) ? atoi(value.at) : 0;
}

bool
json_member_true(JsonSpan object, const char *name)
{
	JsonSpan	value;

	return json_member(object, name, &value) && value.length == 4 && memcmp(value.at, "true", 4) == 0;
}

void
json_add_text(Buffer *json, const char *text, size_t length)
{
	const char *end = text + length;
	const char *from = text;

	buffer_add_byte(json, '"');
	for (const char *at = text; at < end; at++)
	{
		if ((unsigned char) *at >= 0x20 && *at != '"' && *at != '\\')
			continue;
		buffer_add(json, from, (size_t) (at - from));
		from = at + 1;
		if (*at == '"' || *at == '\\')
			buffer_add_format(json, "\\%c", *at);
		else
			buffer_add_format(json, "\\u%04x", (unsigned) *at);
	}
	buffer_add(json, from, (size_t) (end - from));
	buffer_add_byte(json, '"');
}
