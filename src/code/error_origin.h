/*
 * error_origin.h
 *		Tells errors of user code from errors of the server.
 */
#ifndef DURABLE_ERROR_ORIGIN_H
#define DURABLE_ERROR_ORIGIN_H

#include "durable.h"

typedef enum ErrorOrigin
{
	ERROR_OF_CODE,				/* a failure of the code, whatever its SQLSTATE is */
	ERROR_OF_SERVER,			/* not caused by the code: it is run again */
	ERROR_OF_EITHER				/* a conflict that an extension reports, such as dblink: it is run again a few
								 * times */
}			ErrorOrigin;

extern ErrorOrigin durable_error_origin(const ErrorData *error);

/* ERROR_OF_SERVER? */
extern bool durable_error_is_infrastructure(const ErrorData *error);

/*
 * Adds a hint to an error that the server has raised because the code runs as an
 * orchestration or an activity (kind).
 */
extern void durable_error_explain(ErrorData *error, const char *kind);

#endif							/* DURABLE_ERROR_ORIGIN_H */
