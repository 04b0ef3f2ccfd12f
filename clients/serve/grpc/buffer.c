/*
 * buffer.c - bytes that grow up to a limit.
 *
 * A caller adds data without checks, and checks once at the end whether the buffer is full.
 *
 * Owns: nothing.
 * Called by: all of the gRPC listener.
 * Memory: the buffer owns its bytes until buffer_free.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"

static bool make_room(Buffer *buffer, size_t length);

void
buffer_add(Buffer *buffer, const void *data, size_t length)
{
	if (length == 0 || !make_room(buffer, length))
		return;
	memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
}

void
buffer_add_text(Buffer *buffer, const char *text)
{
	buffer_add(buffer, text, strlen(text));
}

void
buffer_add_byte(Buffer *buffer, char byte)
{
	buffer_add(buffer, &byte, 1);
}

void
buffer_add_format(Buffer *buffer, const char *format,...)
{
	char		text[512];
	va_list		args;
	int			length;

	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0 || length >= (int) sizeof(text))
		buffer->is_full = true;
	else
		buffer_add(buffer, text, (size_t) length);
}

const char *
buffer_text(Buffer *buffer)
{
	if (!make_room(buffer, 1))
		return "";
	buffer->data[buffer->length] = '\0';
	return buffer->data;
}

void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->length = buffer->size = 0;
}

static bool
make_room(Buffer *buffer, size_t length)
{
	size_t		size = buffer->size;
	char	   *data;

	if (buffer->is_full)
		return false;
	if (length <= buffer->size - buffer->length)
		return true;
	if (length > buffer->limit || buffer->length > buffer->limit - length)
	{
		buffer->is_full = true;
		return false;
	}
	while (size - buffer->length < length)
		size = size == 0 ? 256 : size * 2;
	data = realloc(buffer->data, size);
	if (data == NULL)
	{
		buffer->is_full = true;
		return false;
	}
	buffer->data = data;
	buffer->size = size;
	return true;
}
