/*
 * orchestration_code.h
 *		Decides which code an instance runs: the present function, or a copy of its old code.
 */
#ifndef DURABLE_ORCHESTRATION_CODE_H
#define DURABLE_ORCHESTRATION_CODE_H

#include "batch.h"
#include "handler.h"

/*
 * The function to run; NULL: the instance was suspended.  An instance that begins is pinned to
 * its code.  find_again: after the function was found to be stale.
 */
extern Handler *durable_orchestration_find(Batch * batch, Instance *instance);
extern Handler *durable_orchestration_find_again(Batch * batch, Instance *instance);

#endif							/* DURABLE_ORCHESTRATION_CODE_H */
