/*
 * error_origin.h
 *		Whose error is it: the server's, or that of the code that ran?
 */
#ifndef DURABLE_ERROR_ORIGIN_H
#define DURABLE_ERROR_ORIGIN_H

#include "durable.h"

typedef enum ErrorOrigin
{
	ERROR_OF_CODE,				/* a failure of the code, whatever its SQLSTATE is */
	ERROR_OF_SERVER,			/* says nothing about the code: run it again */
	ERROR_OF_EITHER				/* a conflict that somebody else has reported: run it again a few times */
}			ErrorOrigin;

extern ErrorOrigin durable_error_origin(const ErrorData *error);

/* ERROR_OF_SERVER? */
extern bool durable_error_is_infrastructure(const ErrorData *error);

/*
 * Adds what to do to an error of an orchestration or activity (kind) that the server has
 * raised without a hint, and whose reason is that it runs as one.
 */
extern void durable_error_explain(ErrorData *error, const char *kind);

#endif							/* DURABLE_ERROR_ORIGIN_H */
