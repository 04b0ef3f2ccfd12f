/*
 * orchestration_code.h
 *		Which code an instance runs: the function of today, or a copy of what it was.
 */
#ifndef DURABLE_ORCHESTRATION_CODE_H
#define DURABLE_ORCHESTRATION_CODE_H

#include "batch.h"
#include "handler.h"

/*
 * The function to run, or NULL: then the instance is parked.  An instance that begins is
 * pinned to it.  Again: after the function was found to be stale.
 */
extern Handler *durable_orchestration_find(Batch * batch, Instance *instance);
extern Handler *durable_orchestration_find_again(Batch * batch, Instance *instance);

#endif							/* DURABLE_ORCHESTRATION_CODE_H */
