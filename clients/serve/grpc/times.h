/*
 * times.h - seconds since 1970 as text, and back.
 */
#ifndef CLIENTS_SERVE_GRPC_TIMES_H
#define CLIENTS_SERVE_GRPC_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMES_LENGTH	48

/* Years 1 to 9999, which is what google.protobuf.Timestamp has.  false: it is out of range. */
extern bool times_print(int64_t seconds, int64_t microseconds, char *text);
/* As PostgreSQL writes a timestamptz in JSON. */
extern bool times_parse(const char *text, size_t length, int64_t *seconds, int32_t *nanoseconds);

#endif
