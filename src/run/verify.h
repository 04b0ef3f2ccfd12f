/*
 * verify.h
 *		Dry runs, which check whether the history of an instance matches some code.
 */
#ifndef DURABLE_VERIFY_H
#define DURABLE_VERIFY_H

#include "handler.h"
#include "instance_table.h"

typedef struct Verdict
{
	const char *problem;		/* why the instance cannot run that code; NULL: it can */
	int			line;			/* of the code; 0: not known */
} Verdict;

/*
 * Replays the instance's stored history with that code.  The current user is the instance's
 * owner.  Nothing is written, and no activity is run.
 */
extern Verdict durable_verify_instance(Instance *instance, Handler *handler);

#endif							/* DURABLE_VERIFY_H */
