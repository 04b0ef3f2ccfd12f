/*
 * buffer.h - bytes that grow up to a limit.
 */
#ifndef CLIENTS_SERVE_GRPC_BUFFER_H
#define CLIENTS_SERVE_GRPC_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as {0} with a limit.  When the limit is reached, or there is no memory, it is full and takes nothing more. */
typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		size;
	size_t		limit;
	bool		is_full;
} Buffer;

extern void buffer_add(Buffer *buffer, const void *data, size_t length);
extern void buffer_add_text(Buffer *buffer, const char *text);
extern void buffer_add_byte(Buffer *buffer, char byte);
extern void buffer_add_format(Buffer *buffer, const char *format,...) __attribute__((format(printf, 2, 3)));
extern const char *buffer_text(Buffer *buffer);	/* with a zero byte at its end; "" if it is full */
extern void buffer_free(Buffer *buffer);

#endif
